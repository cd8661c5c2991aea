"""Runs a plan as a task: wave after wave, a few calls at once on each host; pauses on an error, retries what failed.

A host that is lost in the middle fails its own instances with the cause, those not yet sent at once; the others end
what they do, and the plan waits for a person. Its state is the task's metadata["plan"], told at intervals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.plan import Call, Goal, Item, Plan, State
from lxdpm_tui.actions.plan_make import free_names
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

TELL = 0.1  # seconds between two tellings of the state
TELL_MORE = 0.0005  # and for each item of the plan
WRITABLE = ("architecture", "config", "description", "devices", "ephemeral", "profiles", "stateful")

Via = Callable[["Manager", Item, Call], Awaitable[dict[str, Any] | None]]
VIA: dict[str, Via] = {}
"""Call.via -> what carries such a call out. Raises ApiError, HostError or ActionError; its result is kept."""

Explain = Callable[[Sequence[Item], int], ActionError]


def explain(failed: Sequence[Item], total: int) -> ActionError:
    """The error of a plan: the one that there is, or how many of how many with the first five."""
    if len(failed) == 1:
        return ActionError(failed[0].error, failed[0].code)
    return ActionError(f"{len(failed)} of {total} failed: " + "; ".join(item.error for item in failed[:5]), 500)


async def start(
    manager: Manager, plan: Plan, *, kind: str = "", lenient: bool = False, explain: Explain = explain
) -> Task:
    """Run what is not done of a plan. Raises ActionError when it would make instances that are there already.

    lenient: what a host refuses because it is so already counts as done.
    """
    todo = plan.of(State.WAITING, State.RUNNING, State.FAILED)
    if not todo:
        raise ActionError("nothing of this plan is left to be done")
    for item in todo:
        item.unsure |= item.state is State.RUNNING
        item.again()
    fresh = Plan(plan.act, plan.about, [item for item in todo if not item.unsure and not item.sent])
    free_names(manager.inventory, fresh, frozenset(manager.claims))
    task = Task(
        kind=kind or plan.act,
        description=plan.about,
        project=plan.items[0].project,
        resources={"instances": [url_of(item) for item in plan.items]},
        hosts={host: {"status": "waiting"} for host in plan.hosts},
        owner=manager.caller,
    )
    run = PlanRun(manager, plan, task, lenient, explain)
    claims = {(item.project, item.makes) for item in todo if item.makes}
    manager.claims |= claims
    manager.plans[task.id] = run

    def ended(task: Task) -> None:
        if task.status.final:
            manager.claims.difference_update(claims)
            manager.plans.pop(task.id, None)

    try:
        run.tell_now()
        await manager.tasks.start(task, run.run)
    except BaseException:
        manager.claims.difference_update(claims)
        manager.plans.pop(task.id, None)
        raise
    task.subscribe(ended)
    ended(task)
    return task


class PlanRun:
    """One run of a plan. pause, resume, retry and skip are for other tasks of the same loop."""

    def __init__(self, manager: Manager, plan: Plan, task: Task, lenient: bool, explain: Explain) -> None:
        self.plan, self.task = plan, task
        self._manager, self._lenient, self._explain = manager, lenient, explain
        self._go = asyncio.Event()
        self._go.set()
        self._accepted = False  # a person said to go on without those that failed
        self._hosts = {host: asyncio.Semaphore(plan.limits.per_host) for host in plan.hosts}
        self._fleet = asyncio.Semaphore(plan.limits.at_once)
        self._timer: asyncio.TimerHandle | None = None

    # -- for people

    def pause(self, why: str = "paused by hand") -> None:
        """Begin nothing more; what is under way ends."""
        if self.plan.state == "running":
            self._go.clear()
            self.plan.state, self.plan.why = "paused", why
            self.tell_now()

    def resume(self) -> None:
        """Go on; what failed stays failed."""
        self._accepted = True
        self._set_going()

    def retry(self) -> int:
        """Do again what failed, and go on. Gives how many that are."""
        failed = self.plan.of(State.FAILED)
        for item in failed:
            item.again()
        self._accepted = False
        self._set_going()
        return len(failed)

    def skip(self) -> int:
        """Leave out what failed, and go on. Gives how many that are."""
        failed = self.plan.of(State.FAILED)
        for item in failed:
            item.state = State.SKIPPED
        self._set_going()
        return len(failed)

    def _set_going(self) -> None:
        self.plan.state, self.plan.why = "running", ""
        self._go.set()
        self.tell_now()

    # -- the run

    async def run(self, task: Task, journal: Journal) -> None:
        """The task's runner. Raises ActionError for what failed."""
        self.plan.state = "running"
        limits = self.plan.limits
        try:
            while True:
                await self._go.wait()
                waiting = self.plan.of(State.WAITING)
                failed = self.plan.of(State.FAILED)
                if waiting and not (failed and limits.on_error == "stop"):
                    wave = min(item.wave for item in waiting)
                    await self._wave([item for item in waiting if item.wave == wave])
                elif failed and limits.on_error == "pause" and not self._accepted:
                    self.pause(f"{len(failed)} failed: {failed[0].error}")
                else:
                    break
        finally:
            for item in self.plan.of(State.RUNNING):
                item.state, item.error, item.code, item.unsure = State.FAILED, "stopped in the middle of it", 400, True
            self.plan.state = "done"
            self.tell_now()
        if failed:
            raise self._explain(failed, len(self.plan.items))

    async def _wave(self, items: Sequence[Item]) -> None:
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(self._turn(item))

    async def _turn(self, item: Item) -> None:
        async with self._hosts[item.host], self._fleet:
            if item.state is not State.WAITING or not self._go.is_set():
                return
            if self.plan.limits.on_error == "stop" and self.plan.of(State.FAILED):
                return
            item.state, item.tries = State.RUNNING, item.tries + 1
            self._tell()
            try:
                await self._do(item)
            except (ApiError, ActionError) as error:
                self._failed(item, str(error), error.code)
            except HostError as error:
                item.unsure = True
                self._failed(item, str(error), 503)
            else:
                item.state, item.unsure = State.DONE, False
            self._tell()
            keys = [Key(item.host, item.project, name) for name in (item.name, item.makes) if name]
            if item.host in self._manager.inventory.hosts:
                await resolve.read_again(self._manager, *keys)  # what is asked for next goes by the inventory

    async def _do(self, item: Item) -> None:
        record = self._manager.inventory.hosts.get(item.host)
        if record is None:
            raise ActionError(f"there is no host {item.host!r}", 404)
        if not record.usable:
            raise ActionError(
                f"{item.host}: not sent, it is {record.status}: {record.reason or 'no reason known'}", 503
            )
        for call in item.calls[item.sent :]:
            try:
                result = await self._send(item, call)
            except ApiError:
                # Refused, perhaps since it is so already: by a call of which no answer came.
                if not (item.unsure or self._lenient) or not await self._reached(item, call.goal):
                    raise
            else:
                item.result = result or item.result
            item.sent += 1

    async def _send(self, item: Item, call: Call) -> dict[str, Any] | None:
        if call.via:
            return await VIA[call.via](self._manager, item, call)
        params, body, headers = {"project": item.project}, call.body, None
        if call.merge:
            reply = await self._manager.fleet.hosts[item.host].request("GET", call.path, params=params)
            whole = reply.metadata
            body = merged({key: whole[key] for key in WRITABLE if key in whole}, call.body or {})
            headers = {"If-Match": reply.etag} if reply.etag else None
        found = await self._manager.fleet.operate(
            item.host, call.method, call.path, params=params, json=body, headers=headers
        )
        return {"fingerprint": found["fingerprint"]} if "fingerprint" in found else None

    async def _reached(self, item: Item, goal: Goal | None) -> bool:
        if goal is None:
            return False
        try:
            found = await self._manager.fleet.hosts[item.host].get(goal.path, project=item.project)
        except ApiError as error:
            return error.code == 404 and goal.state == "gone"
        return goal.state == "there" or (isinstance(found, dict) and found.get("status") == goal.state)

    def _failed(self, item: Item, error: str, code: int) -> None:
        item.state, item.error, item.code = State.FAILED, error, code
        record = self._manager.inventory.hosts.get(item.host)
        if record is None or not record.usable:
            for other in self.plan.of(State.WAITING):
                if other.host == item.host:
                    why = f"not sent, {error.removeprefix(item.host + ': ').removeprefix('not sent, ')}"
                    other.state, other.error, other.code = State.FAILED, f"{item.host}: {why}", code
        if self.plan.limits.on_error == "pause":
            self._accepted = False
            self._go.clear()
            self.plan.state, self.plan.why = "paused", f"{len(self.plan.of(State.FAILED))} failed: {error}"

    # -- telling

    def _tell(self) -> None:
        if self._timer is None:
            wait = TELL + TELL_MORE * len(self.plan.items)
            self._timer = asyncio.get_running_loop().call_later(wait, self.tell_now)

    def tell_now(self) -> None:
        """Write the state into the task, for all who look."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for host, told in summaries(self.plan).items():
            self.task.hosts.setdefault(host, {}).update(told)
        self.task.update(metadata={"plan": self.plan.to_dict()})


def summaries(plan: Plan) -> dict[str, dict[str, Any]]:
    """Per host: status, progress in percent, and the first error."""
    found: dict[str, dict[str, Any]] = {}
    by_host: dict[str, list[Item]] = {}
    for item in plan.items:
        by_host.setdefault(item.host, []).append(item)
    for host, items in by_host.items():
        states = [item.state for item in items]
        ended = sum(state in (State.DONE, State.FAILED, State.SKIPPED) for state in states)
        error = next((item.error for item in items if item.state is State.FAILED), "")
        if ended == len(items):
            status = "failed" if error else "done"
        else:
            status = "running" if State.RUNNING in states else "waiting"
        if len(items) > 1 and not (status == "waiting" and not ended):
            status = f"{status}, {ended} of {len(items)}"
        found[host] = {"status": status, "progress": 100 * ended // len(items), "error": error}
    return found


def merged(whole: Any, patch: Any) -> Any:
    """A JSON merge patch applied (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(whole) if isinstance(whole, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


def url_of(item: Item) -> str:
    """Of its instance, as an operation's resources have it."""
    query = "" if item.project == "default" else f"?project={quote(item.project, safe='')}"
    return f"/1.0/instances/{quote(item.name, safe='')}{query}"
