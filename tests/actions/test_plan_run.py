"""Plans run on real daemons: waves, pauses, retries, a host that is cut in the middle, plans saved and replayed."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.actions.plan import Limits, Plan, State, read
from lxdpm_tui.actions.plan_actions import plan_of
from lxdpm_tui.actions.plan_make import make
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status, Task
from tests.fleet.fleets import until
from tests.lab.lab import Lab
from tests.managing import api, done, managing, refused, status, where

ALL = ["h1", "h2", "h3", "i1"]
CUT = "h2"  # by https: its cable can be pulled


async def until_told(task: Task, holds: Callable[[Plan], object], timeout: float = 90.0) -> Plan:
    """Wait until the plan that the task tells of is so; gives it."""
    changed = asyncio.Event()
    undo = task.subscribe(lambda _: changed.set())
    try:
        async with asyncio.timeout(timeout):
            while not holds(plan := read(task.metadata["plan"])):
                changed.clear()
                await changed.wait()
            return plan
    except TimeoutError:
        raise AssertionError(f"not reached: {task.status} {task.hosts} {task.metadata}") from None
    finally:
        undo()


def paused(plan: Plan) -> bool:
    return plan.state == "paused" and not plan.of(State.RUNNING)


async def empty(lab: Lab, host: str, *names: str) -> None:
    """Instances without a file system: made in no time, and never to be started."""
    for name in names:
        await api(lab, host, "POST", "/1.0/instances", {"name": name, "source": {"type": "none"}})


async def have(manager: Manager, *names: str) -> None:
    await until(manager.fleet, lambda: all(where(manager, name) for name in names))


def rows(manager: Manager, *names: str) -> list[Any]:
    return [row for name in names for row in manager.inventory.find_instances("default", name)]


@asynccontextmanager
async def followed(task: Task) -> AsyncIterator[list[Plan]]:
    """What the task tells of its plan while the block runs."""
    told: list[Plan] = [read(task.metadata["plan"])]
    undo = task.subscribe(lambda task: told.append(read(task.metadata["plan"])))
    try:
        yield told
    finally:
        undo()


# -- line 7 of the console's bar


@pytest.mark.timeout(600)
async def test_forty_are_stopped_in_waves_with_one_host_cut_midway(manager: Manager, clean_lab: Lab) -> None:
    begin = time.monotonic()
    for host in ALL:  # one host's ten at a time: the lab is one machine
        await done(manager, "launch", image="busybox", name=host, count=10, target=host)
    names = [f"{host}-{number}" for host in ALL for number in range(1, 11)]
    assert {status(manager, name) for name in names} == {"Running"}
    made = time.monotonic() - begin

    limits = Limits(per_host=2, wave=3, canary=4)
    plan = make(manager.inventory, "stop", rows(manager, *names), {"force": True}, limits)
    assert len(list(plan.calls())) == 40
    assert Counter((item.wave, item.host) for item in plan.items) == {
        **{(0, host): 1 for host in ALL},
        **{(wave, host): 3 for wave in (1, 2, 3) for host in ALL},
    }

    begin = time.monotonic()
    task = await manager.run("run", plan=plan.to_json())
    async with followed(task) as told:
        # The second wave has begun: pull the cable.
        await until_told(task, lambda plan: plan.wave == 2 and plan.of(State.RUNNING))
        clean_lab.hosts[CUT].cut()  # at once: meanwhile nothing else is begun
        halted = await until_told(task, paused)
    assert task.status is Status.RUNNING, "a paused plan is not over"
    for seen in told:
        running = Counter(item.host for item in seen.of(State.RUNNING))
        assert max(running.values(), default=0) <= limits.per_host
        assert {item.wave for item in seen.of(State.RUNNING)} <= {seen.wave}, "one wave at a time"

    failed = halted.of(State.FAILED)
    assert {item.host for item in failed} == {CUT}
    assert len(failed) == 10 - 1 - 3 - len([i for i in halted.of(State.DONE) if i.host == CUT and i.wave == 2])
    assert all(item.error.startswith(f"{CUT}: ") for item in failed)
    assert f"{len(failed)} failed: {CUT}: " in halted.why
    cut_after = time.monotonic() - begin

    # The cable is back: only what failed is done again, and then the waves that were held back.
    waiting = {item.name for item in halted.of(State.WAITING)}
    assert waiting, "nothing was begun while it was paused"
    await asyncio.to_thread(clean_lab.hosts[CUT].heal)
    await manager.fleet.until_usable(CUT, 90)
    again = await manager.run("plan-retry", task=task.id[:8])
    assert again is task
    assert await task.wait(150) is Status.SUCCESS, (task.error, task.hosts)
    ended = read(task.metadata["plan"])
    assert ended.counts() == {State.DONE: 40}
    once = {item.name for item in halted.of(State.DONE)} | waiting
    sent_before = {item.name: item.tries for item in failed}
    assert {item.name: item.tries for item in ended.items} == {
        **dict.fromkeys(once, 1),
        **{name: tries + 1 for name, tries in sent_before.items()},
    }
    for host in ALL:
        found = await api(clean_lab, host, "GET", "/1.0/instances?recursion=1")
        assert {row["status"] for row in found} == {"Stopped"}
    assert not manager.plans
    words = f"40 made in {made:.1f} s; paused {cut_after:.1f} s after the start with {len(failed)} failed"
    print(f"{words}, {len(waiting)} held back; all done after {time.monotonic() - begin:.1f} s")


# -- pauses


async def test_go_on_without_what_failed_and_retry_it_later(manager: Manager, clean_lab: Lab) -> None:
    names = {host: [f"{host}-{n}" for n in range(3)] for host in ("h1", "h2")}
    for host, own in names.items():
        await empty(clean_lab, host, *own)
    await have(manager, *names["h1"], *names["h2"])
    await api(clean_lab, "h1", "POST", "/1.0/instances/h1-0/snapshots", {"name": "s"})
    plan = make(manager.inventory, "snapshot", rows(manager, *names["h1"], *names["h2"]), {"name": "s"}, Limits(wave=1))
    task = await manager.run("run", plan=plan.to_json())
    halted = await until_told(task, paused)
    assert [item.name for item in halted.of(State.FAILED)] == ["h1-0"]
    assert {item.name for item in halted.of(State.WAITING)} == {"h1-1", "h1-2", "h2-1", "h2-2"}
    await manager.run("plan-resume", task=task.id)
    assert await task.wait(90) is Status.FAILURE
    assert (task.error, task.error_code) == (halted.of(State.FAILED)[0].error, 400)
    assert read(task.metadata["plan"]).counts() == {State.DONE: 5, State.FAILED: 1}
    assert task.hosts["h2"] == {"status": "done, 3 of 3", "progress": 100, "error": ""}

    await api(clean_lab, "h1", "DELETE", "/1.0/instances/h1-0/snapshots/s")
    again = await manager.run("plan-retry", task=task.id)
    assert again is not task
    assert await again.wait(90) is Status.SUCCESS
    assert {item.name: item.tries for item in read(again.metadata["plan"]).items if item.tries > 1} == {"h1-0": 2}
    await refused(manager, "plan-retry", 400, "nothing of this plan failed", task=again.id)
    await refused(manager, "plan-retry", 404, "there is no plan", task="nothing")
    await refused(manager, "plan-resume", 404, "no plan of that id runs", task=task.id)


async def test_what_failed_may_be_left_out(manager: Manager, clean_lab: Lab) -> None:
    await empty(clean_lab, "h1", "a", "b")
    await have(manager, "a", "b")
    plan = make(manager.inventory, "restore", rows(manager, "a", "b"), {"snapshot": "s"}, Limits(canary=1))
    task = await manager.run("run", plan=plan.to_json())
    halted = await until_told(task, paused)
    assert (len(halted.of(State.FAILED)), len(halted.of(State.WAITING))) == (1, 1), "the canary failed alone"
    await manager.run("plan-skip", task=task.id)
    await until_told(task, lambda plan: paused(plan) and plan.of(State.SKIPPED) and plan.of(State.FAILED))
    await manager.run("plan-skip", task=task.id)
    assert await task.wait(90) is Status.SUCCESS
    assert read(task.metadata["plan"]).counts() == {State.SKIPPED: 2}


async def test_paused_by_hand_begins_nothing_and_may_be_cancelled(manager: Manager, clean_lab: Lab) -> None:
    names = [f"a{n}" for n in range(24)]  # more than are done until the word to pause has come through
    await empty(clean_lab, "h3", *names)
    await have(manager, *names)
    plan = make(manager.inventory, "delete", rows(manager, *names), {}, Limits(per_host=1))
    task = await manager.run("run", plan=plan.to_json())
    await until_told(task, lambda plan: plan.of(State.RUNNING))
    assert await manager.run("plan-pause", task=task.id) is task
    halted = await until_told(task, paused)
    assert halted.why == "paused by hand"
    left = {item.name for item in halted.of(State.WAITING)}
    assert left
    assert task.cancel()
    assert await task.wait(90) is Status.CANCELLED
    assert {row["name"] for row in await api(clean_lab, "h3", "GET", "/1.0/instances?recursion=1")} == left
    again = await manager.run("plan-retry", task=task.id)
    assert await again.wait(90) is Status.SUCCESS, "what was not begun is still in the plan of a cancelled task"
    assert not await api(clean_lab, "h3", "GET", "/1.0/instances")


@pytest.mark.parametrize(("on_error", "done_too"), [("continue", 2), ("stop", 0)])
async def test_without_anybody_to_ask(manager: Manager, clean_lab: Lab, on_error: Any, done_too: int) -> None:
    await empty(clean_lab, "h1", "a", "b", "c")
    await have(manager, "a", "b", "c")
    await api(clean_lab, "h1", "POST", "/1.0/instances/a/snapshots", {"name": "s"})
    limits = Limits(wave=1, on_error=on_error)
    plan = make(manager.inventory, "snapshot", rows(manager, "a", "b", "c"), {"name": "s"}, limits)
    task = await done(manager, "run", Status.FAILURE, plan=plan.to_json())
    counts = read(task.metadata["plan"]).counts()
    assert (counts[State.FAILED], counts[State.DONE], counts[State.WAITING]) == (1, done_too, 2 - done_too)


async def test_a_plan_is_kept_in_the_store(clean_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with managing(clean_lab, tmp_path) as manager:
        monkeypatch.setattr(manager.tasks, "close", partial(manager.tasks.close, grace=60.0))  # the disk may be slow
        await empty(clean_lab, "i1", "a", "b")
        await have(manager, "a", "b")
        plan = make(manager.inventory, "restore", rows(manager, "a", "b"), {"snapshot": "s"}, Limits(wave=1))
        task = await manager.run("run", plan=plan.to_json())
        await until_told(task, paused)
    assert task.status is Status.CANCELLED
    for name in "ab":
        await api(clean_lab, "i1", "POST", f"/1.0/instances/{name}/snapshots", {"name": "s"})
    async with managing(clean_lab, tmp_path) as manager:
        again = await manager.run("plan-retry", task=task.id)
        assert await again.wait(90) is Status.SUCCESS, (again.error, again.metadata)


# -- what nobody knows the end of


async def test_what_a_lost_host_had_done_already_is_not_an_error(manager: Manager, clean_lab: Lab) -> None:
    """The answer was lost, not the deed: asked again the host refuses, and it is as it should be."""
    await empty(clean_lab, "h1", "a", "b", "c")
    await have(manager, "a", "b", "c")
    plan = make(manager.inventory, "delete", rows(manager, "a", "b", "c"), {}, Limits(on_error="continue"))
    await api(clean_lab, "h1", "DELETE", "/1.0/instances/a")
    plan.items[0].state = State.RUNNING  # as the file says it after the manager was killed
    plan.items[1].state, plan.items[1].unsure = State.FAILED, True
    task = await done(manager, "run", plan=plan.to_json())
    assert read(task.metadata["plan"]).counts() == {State.DONE: 3}

    await refused(manager, "run", 400, "nothing of this plan is left", plan=json.dumps(task.metadata["plan"]))
    task = await done(manager, "run", Status.FAILURE, plan=json.dumps(task.metadata["plan"]), again=True)
    assert task.error.startswith("3 of 3 failed: h1: ")


async def test_a_host_that_is_not_there_fails_at_once(manager: Manager, clean_lab: Lab) -> None:
    await empty(clean_lab, "h1", "a")
    await have(manager, "a")
    plan = make(manager.inventory, "snapshot", rows(manager, "a"), {}, Limits(on_error="continue"))
    plan.items[0].host = "h9"
    task = await done(manager, "run", Status.FAILURE, plan=plan.to_json())
    assert (task.error, task.error_code) == ("there is no host 'h9'", 404)


# -- as an action


async def test_a_bulk_act_by_name_and_by_filter(manager: Manager, clean_lab: Lab) -> None:
    await asyncio.gather(*(empty(clean_lab, host, f"web-{host}", f"db-{host}") for host in ALL))
    await have(manager, *(f"{kind}-{host}" for kind in ("web", "db") for host in ALL))
    task = await done(manager, "bulk", act="snapshot", filter="web-*", name="{name}-{n}", expires="2d")
    assert {item.name for item in read(task.metadata["plan"]).items} == {f"web-{host}" for host in ALL}
    for host in ALL:
        [one] = await api(clean_lab, host, "GET", f"/1.0/instances/web-{host}/snapshots?recursion=1")
        assert one["name"].rpartition("-")[0] == f"web-{host}"
        assert one["expires_at"] > "2026"
        assert not await api(clean_lab, host, "GET", f"/1.0/instances/db-{host}/snapshots")
    await done(manager, "bulk", act="rename", instances=["db-h1"], filter="db-i1", new_name="{host}-base", wave=1)
    assert (where(manager, "h1-base"), where(manager, "i1-base")) == (["h1"], ["i1"])
    await done(manager, "bulk", act="configure", filter="web", set=["user.a=1", "user.b=2"])
    await done(manager, "bulk", act="configure", filter="web", set=["user.a="])
    for host in ALL:
        config = (await api(clean_lab, host, "GET", f"/1.0/instances/web-{host}"))["config"]
        assert (config.get("user.a"), config["user.b"]) == (None, "2")
    await refused(manager, "bulk", 400, "start has no option 'force'", act="start", filter="web", force=True)
    await refused(manager, "bulk", 400, "no instances", act="start", filter="nothing-like-it")
    await refused(manager, "bulk", 400, "no field colour", act="start", filter="colour:red")
    await done(manager, "bulk", act="delete", filter="!base", canary=2)
    assert {row.name for row in manager.inventory.all_instances()} >= {"h1-base", "i1-base"}


async def test_the_plan_of_an_action_is_what_it_would_send(manager: Manager, clean_lab: Lab) -> None:
    await empty(clean_lab, "h1", "a")
    await have(manager, "a")
    plan = plan_of(manager, "delete", {"instances": ["a"]})
    assert [call.text() for _, call in plan.calls()] == ["DELETE /1.0/instances/a"]
    assert plan.limits.on_error == "pause"
    both = plan_of(manager, "bulk", {"act": "snapshot", "instances": ["h1:a"], "canary": 1})
    assert both.waves == [0]
    assert where(manager, "a") == ["h1"], "nothing was done"
    file = manager.paths.state_dir / "plan.json"
    file.write_text(plan.to_json())
    assert plan_of(manager, "run", {"plan": str(file)}) == plan
    await done(manager, "run", plan=str(file))
    assert where(manager, "a") == []
    await refused(manager, "run", 400, "No such file", plan="/nowhere/plan.json")


async def test_names_that_a_plan_makes_are_claimed_while_it_runs(manager: Manager, clean_lab: Lab) -> None:
    """Also while it is paused: a is gone, which is the first that fails."""
    await empty(clean_lab, "h1", "a", "b")
    await have(manager, "a", "b")
    plan = make(manager.inventory, "rename", rows(manager, "a", "b"), {"new_name": "{name}-2"}, Limits(wave=1))
    await api(clean_lab, "h1", "DELETE", "/1.0/instances/a")
    task = await manager.run("run", plan=plan.to_json())
    assert manager.claims == {("default", "a-2"), ("default", "b-2")}
    await until_told(task, paused)
    await refused(manager, "rename", 409, 'Instance "b-2" already exists', instance="b", new_name="b-2")
    await manager.run("plan-skip", task=task.id)
    assert await task.wait(90) is Status.SUCCESS
    assert where(manager, "b-2") == ["h1"]
    assert not manager.claims


async def test_a_command_in_waves_keeps_what_each_said(manager: Manager) -> None:
    """It is followed by a pause: LXD 5.0 may lose what is said right before the end."""
    await done(manager, "launch", image="busybox", name="c", count=2, target="h1")
    await done(manager, "launch", image="busybox", name="d", target="i1")
    names = ["c-1", "c-2", "d"]
    says = "sh -c 'echo hello; hostname; sleep 0.5'"
    task = await done(manager, "bulk", act="exec", instances=names, run=says, wave=1)
    items = read(task.metadata["plan"]).items
    assert {item.name: (item.result or {})["stdout"] for item in items} == {name: f"hello\n{name}\n" for name in names}
    assert [item.wave for item in items] == [1, 2, 1]
    task = await done(
        manager, "bulk", Status.FAILURE, act="exec", instances=names, run="sh -c 'echo no >&2; sleep 0.5; exit 3'",
        on_error="continue"
    )  # fmt: skip
    for item in read(task.metadata["plan"]).items:
        assert item.error == f"{item.host}: exit code 3"
        assert (item.result or {})["stderr"] == "no\n"
    await refused(manager, "bulk", 400, "exec needs a command", act="exec", instances=names)
