"""A watcher on real LXD and Incus daemons: faults, and how hosts come back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.fleet import watch
from lxdpm_tui.fleet.fleet import Fleet
from lxdpm_tui.fleet.inventory import HostStatus
from lxdpm_tui.hosts.identity import ensure_identity
from tests.fleet.fleets import instance, on_lab, until, watched
from tests.lab.host import LabHost
from tests.lab.lab import Lab

ALL = ["h1", "h2", "h3", "i1"]
ONLINE, SLOW, UNREACHABLE = HostStatus.ONLINE, HostStatus.SLOW, HostStatus.UNREACHABLE


@pytest.fixture
async def fleet(clean_lab: Lab) -> AsyncIterator[Fleet]:
    async with on_lab(clean_lab) as fleet:
        yield fleet


def stati(seen: list[Any], fleet: Fleet) -> Callable[[], None]:
    """Appends (host, status) to `seen` whenever one changes; gives undo."""
    last: dict[str, HostStatus] = {}

    def look(_: object) -> None:
        for record in fleet.inventory.hosts.values():
            if last.get(record.name) != record.status:
                last[record.name] = record.status
                seen.append((record.name, record.status))

    look(None)
    return fleet.inventory.subscribe(look)


def container(name: str = "c1", **more: Any) -> dict[str, Any]:
    return {"name": name, "source": {"type": "image", "alias": "busybox"}, **more}


async def make(host: LabHost, name: str = "c1", project: str = "default", start: bool = False) -> None:
    await api(host, "POST", f"/1.0/instances?project={project}", container(name))
    if start:
        await api(host, "PUT", f"/1.0/instances/{name}/state?project={project}", {"action": "start"})


async def api(host: LabHost, method: str, path: str, body: object = None) -> Any:
    """A change behind the manager's back, without holding up the event loop."""
    return await asyncio.to_thread(host.api, method, path, body)


async def test_hung_daemons_are_slow_then_unreachable_and_come_back(fleet: Fleet, clean_lab: Lab) -> None:
    """Over a unix socket, https, ssh and on Incus at the same time; h2 is left alone and stays online."""
    victims = ["h1", "h3", "i1"]
    records = fleet.inventory.hosts
    await until(fleet, lambda: all(record.status == ONLINE for record in records.values()))
    scans = {name: records[name].scanned for name in ALL}
    seen: list[tuple[str, HostStatus]] = []
    undo = stati(seen, fleet)
    for name in victims:
        clean_lab.hosts[name].hang()
    for name in victims:
        fleet.watch(name).retry_now()
    # The event stream may be found silent first; then the next session says what is wrong.
    await until(fleet, lambda: all("no answer" in records[n].reason and "hung?" in records[n].reason for n in victims))
    for name in victims:
        assert records[name].status == UNREACHABLE
        assert not records[name].event_stream
    assert fleet.usable() == ["h2"]
    for name in victims:
        clean_lab.hosts[name].unhang()
    await until(fleet, lambda: all(records[name].scanned > scans[name] for name in victims))
    undo()
    for name in victims:
        course = [status for host, status in seen if host == name]
        lost = course.index(UNREACHABLE)
        # It may be slow once more than it was made: the machine may stall.
        assert (course[0], course[lost - 1], set(course[:lost])) == (ONLINE, SLOW, {ONLINE, SLOW}), (name, course)
        assert course[lost + 1] in (ONLINE, SLOW), (name, course)
        assert UNREACHABLE not in course[lost + 1 :], (name, course)
    assert {status for host, status in seen if host == "h2"} <= {ONLINE, SLOW}


async def test_a_hang_is_found_without_anybody_asking(fleet: Fleet, clean_lab: Lab) -> None:
    with clean_lab.hosts["h2"].hung():
        await until(fleet, lambda: fleet.inventory.hosts["h2"].status in (SLOW, UNREACHABLE))
    await until(fleet, lambda: fleet.inventory.hosts["h2"].status == ONLINE)


@pytest.fixture
def no_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """But those that are asked for: what is found is found by the event stream."""
    monkeypatch.setattr(watch, "HEARTBEAT", 1000.0)


