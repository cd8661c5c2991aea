"""What the gateway makes of odd paths, wrong requests, twins and drift: LXD's own answers, on real daemons."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from lxdpm_tui.demo.fleet import DemoFleet
from lxdpm_tui.manager import Manager
from tests.gateway.client import Client, until
from tests.lab.lab import Lab

ALL = ("h1", "h2", "h3", "i1")
SOURCE = {"type": "image", "alias": "busybox"}


async def behind(lab: Lab, host: str, method: str, path: str, body: object = None) -> Any:
    """A call on a host itself."""
    return await asyncio.to_thread(lab.hosts[host].api, method, path, body)


# -- paths


async def test_slashes_collapse(client: Client) -> None:
    for path in ("//1.0/instances", "/1.0/instances/", "/1.0//instances//", "/1.0/instances?"):
        assert await client.get(path) == []


ERRORS = [
    ("GET", "/2.0", 404, "not found"),
    ("GET", "/1.0/nothing", 404, "not found"),
    ("GET", "/1.0/internal/containers", 404, "not found"),
    ("GET", "/internal/ready", 404, "not found"),
    ("DELETE", "/1.0/instances", 501, "not implemented"),
    ("POST", "/1.0", 501, "not implemented"),
    ("PATCH", "/1.0/operations/x", 501, "not implemented"),
    ("GET", "/1.0/instances/nothing", 404, "Instance not found"),
    ("GET", "/1.0/instances/a%2Fb", 400, "Invalid instance name"),
    ("GET", "/1.0/containers/nothing/state", 404, "Instance not found"),
    ("DELETE", "/1.0/instances/nothing", 404, "Instance not found"),
    ("GET", "/1.0/images/nothing", 404, "Image not found"),
    ("GET", "/1.0/images/aliases/nothing", 404, "Image alias not found"),
    ("GET", "/1.0/profiles/nothing", 404, "Profile not found"),
    ("DELETE", "/1.0/profiles/nothing", 404, "Profile not found"),
    ("GET", "/1.0/operations/nothing", 404, "Operation not found"),
    ("GET", "/1.0/operations/nothing/wait", 404, "Operation not found"),
    ("POST", "/1.0/instances?target=h9", 404, "Cluster member not found"),
    ("GET", "/1.0?target=h9", 404, "Cluster member not found"),
    ("GET", "/1.0/instances?filter=name+is+x", 400, "Invalid filter: unknown operator 'is'"),
    ("GET", "/1.0/instances?all-projects=true&project=default", 400,
     "Cannot specify a project when requesting all projects"),
    ("GET", "/1.0/instances?instance-type=magic", 400, "Invalid instance type"),
    ("GET", "/1.0/events", 400, "Missing or invalid upgrade header"),
]  # fmt: skip


async def test_errors(client: Client) -> None:
    for method, path, code, text in ERRORS:
        answer = await client.ask(method, path, {} if method == "POST" else None)
        assert (method, path, answer.status, answer.error) == (method, path, code, text)
        assert (answer.json["type"], answer.json["error_code"], answer.json["metadata"]) == ("error", code, None)


async def test_bad_bodies(client: Client) -> None:
    for method, path in (
        ("POST", "/1.0/instances"), ("PUT", "/1.0/planner"), ("POST", "/1.0/profiles"),
        ("PUT", "/1.0/profiles/default"), ("POST", "/1.0/images"), ("POST", "/1.0/images/aliases"),
    ):  # fmt: skip
        for body in (b"", b"{", b"[]", b'"x"', b"\xff\xfe"):
            answer = await client.ask(method, path, body, {"Content-Type": "application/json"})
            assert (answer.status, answer.json["type"], bool(answer.error)) == (400, "error", True), (path, body)


async def test_bad_aliases(client: Client) -> None:
    for method, path, body in (
        ("PUT", "/busybox", {"target": -1}), ("PUT", "/busybox", {"target": "busybox", "description": 5}),
        ("PATCH", "/busybox", {"target": ["x"]}), ("PATCH", "/busybox", {"description": {}}),
        ("POST", "", {"name": "x", "target": 7}), ("POST", "", {"name": "x", "target": "busybox", "description": []}),
    ):  # fmt: skip
        answer = await client.ask(method, f"/1.0/images/aliases{path}", body)
        assert (answer.status, bool(answer.error)) == (400, True), body
    assert await client.get("/1.0/images/aliases") == ["/1.0/images/aliases/busybox"]


BAD_INSTANCES: list[dict[str, Any]] = [
    {},
    {"name": "c1"},
    {"source": []},
    {"source": {"type": "magic"}},
    {"name": 5, "source": SOURCE},
    {"name": "no spaces", "source": SOURCE},
    {"name": "1st", "source": SOURCE},
    {"name": "a" * 64, "source": SOURCE},
    {"source": SOURCE, "profiles": "default"},
    {"source": SOURCE, "config": []},
    {"source": {"type": "image"}},
    {"source": SOURCE, "config": {"limits.memory": "much"}},
]


async def test_bad_instances(client: Client) -> None:
    for body in BAD_INSTANCES:
        answer = await client.ask("POST", "/1.0/instances", body)
        assert (answer.status, bool(answer.error)) == (400, True), body
    assert await client.get("/1.0/instances") == []


async def test_names_in_percent_encoding(client: Client, clean_lab: Lab) -> None:
    await client.create("c1", "h3")
    assert (await client.get("/1.0/instances/%63%31"))["name"] == "c1"
    await client.done("POST", "/1.0/images/aliases", {"name": "a/b c", "target": clean_lab.image_fingerprint})
    for path in ("a/b%20c", "a%2Fb%20c", "a%2fb%20c"):
        assert (await client.get(f"/1.0/images/aliases/{path}"))["name"] == "a/b c"
    assert f"/1.0/images/aliases/{quote('a/b c', safe='')}" in await client.get("/1.0/images/aliases")
    await client.create("c2", "i1", source={"type": "image", "alias": "a/b c"})
    await client.done("DELETE", "/1.0/images/aliases/a%2Fb%20c")
    assert await client.get("/1.0/images/aliases") == ["/1.0/images/aliases/busybox"]


async def test_long_requests(client: Client) -> None:
    """LXD takes what aiohttp by itself would not."""
    await client.create("c1", "h3")
    long = "x" * 200_000
    answer = await client.ask("GET", f"/1.0/instances/c1?ignored={long}", headers={"X-Long": long})
    assert (answer.status, answer.metadata["name"]) == (200, "c1")


async def test_what_the_client_is_called(client: Client) -> None:
    """Old clients speak of containers, and get their own word back; virtual machines are another list."""
    await client.create("c1", "h2")
    assert await client.get("/1.0/containers") == ["/1.0/containers/c1"]
    assert await client.get("/1.0/instances") == ["/1.0/instances/c1"]
    assert await client.get("/1.0/virtual-machines") == []
    answer = await client.ask("POST", "/1.0/containers/c1/snapshots", {"name": "s0"})
    assert "/1.0/containers/c1" in str(answer.metadata["resources"]["containers"])
    await client.wait(answer)
    assert await client.get("/1.0/containers/c1/snapshots") == ["/1.0/containers/c1/snapshots/s0"]


async def test_filters(client: Client) -> None:
    await asyncio.gather(client.create("a1", "h1"), client.create("a2", "i1"), client.create("b1", "h2"))
    for text, names in (
        ("", ["a1", "a2", "b1"]), ("name eq a1", ["a1"]), ("name eq a.*", ["a1", "a2"]),
        ("not name eq a1", ["a2", "b1"]), ("name ne a1 and location eq h2", ["b1"]),
        ("location eq i1 or location eq h1", ["a1", "a2"]), ("status eq running", []),
        ("config.image.os eq busybox", ["a1", "a2", "b1"]), ("no.such.field eq x", []),
    ):  # fmt: skip
        found = await client.get(f"/1.0/instances?recursion=1&filter={quote(text)}")
        assert [row["name"] for row in found] == names, text
        urls = await client.get(f"/1.0/instances?filter={quote(text)}")
        assert urls == [f"/1.0/instances/{name}" for name in names], text


async def test_conditional_change(client: Client) -> None:
    await client.create("c1", "h3")
    answer = await client.ask("GET", "/1.0/instances/c1")
    changed = {**answer.metadata, "config": {**answer.metadata["config"], "user.a": "1"}}
    await client.done("PUT", "/1.0/instances/c1", changed, {"If-Match": answer.headers["ETag"]})
    refused = await client.ask("PUT", "/1.0/instances/c1", changed, {"If-Match": answer.headers["ETag"]})
    assert refused.status == 412
    profile = await client.ask("GET", "/1.0/profiles/default")
    body = {**profile.metadata, "description": "new"}
    match = {"If-Match": profile.headers["ETag"]}
    await client.done("PUT", "/1.0/profiles/default", body, match)
    refused = await client.ask("PUT", "/1.0/profiles/default", {**body, "description": "newer"}, match)
    assert (refused.status, (await client.get("/1.0/profiles/default"))["description"]) == (412, "new")


async def test_conditional_change_of_an_alias(client: Client, clean_lab: Lab) -> None:
    path = "/1.0/images/aliases/a"
    await client.done("POST", "/1.0/images/aliases", {"name": "a", "target": clean_lab.image_fingerprint})
    match = {"If-Match": (await client.ask("GET", path)).headers["ETag"]}
    body = {"target": clean_lab.image_fingerprint, "description": "new"}
    await client.done("PUT", path, body, match)
    refused = await client.ask("PATCH", path, {"description": "newer"}, match)
    assert (refused.status, (await client.get(path))["description"]) == (412, "new")


async def test_an_alias_of_which_no_event_has_told_yet_is_changed(asker: Client, demo: DemoFleet) -> None:
    project = next(iter(demo.daemons.values())).state.projects["default"]
    target = next(iter(project.images))
    project.aliases["late"] = {"description": "", "target": target}  # behind everybody's back
    await asker.done("PATCH", "/1.0/images/aliases/late", {"description": "new"})
    assert project.aliases["late"]["description"] == "new"


# -- one change right after another: the inventory learns of each a moment later, which nobody must notice


async def test_a_name_is_free_again_at_once(client: Client) -> None:
    for _ in range(3):
        await client.create("c1")
        await client.done("DELETE", "/1.0/instances/c1")
    await client.create("c1")
    await client.done("POST", "/1.0/instances/c1", {"name": "c2"})
    await client.create("c1")
    await client.done("DELETE", "/1.0/instances/c2")
    await client.done("POST", "/1.0/instances/c1", {"name": "c2"})
    assert await client.get("/1.0/instances") == ["/1.0/instances/c2"]


async def test_what_was_just_made_can_be_used(client: Client, clean_lab: Lab) -> None:
    for number in range(3):
        await client.done("POST", "/1.0/profiles", {"name": f"p{number}"})
        alias = {"name": f"a{number}", "target": clean_lab.image_fingerprint}
        await client.done("POST", "/1.0/images/aliases", alias)
        await client.create(f"c{number}", profiles=["default", f"p{number}"], source={**SOURCE, "alias": f"a{number}"})
        await client.done("DELETE", f"/1.0/instances/c{number}")
        await client.done("DELETE", f"/1.0/profiles/p{number}")


# -- twins


@pytest.fixture
async def twins(client: Client, clean_lab: Lab, manager: Manager) -> tuple[str, str]:
    """The same name on h1 and i1, made behind the manager's back."""
    for host in ("h1", "i1"):
        await behind(clean_lab, host, "POST", "/1.0/instances", {"name": "twin", "source": SOURCE})
    await until(manager, lambda: len(manager.inventory.find_instances("default", "twin")) == 2)
    return "h1", "i1"


