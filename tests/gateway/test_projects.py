"""Projects: one object each, a copy on every host."""

from __future__ import annotations

from pathlib import Path

import pytest

from lxdpm_tui.gateway.server import Gateway
from tests.gateway import direct
from tests.gateway.client import Client
from tests.gateway.direct import ALL
from tests.gateway.test_lxc_client import Stock
from tests.lab.lab import Lab

OWN = {"features.images": "false", "features.profiles": "true"}


@pytest.fixture
def lxc(gateway: Gateway, tmp_path: Path) -> Stock:
    return Stock("lxc", tmp_path / "lxc", tmp_path / "fleet.socket")


@pytest.fixture
def incus(gateway: Gateway, tmp_path: Path) -> Stock:
    return Stock("incus", tmp_path / "incus", tmp_path / "fleet.socket")


async def having(lab: Lab, name: str) -> list[str]:
    return await direct.having(lab, f"/1.0/projects/{name}")


async def test_a_project_is_made_changed_renamed_and_deleted_everywhere(client: Client, clean_lab: Lab) -> None:
    body = {"name": "web", "description": "d", "config": OWN}
    answer = await client.ask("POST", "/1.0/projects", body)
    assert (answer.status, answer.headers["Location"]) == (201, "/1.0/projects/web")
    assert await having(clean_lab, "web") == list(ALL)
    assert (await client.ask("POST", "/1.0/projects", body)).status == 409
    assert await client.get("/1.0/projects") == ["/1.0/projects/default", "/1.0/projects/web"]
    read = await client.ask("GET", "/1.0/projects/web")
    assert read.metadata["description"] == "d"
    assert "X-LXDPM-Drift" not in read.headers  # LXD and Incus have other features, which is no drift
    wanted = {"description": "e", "config": {**read.metadata["config"], "user.a": "b"}}
    answer = await client.ask("PUT", "/1.0/projects/web", wanted, {"If-Match": read.headers["ETag"]})
    assert answer.status == 200, answer.body
    await client.done("PATCH", "/1.0/projects/web", {"config": {"limits.instances": "5"}})
    for host in ALL:
        found = await direct.ask(clean_lab, host, "GET", "/1.0/projects/web")
        assert (found["config"]["user.a"], found["config"]["limits.instances"]) == ("b", "5")
        assert found["description"] == "e"
    operation = await client.done("POST", "/1.0/projects/web", {"name": "shop"})
    assert operation["class"] == "task"
    assert (await having(clean_lab, "web"), await having(clean_lab, "shop")) == ([], list(ALL))
    await client.done("DELETE", "/1.0/projects/shop")
    assert await having(clean_lab, "shop") == []
    assert (await client.ask("GET", "/1.0/projects/shop")).status == 404


async def test_the_default_project_stays(client: Client) -> None:
    assert (await client.ask("DELETE", "/1.0/projects/default")).status == 403
    assert (await client.ask("POST", "/1.0/projects/default", {"name": "x"})).status == 403


async def test_a_project_in_use_stays_with_its_profile_everywhere(client: Client, clean_lab: Lab) -> None:
    await client.done("POST", "/1.0/projects", {"name": "web", "config": OWN})
    await direct.ask(clean_lab, "h3", "POST", "/1.0/profiles?project=web", {"name": "inside"})
    answer = await client.ask("DELETE", "/1.0/projects/web")
    assert (answer.status, "h3" in answer.error) == (400, True)
    assert await having(clean_lab, "web") == list(ALL)


async def test_state_is_the_sum(client: Client) -> None:
    await client.create("one", "h1")
    await client.create("two", "i1")
    found = (await client.get("/1.0/projects/default/state"))["resources"]
    assert found["instances"] == {"Limit": -1, "Usage": 2}
    await client.done("PATCH", "/1.0/projects/default", {"config": {"limits.instances": "9"}})
    found = (await client.get("/1.0/projects/default/state"))["resources"]
    assert found["instances"] == {"Limit": 9, "Usage": 2}
    await client.done("PATCH", "/1.0/projects/default", {"config": {"limits.instances": ""}})
    assert (await client.ask("GET", "/1.0/projects/none/state")).status == 404


async def test_a_project_with_limits_takes_instances(client: Client) -> None:
    """LXD 5.0 forbids all volatile keys there, also the one by which a create of ours is known again."""
    config = {"features.images": "false", "features.profiles": "false", "limits.instances": "5"}
    await client.done("POST", "/1.0/projects", {"name": "small", "config": config})
    body = {"name": "c1", "source": {"type": "image", "alias": "busybox"}}
    for host in ALL:
        await client.done("POST", f"/1.0/instances?project=small&target={host}", body)
        assert (await client.get("/1.0/instances/c1?project=small"))["location"] == host
        await client.done("DELETE", "/1.0/instances/c1?project=small")
    await client.done("DELETE", "/1.0/projects/small")


async def test_lxc_project(lxc: Stock, clean_lab: Lab) -> None:
    await lxc("project", "create", "p1", "-c", "features.images=false", "-c", "features.profiles=false")
    assert await having(clean_lab, "p1") == list(ALL)
    await lxc("project", "set", "p1", "user.x=y")
    assert (await lxc("project", "get", "p1", "user.x")).strip() == "y"
    shown = await lxc("project", "show", "p1")
    edited = shown.replace('description: ""', "description: mine")
    await lxc("project", "edit", "p1", stdin=edited.encode())
    assert "mine" in await lxc("project", "show", "p1")
    await lxc("project", "switch", "p1")
    await lxc("launch", "busybox", "inside")
    assert "inside" in await lxc("list", "--format", "csv")
    assert "INSTANCES" in (await lxc("project", "info", "p1")).upper()
    await lxc("delete", "-f", "inside")
    await lxc("project", "switch", "default")
    assert "p1" in await lxc("project", "list")
    await lxc("project", "rename", "p1", "p2")
    await lxc("project", "delete", "p2")
    assert await having(clean_lab, "p2") == []


async def test_incus_project(incus: Stock, clean_lab: Lab) -> None:
    await incus("project", "create", "q1")
    assert await having(clean_lab, "q1") == list(ALL)
    await incus("project", "set", "q1", "user.x=y")
    assert "q1" in await incus("project", "list")
    await incus("project", "delete", "q1")
    assert await having(clean_lab, "q1") == []