async def test_killed_daemons_are_unreachable_at_once_and_come_back(
    no_heartbeats: None, fleet: Fleet, clean_lab: Lab
) -> None:
    records = fleet.inventory.hosts
    scans = {name: record.scanned for name, record in records.items()}
    await asyncio.gather(*(make(clean_lab.hosts[name]) for name in ALL))
    await until(fleet, lambda: all(instance(fleet, name, "c1") for name in ALL))
    for host in clean_lab.hosts.values():
        host.kill()
    await until(fleet, lambda: all(record.status == UNREACHABLE for record in records.values()))
    assert fleet.usable() == []
    for name in ALL:
        assert instance(fleet, name, "c1")
        assert fleet.inventory.is_stale(name)
    await until(fleet, lambda: "nobody listens" in records["h1"].reason)
    await asyncio.to_thread(clean_lab.each, LabHost.start)
    await until(fleet, lambda: all(record.scanned > scans[name] for name, record in records.items()))
    assert all(record.usable for record in records.values())


async def test_cut_off_hosts_come_back_with_what_happened_meanwhile(fleet: Fleet, clean_lab: Lab) -> None:
    """https and ssh; their daemons go on, and events of that time never arrive."""
    victims = ["h2", "h3"]
    records = fleet.inventory.hosts
    for name in victims:
        await make(clean_lab.hosts[name], "old")
    await until(fleet, lambda: all(instance(fleet, name, "old") for name in victims))
    for name in victims:
        clean_lab.hosts[name].cut()
    for name in victims:
        fleet.watch(name).retry_now()
    await until(fleet, lambda: all(records[name].status == UNREACHABLE for name in victims))
    for name in victims:
        await make(clean_lab.hosts[name], "new")
        await api(clean_lab.hosts[name], "DELETE", "/1.0/instances/old")
        assert instance(fleet, name, "old")
        assert not instance(fleet, name, "new")
        clean_lab.hosts[name].heal()
    await until(fleet, lambda: all(instance(fleet, name, "new") for name in victims))
    assert not any(instance(fleet, name, "old") for name in victims)
    await until(fleet, lambda: all(records[name].status == ONLINE for name in victims))


async def test_retry_now_finds_a_host_that_is_back(fleet: Fleet, clean_lab: Lab) -> None:
    """Also over ssh, which has a back-off of its own."""
    record = fleet.inventory.hosts["h3"]
    clean_lab.hosts["h3"].poweroff()
    fleet.watch("h3").retry_now()
    await until(fleet, lambda: record.status == UNREACHABLE)
    await asyncio.to_thread(clean_lab.hosts["h3"].start)
    await until(fleet, lambda: record.retry_at or record.status == ONLINE)
    fleet.watch("h3").retry_now()
    await until(fleet, lambda: record.status == ONLINE, 20)


async def test_a_changed_identity_is_an_alarm(clean_lab: Lab, tmp_path: Path) -> None:
    """A https host with another certificate than pinned, and an ssh host with another host key."""
    other = tmp_path / "known_hosts"
    address = clean_lab.hosts["h3"].address
    key = (clean_lab.hosts["h1"].root / "ssh" / "host_key.pub").read_text()
    other.write_text(f"{address} {key}")
    hosts = [
        replace(config, fingerprint="0" * 64 if config.name == "h2" else config.fingerprint)
        if config.name != "h3"
        else replace(config, known_hosts=str(other))
        for config in clean_lab.hosts_config({"h2": "https", "h3": "ssh", "i1": "https"})
    ]
    async with watched(hosts, clean_lab.client_identity, down=["h2", "h3"]) as fleet:
        records = fleet.inventory.hosts
        await until(fleet, lambda: records["h2"].status == records["h3"].status == HostStatus.IDENTITY_CHANGED)
        assert clean_lab.hosts["h2"].fingerprint in records["h2"].reason
        assert fleet.usable() == ["i1"]


async def test_hosts_that_do_not_trust_us(clean_lab: Lab, tmp_path: Path) -> None:
    stranger = ensure_identity(tmp_path)
    hosts = clean_lab.hosts_config({"h2": "https", "h3": "ssh", "i1": "https"})
    hosts[1] = replace(hosts[1], identity_file=str(stranger.key_path))
    async with watched(hosts, stranger, down=["h2", "h3", "i1"]) as fleet:
        records = fleet.inventory.hosts.values()
        await until(fleet, lambda: all(record.status == HostStatus.UNTRUSTED for record in records))
        assert len(records) == 3
        assert all(record.reason for record in records)
