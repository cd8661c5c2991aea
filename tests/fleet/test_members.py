"""Members that come and go, on a daemon that says that it is a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from lxdpm_tui.fleet import cluster, watch
from lxdpm_tui.fleet.fleet import Fleet
from lxdpm_tui.fleet.inventory import Key
from tests.fleet.fleets import API, SERVER, Script, host_of, script, until, watched

POOL = {"name": "fast", "driver": "dir", "status": "Created", "locations": ["m1", "m2"]}
NETWORK = {"name": "br0", "type": "bridge", "managed": True, "locations": ["m1", "m2"]}
INSTANCE = {"name": "c2", "status": "Stopped", "type": "container", "project": "default", "location": "m2"}


@pytest.fixture
async def daemon() -> AsyncIterator[Script]:
    """A cluster of m1 and m2, of which m2 does not answer yet."""
    async with script() as daemon:
        environment = {**SERVER["environment"], "server_clustered": True}  # type: ignore[dict-item]
        daemon.answers |= {
            API: {**SERVER, "environment": environment},
            f"{API}/cluster/members": members("Online", "Offline"),
            f"{API}/storage-pools": [POOL],
            f"{API}/storage-pools/fast/resources": {"space": {"used": 1, "total": 10}},
            f"{API}/networks": [NETWORK],
            f"{API}/instances": [INSTANCE],
        }
        yield daemon


def members(*statuses: str) -> list[dict[str, Any]]:
    return [
        {"server_name": f"m{number}", "status": status, "message": "", "architecture": "x86_64", "config": {}}
        for number, status in enumerate(statuses, 1)
    ]


def known(fleet: Fleet, name: str) -> tuple[bool, set[str], frozenset[str], bool]:
    """What is known of a member: whether it can be asked, its pools and networks, and whether its memory is."""
    record = fleet.inventory.hosts[name]
    return record.usable, set(record.pools), record.networks, record.memory_total > 0


ALL = (True, {"fast"}, frozenset({"br0"}), True)


async def test_what_a_member_has_is_read_when_it_comes(daemon: Script) -> None:
    """Not at the next scan of all, minutes later."""
    async with watched([host_of(daemon)], read=False) as fleet:
        await until(fleet, lambda: "m1" in fleet.inventory.hosts and known(fleet, "m1") == ALL)
        assert known(fleet, "m2") == (False, set(), frozenset(), False)
        daemon.answers[f"{API}/cluster/members"] = members("Online", "Online", "Online")
        fleet.watch("m1").retry_now()
        await until(fleet, lambda: known(fleet, "m2") == ALL)
        await until(fleet, lambda: "m3" in fleet.inventory.hosts and fleet.inventory.hosts["m3"].memory_total)
        assert list(fleet.inventory.instances["m2"]) == [Key("m2", "default", "c2")]


async def test_a_member_that_comes_back_says_anew_what_it_is(daemon: Script) -> None:
    daemon.answers[f"{API}/cluster/members"] = members("Online", "Online")
    async with watched([host_of(daemon)]) as fleet:
        assert fleet.inventory.hosts["m2"].version == "5.0.2"
        daemon.answers[f"{API}/cluster/members"] = members("Online", "Offline")
        fleet.watch("m1").retry_now()
        await until(fleet, lambda: not fleet.inventory.hosts["m2"].usable)
        server = daemon.answers[API]
        environment = {**server["environment"], "server_version": "5.0.3"}
        daemon.answers[API] = {**server, "environment": environment}
        daemon.answers[f"{API}/cluster/members"] = members("Online", "Online")
        fleet.watch("m1").retry_now()
        await until(fleet, lambda: fleet.inventory.hosts["m2"].version == "5.0.3")


async def test_a_member_that_was_too_slow_to_say_what_it_is_is_asked_again(
    daemon: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory is known by then, from what is polled."""
    monkeypatch.setattr(cluster, "INTRODUCE", 0.5)
    monkeypatch.setattr(watch, "HEARTBEAT", 0.2)
    server = daemon.answers[API]
    theirs = {**server, "environment": {**server["environment"], "server": "incus", "server_version": "6.0.4"}}
    asked = 0

    async def answered(request: web.Request) -> Any:
        nonlocal asked
        if request.query.get("target") != "m2":
            return server
        asked += 1
        if asked == 1:
            await until(fleet, lambda: fleet.inventory.hosts["m2"].memory_total)
        return theirs

    daemon.answers |= {API: answered, f"{API}/cluster/members": members("Online", "Online")}
    async with watched([host_of(daemon)], read=False) as fleet:
        await until(fleet, lambda: "m2" in fleet.inventory.hosts and fleet.inventory.hosts["m2"].version == "6.0.4")
        assert fleet.inventory.hosts["m2"].kind == "incus"
        assert asked > 1
