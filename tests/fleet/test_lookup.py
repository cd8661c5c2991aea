"""What is asked of the hosts only while somebody looks: who is asked, what a silent host costs, what changes tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lxdpm_tui.fleet import lookup as module
from lxdpm_tui.fleet.inventory import HostRecord, HostStatus, Inventory, Key, Pool
from lxdpm_tui.fleet.lookup import Lookup, LookupKind
from lxdpm_tui.hosts.transport import Unreachable
from tests.fleet.fleets import turns


class Answering:
    """A host that answers with what it has under a path; `broken` raises, `hang` never answers."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.broken = False
        self.hang = False

    async def get(self, path: str, **params: Any) -> Any:
        self.asked.append(path)
        if self.hang:
            await asyncio.Event().wait()
        if self.broken:
            raise Unreachable("no route to host", "h1")
        return self.answers.get(path)


class Scene:
    def __init__(self, kind: LookupKind, **answers: dict[str, Any]) -> None:
        self.inventory = Inventory()
        self.hosts = {name: Answering(given) for name, given in answers.items()}
        for name in self.hosts:
            pools = {"fast": Pool("fast", "zfs", 100, 40)}
            self.inventory.add_host(HostRecord(name=name, status=HostStatus.ONLINE, scanned=1.0, pools=pools))
        self.told: list[tuple[frozenset[Key], frozenset[Key]]] = []
        self.news = asyncio.Event()
        self.lookup = Lookup(kind, lambda: self.hosts, lambda: self.inventory, self._changed)

    def _changed(self, kind: LookupKind, changed: frozenset[Key], removed: frozenset[Key]) -> None:
        self.told.append((changed, removed))
        self.news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.news.clear()
                await self.news.wait()


NET = {"/1.0/networks": [{"name": "lxdbr0", "type": "bridge", "managed": True, "used_by": ["/1.0/instances/web"]}]}


async def test_all_hosts_are_read_and_changes_told() -> None:
    scene = Scene("networks", h1=NET, h2=NET)
    await scene.lookup.refresh()
    keys = {Key("h1", "default", "lxdbr0"), Key("h2", "default", "lxdbr0")}
    assert {key for changed, _ in scene.told for key in changed} == keys
    assert scene.lookup.rows["h1"][Key("h1", "default", "lxdbr0")].used_by == ["/1.0/instances/web"]
    scene.told.clear()
    await scene.lookup.refresh()
    assert scene.told == []  # nothing is new
    scene.hosts["h1"].answers = {"/1.0/networks": None}  # Incus answers null for an empty list
    await scene.lookup.refresh()
    assert scene.told == [(frozenset(), frozenset({Key("h1", "default", "lxdbr0")}))]


async def test_a_silent_host_costs_its_own_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DEADLINE", 0.05)
    scene = Scene("networks", h1=NET, h2=NET, h3=NET)
    await scene.lookup.refresh()
    scene.hosts["h1"].broken, scene.hosts["h2"].hang = True, True
    await scene.lookup.refresh()
    assert scene.lookup.failed == {"h1": "h1: no route to host", "h2": "no answer within 0.05 s"}
    assert scene.lookup.missing() == ["h1", "h2"]
    assert set(scene.lookup.rows) == {"h1", "h2", "h3"}  # what they said last is still there


async def test_hosts_that_are_down_are_not_asked() -> None:
    scene = Scene("projects", h1={"/1.0/projects": [{"name": "default"}]}, h2={})
    scene.inventory.update_host("h2", status=HostStatus.UNREACHABLE)
    await scene.lookup.refresh()
    assert scene.hosts["h2"].asked == []
    assert scene.lookup.missing() == ["h2"]


async def test_pools_know_their_room_and_volumes_their_pool() -> None:
    volumes = [{"name": "data", "config": {"size": "1GiB"}}, {"name": "data/snap0", "config": {}}]
    answers = {
        "/1.0/storage-pools": [{"name": "fast", "driver": "zfs"}],
        "/1.0/storage-pools/fast/volumes/custom": volumes,
    }
    scene = Scene("storage", h1=answers)
    await scene.lookup.refresh()
    rows = {row.name: row.body for row in scene.lookup.rows["h1"].values()}
    assert set(rows) == {"fast", "fast/data"}  # a volume's snapshots are not volumes
    assert (rows["fast"]["total"], rows["fast"]["used"]) == (100, 40)
    assert rows["fast/data"]["pool"] == "fast"


async def test_an_event_reads_that_host_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOON", 0.0)
    scene = Scene("networks", h1=NET, h2=NET)
    scene.lookup.want(True)
    try:
        await scene.until(lambda: scene.lookup.asked)
        scene.hosts["h1"].answers = {"/1.0/networks": []}
        scene.lookup.told("h1", "instance-started")
        scene.lookup.told("h1", "network-deleted")
        await scene.until(lambda: not scene.lookup.rows["h1"])
    finally:
        scene.lookup.want(False)
    assert len(scene.hosts["h1"].asked) == 2
    assert len(scene.hosts["h2"].asked) == 1


async def test_a_host_that_is_silent_after_an_event_is_asked_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SOON": 0.0, "DEADLINE": 0.05, "AGAIN": 0.01}.items():
        monkeypatch.setattr(module, name, value)
    scene = Scene("networks", h1=NET)
    scene.lookup.want(True)
    try:
        await scene.until(lambda: scene.lookup.asked and "h1" in scene.lookup.rows)
        scene.hosts["h1"].answers, scene.hosts["h1"].hang = {"/1.0/networks": []}, True
        scene.lookup.told("h1", "network-deleted")
        await turns(lambda: scene.lookup.failed)
        scene.hosts["h1"].hang = False
        await scene.until(lambda: not scene.lookup.rows["h1"])  # long before the next round
    finally:
        scene.lookup.want(False)


async def test_a_host_that_comes_later_is_read_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOON", 0.0)
    scene = Scene("networks", h1=NET, h2=NET)
    scene.inventory.update_host("h2", status=HostStatus.CONNECTING)
    scene.lookup.want(True)
    try:
        await scene.until(lambda: scene.lookup.asked)
        scene.lookup.catch_up()
        scene.inventory.update_host("h2", status=HostStatus.ONLINE)
        scene.lookup.catch_up()
        await scene.until(lambda: "h2" in scene.lookup.rows)
    finally:
        scene.lookup.want(False)


async def test_nobody_is_asked_when_nobody_looks() -> None:
    scene = Scene("networks", h1=NET)
    scene.lookup.told("h1", "network-created")
    scene.lookup.catch_up()
    await asyncio.sleep(0)
    assert scene.hosts["h1"].asked == []


async def test_a_host_that_left_the_fleet_takes_its_rows_along() -> None:
    scene = Scene("networks", h1=NET, h2=NET)
    await scene.lookup.refresh()
    scene.inventory.remove_host("h1")
    del scene.hosts["h1"]
    await scene.lookup.refresh()
    assert set(scene.lookup.rows) == {"h2"}
    assert scene.told[-1] == (frozenset(), frozenset({Key("h1", "default", "lxdbr0")}))
