"""The assembly: one manager a state directory, and what outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.config import HostConfig, Paths, UnixAddress, add_host, remove_host
from lxdpm_tui.manager import AlreadyRunning, Manager, caller, take_lock
from lxdpm_tui.scheduler.model import Strategy
from lxdpm_tui.store import Store
from lxdpm_tui.tasks.task import Status
from tests.fleet.fleets import Script, error, host_of, script, until
from tests.lab.lab import Lab
from tests.managing import done, managing, where

NOWHERE = HostConfig("gone", UnixAddress("/nowhere/unix.socket"))

DRIVER = """
import asyncio, json, sys
from pathlib import Path
from lxdpm_tui.config import Paths, load_hosts
from lxdpm_tui.manager import Manager

async def main(hosts, state, action, arguments):
    async with Manager.open(Paths(Path(hosts), Path(state)), load_hosts(Path(hosts))) as manager:
        await manager.fleet.until_known(60)
        if action:
            task = await manager.run(action, **json.loads(arguments))
            task.subscribe(lambda task: print(task.status.text, json.dumps(task.hosts), flush=True))
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


def drive(paths: Paths, action: str = "", arguments: str = "{}") -> subprocess.Popen[str]:
    """A manager in a process of its own."""
    command = [sys.executable, "-c", DRIVER, str(paths.hosts_file), str(paths.state_dir), action, arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def reads(process: subprocess.Popen[str], word: str) -> None:
    """Read its output up to a line with that word in it."""
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"it ended without {word!r}")


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(60)
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    hosts = tmp_path / "hosts.toml"
    hosts.write_text('[[hosts]]\nname = "gone"\naddress = "unix:///nowhere/unix.socket"\n')
    return Paths(hosts, tmp_path / "state")


# -- one manager a state directory


async def test_a_second_manager_is_told_of_the_first(paths: Paths) -> None:
    async with Manager.open(paths, [NOWHERE]):
        with pytest.raises(
            AlreadyRunning, match=rf"process {os.getpid()}\) already works on {paths.state_dir};"
        ) as got:
            async with Manager.open(paths, [NOWHERE]):
                raise AssertionError
        assert got.value.pid == os.getpid()
    async with Manager.open(paths, [NOWHERE]):
        pass


async def test_another_process_is_named_and_its_death_frees_the_lock(paths: Paths) -> None:
    process = drive(paths)
    try:
        await asyncio.to_thread(reads, process, "ready")
        with pytest.raises(AlreadyRunning) as got:
            async with Manager.open(paths, [NOWHERE]):
                raise AssertionError
        assert got.value.pid == process.pid
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        async with Manager.open(paths, [NOWHERE]) as manager:
            assert manager.fleet.silent() == ["gone"]
    finally:
        end(process)


def test_the_state_directory_is_for_the_user_alone(paths: Paths) -> None:
    async def once() -> None:
        async with Manager.open(paths, [NOWHERE]):
            pass

    asyncio.run(once())
    assert paths.state_dir.stat().st_mode & 0o777 == 0o700
    for file in paths.state_dir.iterdir():
        if file.is_file() and file.suffix != ".crt":
            assert file.stat().st_mode & 0o077 == 0, file


def test_a_lock_without_a_name(paths: Paths) -> None:
    """Another program holds the file, and wrote nothing into it."""
    paths.state_dir.mkdir()
    held = take_lock(paths)
    os.ftruncate(held, 0)
    with pytest.raises(AlreadyRunning) as got:
        take_lock(paths)
    assert got.value.pid == 0
    os.close(held)
    os.close(take_lock(paths))


async def test_an_error_while_open_closes_everything(paths: Paths) -> None:
    with pytest.raises(ZeroDivisionError):
        async with Manager.open(paths, [NOWHERE]):
            raise ZeroDivisionError
    assert [task for task in asyncio.all_tasks() if "watch" in task.get_name()] == []
    async with Manager.open(paths, [NOWHERE]):
        pass


# -- what outlives it


