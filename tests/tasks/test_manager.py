from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.hosts.transport import ApiError, ConnectionLost, Unreachable
from lxdpm_tui.store import Store
from lxdpm_tui.tasks.journal import Journal
from lxdpm_tui.tasks.manager import STOPPED, TaskManager
from lxdpm_tui.tasks.task import Status, Task


class World:
    """What the tasks of these tests change: names on hosts; a host in `down` cannot be reached."""

    def __init__(self) -> None:
        self.things: set[tuple[str, str]] = set()
        self.down: set[str] = set()
        self.up = asyncio.Event()
        self.removed: list[tuple[str, str]] = []
        self.refuses: dict[str, Exception] = {}

    async def make(self, journal: Journal, host: str, name: str) -> None:
        await journal.intend(host, "remove", {"name": name})
        self.things.add((host, name))

    async def remove(self, args: dict[str, Any]) -> None:
        host, name = args["host"], args["name"]
        if host in self.down:
            raise Unreachable("connection refused", host)
        if host in self.refuses:
            raise self.refuses[host]
        self.removed.append((host, name))
        self.things.discard((host, name))

    async def until_usable(self, host: str) -> None:
        if host == "gone":
            raise LookupError("gone is no longer in the fleet")
        if host in self.down:
            await self.up.wait()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path / "manager.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def manager(store: Store, world: World) -> AsyncIterator[TaskManager]:
    manager = made(store, world)
    yield manager
    await manager.close(grace=0.1)


def made(store: Store, world: World) -> TaskManager:
    manager = TaskManager(store, world.until_usable, first_wait=0.001, longest_wait=0.002, settle=0.001)
    manager.undo_handlers["remove"] = world.remove
    return manager


def new_task(**fields: Any) -> Task:
    return Task("test", "Testing", **fields)


async def until(task: Task, holds: Any) -> None:
    """Wait for a state of the task."""
    seen = asyncio.Event()
    undo = task.subscribe(lambda t: seen.set() if holds(t) else None)
    if not holds(task):
        await asyncio.wait_for(seen.wait(), 60)
    undo()


async def test_success_keeps_what_was_made(manager: TaskManager, world: World, store: Store) -> None:
    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "h1", "a")
        task.update(metadata={"fingerprint": "ab"})

    task = await manager.start(new_task(), runner, journal=True)
    assert task.id in manager.tasks
    assert await task.wait(60) is Status.SUCCESS
    assert world.things == {("h1", "a")}
    row = await store.get_task(task.id)
    assert row is not None
    assert (row.committed, row.ended, row.status, row.metadata) == (True, True, 200, {"fingerprint": "ab"})
    assert manager.tasks[task.id] is task


async def test_failure_undoes_in_reverse_and_names_the_host(manager: TaskManager, world: World) -> None:
    async def runner(task: Task, journal: Journal) -> None:
        for name in "abc":
            await world.make(journal, "h1", name)
        raise ApiError("h2", 500, "no space left on device")

    task = await manager.start(new_task(), runner, journal=True)
    assert await task.wait(60) is Status.FAILURE
    assert (task.error, task.error_code) == ("h2: no space left on device", 500)
    assert world.removed == [("h1", "c"), ("h1", "b"), ("h1", "a")]
    assert world.things == set()


async def test_first_step_is_durable_before_it_is_made_without_being_asked(
    manager: TaskManager, world: World, store: Store
) -> None:
    inside = asyncio.Event()

    async def runner(task: Task, journal: Journal) -> None:
        await journal.intend("h1", "remove", {"name": "a"})
        inside.set()
        await asyncio.Event().wait()

    task = await manager.start(new_task(), runner)
    await asyncio.wait_for(inside.wait(), 60)
    assert [row.id for row in await store.open_tasks()] == [task.id]
    assert task.cancel()
    assert await task.wait(60) is Status.CANCELLED


async def test_cancel_undoes(manager: TaskManager, world: World) -> None:
    inside = asyncio.Event()

    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "h1", "a")
        inside.set()
        await asyncio.Event().wait()

    task = await manager.start(new_task(), runner, journal=True)
    await asyncio.wait_for(inside.wait(), 60)
    assert task.cancel()
    assert task.status is Status.CANCELLING
    assert await task.wait(60) is Status.CANCELLED
    assert world.things == set()
    assert not task.cancel()


