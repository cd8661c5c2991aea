"""Actions on instances, on real LXD and Incus daemons."""

from __future__ import annotations

import asyncio

import pytest

from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status
from tests.fleet.fleets import until
from tests.lab.lab import Lab
from tests.managing import api, done, refused, status, where

ALL = ["h1", "h2", "h3", "i1"]


# -- states


async def booted(lab: Lab, host: str, name: str) -> None:
    """It has an address: its init takes signals by then. Before that one would be lost, and with it a clean stop."""
    async with asyncio.timeout(60):
        while True:
            card = (await api(lab, host, "GET", f"/1.0/instances/{name}/state"))["network"].get("eth0") or {}
            if any(address["family"] == "inet" for address in card.get("addresses") or ()):
                return
            await asyncio.sleep(0.1)


async def test_states(manager: Manager, clean_lab: Lab) -> None:
    async def course(host: str) -> None:
        one, two = f"{host}-1", f"{host}-2"
        await done(manager, "launch", image="busybox", name=host, count=2, target=host, no_start=True)
        both = [one, f"{host}:{two}"]
        await done(manager, "start", instances=both)
        assert [status(manager, name) for name in (one, two)] == ["Running"] * 2
        await done(manager, "freeze", instances=both)
        assert status(manager, one) == "Frozen"
        await done(manager, "unfreeze", instances=[one])
        assert status(manager, one) == "Running"
        pid = (await api(clean_lab, host, "GET", f"/1.0/instances/{one}/state"))["pid"]
        await done(manager, "restart", instances=[one], force=True)
        assert (await api(clean_lab, host, "GET", f"/1.0/instances/{one}/state"))["pid"] != pid
        await booted(clean_lab, host, one)
        await done(manager, "stop", instances=[one])
        assert status(manager, one) == "Stopped"
        await refused(manager, "delete", 400, f"{host}:{two} is Frozen: stop it first, or use force", instances=both)
        await done(manager, "delete", instances=[*both, one], force=True)
        assert where(manager, one) == where(manager, two) == []
        assert (await api(clean_lab, host, "GET", "/1.0/instances")) == []

    async with asyncio.TaskGroup() as group:
        for host in ALL:
            group.create_task(course(host))


async def test_what_was_done_is_known_when_it_is_done(manager: Manager) -> None:
    """The next action goes by the inventory."""
    await done(manager, "launch", image="busybox", name="c1", target="h3")
    for _ in range(2):
        await done(manager, "stop", instances=["c1"], force=True)
        await done(manager, "start", instances=["c1"])
    await done(manager, "stop", instances=["c1"], force=True)
    await done(manager, "delete", instances=["c1"])
    await refused(manager, "start", 404, "not found", instances=["c1"])


async def test_one_of_several_that_fails_does_not_stop_the_others(manager: Manager) -> None:
    await done(manager, "launch", image="busybox", name="c", count=3, no_start=True)
    await done(manager, "start", instances=["c-2"])
    task = await done(manager, "start", Status.FAILURE, instances=["c-1", "c-2", "c-3"])
    assert "already running" in task.error
    assert [status(manager, f"c-{n}") for n in (1, 2, 3)] == ["Running"] * 3
    assert sorted(item["state"] for item in task.metadata["plan"]["items"]) == ["done", "done", "failed"]
    task = await done(manager, "start", Status.FAILURE, instances=["c-1", "c-2"])
    assert task.error.startswith("2 of 2 failed: ")


async def test_an_ephemeral_one_is_gone_when_it_stops(manager: Manager) -> None:
    await done(manager, "launch", image="busybox", name="c", count=2, ephemeral=True)
    await done(manager, "delete", instances=["c-1"], force=True)
    await done(manager, "stop", instances=["c-2"], force=True)
    await until(manager.fleet, lambda: not where(manager, "c-1") and not where(manager, "c-2"))


async def test_a_host_that_is_lost_fails_its_own_only(manager: Manager, clean_lab: Lab) -> None:
    names = [f"on-{host}" for host in ALL]
    for host in ALL:
        await done(manager, "launch", image="busybox", name=f"on-{host}", target=host, no_start=True)
    with clean_lab.hosts["h1"].hung():
        task = await manager.run("start", instances=names)
        manager.fleet.watch("h1").retry_now()
        assert await task.wait(60) is Status.FAILURE
    assert task.error.startswith("h1: ")
    assert {label: state["status"] for label, state in task.hosts.items()} == {
        "h1": "failed",
        "h2": "done",
        "h3": "done",
        "i1": "done",
    }


# -- names


async def test_rename(manager: Manager, clean_lab: Lab) -> None:
    await done(manager, "launch", image="busybox", name="old", target="i1")
    await done(manager, "launch", image="busybox", name="taken", target="h1", no_start=True)
    await refused(manager, "rename", 409, 'Instance "taken" already exists', instance="old", new_name="taken")
    await refused(manager, "rename", 400, "Invalid instance name", instance="old", new_name="a b")
    manager.claims.add(("default", "claimed"))
    await refused(manager, "rename", 409, 'Instance "claimed" already exists', instance="old", new_name="claimed")
    manager.claims.clear()
    task = await done(manager, "rename", Status.FAILURE, instance="old", new_name="new")
    assert task.error.startswith("i1: ")
    assert not manager.claims
    await done(manager, "stop", instances=["old"], force=True)
    await done(manager, "rename", instance="old", new_name="new")
    assert (where(manager, "old"), where(manager, "new")) == ([], ["i1"])
    await done(manager, "rename", instance="i1:new", new_name="old")
    assert not manager.claims


async def test_a_rename_that_is_cancelled_at_once_claims_nothing(manager: Manager) -> None:
    await done(manager, "launch", image="busybox", name="old", no_start=True)
    task = await manager.run("rename", instance="old", new_name="new")
    task.cancel()
    await task.wait(60)
    assert not manager.claims


# -- snapshots


@pytest.mark.parametrize("host", ["h2", "i1"])
async def test_snapshots(manager: Manager, clean_lab: Lab, host: str) -> None:
    async def names() -> list[str]:
        found = await api(clean_lab, host, "GET", "/1.0/instances/c1/snapshots")
        return sorted(url.rsplit("/", 1)[1] for url in found or [])

    await done(manager, "launch", image="busybox", name="c1", target=host, config={"user.x": "before"}, no_start=True)
    await done(manager, "snapshot", instance="c1", name="one")
    await done(manager, "snapshot", instance="c1")
    assert await names() == ["one", "snap0"]
    await refused(manager, "snapshot", 400, "Invalid snapshot name", instance="c1", name="a/b")
    await done(manager, "snapshot", Status.FAILURE, instance="c1", name="one")
    await api(clean_lab, host, "PATCH", "/1.0/instances/c1", {"config": {"user.x": "after"}})
    await done(manager, "restore", instance="c1", snapshot="one")
    assert (await api(clean_lab, host, "GET", "/1.0/instances/c1"))["config"]["user.x"] == "before"
    await done(manager, "snapshot-rename", instance="c1", snapshot="one", new_name="first")
    assert await names() == ["first", "snap0"]
    await done(manager, "snapshot-delete", instance="c1", snapshot="first")
    assert await names() == ["snap0"]
    for action, more in [("restore", {}), ("snapshot-delete", {}), ("snapshot-rename", {"new_name": "x"})]:
        task = await done(manager, action, Status.FAILURE, instance="c1", snapshot="none", **more)
        assert task.error.startswith(f"{host}: ")
    await refused(manager, "snapshot", 404, "not found", instance="none")
