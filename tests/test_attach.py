"""A manager for one server that is managed elsewhere: a gateway of ours, and an LXD cluster that is not."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.config import HostConfig, Paths, UnixAddress
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status, Task
from tests.fleet.fleets import all_read, until
from tests.fleet.test_cluster import PATIENCE, create, entry
from tests.gateway.serving import serving
from tests.lab.lab import Lab
from tests.managing import done, managing, refused, where


@asynccontextmanager
async def attached(lab: Lab, folder: Path, server: HostConfig) -> AsyncIterator[Manager]:
    """As `lxdpm-tui --connect` does it: no hosts.toml, and the state directory is somebody else's."""
    state = folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    for source in (lab.client_cert, lab.client_key):
        shutil.copy(source, state / source.name)
    async with Manager.attach(Paths(folder / "hosts.toml", state), server) as manager:
        await all_read(manager.fleet)
        yield manager


async def seen(manager: Manager, holds: Callable[[Task], object], timeout: float = PATIENCE) -> Task:
    """The task of which that becomes true, whoever started it."""
    told = asyncio.Event()
    undo = manager.tasks.subscribe(lambda _: told.set())
    try:
        async with asyncio.timeout(timeout):
            while True:
                for task in list(manager.tasks.tasks.values()):
                    if holds(task):
                        return task
                told.clear()
                await told.wait()
    except TimeoutError:
        shown = [(t.kind, t.status.text, t.hosts, t.resources) for t in manager.tasks.tasks.values()]
        raise AssertionError(f"no such task within {timeout} s: {shown}") from None
    finally:
        undo()


def about(task: Task, name: str) -> bool:
    return f"/1.0/instances/{name}" in task.resources.get("instances", [])


LAUNCH: dict[str, Any] = {"image": "busybox", "no_start": True}


# -- a gateway of ours


async def test_consoles_on_one_gateway_see_each_others_work(clean_lab: Lab, tmp_path: Path) -> None:
    async with serving(clean_lab, tmp_path) as server:
        address = HostConfig("fleet", UnixAddress(str(server.socket)))
        async with attached(clean_lab, tmp_path, address) as one, attached(clean_lab, tmp_path, address) as other:
            assert {name: record.kind for name, record in one.inventory.hosts.items()} == {
                "h1": "lxd",
                "h2": "lxd",
                "h3": "lxd",
                "i1": "incus",
            }
            task = await one.run("launch", **LAUNCH, name="web", strategy="scatter")
            theirs = await seen(other, lambda each: each.id == task.id)
            assert await task.wait(90) is Status.SUCCESS, task.error
            assert await theirs.wait(PATIENCE) is Status.SUCCESS
            [decision] = theirs.metadata["placement"]
            assert decision["strategy"] == "scatter"
            assert {verdict["host"] for verdict in decision["hosts"]} == set(clean_lab.hosts)
            await until(other.fleet, lambda: where(other, "web") == [decision["chosen"]], PATIENCE)
            assert [each.kind for each in other.tasks.tasks.values()] == ["create"], (
                "a step of it is no task of its own"
            )

            await done(other, "start", instances=["web"])
            await until(
                one.fleet,
                lambda: [row.status for row in one.inventory.find_instances("default", "web")] == ["Running"],
                PATIENCE,
            )
            await refused(one, "launch", 409, "already exists", **LAUNCH, name="web")
        async with attached(clean_lab, tmp_path, address) as later:
            kept = [task for task in await later.tasks.history() if about(task, "web") and task.kind == "create"]
            assert kept[0].metadata["placement"][0]["chosen"] == decision["chosen"], "why it is there is kept"


async def test_what_a_gateway_decides(clean_lab: Lab, tmp_path: Path) -> None:
    async with serving(clean_lab, tmp_path) as server:
        address = HostConfig("fleet", UnixAddress(str(server.socket)))
        async with attached(clean_lab, tmp_path, address) as manager:
            profiles = manager.inventory.profiles
            networks = {host: next(iter(rows.values())).devices["eth0"]["network"] for host, rows in profiles.items()}
            assert networks == {"h1": "lxdbr0", "h2": "lxdbr0", "h3": "lxdbr0", "i1": "incusbr0"}, "each host's own"
            [plan] = manager.plan(image="busybox", strategy="scatter")
            assert all(verdict["reason"] == "" for verdict in plan["hosts"]), plan

            await done(manager, "maintenance", host="h1", on="on")
            record = manager.inventory.hosts["h1"]
            await until(manager.fleet, lambda: record.maintenance)
            await refused(manager, "launch", 503, "maintenance", **LAUNCH, name="web", target="h1")
            await done(manager, "maintenance", host="h1", on="off")

            await manager.set_strategy("gather")
            async with attached(clean_lab, tmp_path, address) as other:
                async with asyncio.timeout(PATIENCE):
                    while str(other.scheduler.strategy) != "gather":  # noqa: ASYNC110
                        await asyncio.sleep(0.01)

            await done(manager, "profile-create", name="small", config={"limits.memory": "64MiB"})
            await until(
                manager.fleet, lambda: all(len(rows) == 2 for rows in manager.inventory.profiles.values()), PATIENCE
            )
            path = clean_lab.make_image("attach")
            await done(manager, "image-import", source=str(path), aliases=["ours"])
            await until(
                manager.fleet, lambda: all(len(rows) == 2 for rows in manager.inventory.images.values()), PATIENCE
            )