async def test_strategy_and_maintenance_survive(paths: Paths) -> None:
    async with Manager.open(paths, [NOWHERE]) as manager:
        assert manager.scheduler.strategy is Strategy.RANDOM
        await manager.scheduler.set_strategy("gather")
        await done(manager, "maintenance", host="gone", on="on")
    async with Manager.open(paths, [NOWHERE]) as manager:
        assert manager.scheduler.strategy is Strategy.GATHER
        assert manager.inventory.hosts["gone"].maintenance
        await done(manager, "maintenance", host="gone", on="off")
    async with Manager.open(paths, [NOWHERE]) as manager:
        assert not manager.inventory.hosts["gone"].maintenance


async def test_maintenance_survives_sigkill(paths: Paths) -> None:
    process = drive(paths, "maintenance", '{"host": "gone", "on": "on"}')
    try:
        await asyncio.to_thread(reads, process, "Success")
    finally:
        end(process)
    async with Manager.open(paths, [NOWHERE]) as manager:
        [task] = await manager.tasks.history()
        assert (task.kind, task.status) == ("maintenance", Status.SUCCESS)
        assert manager.inventory.hosts["gone"].maintenance


class Profiles:
    """A scripted daemon's profiles. slow: one that is to be made waits until it is set."""

    def __init__(self, daemon: Script) -> None:
        self.names = {"default"}
        self.go = asyncio.Event()
        self.go.set()
        self.daemon = daemon
        daemon.answers["/1.0/profiles"] = self.all

    async def all(self, request: web.Request) -> Any:
        if request.method == "POST":
            await self.go.wait()
            name = (await request.json())["name"]
            self.names.add(name)
            self.daemon.answers[f"/1.0/profiles/{name}"] = self.one
            return {}
        return [{"name": name} for name in self.names]

    async def one(self, request: web.Request) -> Any:
        name = request.path.rsplit("/", 1)[1]
        if name not in self.names:
            return error(404, "Profile not found")
        if request.method == "DELETE":
            self.names.remove(name)
        return {"name": name}


async def test_killed_in_the_middle_of_a_change_it_is_undone_at_the_next_start(paths: Paths) -> None:
    """Of two hosts one has made the profile and the other is about to when the manager dies."""
    async with script() as quick, script() as slow:
        made, late = Profiles(quick), Profiles(slow)
        late.go.clear()
        hosts = [host_of(quick, "s1"), host_of(slow, "s2")]
        for host in hosts:
            add_host(paths.hosts_file, host)
        remove_host(paths.hosts_file, "gone")
        process = drive(paths, "profile-create", '{"name": "half"}')
        try:
            await asyncio.to_thread(reads, process, '{"s1": {"status": "done"}')
            assert made.names == {"default", "half"}
        finally:
            end(process)
        late.go.set()
        async with Manager.open(paths, hosts) as manager:
            [task] = await manager.tasks.history()
            assert task.kind == "profile-create"
            assert await task.wait(90) is Status.FAILURE
            assert "the manager was stopped in the middle of it; what had been done was undone" in task.error
        assert made.names == late.names == {"default"}


# -- the audit


async def audit(manager: Manager) -> list[tuple[str, str, dict[str, Any], str]]:
    return [(line.who, line.action, line.arguments, line.result) for line in await manager.store.list_audit()]


async def test_what_was_asked_for_and_what_came_of_it(paths: Paths) -> None:
    async with Manager.open(paths, [NOWHERE]) as manager:
        caller.set("somebody")
        task = await done(manager, "maintenance", host="gone", on="on")
        assert task.owner == "somebody"
        with pytest.raises(ActionError, match="there is no host 'h9'"):
            await manager.run("maintenance", host="h9", on="on")
        with pytest.raises(ActionError, match="there is no action 'explode'"):
            await manager.run("explode", now=True)
    async with Manager.open(paths, [NOWHERE]) as manager:
        assert await audit(manager) == [
            ("somebody", "explode", {"now": True}, "refused: there is no action 'explode'"),
            ("somebody", "maintenance", {"host": "h9", "on": "on"}, "refused: there is no host 'h9'"),
            ("somebody", "maintenance", {"host": "gone", "on": "on"}, "Success"),
        ]
        lines = await manager.store.list_audit()
        assert lines[-1].task == task.id