@pytest.mark.parametrize("how", ["cancelled", "no answer", "silent meanwhile"])
async def test_what_a_host_works_upon_after_the_first_look_is_undone(
    manager: TaskManager, world: World, how: str
) -> None:
    """It was sent, and nobody waited for the answer."""
    inside = asyncio.Event()
    looks = 0

    async def remove(args: dict[str, Any]) -> None:
        nonlocal looks
        looks += 1
        if how == "silent meanwhile" and looks == 1:
            raise Unreachable("connection refused", "h1")
        await world.remove(args)
        if looks == (2 if how == "silent meanwhile" else 1):
            world.things.add(("h1", "a"))

    async def runner(task: Task, journal: Journal) -> None:
        await journal.intend("h1", "remove", {"name": "a"})
        inside.set()
        if how == "cancelled":
            await asyncio.Event().wait()
        raise ConnectionLost("no answer", "h1") if how == "no answer" else ApiError("h2", 400, "in use")

    manager.undo_handlers["remove"] = remove
    task = await manager.start(new_task(), runner, journal=True)
    await asyncio.wait_for(inside.wait(), 60)
    if how == "cancelled":
        assert task.cancel()
    await task.wait(60)
    assert world.things == set()


async def test_cancel_during_commit_does_not_leave_it_open(manager: TaskManager, world: World) -> None:
    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "h1", "a")
        asyncio.get_running_loop().call_soon(lambda: task.cancel(force=True))
        await journal.commit()

    task = await manager.start(new_task(), runner, journal=True)
    assert await task.wait(60) is Status.SUCCESS
    assert world.things == {("h1", "a")}


async def test_failure_after_commit_undoes_nothing(manager: TaskManager, world: World) -> None:
    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "h1", "a")
        await journal.commit()
        assert not task.may_cancel
        raise ApiError("h2", 400, "in use")

    task = await manager.start(new_task(), runner)
    assert await task.wait(60) is Status.FAILURE
    assert world.things == {("h1", "a")}


async def test_undo_waits_for_a_host_that_is_down_and_says_so(manager: TaskManager, world: World) -> None:
    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "h1", "a")
        await world.make(journal, "h2", "a")
        world.down.add("h2")
        raise ConnectionLost("connection lost", "h2")

    task = await manager.start(new_task(), runner, journal=True)
    await until(task, lambda t: "waits for h2: connection refused" in t.metadata.get("undo", ""))
    assert task.status is Status.RUNNING
    assert world.things == {("h2", "a")}  # the other host did not wait
    assert task.hosts["h2"]["status"] == "waiting"
    world.down.clear()
    world.up.set()
    assert await task.wait(60) is Status.FAILURE
    assert task.error == "h2: connection lost"
    assert task.error_code == 503
    assert world.things == set()
    assert task.hosts["h2"]["status"] == "undone"


async def test_undo_that_fails_is_kept_and_shown_and_can_be_tried_again(
    manager: TaskManager, world: World, store: Store
) -> None:
    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "h1", "a")
        await world.make(journal, "h2", "a")
        world.refuses["h2"] = ApiError("h2", 500, "disk broken")
        raise ApiError("h1", 400, "bad request")

    task = await manager.start(new_task(), runner, journal=True)
    assert await task.wait(60) is Status.FAILURE
    assert task.error == "h1: bad request; undoing remove failed: h2: disk broken"
    assert "disk broken" in task.hosts["h2"]["undo_error"]
    errors = {step.host: step.error for step in await store.list_steps(task.id)}
    assert errors == {"h1": "", "h2": "h2: disk broken"}
    world.refuses.clear()
    again = await manager.retry_undo(task.id)
    assert await again.wait(60) is Status.SUCCESS
    assert world.things == set()
    with pytest.raises(KeyError):
        await manager.retry_undo(task.id)


async def test_undo_on_a_host_that_left_the_fleet_ends(manager: TaskManager, world: World) -> None:
    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "gone", "a")
        world.down.add("gone")
        raise Unreachable("no route", "gone")

    task = await manager.start(new_task(), runner)
    assert await task.wait(60) is Status.FAILURE
    assert "no longer in the fleet" in task.error


async def test_a_bug_is_a_failure_not_a_hang(manager: TaskManager, world: World) -> None:
    async def broken(task: Task, journal: Journal) -> None:
        raise ZeroDivisionError("oops")

    async def cancels_itself(task: Task, journal: Journal) -> None:
        raise asyncio.CancelledError

    for runner in (broken, cancels_itself):
        task = await manager.start(new_task(), runner)
        assert await task.wait(60) is Status.FAILURE
        assert task.error.startswith("internal error")
        assert task.error_code == 500


async def test_a_settled_step_is_not_undone(manager: TaskManager, world: World, store: Store) -> None:
    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "h1", "a")
        await journal.settle(await journal.intend("h1", "remove", {"name": "somebody else's"}))
        raise ApiError("h1", 400, "no")

    task = await manager.start(new_task(), runner)
    assert await task.wait(60) is Status.FAILURE
    assert world.removed == [("h1", "a")]
    assert all(step.undone for step in await store.list_steps(task.id))