async def test_twins_are_never_guessed(client: Client, twins: tuple[str, str], clean_lab: Lab) -> None:
    text = "Instance found on more than one cluster member. Please target a specific member"
    for method, path, body in (
        ("GET", "", None), ("DELETE", "", None), ("PUT", "/state", {"action": "start"}), ("POST", "", {"name": "x"}),
        ("POST", "/snapshots", {"name": "s"}), ("GET", "/state", None), ("GET", "?target=h2", None),
    ):  # fmt: skip
        answer = await client.ask(method, f"/1.0/instances/twin{path}", body)
        assert (answer.status, answer.error) == (409, text), (method, path)
    rows = await client.get("/1.0/instances?recursion=1")
    assert [(row["name"], row["location"]) for row in rows] == [("twin", host) for host in twins]
    taken = await client.ask("POST", "/1.0/instances", {"name": "twin", "source": SOURCE})
    assert (taken.status, taken.error) == (409, 'Instance "twin" already exists')


async def test_a_target_chooses_one_of_twins(client: Client, twins: tuple[str, str], clean_lab: Lab) -> None:
    for host in twins:
        answer = await client.ask("GET", f"/1.0/instances/twin?target={host}")
        assert (answer.status, answer.metadata["location"], answer.headers["X-LXDPM-Host"]) == (200, host, host)
    await client.done("POST", "/1.0/instances/twin?target=i1", {"name": "other"})
    assert (await client.get("/1.0/instances/twin"))["location"] == "h1"
    assert (await client.get("/1.0/instances/other"))["location"] == "i1"


