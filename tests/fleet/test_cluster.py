"""A real cluster of two as a fleet member: LXD's, and where they may differ Incus' too."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.fleet.fleet import Fleet
from lxdpm_tui.fleet.inventory import Key
from tests.fleet.fleets import PAUSE, SERVER, error, host_of, script, settled, turns, until, watched
from tests.lab.lab import Lab

SOON = 1.0  # seconds that a change may take to be shown, unless the machine stalls
PATIENCE = 30.0  # seconds after which it was not shown; far less than until all is read again


def entry(lab: Lab, name: str = "prod", through: str = "h1") -> HostConfig:
    return HostConfig(name, UnixAddress(str(lab.hosts[through].socket)))


def create(lab: Lab, name: str, target: str) -> None:
    """On that member, asked of the first of its kind."""
    body = {"name": name, "source": {"type": "image", "alias": "busybox"}, "devices": {"eth0": {"type": "none"}}}
    lab.hosts[f"{target[0]}1"].api("POST", f"/1.0/instances?target={target}", body)


async def api(lab: Lab, method: str, path: str, body: object = None) -> Any:
    return await asyncio.to_thread(lab.hosts["h1"].api, method, path, body)


def where(fleet: Fleet, name: str) -> list[tuple[str, str]]:
    return [(row.host, row.status) for row in fleet.inventory.find_instances("default", name)]


async def test_members_are_hosts(clean_cluster: Lab) -> None:
    await asyncio.to_thread(create, clean_cluster, "c2", "h2")
    async with watched([entry(clean_cluster)]) as fleet:
        assert list(fleet.hosts) == list(fleet.inventory.hosts) == ["h1", "h2"]
        assert fleet.usable() == ["h1", "h2"]
        for name, record in fleet.inventory.hosts.items():
            assert (record.server_name, record.cluster, record.kind, record.version) == (name, "prod", "lxd", "5.0.2")
            assert record.memory_total > 0
            assert record.cpus > 0
            assert {"default", "fast"} <= set(record.pools)
            assert record.pools["fast"].total > 0
            assert "lxdbr0" in record.networks
            assert record.projects == ("default",)
        assert where(fleet, "c2") == [("h2", "Stopped")]
        fingerprint = clean_cluster.image_fingerprint
        assert [list(rows) for rows in fleet.inventory.images.values()] == [
            [Key("h1", "default", fingerprint)],
            [Key("h2", "default", fingerprint)],
        ], "an image of the cluster can be used on each member"
        assert fleet.distinct(["h2", "h1"]) == ["h2"]
        assert fleet.cluster is not None


async def test_among_other_hosts_members_have_the_entrys_name_too(clean_cluster: Lab, clean_lab: Lab) -> None:
    other = HostConfig("h1", UnixAddress(str(clean_lab.hosts["h1"].socket)))
    async with watched([entry(clean_cluster), other]) as fleet:
        assert set(fleet.hosts) == {"prod/h1", "prod/h2", "h1"}
        assert fleet.cluster is None
        assert fleet.distinct(fleet.hosts) == ["h1", "prod/h1"]
        assert (await fleet.hosts["prod/h2"].get("/1.0"))["environment"]["server_name"] == "h2"


async def test_launches_moves_and_deletions_are_seen_at_once(clean_cluster: Lab) -> None:
    took = []
    async with watched([entry(clean_cluster)]) as fleet:

        async def shown(*wanted: tuple[str, str]) -> None:
            done = time.monotonic()
            await until(fleet, lambda: where(fleet, "c1") == list(wanted), PATIENCE)
            took.append(time.monotonic() - done)

        await asyncio.to_thread(create, clean_cluster, "c1", "h2")
        await shown(("h2", "Stopped"))
        await api(clean_cluster, "PUT", "/1.0/instances/c1/state", {"action": "start"})
        await shown(("h2", "Running"))
        await api(clean_cluster, "PUT", "/1.0/instances/c1/state", {"action": "stop", "force": True})
        await shown(("h2", "Stopped"))
        await api(clean_cluster, "POST", "/1.0/instances/c1?target=h1", {"name": "c1", "migration": True})
        await shown(("h1", "Stopped"))
        await api(clean_cluster, "DELETE", "/1.0/instances/c1")
        await shown()
        assert statistics.median(took) < SOON, took
        assert not list(fleet.inventory.all_instances()), "nor is left what the move made on its way"


async def test_one_of_incus(clean_cluster: Lab) -> None:
    async with watched([entry(clean_cluster, through="i2")]) as fleet:
        assert list(fleet.hosts) == ["i1", "i2"]
        for record in fleet.inventory.hosts.values():
            assert (record.kind, record.version) == ("incus", "6.0.4")
            assert record.pools["default"].total > 0
            assert "incusbr0" in record.networks
        await asyncio.to_thread(create, clean_cluster, "c1", "i1")
        await until(fleet, lambda: where(fleet, "c1") == [("i1", "Stopped")], PATIENCE)
        await fleet.operate("i1", "POST", "/1.0/instances/c1", params={"target": "i2"}, json={"migration": True})
        await until(fleet, lambda: where(fleet, "c1") == [("i2", "Stopped")], PATIENCE)
        assert await fleet.tell_cluster("i2", maintenance=True)
        assert fleet.inventory.hosts["i2"].maintenance
        assert await fleet.tell_cluster("i2", maintenance=False)
        assert not fleet.inventory.hosts["i2"].maintenance


async def test_requests_towards_a_member(clean_cluster: Lab) -> None:
    await asyncio.to_thread(create, clean_cluster, "c1", "h1")
    await asyncio.to_thread(create, clean_cluster, "c2", "h2")
    async with watched([entry(clean_cluster)]) as fleet:
        lists = await fleet.fan_out(lambda host: host.get("/1.0/instances", recursion=1), budget=30)
        names = {host: [row["name"] for row in rows] for host, rows in lists.items() if isinstance(rows, list)}
        assert names == {"h1": ["c1"], "h2": ["c2"]}
        through = await fleet.hosts["h1"].get("/1.0/instances/c2")
        assert through["location"] == "h2", "what has a name is found through any member"
        await fleet.operate("h2", "POST", "/1.0/instances", json={"name": "c3", "source": {"type": "none"}})
        await until(fleet, lambda: where(fleet, "c3") == [("h2", "Stopped")], PATIENCE)
        seen: list[tuple[str, str]] = []
        fleet.subscribe_events(lambda host, _, event: seen.append((host, event.type)))
        await fleet.operate("h2", "PUT", "/1.0/instances/c2/state", json={"action": "start"})
        await turns(lambda: seen, pause=PAUSE)
        await settled(fleet, "h2")
        assert {host for host, _ in seen} == {"h2"}, "events come from the member that they are about"
        await fleet.operate("h2", "PUT", "/1.0/instances/c2/state", json={"action": "stop", "force": True})


async def test_a_member_that_is_down(clean_cluster: Lab) -> None:
    await asyncio.to_thread(create, clean_cluster, "c2", "h2")
    async with watched([entry(clean_cluster)]) as fleet:
        with clean_cluster.hosts["h2"].killed():
            record = fleet.inventory.hosts["h2"]
            await until(fleet, lambda: "the cluster says Offline" in record.reason, 90)
            assert fleet.usable() == ["h1"]
            assert [host for host, _ in where(fleet, "c2")] == ["h2"], "its rows stay"
            assert fleet.silent() == [], "the cluster answers for it"
            assert fleet.distinct(["h2", "h1"]) == ["h1"]
        await until(fleet, lambda: record.usable, 90)


async def test_a_cluster_that_cannot_be_reached(clean_cluster: Lab) -> None:
    async with watched([entry(clean_cluster)]) as fleet:
        with clean_cluster.hosts["h1"].hung():
            await until(fleet, lambda: not fleet.usable())
            [reason] = {record.reason for record in fleet.inventory.hosts.values()}
            assert reason, "both say why the cluster cannot be asked"
            assert fleet.silent() == ["h1"]
        fleet.watch("h2").retry_now()
        await until(fleet, lambda: fleet.usable() == ["h1", "h2"])


async def test_one_that_was_never_reached_is_one_host() -> None:
    async with watched([HostConfig("prod", UnixAddress("/nowhere/unix.socket"))], down=["prod"]) as fleet:
        assert list(fleet.inventory.hosts) == ["prod"]
        assert not fleet.usable()
        assert fleet.may_come("h1")
        assert not fleet.may_come("prod")


async def test_a_host_becomes_a_cluster_and_a_host_again() -> None:
    """Found out at each connect; the rows of what it was before go."""
    clustered = {**SERVER, "environment": {**dict(SERVER["environment"]), "server_clustered": True}}  # type: ignore[call-overload]
    member = {"server_name": "m1", "status": "Online", "message": "", "config": {}, "architecture": "x86_64"}
    async with script() as daemon:
        daemon.answers["/1.0/cluster/members"] = [member, {**member, "server_name": "m2", "status": "Evacuated"}]
        async with watched([host_of(daemon)]) as fleet:
            assert list(fleet.hosts) == ["s1"]
            daemon.answers["/1.0"] = clustered
            fleet.watch("s1").retry_now()
            await until(fleet, lambda: list(fleet.inventory.hosts) == ["m1", "m2"])
            assert list(fleet.hosts) == ["m1", "m2"]
            assert {name: record.maintenance for name, record in fleet.inventory.hosts.items()} == {
                "m1": False,
                "m2": True,
            }
            daemon.answers["/1.0/cluster/members"] = [member]
            fleet.watch("m1").retry_now()
            await until(fleet, lambda: list(fleet.inventory.hosts) == ["m1"])
            daemon.answers["/1.0/cluster/members"] = error(403, "not for you")
            daemon.answers["/1.0"] = SERVER
            fleet.watch("m1").retry_now()
            await until(fleet, lambda: list(fleet.inventory.hosts) == ["s1"])