async def test_recover_undoes_what_had_not_committed(store: Store, world: World) -> None:
    killed = made(store, world)
    inside = asyncio.Event()

    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "h1", "a")
        await journal.intend("h2", "remove", {"name": "never made"})
        inside.set()
        await asyncio.Event().wait()

    task = await killed.start(new_task(metadata={"fingerprint": "ab"}), runner, journal=True)
    await asyncio.wait_for(inside.wait(), 60)
    await drop(killed)

    second = made(store, world)
    (found,) = await second.recover()
    assert found.id == task.id
    assert found.metadata["fingerprint"] == "ab"
    assert await found.wait(60) is Status.FAILURE
    assert STOPPED in found.error
    assert world.things == set()
    assert await store.open_tasks() == []
    assert await made(store, world).recover() == []


async def test_recover_finishes_what_had_committed(store: Store, world: World) -> None:
    task = new_task()
    journal = Journal(store, task)
    await world.make(journal, "h1", "a")
    await journal.commit()
    (found,) = await made(store, world).recover()
    assert await found.wait(60) is Status.SUCCESS
    assert world.things == {("h1", "a")}


async def test_recover_carries_out_a_finish_task(store: Store, world: World) -> None:
    world.things = {("h1", "a"), ("h2", "a")}
    journal = Journal(store, new_task(), finish=True)
    await journal.intend("h1", "remove", {"name": "a"})
    await journal.intend("h2", "remove", {"name": "a"})
    (found,) = await made(store, world).recover()
    assert await found.wait(60) is Status.SUCCESS
    assert world.things == set()


async def test_a_finish_task_that_never_began_did_not_succeed(store: Store, world: World) -> None:
    await store.save_task(Journal(store, new_task(), finish=True).row())
    (found,) = await made(store, world).recover()
    assert await found.wait(60) is Status.FAILURE
    assert found.error.endswith("before anything was changed")


async def test_a_finish_task_that_fails_undoes_nothing(manager: TaskManager, world: World) -> None:
    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "h1", "a")
        raise ApiError("h1", 400, "in use")

    task = await manager.start(new_task(), runner, journal=True, finish=True)
    assert await task.wait(60) is Status.FAILURE
    assert world.removed == []


async def test_close_undoes_what_it_can_and_leaves_the_rest(store: Store, world: World) -> None:
    first = made(store, world)
    inside = asyncio.Event()

    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "h1", "a")
        await world.make(journal, "h2", "a")
        world.down.add("h2")
        inside.set()
        await asyncio.Event().wait()

    task = await first.start(new_task(), runner, journal=True)
    await asyncio.wait_for(inside.wait(), 60)
    await first.close(grace=5)  # h2 does not answer: all of it
    assert world.things == {("h2", "a")}
    assert not task.status.final
    assert [row.id for row in await store.open_tasks()] == [task.id]

    world.down.clear()
    world.removed.clear()
    (found,) = await made(store, world).recover()
    assert await found.wait(60) is Status.FAILURE
    assert world.things == set()
    assert ("h1", "a") not in world.removed, "not undone twice"


async def test_close_ends_a_running_task_as_cancelled(store: Store, world: World) -> None:
    manager = made(store, world)
    inside = asyncio.Event()

    async def runner(task: Task, journal: Journal) -> None:
        await world.make(journal, "h1", "a")
        inside.set()
        await asyncio.Event().wait()

    task = await manager.start(new_task(), runner, journal=True)
    await asyncio.wait_for(inside.wait(), 60)
    await manager.close(grace=60)
    assert (task.status, task.error) == (Status.CANCELLED, STOPPED)
    assert world.things == set()


async def test_listeners_and_history(manager: TaskManager, world: World) -> None:
    heard: list[tuple[str, Status]] = []
    off = manager.subscribe(lambda t: heard.append((t.id, t.status)))

    async def runner(task: Task, journal: Journal) -> None:
        task.update(host="h1", status="half", progress=50)

    task = await manager.start(new_task(), runner)
    await task.wait(60)
    assert task.hosts == {"h1": {"status": "half", "progress": 50}}
    assert [status for _, status in heard] == [Status.PENDING, Status.RUNNING, Status.RUNNING, Status.SUCCESS]
    off()
    other = await manager.start(new_task(), runner)
    await other.wait(60)
    assert {id for id, _ in heard} == {task.id}
    assert [t.id for t in await manager.history()] == [other.id, task.id]
    assert (await manager.history(1))[0].status is Status.SUCCESS


async def test_ended_tasks_leave_memory_but_not_history(store: Store, world: World) -> None:
    manager = TaskManager(store, keep=0.0)

    async def runner(task: Task, journal: Journal) -> None:
        return None

    task = await manager.start(new_task(), runner)
    await task.wait(60)
    async with asyncio.timeout(60):
        while task.id in manager.tasks:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)
    assert [t.id for t in await manager.history()] == [task.id]
    await manager.close()


async def drop(manager: TaskManager) -> None:
    """Stop a manager as a crash would: nothing is undone, nothing is written."""
    manager._abandon = True
    runs = list(manager._runs.values())
    for run in runs:
        run.cancel()
    await asyncio.gather(*runs, return_exceptions=True)
