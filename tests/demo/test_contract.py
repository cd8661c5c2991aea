"""Statuses, envelopes and error texts: the same on simulated and real daemons.

When one of these fails on the simulation only, the simulation is wrong.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.demo.daemon import Daemon

ENVELOPE = {"type", "status", "status_code", "operation", "error_code", "error", "metadata"}
IMAGE = {"type": "image", "alias": "busybox"}


async def test_envelopes(daemon: Daemon) -> None:
    sync = await daemon.call("GET", "/")
    assert (sync.status, sync.json) == (
        200,
        {
            "type": "sync",
            "status": "Success",
            "status_code": 200,
            "operation": "",
            "error_code": 0,
            "error": "",
            "metadata": ["/1.0"],
        },
    )
    error = await daemon.call("GET", "/1.0/nothing-here")
    assert error.error == (404, "not found")
    assert (set(error.json), error.json["status"], error.json["status_code"]) == (ENVELOPE, "", 0)
    started = await daemon.call("POST", "/1.0/instances", {"name": "c1", "source": {"type": "none"}})
    value = started.json
    assert (started.status, set(value), value["type"], value["status"]) == (202, ENVELOPE, "async", "Operation created")
    assert value["status_code"] == 100
    assert started.headers["Location"] == value["operation"] == f"/1.0/operations/{value['metadata']['id']}"
    await daemon.end(started)


@pytest.mark.parametrize(
    ("path", "lxd", "incus"),
    [
        ("/1.0/nope", "not found", "not found"),
        ("/1.0/", "not found", "not found"),
        ("//1.0/instances", "not found", "not found"),
        ("/1.0/storage-pools/nope", "Storage pool not found", None),
        ("/1.0/networks/nope", "Network not found", None),
        ("/1.0/profiles/nope", "Fetch profile: Profile not found", None),
        ("/1.0/projects/nope", "Project not found", None),
        ("/1.0/images/nope", "Image not found", 'Image "nope" not found'),
        ("/1.0/images/nope/export", "Image not found", 'Image "nope" not found'),
        ("/1.0/images/aliases/nope", "Image alias not found", None),
        ("/1.0/operations/nope", "Operation not found", None),
        ("/1.0/operations/nope/wait", "Operation not found", None),
        ("/1.0/warnings/nope", "Warning not found", None),
        ("/1.0/certificates/nope", "Certificate not found", None),
        (
            "/1.0/instances/nope",
            "Instance not found",
            'Failed to fetch instance "nope" in project "default": Instance not found',
        ),
        (
            "/1.0/instances/nope/state",
            "Instance not found",
            'Failed to fetch instance "nope" in project "default": Instance not found',
        ),
        ("/1.0/instances/nope?project=nope", "Instance not found", "Project not found"),
        ("/1.0/profiles?project=nope", 'Failed loading project "nope": Project not found', None),
        ("/1.0/networks?project=nope", 'Failed to load project "nope": Project not found', None),
        ("/1.0/images?project=nope", "Check if project has images: fetch project: Project not found", None),
        ("/1.0/projects/nope/state", "Fetch project database object: Project not found", None),
    ],
)
async def test_not_found(unchanged: Daemon, path: str, lxd: str, incus: str | None) -> None:
    assert (await unchanged.call("GET", path)).error == (404, unchanged.of(lxd, incus or lxd))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/1.0/operations"),
        ("DELETE", "/1.0/instances"),
        ("POST", "/1.0/resources"),
        ("PATCH", "/1.0/images"),
        ("DELETE", "/1.0"),
        ("POST", "/1.0/instances/nope/state"),
    ],
)
async def test_wrong_method(unchanged: Daemon, method: str, path: str) -> None:
    assert (await unchanged.call(method, path)).error == (501, "not implemented")


@pytest.mark.parametrize(
    ("path", "lxd", "incus"),
    [
        ("/1.0/events?type=bogus", (500, '"bogus" isn\'t a supported event type'), 400),
        ("/1.0/instances?instance-type=bogus", (500, "Invalid instance type"), 400),
        (
            "/1.0/instances?all-projects=true&project=default",
            (400, "Cannot specify a project when requesting all projects"),
            400,
        ),
        ("/1.0/cluster/members", (500, "Server is not clustered"), 500),
        ("/1.0/cluster/groups", (400, "This server is not clustered"), 400),
    ],
)
async def test_refused_reads(unchanged: Daemon, path: str, lxd: tuple[int, str], incus: int) -> None:
    assert (await unchanged.call("GET", path)).error == unchanged.of(lxd, (incus, lxd[1]))


async def test_state_of_a_cluster_member(unchanged: Daemon) -> None:
    answer = await unchanged.call("GET", "/1.0/cluster/members/x/state")
    assert answer.error == unchanged.of((501, "not implemented"), (404, "Cluster member not found"))


async def test_what_lists_say_of_unknown_projects(unchanged: Daemon) -> None:
    assert await unchanged.get("/1.0/instances?project=nope&recursion=1") == []
    operations = await unchanged.get("/1.0/operations?project=nope")
    assert isinstance(operations, dict)  # of a real one, the server's own that ended in the last seconds are in it
    assert not operations.get("running")
    pools = ["/1.0/storage-pools/default", "/1.0/storage-pools/fast"]
    assert await unchanged.get("/1.0/storage-pools?project=nope") == pools


async def test_containers_path(daemon: Daemon) -> None:
    await daemon.do("POST", "/1.0/instances", {"name": "c1", "source": {"type": "none"}})
    listed = await daemon.call("GET", "/1.0/containers")
    if daemon.kind == "incus":
        assert listed.error == (404, "not found")
    else:
        assert listed.metadata == ["/1.0/containers/c1"]
        assert await daemon.get("/1.0/virtual-machines") == []
        assert (await daemon.get("/1.0/containers/c1"))["name"] == "c1"
    assert await daemon.get("/1.0/instances?filter=") == ["/1.0/instances/c1"]


BAD_JSON = "invalid character 'b' looking for beginning of object key string"


@pytest.mark.parametrize(
    ("data", "text"), [(b"{bad", BAD_JSON), (b"", "EOF"), (b'{"name":', "unexpected EOF")], ids=["bad", "empty", "cut"]
)
@pytest.mark.parametrize("path", ["/1.0/instances", "/1.0/profiles", "/1.0/projects", "/1.0/images/aliases"])
async def test_bad_json(unchanged: Daemon, path: str, data: bytes, text: str) -> None:
    assert (await unchanged.call("POST", path, data=data)).error == (400, text)


BAD_CREATES: list[tuple[str, Any, tuple[int, str]]] = [
    ("source", {"source": {"type": "bogus"}}, (400, "Unknown source type bogus")),
    ("profile", {"source": IMAGE, "profiles": ["no"]}, (500, 'Requested profile "no" doesn\'t exist')),
    (
        "name",
        {"source": IMAGE, "name": "p b!"},
        (400, "Invalid instance name: Name can only contain alphanumeric and hyphen characters"),
    ),
    ("copy", {"source": {"type": "copy"}}, (400, "Must specify a source instance")),
    (
        "copy of",
        {"source": {"type": "copy", "source": "no"}},
        (404, 'Failed to fetch instance "no" in project "default": Instance not found'),
    ),
]


@pytest.mark.parametrize(("body", "error"), [case[1:] for case in BAD_CREATES], ids=[case[0] for case in BAD_CREATES])
async def test_creates_refused_at_once(unchanged: Daemon, body: dict[str, Any], error: tuple[int, str]) -> None:
    assert (await unchanged.call("POST", "/1.0/instances", {"name": "c1"} | body)).error == error
    assert await unchanged.get("/1.0/instances") == []


async def test_create_with_a_target_or_in_no_project(unchanged: Daemon) -> None:
    body = {"name": "c1", "source": IMAGE}
    answer = await unchanged.call("POST", "/1.0/instances?target=zz", body)
    assert answer.error == (400, "Target only allowed when clustered")
    answer = await unchanged.call("POST", "/1.0/instances?project=nope", body)
    assert answer.error == (404, "Failed loading project: Project not found")


RECORD = "Failed creating instance record: "
FAILED_CREATES: list[tuple[str, dict[str, Any], str]] = [
    ("config", {"config": {"bogus": "1"}}, f"{RECORD}Unknown configuration key: bogus"),
    ("memory", {"config": {"limits.memory": "xx"}}, f"{RECORD}Invalid value: xx"),
    (
        "type",
        {"type": "virtual-machine"},
        'Requested image\'s type "container" doesn\'t match instance type "virtual-machine"',
    ),
    (
        "network",
        {"devices": {"eth0": {"type": "nic", "network": "no"}}},
        RECORD + 'Failed initialising instance: Invalid devices: Device validation failed for "eth0": '
        'Failed loading device "eth0": Failed to load network "no" for project "default": Network not found',
    ),
    (
        "pool",
        {"devices": {"root": {"type": "disk", "path": "/", "pool": "no"}}},
        f"{RECORD}Failed initialising instance: Failed loading storage pool: Storage pool not found",
    ),
    (
        "root",
        {"profiles": []},
        f"{RECORD}Failed initialising instance: Failed getting root disk: No root device could be found",
    ),
    ("image", {"source": {"type": "image", "fingerprint": "00"}}, "Image not provided for instance creation"),
]


@pytest.mark.parametrize(("body", "text"), [case[1:] for case in FAILED_CREATES], ids=[c[0] for c in FAILED_CREATES])
async def test_creates_that_fail_later(unchanged: Daemon, body: dict[str, Any], text: str) -> None:
    answer = await unchanged.call("POST", "/1.0/instances", {"name": "c1", "source": IMAGE} | body)
    text = unchanged.of(text, text.replace("initialising", "initializing"))
    assert await unchanged.end(answer) == ("Failure", text)
    assert await unchanged.get("/1.0/instances") == []


async def test_create_from_an_unknown_alias(unchanged: Daemon) -> None:
    answer = await unchanged.call("POST", "/1.0/instances", {"name": "c1", "source": {"type": "image", "alias": "no"}})
    if unchanged.kind == "lxd":
        assert answer.error == (404, "Image alias not found")
    else:
        assert await unchanged.end(answer) == ("Failure", "Image not provided for instance creation")


async def test_duplicate_name(daemon: Daemon) -> None:
    await daemon.make("c1")
    answer = await daemon.call("POST", "/1.0/instances", {"name": "c1", "source": IMAGE})
    text = f"{RECORD}Add instance info to the database: " + daemon.of(
        'This "instances" entry already exists',
        'Failed to create "instances" entry: UNIQUE constraint failed: instances.project_id, instances.name',
    )
    assert await daemon.end(answer) == ("Failure", text)


async def test_what_the_state_of_an_instance_forbids(daemon: Daemon) -> None:
    await daemon.make("c1")
    state = "/1.0/instances/c1/state"

    async def put(action: str, **more: Any) -> tuple[str, str]:
        return await daemon.end(await daemon.call("PUT", state, {"action": action} | more))

    stopped = ("Failure", "The instance is already stopped")
    assert await put("stop", force=True) == stopped
    assert await put("restart", force=True) == stopped
    frozen = daemon.of("The container isn't running", "The instance isn't running")
    assert await put("freeze") == ("Failure", frozen)
    assert (await daemon.call("PUT", state, {"action": "bogus"})).error == (400, "Unknown action: 'bogus'")
    assert (await daemon.call("POST", "/1.0/instances/c1/exec", {"command": ["sh"]})).error == (
        400,
        "Instance is not running",
    )
    assert await put("start") == ("Success", "")
    assert await put("start") == ("Failure", "The instance is already running")
    assert await put("unfreeze") == ("Failure", "The container is already running")
    assert (await daemon.call("DELETE", "/1.0/instances/c1")).error == (400, "Instance is running")
    what = daemon.of("container", "instance")
    renamed = await daemon.end(await daemon.call("POST", "/1.0/instances/c1", {"name": "c2"}))
    assert renamed == ("Failure", f"Renaming of running {what} not allowed")
    assert await put("freeze") == ("Success", "")
    assert (await daemon.get(state))["status"] == "Frozen"
    assert await put("freeze") == ("Failure", "The container is already frozen")


async def test_rename_and_delete(daemon: Daemon) -> None:
    for name in ("c1", "c2"):
        await daemon.do("POST", "/1.0/instances", {"name": name, "source": {"type": "none"}})
    path = "/1.0/instances/c1"
    assert (await daemon.call("POST", path, {"name": "c2"})).error == (409, 'Name "c2" already in use')
    text = "Invalid instance name: Name can only contain alphanumeric and hyphen characters"
    assert (await daemon.call("POST", path, {"name": "x y"})).error == (400, text)
    missing = daemon.of("Instance not found", "Failed to get address of instance's member: Instance not found")
    assert (await daemon.call("POST", "/1.0/instances/no", {"name": "xy"})).error == (404, missing)
    await daemon.do("POST", path, {"name": "c3"})
    assert sorted(await daemon.get("/1.0/instances")) == ["/1.0/instances/c2", "/1.0/instances/c3"]
    await daemon.do("DELETE", "/1.0/instances/c3")
    assert await daemon.get("/1.0/instances") == ["/1.0/instances/c2"]


async def test_an_instance_made_from_nothing_does_not_start(daemon: Daemon) -> None:
    await daemon.do("POST", "/1.0/instances", {"name": "c1", "source": {"type": "none"}})
    status, text = await daemon.end(await daemon.call("PUT", "/1.0/instances/c1/state", {"action": "start"}))
    assert status == "Failure"
    assert text == daemon.of(
        "Failed to handle idmapped storage: No such file or directory: "
        '"/var/lib/lxd/storage-pools/default/containers/c1/rootfs"',
        "Failed to run: /usr/libexec/incus/incusd forkstart c1 /var/lib/incus/containers "
        "/var/lib/incus/run/c1/lxc.conf: exit status 1",
    )


async def test_updates_and_etags(daemon: Daemon) -> None:
    await daemon.make("c1")
    path = "/1.0/instances/c1"
    answer = await daemon.call("GET", path)
    etag = answer.headers["Etag"].strip('"')
    keys = ("architecture", "config", "devices", "ephemeral", "profiles")
    body = {key: answer.metadata[key] for key in keys} | {"description": "new"}
    mismatch = (412, f"ETag doesn't match: {etag} vs old")
    assert (await daemon.call("PUT", path, body, headers={"If-Match": "old"})).error == mismatch
    assert (await daemon.call("PATCH", path, {}, headers={"If-Match": "old"})).error == mismatch
    await daemon.do("PUT", path, body, headers={"If-Match": etag})
    assert (await daemon.get(path))["description"] == "new"
    patched = await daemon.call("PATCH", path, {"config": {"user.x": "1"}})
    assert (patched.status, patched.metadata) == (200, {})
    after = await daemon.call("GET", path)
    assert after.metadata["config"]["user.x"] == "1"
    assert after.headers["Etag"].strip('"') != etag
    unknown = "Invalid config: Unknown configuration key: bogus"
    assert (await daemon.call("PATCH", path, {"config": {"bogus": "1"}})).error == (500, unknown)
    assert await daemon.end(await daemon.call("PUT", path, body | {"config": {"bogus": "1"}})) == ("Failure", unknown)
    assert (await daemon.call("PUT", path, body | {"profiles": ["no"]})).error == (404, "Profile not found")


async def test_snapshots(daemon: Daemon) -> None:
    await daemon.make("c1")
    path = "/1.0/instances/c1/snapshots"
    await daemon.do("POST", path, {"name": "s0"})
    await daemon.do("POST", path, {"name": ""})
    assert await daemon.get(path) == [f"{path}/s0", f"{path}/snap0"]
    taken = 'Failed creating instance snapshot record "s0": Add snapshot info to the database: ' + daemon.of(
        'This "instances_snapshots" entry already exists',
        'Failed to create "instances_snapshots" entry: '
        "UNIQUE constraint failed: instances_snapshots.instance_id, instances_snapshots.name",
    )
    assert await daemon.end(await daemon.call("POST", path, {"name": "s0"})) == ("Failure", taken)
    slash = (400, 'Invalid snapshot name: Cannot contain "/"')
    assert (await daemon.call("POST", path, {"name": "a/b"})).error == slash
    kind = daemon.of("InstanceSnapshot", "Instance_snapshot")
    missing = (404, f'Failed to fetch snapshot "no" of instance "c1" in project "default": {kind} not found')
    for method, body in (("GET", None), ("POST", {"name": "x"}), ("DELETE", None)):
        assert (await daemon.call(method, f"{path}/no", body)).error == missing
    used = (409, "Name 'c1/snap0' already in use")
    assert (await daemon.call("POST", f"{path}/s0", {"name": "snap0"})).error == used
    await daemon.do("POST", f"{path}/s0", {"name": "s1"})
    await daemon.do("PUT", "/1.0/instances/c1", {"restore": "s1"})
    failed = await daemon.end(await daemon.call("PUT", "/1.0/instances/c1", {"restore": "zz"}))
    assert failed == ("Failure", "Snapshot c1/zz does not exist")
    await daemon.do("DELETE", f"{path}/s1")
    assert await daemon.get(path) == [f"{path}/snap0"]
