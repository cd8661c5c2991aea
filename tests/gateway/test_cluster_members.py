"""Members and groups of the cluster that the hosts are seen as: changed, kept, and heeded by the scheduler."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from lxdpm_tui.gateway.server import Gateway
from tests.gateway import direct
from tests.gateway.client import Client
from tests.gateway.direct import ALL
from tests.gateway.serving import serving
from tests.gateway.test_lxc_client import Stock
from tests.lab.lab import Lab

MEMBER = "/1.0/cluster/members/h2"
GROUPS = "/1.0/cluster/groups"
BY_LABELS = ["default", "site=b", "kind=lxd"]


@pytest.fixture
def lxc(gateway: Gateway, tmp_path: Path) -> Stock:
    return Stock("lxc", tmp_path / "lxc", tmp_path / "fleet.socket")


@pytest.fixture
def incus(gateway: Gateway, tmp_path: Path) -> Stock:
    return Stock("incus", tmp_path / "incus", tmp_path / "fleet.socket")


# -- members


async def test_what_is_said_of_a_member_is_kept(client: Client, gateway: Gateway, clean_lab: Lab) -> None:
    read = await client.ask("GET", MEMBER)
    writable = {key: read.metadata[key] for key in ("description", "failure_domain", "roles", "config", "groups")}
    assert writable["groups"] == BY_LABELS
    config = {**writable["config"], "user.rack": "7", "scheduler.instance": "manual"}
    tag = {"If-Match": read.headers["ETag"]}
    wanted = {**writable, "description": "the one in the corner", "failure_domain": "east", "config": config}
    await client.done("PUT", MEMBER, wanted, tag)
    found = await client.get(MEMBER)
    assert {key: found[key] for key in wanted} == wanted
    assert (await client.ask("PUT", MEMBER, writable, tag)).status == 412
    await client.done("PATCH", MEMBER, {"config": {"user.rack": ""}})
    found = await client.get(MEMBER)
    assert "user.rack" not in found["config"]
    assert (found["description"], found["config"]["scheduler.instance"]) == ("the one in the corner", "manual")
    membership = gateway.manager.membership
    await membership.load()  # as the next start does
    assert membership.placement("h2") == "manual"
    await client.done("PUT", MEMBER, writable)
    assert (await client.get(MEMBER))["description"] == "lxd 5.0.2"


async def test_of_two_changes_at_once_none_is_lost(asker: Client, simulated: Gateway) -> None:
    host = next(iter(simulated.manager.inventory.hosts))
    member, group = f"/1.0/cluster/members/{host}", f"{GROUPS}/ssd"
    await asker.done("POST", GROUPS, {"name": "ssd"})
    for path in (member, group):
        keys = {f"user.k{number}": str(number) for number in range(8)}
        await asyncio.gather(*(asker.done("PATCH", path, {"config": {key: value}}) for key, value in keys.items()))
        found = (await asker.get(path))["config"]
        assert {key: value for key, value in found.items() if key in keys} == keys


async def test_of_two_groups_of_one_name_made_at_once_one_is_refused(asker: Client) -> None:
    made = await asyncio.gather(
        *(asker.ask("POST", GROUPS, {"name": "ssd", "description": f"the {number}."}) for number in range(4))
    )
    assert sorted(answer.status for answer in made) == [201, 409, 409, 409]
    first = [answer.status for answer in made].index(201)
    assert (await asker.get(f"{GROUPS}/ssd"))["description"] == f"the {first}."


async def test_what_cannot_be_said_of_a_member(client: Client) -> None:
    whole = {"failure_domain": "default", "groups": ["default"]}
    for body, code, text in (
        ({**whole, "groups": []}, 400, "Cluster members need to belong to at least one group"),
        ({"description": "x"}, 400, "Cluster members need to belong to at least one group"),
        ({**whole, "groups": ["nobody"]}, 404, 'Cluster group not found: "nobody"'),
        ({**whole, "config": {"foo": "1"}}, 400, 'Invalid cluster configuration key "foo"'),
        ({**whole, "config": {"scheduler.instance": "x"}}, 400, "Invalid cluster configuration key"),
        ({**whole, "config": {"user.label.site": "z"}}, 400, "user.label.site is a label: lxdpm-tui host label h2"),
        ({**whole, "roles": ["database"]}, 400, "Invalid cluster role"),
        ({**whole, "config": "x"}, 400, "config must be an object"),
        ({**whole, "description": 1}, 400, "description must be a text"),
        (whole, 400, "h2 has site=b, kind=lxd, user.label.site, user.label.kind by its labels"),
    ):
        answer = await client.ask("PUT", MEMBER, body)
        assert (answer.status, answer.error[: len(text)]) == (code, text), body
    assert (await client.ask("PATCH", "/1.0/cluster/members/nobody", whole)).status == 404
    for new_name in ("", None, "h1", "x"):  # the last: the hosts of this fleet are in no file
        assert (await client.ask("POST", MEMBER, {"server_name": new_name})).status == 400, new_name


async def test_a_host_that_is_to_be_named(client: Client, gateway: Gateway) -> None:
    """scheduler.instance: manual is for who names it, group for who names a group of its too."""
    await client.done("POST", GROUPS, {"name": "pair", "members": ["h1", "h2"]})
    for host in ("h1", "h3", "i1"):
        await client.done("PATCH", f"/1.0/cluster/members/{host}", {"config": {"scheduler.instance": "manual"}})
    await client.done("PATCH", MEMBER, {"config": {"scheduler.instance": "group"}})
    refused = await client.ask("POST", "/1.0/instances", {"name": "none", "source": {"type": "none"}})
    assert refused.status >= 400
    assert "scheduler.instance=manual" in refused.error
    assert "scheduler.instance=group" in refused.error
    await client.create("grouped", "@pair")
    assert (await client.get("/1.0/instances/grouped"))["location"] == "h2"
    await client.create("named", "h3")
    assert (await client.get("/1.0/instances/named"))["location"] == "h3"


async def test_a_host_is_detached_only_when_it_is_empty_or_by_force(clean_lab: Lab, tmp_path: Path) -> None:
    async with serving(clean_lab, tmp_path, transports=dict.fromkeys(ALL, "unix")) as served:
        own = Client(served.socket)
        try:
            await own.create("c1", "h2")
            answer = await own.ask("DELETE", MEMBER)
            assert (answer.status, answer.error) == (400, "Node still has the following containers: c1")
            await own.done("PATCH", MEMBER, {"description": "gone soon"})
            await own.done("DELETE", f"{MEMBER}?force=1")
            names = [row["server_name"] for row in await own.get("/1.0/cluster/members?recursion=1")]
            assert names == ["h1", "h3", "i1"]
            assert (await own.ask("DELETE", MEMBER)).status == 404
        finally:
            await own.close()
    assert (await direct.ask(clean_lab, "h2", "GET", "/1.0/instances/c1"))["name"] == "c1"
    assert 'name = "h2"' not in (tmp_path / "hosts.toml").read_text()


async def test_a_host_is_called_otherwise(clean_lab: Lab, tmp_path: Path) -> None:
    """What runs there goes on under the new name, and what was said of it counts for that."""
    async with serving(clean_lab, tmp_path, transports=dict.fromkeys(ALL, "unix")) as served:
        own = Client(served.socket)
        try:
            await own.create("c1", "h2", start=True)
            await own.done("POST", GROUPS, {"name": "g", "members": ["h2"]})
            await own.done("PATCH", MEMBER, {"description": "in the corner"})
            for new_name, code in (("h1", 409), ("a b", 400), ("", 400)):
                assert (await own.ask("POST", MEMBER, {"server_name": new_name})).status == code, new_name
            await own.done("POST", MEMBER, {"server_name": "west"})
            assert (await own.ask("GET", MEMBER)).status == 404
            found = await own.get("/1.0/cluster/members/west")
            assert (found["status"], found["description"]) == ("Online", "in the corner")
            assert (await own.get(f"{GROUPS}/g"))["members"] == ["west"]
            row = await own.get("/1.0/instances/c1")
            assert (row["location"], row["status"]) == ("west", "Running")
            await own.create("c2", "@g")
            assert (await own.get("/1.0/instances/c2"))["location"] == "west"
        finally:
            await own.close()
    assert 'name = "west"' in (tmp_path / "hosts.toml").read_text()


# -- groups


async def test_groups_are_made_changed_and_deleted(client: Client, gateway: Gateway) -> None:
    made = await client.ask("POST", GROUPS, {"name": "ssd", "description": "quick", "members": ["h1"]})
    assert (made.status, made.headers["Location"]) == (201, f"{GROUPS}/ssd")
    read = await client.ask("GET", f"{GROUPS}/ssd")
    assert read.metadata == {"name": "ssd", "description": "quick", "members": ["h1"], "config": {}}
    assert "ssd" in (await client.get("/1.0/cluster/members/h1"))["groups"]
    tag = {"If-Match": read.headers["ETag"]}
    await client.done("PUT", f"{GROUPS}/ssd", {"description": "quicker", "members": ["h2", "h3"]}, tag)
    assert (await client.ask("PUT", f"{GROUPS}/ssd", {}, tag)).status == 412
    assert "ssd" not in (await client.get("/1.0/cluster/members/h1"))["groups"]
    await client.done("PATCH", f"{GROUPS}/ssd", {"members": ["h3"]})
    assert (await client.get(f"{GROUPS}/ssd"))["description"] == "quicker"
    await client.done("POST", f"{GROUPS}/ssd", {"name": "nvme"})
    assert (await client.ask("GET", f"{GROUPS}/ssd")).status == 404
    assert (await client.get("/1.0/cluster/members/h3"))["groups"][-1] == "nvme"
    full = await client.ask("DELETE", f"{GROUPS}/nvme")
    assert (full.status, full.error) == (400, "Only empty cluster groups can be removed")
    await client.done("PUT", f"{GROUPS}/nvme", {})
    empty = await client.ask("POST", "/1.0/instances?target=@nvme", {"name": "x", "source": {"type": "none"}})
    assert (empty.status, empty.error) == (400, 'Cluster group "nvme" has no members')
    await client.done("DELETE", f"{GROUPS}/nvme")
    assert f"{GROUPS}/nvme" not in await client.get(GROUPS)


async def test_what_cannot_be_done_to_groups(client: Client) -> None:
    await client.done("POST", GROUPS, {"name": "here"})
    for method, path, body, code, text in (
        ("POST", "", {}, 400, "No name provided"),
        ("POST", "", {"name": "a/b"}, 400, "Cluster group names may not contain slashes"),
        ("POST", "", {"name": ".."}, 400, "Cluster group names may not contain slashes"),
        ("POST", "", {"name": "a\nb"}, 400, "Cluster group names may not contain control characters"),
        ("POST", "", {"name": "a b"}, 400, "Cluster group names may not contain spaces"),
        ("POST", "", {"name": "here"}, 409, "This cluster group already exists"),
        ("POST", "", {"name": "kind=lxd"}, 409, "This cluster group already exists"),
        ("POST", "", {"name": "x", "members": ["nobody"]}, 404, "Cluster member not found"),
        ("POST", "", {"name": "x", "members": "h1"}, 400, "members must be a list of names"),
        ("POST", "/default", {"name": "x"}, 403, 'The "default" group cannot be renamed'),
        ("POST", "/here", {"name": "default"}, 409, "This cluster group already exists"),
        ("POST", "/site=b", {"name": "x"}, 400, "site=b is a label of h2: change it with"),
        ("DELETE", "/default", None, 403, "The 'default' cluster group cannot be deleted"),
        ("DELETE", "/site=b", None, 400, "site=b is a label of h2: change it with"),
        ("DELETE", "/nobody", None, 404, "Cluster group not found"),
        ("PUT", "/kind=lxd", {"members": ["h1", "h3"]}, 400, "h2 are in kind=lxd by a label: change it with"),
        ("PUT", "/default", {"members": ["h1"]}, 400, "all hosts are in the group default, h2, h3, i1 too"),
    ):
        answer = await client.ask(method, GROUPS + path, body)
        assert (answer.status, answer.error[: len(text)]) == (code, text), (method, path, body)
    await client.done(
        "PATCH", f"{GROUPS}/kind=lxd", {"members": ["h1", "h2", "h3", "i1"], "description": "all of them"}
    )
    assert (await client.get(f"{GROUPS}/kind%3Dlxd"))["members"] == list(ALL)


async def test_groups_of_a_removed_host_are_no_hindrance(client: Client, gateway: Gateway) -> None:
    await client.done("POST", GROUPS, {"name": "g", "members": ["h2"]})
    await gateway.manager.fleet.remove("h2")
    assert (await client.get(f"{GROUPS}/g"))["members"] == []
    await client.done("DELETE", f"{GROUPS}/g")


# -- the stock clients


async def test_lxc_changes_members_and_groups(lxc: Stock) -> None:
    await lxc("cluster", "group", "create", "ssd")
    await lxc("cluster", "group", "assign", "h2", "default,ssd")
    shown = await lxc("cluster", "show", "h2")
    assert "- ssd" in shown
    assert "- site=b" in shown
    edited = (await lxc("cluster", "group", "show", "ssd")).replace('description: ""', "description: quick")
    await lxc("cluster", "group", "edit", "ssd", stdin=edited.encode())
    assert "description: quick" in await lxc("cluster", "group", "show", "ssd")
    await lxc("cluster", "group", "rename", "ssd", "nvme")
    await lxc("launch", "busybox", "c1", "--target", "@nvme")
    assert "h2" in await lxc("list", "c1", "--columns", "L", "--format", "csv")
    await lxc("cluster", "group", "remove", "h2", "nvme")
    refused = await lxc.run("cluster", "group", "remove", "h2", "site=b")
    assert (refused.code, "by its labels" in refused.err) == (1, True)
    await lxc("cluster", "group", "delete", "nvme")
    await lxc("cluster", "set", "h2", "scheduler.instance", "manual")
    assert (await lxc("cluster", "get", "h2", "scheduler.instance")).strip() == "manual"
    await lxc("cluster", "unset", "h2", "scheduler.instance")
    edited = shown.replace("description: lxd 5.0.2", "description: my own words").replace(
        "failure_domain: default", "failure_domain: east"
    )
    await lxc("cluster", "edit", "h2", stdin=edited.replace("- ssd\n", "").encode())
    rows = {row["server_name"]: row for row in json.loads(await lxc("cluster", "list", "--format", "json"))}
    assert (rows["h2"]["description"], rows["h2"]["failure_domain"]) == ("my own words", "east")


async def test_incus_adds_members_to_groups(incus: Stock) -> None:
    await incus("cluster", "group", "create", "ssd")
    await incus("cluster", "group", "add", "i1", "ssd")
    assert "i1" in await incus("cluster", "group", "show", "ssd")
    await incus("cluster", "group", "remove", "i1", "ssd")
    await incus("cluster", "set", "i1", "user.rack=9")
    assert (await incus("cluster", "get", "i1", "user.rack")).strip() == "9"
    await incus("cluster", "group", "delete", "ssd")