async def test_a_task_of_the_gateway_is_cancelled(clean_lab: Lab, tmp_path: Path) -> None:
    async with serving(clean_lab, tmp_path) as server:
        address = HostConfig("fleet", UnixAddress(str(server.socket)))
        async with attached(clean_lab, tmp_path, address) as one, attached(clean_lab, tmp_path, address) as other:
            task = await one.run("launch", **LAUNCH, name="many", count=100, target="h1")
            theirs = await seen(other, lambda each: each.id == task.id)
            assert theirs.cancel()
            assert await task.wait(90) is Status.CANCELLED
            assert await theirs.wait(PATIENCE) is Status.CANCELLED
            await until(one.fleet, lambda: not list(one.inventory.all_instances()))


async def test_a_gateway_that_goes_and_comes_back(clean_lab: Lab, tmp_path: Path) -> None:
    async with serving(clean_lab, tmp_path) as server:
        address = HostConfig("fleet", UnixAddress(str(server.socket)))
        async with attached(clean_lab, tmp_path, address) as manager:
            await done(manager, "launch", **LAUNCH, name="web")
            await until(manager.fleet, lambda: where(manager, "web"), PATIENCE)
            await server.stop()
            await until(manager.fleet, lambda: not manager.fleet.usable())
            assert where(manager, "web"), "its rows stay"
            async with serving(clean_lab, tmp_path):
                for name in manager.inventory.hosts:
                    manager.fleet.watch(name).retry_now()
                await until(manager.fleet, lambda: len(manager.fleet.usable()) == 4)


# -- a cluster that is not ours


async def test_a_cluster_places_by_itself(clean_cluster: Lab, tmp_path: Path) -> None:
    async with attached(clean_cluster, tmp_path, entry(clean_cluster)) as manager:
        [plan] = manager.plan(image="busybox", name="c1")
        assert plan["strategy"] == "the cluster's own"
        started = time.monotonic()
        task = await done(manager, "launch", **LAUNCH, name="c1")
        [decision] = task.metadata["placement"]
        assert where(manager, "c1") == [decision["chosen"]]
        assert time.monotonic() - started < 25
        second = await done(manager, "launch", **LAUNCH, name="c2")
        assert {where(manager, "c1")[0], where(manager, "c2")[0]} == {"h1", "h2"}, "LXD takes the emptier one"
        assert second.metadata["placement"][0]["chosen"] == where(manager, "c2")[0]
        await done(manager, "launch", **LAUNCH, name="c3", target="h2")
        assert where(manager, "c3") == ["h2"]
        await refused(manager, "launch", 400, "places instances by itself", **LAUNCH, name="c4", strategy="scatter")


async def test_operations_of_others_are_tasks(clean_cluster: Lab, tmp_path: Path) -> None:
    async with attached(clean_cluster, tmp_path, entry(clean_cluster)) as manager:
        await asyncio.to_thread(create, clean_cluster, "c1", "h2")
        theirs = await seen(manager, lambda task: about(task, "c1") and task.kind == "create")
        assert (theirs.owner, list(theirs.hosts)) == ("server", ["h2"])
        assert await theirs.wait(PATIENCE) is Status.SUCCESS
        own = await done(manager, "start", instances=["c1"])
        await asyncio.sleep(0.3)  # an operation is shown 0.15 s after it began
        starts = [task.id for task in manager.tasks.tasks.values() if task.kind == "start"]
        assert starts == [own.id], "the operation of a task of ours is no second task"
        await done(manager, "stop", instances=["c1"], force=True)


