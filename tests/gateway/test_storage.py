"""Storage pools, one object each with a copy on every host; volumes, each on one host."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.gateway.settle import settled
from tests.gateway import direct
from tests.gateway.client import Client
from tests.gateway.direct import ALL
from tests.gateway.test_lxc_client import Stock
from tests.lab.lab import Lab

CUSTOM = "/1.0/storage-pools/default/volumes/custom"


@pytest.fixture
def lxc(gateway: Gateway, tmp_path: Path) -> Stock:
    return Stock("lxc", tmp_path / "lxc", tmp_path / "fleet.socket")


@pytest.fixture
def incus(gateway: Gateway, tmp_path: Path) -> Stock:
    return Stock("incus", tmp_path / "incus", tmp_path / "fleet.socket")


async def pools(lab: Lab, name: str) -> list[str]:
    return await direct.having(lab, f"/1.0/storage-pools/{name}")


async def volumes(lab: Lab, name: str) -> list[str]:
    return await direct.having(lab, f"{CUSTOM}/{name}")


# -- pools


async def test_a_pool_is_shown_once_without_what_is_its_hosts_own(client: Client) -> None:
    rows = {row["name"]: row for row in await client.get("/1.0/storage-pools?recursion=1")}
    assert rows["fast"]["locations"] == list(ALL)
    assert (rows["fast"]["driver"], rows["fast"]["config"], rows["fast"]["status"]) == ("btrfs", {}, "Created")
    own = await client.get("/1.0/storage-pools/fast?target=h2")
    assert (own["config"]["size"], own["locations"]) == ("2GiB", ["h2"])
    assert await client.get("/1.0/storage-pools") == ["/1.0/storage-pools/default", "/1.0/storage-pools/fast"]


async def test_the_space_of_all_hosts_is_summed(client: Client, clean_lab: Lab) -> None:
    path = "/1.0/storage-pools/fast/resources"
    total = (await client.get(path))["space"]["total"]
    each = [(await direct.ask(clean_lab, host, "GET", path))["space"]["total"] for host in ALL]
    assert total == sum(each)
    assert (await client.get(f"{path}?target=h3"))["space"]["total"] == each[2]
    assert (await client.ask("GET", "/1.0/storage-pools/none/resources")).status == 404


async def test_a_pool_is_made_on_all_hosts_and_deleted_from_all(client: Client, clean_lab: Lab) -> None:
    body = {"name": "extra", "driver": "dir", "config": {}}
    answer = await client.ask("POST", "/1.0/storage-pools", body)
    assert (answer.status, answer.headers["Location"]) == (201, "/1.0/storage-pools/extra")
    assert await pools(clean_lab, "extra") == list(ALL)
    assert (await client.ask("POST", "/1.0/storage-pools", body)).status == 409
    await client.done("PATCH", "/1.0/storage-pools/extra", {"config": {"user.tier": "slow"}})
    read = await client.ask("GET", "/1.0/storage-pools/extra")
    wanted = {"description": "x", "config": {**read.metadata["config"], "user.more": "1"}}
    answer = await client.ask("PUT", "/1.0/storage-pools/extra", wanted, {"If-Match": read.headers["ETag"]})
    assert answer.status == 200, answer.body
    for host in ALL:
        found = await direct.ask(clean_lab, host, "GET", "/1.0/storage-pools/extra")
        kept = {key: value for key, value in found["config"].items() if key.startswith("user.")}
        assert (kept, found["description"]) == ({"user.tier": "slow", "user.more": "1"}, "x")
        assert found["config"]["source"]
    local = await client.ask("PATCH", "/1.0/storage-pools/extra", {"config": {"size": "3GiB"}})
    assert (local.status, local.error) == (400, 'Config key "size" is cluster member specific')
    await client.done("DELETE", "/1.0/storage-pools/extra")
    assert await pools(clean_lab, "extra") == []


async def test_a_pool_that_one_host_cannot_make_is_made_on_none(client: Client, clean_lab: Lab) -> None:
    (clean_lab.hosts["h1"].root / "lxd" / "disks").mkdir(exist_ok=True)
    answer = await client.ask(
        "POST", "/1.0/storage-pools", {"name": "broken", "driver": "dir", "config": {"source": "/var/lib/lxd/disks"}}
    )
    assert answer.status >= 400, answer.body
    assert await pools(clean_lab, "broken") == []


async def test_members_name_their_sources_first(client: Client, clean_lab: Lab) -> None:
    for host, size in (("h1", "300MiB"), ("h2", "350MiB")):
        body = {"name": "two", "driver": "btrfs", "config": {"size": size}}
        answer = await client.ask("POST", f"/1.0/storage-pools?target={host}", body)
        assert answer.status == 201, answer.body
    assert await pools(clean_lab, "two") == []
    assert (await client.get("/1.0/storage-pools/two"))["status"] == "Pending"
    answer = await client.ask("POST", "/1.0/storage-pools", {"name": "two", "driver": "btrfs"})
    assert answer.status == 201, answer.body
    assert await pools(clean_lab, "two") == ["h1", "h2"]
    assert (await client.get("/1.0/storage-pools/two?target=h2"))["config"]["size"] == "350MiB"
    await client.done("DELETE", "/1.0/storage-pools/two")
    assert await pools(clean_lab, "two") == []


async def test_pools_of_one_name_and_two_drivers_are_not_changed_as_one(client: Client, clean_lab: Lab) -> None:
    for host, driver in (("h1", "dir"), ("h2", "dir"), ("i1", "btrfs")):
        body = {"name": "mixed", "driver": driver, "config": {"size": "300MiB"} if driver == "btrfs" else {}}
        await direct.ask(clean_lab, host, "POST", "/1.0/storage-pools", body)
    read = await client.ask("GET", "/1.0/storage-pools/mixed")
    assert (read.metadata["driver"], read.headers["X-LXDPM-Drift"]) == ("dir", "i1")
    change = {"config": {"user.a": "b"}}
    answer = await client.ask("PATCH", "/1.0/storage-pools/mixed", change, {"If-Match": read.headers["ETag"]})
    assert (answer.status, "driver" in answer.error) == (409, True)
    assert (await client.ask("PATCH", "/1.0/storage-pools/mixed?target=i1", change)).status == 200


async def test_a_pool_in_use_stays(client: Client, clean_lab: Lab) -> None:
    await client.done("POST", "/1.0/storage-pools", {"name": "extra", "driver": "dir"})
    await client.done("POST", "/1.0/storage-pools/extra/volumes/custom?target=h3", {"name": "v"})
    answer = await client.ask("DELETE", "/1.0/storage-pools/extra")
    assert (answer.status, "h3" in answer.error) == (400, True)
    assert await pools(clean_lab, "extra") == list(ALL)


# -- volumes


async def test_a_volume_goes_to_the_host_with_the_most_room(client: Client, gateway: Gateway, clean_lab: Lab) -> None:
    await client.done("POST", "/1.0/storage-pools/fast/volumes/custom?target=h1", {"name": "first"})

    def roomiest() -> set[str]:
        hosts = gateway.manager.inventory.hosts
        room = {name: hosts[name].pools["fast"].total - hosts[name].pools["fast"].used for name in hosts}
        return {name for name in room if room[name] == max(room.values())}

    before = roomiest()
    answer = await client.ask("POST", "/1.0/storage-pools/fast/volumes/custom", {"name": "second"})
    assert answer.status in (200, 201), answer.body
    # What is free may have been read anew on the way.
    assert answer.headers["X-LXDPM-Host"] in before | roomiest()
    rows = {row["name"]: row["location"] for row in await client.get("/1.0/storage-pools/fast/volumes?recursion=1")}
    assert rows["first"] == "h1"
    assert rows["second"] == answer.headers["X-LXDPM-Host"]


async def test_a_volume_is_found_wherever_it_is(client: Client, clean_lab: Lab) -> None:
    await client.done("POST", f"{CUSTOM}?target=h2", {"name": "data", "config": {}})
    read = await client.ask("GET", f"{CUSTOM}/data")
    assert (read.metadata["location"], read.headers["X-LXDPM-Host"]) == ("h2", "h2")
    body = {"config": {"user.a": "b"}, "description": "d"}
    assert (await client.ask("PUT", f"{CUSTOM}/data", body, {"If-Match": read.headers["ETag"]})).status == 200
    assert (await client.ask("PUT", f"{CUSTOM}/data", body, {"If-Match": read.headers["ETag"]})).status == 412
    await client.done("POST", f"{CUSTOM}/data/snapshots", {"name": "s0"})
    assert await client.get(f"{CUSTOM}/data/snapshots") == [f"{CUSTOM}/data/snapshots/s0"]
    assert f"{CUSTOM}/data/snapshots/s0" in await client.get("/1.0/storage-pools/default/volumes/custom")
    await client.done("PUT", f"{CUSTOM}/data", {"restore": "s0"})
    taken = await client.ask("POST", CUSTOM, {"name": "data"})
    assert (taken.status, taken.error) == (409, 'Volume "data" already exists')
    assert (await client.ask("POST", f"{CUSTOM}/data", {"name": "renamed"})).status in (200, 201)
    assert await volumes(clean_lab, "renamed") == ["h2"]
    await client.done("DELETE", f"{CUSTOM}/renamed")
    assert (await client.ask("GET", f"{CUSTOM}/renamed")).status == 404


async def test_twin_volumes_are_told_apart_by_target(client: Client, clean_lab: Lab) -> None:
    for host in ("h1", "i1"):
        await client.done("POST", f"{CUSTOM}?target={host}", {"name": "twin"})
    text = "Storage volume found on more than one cluster member. Please target a specific member"
    for method, path in (("GET", "twin"), ("DELETE", "twin"), ("GET", "twin/snapshots"), ("POST", "twin")):
        answer = await client.ask(method, f"{CUSTOM}/{path}", {"name": "x"} if method == "POST" else None)
        assert (answer.status, answer.error) == (409, text)
    assert (await client.get(f"{CUSTOM}/twin?target=i1"))["location"] == "i1"
    await client.done("DELETE", f"{CUSTOM}/twin?target=i1")
    assert (await client.get(f"{CUSTOM}/twin"))["location"] == "h1"
    other = await client.ask("POST", f"{CUSTOM}/twin?target=h2", {"name": "twin"})
    assert other.status == 501


async def test_a_silent_host_is_not_an_absent_volume(client: Client, clean_lab: Lab) -> None:
    await client.done("POST", f"{CUSTOM}?target=h2", {"name": "data"})
    await asyncio.to_thread(clean_lab.hosts["h2"].hang)
    answer = await client.ask("GET", f"{CUSTOM}/data")
    assert (answer.status, "h2" in answer.error) == (503, True)


async def test_a_hundred_creates_of_one_name_make_one(client: Client, clean_lab: Lab) -> None:
    given = await asyncio.gather(*(client.ask("POST", CUSTOM, {"name": "one"}) for _ in range(20)))
    assert sorted(answer.status in (200, 201) for answer in given) == [False] * 19 + [True]
    assert {answer.status for answer in given} - {200, 201} == {409}
    assert len(await volumes(clean_lab, "one")) == 1


async def test_a_volume_is_copied_where_it_is(client: Client, clean_lab: Lab) -> None:
    await client.done("POST", f"{CUSTOM}?target=i1", {"name": "data"})
    copy = {"name": "copy", "source": {"type": "copy", "name": "data", "pool": "default"}}
    await client.done("POST", CUSTOM, copy)
    assert await volumes(clean_lab, "copy") == ["i1"]
    elsewhere = await client.ask("POST", f"{CUSTOM}?target=h1", {**copy, "name": "other"})
    assert elsewhere.status == 501
    missing = await client.ask("POST", CUSTOM, {**copy, "source": {"type": "copy", "name": "nothing"}})
    assert missing.status == 404


async def test_a_backup_comes_back_under_its_own_name(client: Client, clean_lab: Lab) -> None:
    await client.done("POST", f"{CUSTOM}?target=h3", {"name": "data"})
    await client.done("POST", f"{CUSTOM}/data/backups", {"name": "b0"})
    exported = await client.ask("GET", f"{CUSTOM}/data/backups/b0/export")
    assert exported.status == 200
    taken = await client.ask("POST", CUSTOM, exported.body)
    assert (taken.status, taken.error) == (409, 'Volume "data" already exists')
    await client.done("DELETE", f"{CUSTOM}/data/backups/b0")
    await client.done("DELETE", f"{CUSTOM}/data")

    async def chunks() -> Any:
        for at in range(0, len(exported.body), 100):
            yield exported.body[at : at + 100]

    await client.done("POST", f"{CUSTOM}?target=h1", chunks())
    assert await volumes(clean_lab, "data") == ["h1"]
    await client.done("POST", f"{CUSTOM}?target=h2", exported.body, {"X-LXD-name": "named"})
    assert await volumes(clean_lab, "named") == ["h2"]
    unnamed = await client.ask("POST", CUSTOM, b"no tarball at all" * 100)
    assert (unnamed.status, "X-LXD-name" in unnamed.error) == (400, True)


async def test_volumes_of_all_pools(client: Client) -> None:
    await client.done("POST", f"{CUSTOM}?target=h1", {"name": "a"})
    await client.done("POST", "/1.0/storage-pools/fast/volumes/custom?target=i1", {"name": "b"})
    rows = await client.get("/1.0/storage-volumes/custom?recursion=1")
    assert sorted((row["pool"], row["name"], row["location"]) for row in rows) == [
        ("default", "a", "h1"),
        ("fast", "b", "i1"),
    ]
    only = await client.get("/1.0/storage-volumes?recursion=1&filter=location+eq+i1")
    assert [row["name"] for row in only] == ["b"]


async def test_buckets_of_hosts_that_have_them(client: Client) -> None:
    assert await client.get("/1.0/storage-pools/default/buckets") == []
    assert (await client.ask("GET", "/1.0/storage-pools/default/buckets/nothing")).status == 404


# -- the stock clients


async def test_lxc_storage(lxc: Stock, clean_lab: Lab) -> None:
    assert "created" in await lxc("storage", "create", "clip", "dir")
    assert await pools(clean_lab, "clip") == list(ALL)
    assert "clip" in await lxc("storage", "list")
    assert "total space" in await lxc("storage", "info", "clip")
    await lxc("storage", "set", "clip", "user.x", "y")
    assert (await lxc("storage", "get", "clip", "user.x")).strip() == "y"
    shown = await lxc("storage", "show", "clip")
    await lxc("storage", "edit", "clip", stdin=shown.replace('description: ""', "description: mine").encode())
    assert (await direct.ask(clean_lab, "i1", "GET", "/1.0/storage-pools/clip"))["description"] == "mine"
    await lxc("storage", "delete", "clip")
    assert await pools(clean_lab, "clip") == []
    assert "pending" in await lxc("storage", "create", "clip", "dir", "--target", "h2")
    await lxc("storage", "create", "clip", "dir")
    assert await pools(clean_lab, "clip") == ["h2"]
    await lxc("storage", "delete", "clip")


async def test_lxc_storage_volume(lxc: Stock, client: Client, clean_lab: Lab) -> None:
    await client.create("c-h2", "h2")
    await lxc("storage", "volume", "create", "default", "vol", "--target", "h2")
    await lxc("storage", "volume", "attach", "default", "vol", "c-h2", "data", "/mnt")
    devices = (await client.get("/1.0/instances/c-h2"))["devices"]
    assert devices["data"]["source"] == "vol"
    await lxc("storage", "volume", "detach", "default", "vol", "c-h2")
    await lxc("storage", "volume", "set", "default", "vol", "user.k=v")
    assert (await lxc("storage", "volume", "get", "default", "vol", "user.k")).strip() == "v"
    await lxc("storage", "volume", "snapshot", "default", "vol", "snap")
    await lxc("storage", "volume", "restore", "default", "vol", "snap")
    listed = json.loads(await lxc("storage", "volume", "list", "default", "--format", "json"))
    assert {row["name"]: row["location"] for row in listed}["vol"] == "h2"
    assert "h2" in await lxc("storage", "volume", "show", "default", "vol")
    await lxc("storage", "volume", "create", "fast", "sized", "size=10MiB", "--target", "h1")
    assert "sized" in await lxc("storage", "volume", "info", "fast", "sized")  # a pool without quotas cannot tell
    await lxc("storage", "volume", "copy", "default/vol", "default/twin")
    assert await volumes(clean_lab, "twin") == ["h2"]
    await lxc("storage", "volume", "rename", "default", "twin", "other")
    await lxc("storage", "volume", "export", "default", "vol", "vol.tar.gz")
    await lxc("storage", "volume", "delete", "default", "vol")
    await lxc("storage", "volume", "import", "default", "vol.tar.gz", "again")
    assert len(await volumes(clean_lab, "again")) == 1
    await lxc("storage", "volume", "import", "default", "vol.tar.gz")
    assert len(await volumes(clean_lab, "vol")) == 1
    await lxc("storage", "volume", "move", "default/other", "fast/moved")
    assert await direct.having(clean_lab, "/1.0/storage-pools/fast/volumes/custom/moved") == ["h2"]


async def test_incus_storage(incus: Stock, clean_lab: Lab) -> None:
    await incus("storage", "create", "inp", "dir")
    assert await pools(clean_lab, "inp") == list(ALL)
    await incus("storage", "volume", "create", "inp", "vol", "--target", "i1")
    await incus("storage", "volume", "snapshot", "create", "inp", "vol", "s0")
    await incus("storage", "volume", "copy", "inp/vol", "inp/two")
    listed = json.loads(await incus("storage", "volume", "list", "inp", "--format", "json"))
    assert {row["name"]: row["location"] for row in listed if "/" not in row["name"]} == {"vol": "i1", "two": "i1"}
    await incus("storage", "volume", "delete", "inp", "two")
    await incus("storage", "volume", "delete", "inp", "vol")
    await incus("storage", "delete", "inp")
    assert await pools(clean_lab, "inp") == []


async def test_an_operation_where_the_api_has_none_is_waited_for(gateway: Gateway, client: Client) -> None:
    """Newer daemons make operations of what is answered at once: here one that every daemon has."""
    await client.done("POST", f"{CUSTOM}?target=h1", {"name": "data"})
    host = gateway.manager.fleet.hosts["h1"]

    async def started(name: str) -> web.Response:
        reply = await host.request("POST", f"{CUSTOM}/data/snapshots", json={"name": name})
        assert reply.status == 202
        return web.Response(status=202, body=reply.body, content_type="application/json")

    answer = await settled(gateway.manager, "h1", await started("s0"))
    assert (answer.status, answer.headers["X-LXDPM-Host"]) == (200, "h1")
    answer = await settled(gateway.manager, "h1", await started("s1"), f"{CUSTOM}/data/snapshots/s1")
    assert (answer.status, answer.headers["Location"]) == (201, f"{CUSTOM}/data/snapshots/s1")
    plain = web.Response(status=200)
    assert await settled(gateway.manager, "h1", plain) is plain


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "a\x7f", "a/b", ".."])
async def test_names_that_nothing_could_be_found_by_are_refused(client: Client, clean_lab: Lab, name: str) -> None:
    """LXD itself takes a null byte, and then has a volume that no call reaches."""
    await client.done("POST", CUSTOM, {"name": "v", "config": {}})
    for path in (CUSTOM, f"{CUSTOM}/v", "/1.0/storage-pools/default/buckets"):
        answer = await client.ask("POST", path, {"name": name, "config": {}})
        assert (answer.status, "names may not contain" in answer.error) == (400, True), answer.body
    assert await client.get(CUSTOM) == [f"{CUSTOM}/v"]


async def test_the_spelling_of_a_path_makes_nothing_more_to_remember(asker: Client, simulated: Gateway) -> None:
    for pool in ("default", "%64efault", "d%65fault"):
        await asker.get(f"/1.0/storage-pools/{pool}/volumes")
    assert len(simulated.remembered) == len(simulated.manager.inventory.hosts)