async def test_no_name_is_given_twice(client: Client) -> None:
    """Ten at once want the same name: one gets it."""
    body = {"name": "c1", "source": SOURCE}
    answers = await asyncio.gather(*(client.ask("POST", "/1.0/instances", body) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [202] + [409] * 9
    for answer in answers:
        if answer.status == 202:
            assert (await client.wait(answer)).json["type"] == "sync"
    await client.create("c2")
    renames = await asyncio.gather(
        *(client.ask("POST", f"/1.0/instances/{name}", {"name": "c3"}) for name in ("c1", "c2"))
    )
    for answer in renames:
        if answer.status == 202:
            await client.wait(answer)
    assert sorted(await client.get("/1.0/instances")) in (
        ["/1.0/instances/c1", "/1.0/instances/c3"],
        ["/1.0/instances/c2", "/1.0/instances/c3"],
    )


async def test_a_name_stays_claimed_until_a_rename_is_seen(client: Client) -> None:
    """Hosts other than the one that renames would take it."""
    await client.create("c1", "h1")
    await client.create("c2", "h3")
    body = {"name": "c3", "source": SOURCE}
    for name in ("c1", "c2"):
        answer = await client.ask("POST", f"/1.0/instances/{name}", {"name": "c3"})
        assert answer.status == 202
        assert (await client.ask("POST", "/1.0/instances?target=h2", body)).status == 409
        await client.wait(answer)
        assert (await client.ask("POST", "/1.0/instances?target=i1", body)).status == 409
        await client.done("DELETE", "/1.0/instances/c3")
    for _ in range(3):
        await client.create("c3", "h2")
        assert (await client.ask("POST", "/1.0/instances?target=i1", body)).status == 409
        await client.done("DELETE", "/1.0/instances/c3")


# -- profiles that differ


async def test_each_host_keeps_its_own_pool_and_bridge(client: Client, clean_lab: Lab) -> None:
    """The default profile of i1 has another bridge; an edit of what most have changes the same keys on all."""
    before = {host: await behind(clean_lab, host, "GET", "/1.0/profiles/default") for host in ALL}
    answer = await client.ask("GET", "/1.0/profiles/default")
    assert answer.headers["X-LXDPM-Drift"] == "i1"
    assert answer.metadata["devices"] == before["h1"]["devices"]
    body = {
        **answer.metadata,
        "description": "edited",
        "config": {"limits.processes": "500"},
        "devices": {**answer.metadata["devices"], "tmp": {"type": "disk", "source": "/tmp", "path": "/mnt"}},
    }
    await client.done("PUT", "/1.0/profiles/default", body, {"If-Match": answer.headers["ETag"]})
    for host in ALL:
        own = await behind(clean_lab, host, "GET", "/1.0/profiles/default")
        assert (own["description"], own["config"]) == ("edited", {"limits.processes": "500"})
        assert own["devices"] == {**before[host]["devices"], "tmp": body["devices"]["tmp"]}


async def test_a_blind_edit_of_profiles_that_differ(client: Client, clean_lab: Lab) -> None:
    body = {"description": "blind", "config": {}, "devices": {}}
    refused = await client.ask("PUT", "/1.0/profiles/default", body)
    assert (refused.status, "i1" in refused.error) == (409, True)
    own = await client.get("/1.0/profiles/default?target=i1")
    await client.done("PUT", "/1.0/profiles/default?target=i1", {**own, "description": "only here"})
    found = {host: (await behind(clean_lab, host, "GET", "/1.0/profiles/default"))["description"] for host in ALL}
    assert {host for host, text in found.items() if text == "only here"} == {"i1"}
    assert (await behind(clean_lab, "i1", "GET", "/1.0/profiles/default"))["devices"] == own["devices"]


async def test_a_profile_that_is_there_already_stays(client: Client, clean_lab: Lab) -> None:
    """A create that one host must refuse changes nothing anywhere, least of all what was there before."""
    mine = {"name": "p", "description": "mine", "config": {"limits.cpu": "1"}, "devices": {}}
    await behind(clean_lab, "h2", "POST", "/1.0/profiles", mine)
    refused = await client.ask("POST", "/1.0/profiles", {"name": "p", "description": "other"})
    assert (refused.status, refused.error) == (409, 'The profile "p" already exists on h2')
    own = await behind(clean_lab, "h2", "GET", "/1.0/profiles/p")
    assert {key: own[key] for key in mine} == mine
    for host in ("h1", "h3", "i1"):
        assert "/1.0/profiles/p" not in await behind(clean_lab, host, "GET", "/1.0/profiles")


async def test_profiles_change_on_all_hosts_or_none(client: Client, manager: Manager, clean_lab: Lab) -> None:
    await client.done("POST", "/1.0/profiles", {"name": "p", "config": {"limits.cpu": "1"}})
    await client.create("c1", "h3", profiles=["default", "p"])
    bad = {"config": {"limits.cpu": "1", "no.such.key": "1"}}
    refused = await client.ask("PUT", "/1.0/profiles/p", bad)
    assert (refused.status, "no.such.key" in refused.error) == (500, True)  # LXD's own code for it
    used = await client.ask("DELETE", "/1.0/profiles/p")
    assert (used.status, "in use on h3" in used.error) == (400, True)
    for host in ALL:
        assert (await behind(clean_lab, host, "GET", "/1.0/profiles/p"))["config"] == {"limits.cpu": "1"}
    for method, path in (("DELETE", "/1.0/profiles/default"), ("POST", "/1.0/profiles/default")):
        assert (await client.ask(method, path, {"name": "x"})).status == 403


async def test_profile_changes_with_a_host_down(client: Client, manager: Manager, clean_lab: Lab) -> None:
    await client.done("POST", "/1.0/profiles", {"name": "p"})
    await asyncio.to_thread(clean_lab.hosts["h2"].kill)
    await until(manager, lambda: not manager.inventory.hosts["h2"].usable)
    for method, path, body in (
        ("POST", "/1.0/profiles", {"name": "q"}), ("PUT", "/1.0/profiles/p", {"description": "x"}),
        ("POST", "/1.0/profiles/p", {"name": "q"}), ("DELETE", "/1.0/profiles/p", None),
    ):  # fmt: skip
        answer = await client.ask(method, path, body)
        assert (answer.status, "h2" in answer.error) == (503, True), (method, path, answer.error)
    one = {"hostname": "h1", "profilesPost": {"name": "q"}}
    await client.done("POST", "/1.0/profiles", one)
    await asyncio.to_thread(clean_lab.hosts["h2"].start)
    await until(manager, lambda: manager.inventory.hosts["h2"].usable)
    for host in ALL:
        assert (await behind(clean_lab, host, "GET", "/1.0/profiles/p"))["description"] == ""