async def test_what_all_members_have_is_changed_once(clean_cluster: Lab, tmp_path: Path) -> None:
    async with attached(clean_cluster, tmp_path, entry(clean_cluster)) as manager:
        task = await done(manager, "profile-create", name="small", config={"limits.memory": "64MiB"})
        assert list(task.hosts) == ["h1"]
        assert all(len(rows) == 2 for rows in manager.inventory.profiles.values()), "each member has it"
        await done(manager, "profile-edit", name="small", config={"limits.memory": "32MiB"})
        await done(manager, "profile-delete", name="small")
        path = clean_cluster.make_image("cluster")
        task = await done(manager, "image-import", source=str(path), aliases=["ours"])
        assert list(task.hosts) == ["h1"]
        await until(manager.fleet, lambda: all(len(rows) == 2 for rows in manager.inventory.images.values()), PATIENCE)
        await done(manager, "image-delete", fingerprint="ours")
        await until(manager.fleet, lambda: all(len(rows) == 1 for rows in manager.inventory.images.values()), PATIENCE)


async def test_networks_and_pools_are_made_on_every_member(clean_cluster: Lab, tmp_path: Path) -> None:
    """LXD wants each member told first, then the whole; what fails leaves nothing half made."""
    first = clean_cluster.hosts["h1"]
    async with attached(clean_cluster, tmp_path, entry(clean_cluster)) as manager:
        await done(
            manager, "network-create", name="n1", config={"ipv4.address": "10.99.1.1/24", "ipv6.address": "none"}
        )
        assert all("n1" in record.networks for record in manager.inventory.hosts.values())
        assert sorted((await asyncio.to_thread(first.api, "GET", "/1.0/networks/n1"))["locations"]) == ["h1", "h2"]
        await done(manager, "network-edit", name="n1", config={"user.x": "1"})
        await done(manager, "network-delete", name="n1")
        assert not any("n1" in record.networks for record in manager.inventory.hosts.values())

        await done(manager, "pool-create", name="p1", driver="dir")
        assert all("p1" in record.pools for record in manager.inventory.hosts.values())
        await done(manager, "pool-edit", name="p1", description="ours")
        await done(manager, "pool-delete", name="p1")
        await done(manager, "network-create", Status.FAILURE, name="n2", config={"no.such": "1"})
        assert "/1.0/networks/n2" not in await asyncio.to_thread(first.api, "GET", "/1.0/networks")


async def test_maintenance_is_kept_by_the_cluster(clean_cluster: Lab, tmp_path: Path) -> None:
    async with attached(clean_cluster, tmp_path, entry(clean_cluster)) as manager:
        await done(manager, "maintenance", host="h1", on="on")
        assert manager.inventory.hosts["h1"].shown_status == "maintenance"
        for name in ("c1", "c2"):
            await done(manager, "launch", **LAUNCH, name=name)
        assert (where(manager, "c1"), where(manager, "c2")) == (["h2"], ["h2"]), "LXD itself heeds it"
        await done(manager, "maintenance", host="h1", on="off")
        assert manager.inventory.hosts["h1"].shown_status != "maintenance"


# -- a cluster among other hosts


async def test_members_among_other_hosts_are_placed_on(clean_cluster: Lab, clean_lab: Lab, tmp_path: Path) -> None:
    hosts = [entry(clean_cluster), *clean_lab.hosts_config({"h1": "unix"})]
    async with managing(clean_lab, tmp_path, hosts) as manager:
        task = await done(manager, "launch", **LAUNCH, name="many", count=3, strategy="scatter")
        chosen = {decision["chosen"] for decision in task.metadata["placement"]}
        assert chosen == {"h1", "prod/h1", "prod/h2"}
        listed = await asyncio.to_thread(clean_cluster.hosts["h1"].api, "GET", "/1.0/instances?recursion=1")
        locations = {row["name"]: row["location"] for row in listed}
        assert {where(manager, name)[0]: location for name, location in locations.items()} == {
            "prod/h1": "h1",
            "prod/h2": "h2",
        }
        for name in locations:
            await done(manager, "start", instances=[f"{where(manager, name)[0]}:{name}"])
        task = await done(manager, "profile-create", name="small")
        assert set(task.hosts) == {"h1", "prod/h1"}
        assert set(manager.inventory.profiles["prod/h2"]) == {
            key._replace(host="prod/h2") for key in manager.inventory.profiles["h1"]
        }
        await done(manager, "profile-delete", name="small")
        await done(manager, "delete", instances=["many-1", "many-2", "many-3"], force=True)
        with pytest.raises(ActionError, match="no host 'prod'"):
            await manager.run("launch", **LAUNCH, target="prod")
