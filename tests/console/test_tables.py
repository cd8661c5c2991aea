"""The tables of what is asked only while it is looked at: networks, storage, projects, warnings; and of events."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from lxdpm_tui.console.resources.warnings import where
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.fleet.inventory import HostStatus, Instance
from lxdpm_tui.fleet.problems import problems
from lxdpm_tui.tasks.task import Status
from tests.console.test_going import line, main, names
from tests.console.world import World, shown, until


def rows(pilot: Pilot[int]) -> list[Any]:
    view = main(pilot).table.view
    return [row for key in view.keys if (row := view.source.get(key)) is not None]


NETWORK = {"name": "lxdbr0", "type": "bridge", "managed": True, "status": "Created", "description": "the bridge"}
USERS = ["/1.0/instances/web-1", "/1.0/profiles/default?project=shop"]
ANSWERS: dict[str, Any] = {
    "h1/1.0/networks": [{**NETWORK, "config": {"ipv4.address": "10.1.0.1/24"}, "used_by": USERS},
                        {"name": "eth0", "type": "physical", "managed": False}],
    "h2/1.0/networks": [{**NETWORK, "config": {"ipv4.address": "10.2.0.1/24"}, "used_by": USERS[:1]}],
    "/1.0/storage-pools": [{"name": "default", "driver": "zfs", "status": "Created", "used_by": USERS}],
    "h1/1.0/storage-pools/default/volumes/custom": [
        {"name": "data", "config": {"size": "20GiB"}, "content_type": "block", "project": "default"}
    ],
    "/1.0/projects": [{"name": "default", "config": {"features.images": "true", "features.networks": "false"}}],
    "h1/1.0/warnings": [{"uuid": "0-1", "type": "Disk is slow", "severity": "high", "last_message": "very",
                         "entity_url": "/1.0/storage-pools/default", "last_seen_at": "2026-01-01T00:00:00Z"}],
}  # fmt: skip


@pytest.fixture
async def tables(pilot: Pilot[int], world: World) -> Pilot[int]:
    world.answers = dict(ANSWERS)
    return pilot


async def test_networks_are_one_row_for_all_hosts(tables: Pilot[int]) -> None:
    await tables.press("6")
    await until(tables, lambda: "lxdbr0" in shown(tables))
    await until(tables, lambda: names(tables) == ["eth0", "lxdbr0"])
    for words in ("2 different", "2 of 4", "unmanaged"):
        await until(tables, lambda words=words: words in shown(tables))  # type: ignore[misc]
    await tables.press("down", "enter")
    await until(tables, lambda: "10.2.0.1/24" in shown(tables))
    detail = main(tables).detail.plain
    assert "used by 3 in all" in detail
    assert "h1 instance web-1" in detail
    assert "profile default (shop)" in detail
    await tables.press("escape", "u")
    await until(tables, lambda: main(tables).place == "instances")
    assert main(tables).filters["instances"] == "network:=lxdbr0"
    assert len(names(tables)) == 24


async def test_storage_has_pools_and_volumes_of_each_host(tables: Pilot[int]) -> None:
    await tables.press("7")
    await until(tables, lambda: names(tables) == ["default"] * 4 + ["default/data"] and "30%" in shown(tables))
    await line(tables, "storage size>10G kind:volume")
    assert names(tables) == ["default/data"]
    await line(tables, "storage kind:pool @h2")
    await until(tables, lambda: names(tables) == ["default"])
    await tables.press("u")
    await until(tables, lambda: main(tables).place == "instances")
    assert main(tables).filters["instances"] == "pool:=default host:=h2"
    assert len(names(tables)) == 6


async def test_projects_count_their_instances(tables: Pilot[int]) -> None:
    await line(tables, "projects")
    await until(tables, lambda: "everywhere" in shown(tables))
    assert names(tables) == ["default"]
    assert "24" in shown(tables)
    assert "images" in shown(tables)


async def test_warnings_of_hosts_and_of_the_fleet(tables: Pilot[int], world: World) -> None:
    world.inventory.update_host("h4", status=HostStatus.UNREACHABLE, reason="no route", since=1.0)
    twin = Instance(host="h2", project="default", name="web-1", status="Running")
    world.inventory.put("instances", twin)
    await tables.resize_terminal(160, 24)
    await tables.press("9")
    await until(tables, lambda: "Disk is slow" in shown(tables) and "Instances of one name" in shown(tables))
    text = shown(tables)
    assert "Host cannot be asked" in text
    assert "host h4" in text
    assert "Profile differs" in text
    assert "without h4" in text

    def begins() -> list[str]:
        return [row.split()[0] for row in shown(tables).splitlines()[3:] if row.strip()]

    await until(tables, lambda: begins()[:4] == ["high", "high", "moderate", "low"])  # the worst first
    world.inventory.drop("instances", twin.key)
    await until(tables, lambda: "Instances of one name" not in shown(tables))


async def test_warnings_by_host_the_fleets_own_among_them(tables: Pilot[int], world: World) -> None:
    world.inventory.update_host("h4", status=HostStatus.UNREACHABLE, reason="no route", since=1.0)
    await tables.press("9")
    await until(tables, lambda: len(names(tables)) == 3)
    await tables.press("H")
    await until(tables, lambda: "HOST≡" in shown(tables))
    assert [where(row) for row in rows(tables)] == ["fleet", "h1", "h4"]


async def test_the_warnings_about_a_row(tables: Pilot[int], world: World) -> None:
    def told(uuid: str, url: str, severity: str = "low") -> dict[str, Any]:
        project = "default" if "project=" in url else ""
        return {"uuid": uuid, "type": uuid, "severity": severity, "entity_url": url, "project": project}

    world.inventory.put("instances", Instance(host="h2", project="default", name="web-1", status="Running"))
    world.answers["h1/1.0/warnings"] = [
        told("w-web", "/1.0/instances/web-1?project=default"),
        told("w-web-10", "/1.0/instances/web-10?project=default"),
        told("w-pool", "/1.0/storage-pools/default"),
        told("w-net", "/1.0/networks/lxdbr0?project=default"),
        told("w-host", ""),
    ]
    world.answers["h2/1.0/warnings"] = [told("w-other", "/1.0/instances/web-1?project=default")]
    screen = main(tables)

    async def about(place: str, *expected: str) -> None:
        await tables.press("W")
        found = lambda: sorted(row.text("type") for row in rows(tables))  # noqa: E731
        await until(tables, lambda: screen.place == "warnings" and found() == sorted(expected))
        await tables.press("escape")
        await until(tables, lambda: screen.place == place)

    await line(tables, "instances name:=web-1 @h1")
    await about("instances", "w-web", "Instances of one name")
    await line(tables, "hosts h1")
    await about("hosts", "w-web", "w-web-10", "w-pool", "w-net", "w-host")
    await line(tables, "storage kind:pool @h1")
    await until(tables, lambda: names(tables))
    await about("storage", "w-pool")
    await line(tables, "networks lxdbr0")
    await until(tables, lambda: names(tables))
    await about("networks", "w-net")


async def test_warnings_are_acknowledged_and_deleted(tables: Pilot[int], world: World) -> None:
    world.inventory.update_host("h4", status=HostStatus.UNREACHABLE, reason="no route", since=1.0)
    await tables.press("9")
    await until(tables, lambda: len(names(tables)) == 3)
    own = next(problem.uuid for problem in problems(world.inventory) if problem.location == "h4")
    await line(tables, "warnings severity:high")
    await until(tables, lambda: len(names(tables)) == 2)
    world.refuse["warning-ack"] = "the fleet is closed"
    await tables.press("ctrl+a", "a")
    await until(tables, lambda: "the fleet is closed" in shown(tables))
    assert len(main(tables).table.marks) == 2, "to try again with"
    world.refuse.clear()
    world.calls.clear()
    await tables.press("escape", "a")
    await until(tables, lambda: world.calls)
    refs = ["fleet:" + own, "h1:0-1"]
    assert (world.last[0], sorted(world.last[1]["warnings"])) == ("warning-ack", refs)
    assert world.last[1]["again"] is False
    world.acknowledged[own] = "acknowledged"
    world.answers["h1/1.0/warnings"] = [{**world.answers["h1/1.0/warnings"][0], "status": "acknowledged"}]
    world.task.finish(Status.SUCCESS)
    await until(tables, lambda: [row.text("status") for row in rows(tables)] == ["acknowledged"] * 2)
    await tables.press("ctrl+a", "a")
    await until(tables, lambda: len(world.calls) == 2)
    assert world.last[1]["again"] is True, "all of them were acknowledged"
    world.task.finish(Status.SUCCESS)
    await line(tables, "warnings Disk")
    await tables.press("D")
    await until(tables, lambda: "Delete the warning of h1?" in shown(tables))
    assert "h1: Disk is slow: very" in shown(tables)
    await tables.press("y")
    await until(tables, lambda: len(world.calls) == 3)
    assert world.last == ("warning-delete", {"warnings": ["h1:0-1"]})
    world.answers["h1/1.0/warnings"] = []
    world.task.finish(Status.SUCCESS)
    await until(tables, lambda: not names(tables))


async def test_a_host_that_does_not_answer_is_named(tables: Pilot[int], world: World) -> None:
    world.silent = True
    await tables.press("6")
    await until(tables, lambda: "without h1 and 3 more" in shown(tables))


async def test_what_is_not_answered_yet_is_not_called_empty(tables: Pilot[int], world: World) -> None:
    for host in world.inventory.hosts:
        world.inventory.update_host(host, status=HostStatus.CONNECTING)
    screen = main(tables)
    assert screen.session.watching.state("networks") == (False, [])
    await tables.press("6")
    await until(tables, lambda: "No networks." in shown(tables) or "Asking the hosts…" in shown(tables))
    for host in world.inventory.hosts:
        world.inventory.update_host(host, status=HostStatus.ONLINE)
    await until(tables, lambda: "lxdbr0" in shown(tables))


async def test_events_come_live_the_newest_first(tables: Pilot[int], world: World) -> None:
    await tables.press("v")
    await until(tables, lambda: "Nothing happened yet" in shown(tables))
    world.happen("h1", "instance-started", "/1.0/instances/web-1", requestor={"username": "eve", "protocol": "unix"})
    world.happen("h2", "image-deleted", "/1.0/images/abc", context={"type": "container"})
    await until(tables, lambda: "image-deleted" in shown(tables) and "eve (unix)" in shown(tables))
    await until(tables, lambda: shown(tables).index("image-deleted") < shown(tables).index("instance-started"))
    await line(tables, "events kind:instances")
    await tables.press("enter")
    await until(tables, lambda: "source       /1.0/instances/web-1" in shown(tables))


async def test_the_events_of_one_instance_or_host(tables: Pilot[int], world: World) -> None:
    world.happen("h1", "instance-started", "/1.0/instances/web-1")
    world.happen("h2", "instance-started", "/1.0/instances/web-1")
    world.happen("h1", "instance-stopped", "/1.0/instances/web-2")
    await tables.press("V")
    await until(tables, lambda: main(tables).place == "events" and len(main(tables).table.view) == 1)
    await tables.press("escape", "1", "V")
    await until(tables, lambda: main(tables).place == "events" and len(main(tables).table.view) == 2)


async def test_only_what_is_looked_at_is_asked(tables: Pilot[int]) -> None:
    watching = main(tables).session.watching
    await tables.press("6")
    await until(tables, lambda: "lxdbr0" in shown(tables))
    await tables.press("2")
    await until(tables, lambda: main(tables).place == "instances")
    assert watching.lookups["networks"]._working is None
    assert not watching.lookups["storage"].asked


async def test_the_overview(tables: Pilot[int], world: World) -> None:
    world.inventory.update_host("h4", status=HostStatus.UNREACHABLE, reason="no route", since=1.0)
    await tables.press("0")
    await until(tables, lambda: "WRONG NOW" in shown(tables) and "Profile differs" in shown(tables))
    text = shown(tables)
    assert "24 GiB of 48 GiB" in text or "30 GiB of 64 GiB" in text
    assert "16 running   8 stopped" in text
    assert "3 online   1 unreachable" in text
    assert "✗ h4  unreachable: no route" in text
    await tables.press("1")
    await until(tables, lambda: isinstance(tables.app.screen, MainScreen))
    assert main(tables).place == "hosts"


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (40, 10)])
async def test_the_overview_fits(tables: Pilot[int], size: tuple[int, int]) -> None:
    await tables.resize_terminal(*size)
    await tables.press("0")
    await until(tables, lambda: "CAPACITY" in shown(tables))
    await tables.press("pagedown", "end", "home", "escape")
    await until(tables, lambda: isinstance(tables.app.screen, MainScreen))