async def test_the_result_of_a_task_that_ended_with_the_manager(paths: Paths) -> None:
    """Its last word is not lost because the manager is closing."""
    for on in ("on", "off") * 5:
        async with Manager.open(paths, [NOWHERE]) as manager:
            task = await manager.run("maintenance", host="gone", on=on)
            await task.wait()
    store = Store(paths.database)
    await store.open()
    try:
        assert [line.result for line in await store.list_audit()] == ["Success"] * 10
    finally:
        await store.close()


async def test_a_failure_is_in_the_audit(clean_lab: Lab, tmp_path: Path) -> None:
    async with managing(clean_lab, tmp_path, clean_lab.hosts_config({"h1": "unix"})) as manager:
        await done(manager, "launch", image="busybox", name="c1")
        task = await done(manager, "start", Status.FAILURE, instances=["c1"])
        await asyncio.sleep(0)
    async with managing(clean_lab, tmp_path, known=False) as manager:
        newest, launched = await audit(manager)
        assert newest[1:] == ("start", {"instances": ["c1"]}, f"Failure: {task.error}")
        assert "already running" in task.error
        assert launched[1] == "launch"
        assert launched[3] == "Success"


# -- where a launch would go


async def test_a_plan_explains_and_holds_nothing(clean_lab: Lab, tmp_path: Path) -> None:
    async with managing(clean_lab, tmp_path) as manager:
        await done(manager, "maintenance", host="h2", on="on")
        [plan] = manager.plan(image="busybox", name="c1", strategy="scatter", config={"limits.memory": "64MiB"})
        hosts = {host["host"]: host for host in plan["hosts"]}
        assert (plan["instance"], plan["strategy"]) == ("c1", "scatter")
        assert set(hosts) == {"h1", "h2", "h3", "i1"}
        assert hosts["h2"]["reason"] == "in maintenance"
        assert hosts["h2"]["score"] is None
        candidates = [host for host in plan["hosts"] if host["score"] is not None]
        assert candidates[0]["host"] == plan["chosen"]
        assert [host["score"] for host in candidates] == sorted((h["score"] for h in candidates), reverse=True)
        assert all(host["memory_free"] > 0 and host["instances"] >= 1 for host in candidates)
        assert not manager.claims
        assert manager.plan(image="busybox", name="c1", count=3)[2]["instance"] == "c1-3"
        assert where(manager, "c1") == []

        [impossible] = manager.plan(image="busybox", config={"limits.memory": "900TiB"})
        assert impossible["chosen"] is None
        assert "needs 900 TiB" in next(host["reason"] for host in impossible["hosts"] if host["host"] == "h1")
        [pinned] = manager.plan(image="busybox", target="h3")
        assert pinned["chosen"] == "h3"
        with pytest.raises(ActionError, match="Image 'nothing' not found"):
            manager.plan(image="nothing")
        with pytest.raises(ActionError, match="there is no host 'h9'"):
            manager.plan(image="busybox", target="h9")
        with pytest.raises(ActionError, match="strategy is one of random, scatter, gather, not 'best'"):
            manager.plan(image="busybox", strategy="best")
        with pytest.raises(ActionError, match="no argument 'colour'"):
            manager.plan(image="busybox", colour="red")


async def test_a_host_that_hangs_is_left_out_and_says_why(clean_lab: Lab, tmp_path: Path) -> None:
    async with managing(clean_lab, tmp_path) as manager:
        with clean_lab.hosts["h1"].hung():
            manager.fleet.watch("h1").retry_now()
            record = manager.inventory.hosts["h1"]
            # Its event stream may be the first to fall silent: that tells less.
            await until(manager.fleet, lambda: manager.fleet.usable() == ["h2", "h3", "i1"] and "hung" in record.reason)
            plans = manager.plan(image="busybox", count=8, strategy="random")
        assert all(plan["chosen"] in ("h2", "h3", "i1") for plan in plans)
        reason = next(host["reason"] for host in plans[0]["hosts"] if host["host"] == "h1")
        assert reason.startswith("not online: ")
        assert "hung" in reason
