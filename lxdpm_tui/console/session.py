"""What the console knows and does, without a widget: the manager behind it, tasks followed, drafts, messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lxdpm_tui.actions.registry import ActionError, registry
from lxdpm_tui.console.columns import Look
from lxdpm_tui.console.guarding import Guarding, meant, planned
from lxdpm_tui.console.messages import Messages
from lxdpm_tui.console.resources import tasks as task_words
from lxdpm_tui.console.watching import Watching
from lxdpm_tui.fleet.inventory import ChangeSet, HostRecord, HostStatus, Instance, Inventory, Key
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Status, Task

if TYPE_CHECKING:
    from lxdpm_tui.actions.plan import Limits, Plan

DRAFTS = 50  # kept; the oldest goes
REFUSALS = (ActionError, ApiError, HostError)


class Tasks(Protocol):
    """What the console needs of the task manager."""

    tasks: dict[str, Task]

    def subscribe(self, listener: Callable[[Task], None]) -> Callable[[], None]: ...

    async def history(self, limit: int = 100) -> list[Task]: ...


class Backend(Protocol):
    """What the console needs of a manager: of its own, or attached to one in another process."""

    @property
    def inventory(self) -> Inventory: ...

    @property
    def tasks(self) -> Tasks: ...

    @property
    def attached_to(self) -> str:
        """The server that another manager serves; "" when this is that manager."""
        ...

    @property
    def scheduler(self) -> Any: ...

    @property
    def fleet(self) -> Any: ...

    def run(self, action: str, /, **arguments: Any) -> Awaitable[Task]: ...

    async def fleet_warnings(self) -> list[dict[str, Any]]: ...

    async def preview(self, **arguments: Any) -> list[dict[str, Any]]: ...

    def plan_of(self, action: str, arguments: Mapping[str, Any]) -> Awaitable[Plan]: ...

    def plan_over(
        self, act: str, rows: Iterable[Instance], options: Mapping[str, Any], limits: Limits
    ) -> Plan | Awaitable[Plan]: ...


_PLANNED = ("run", "bulk", "plan-resume", "plan-skip", "plan-retry")
"""Actions that do not themselves say which instances they are about."""


class Draft(NamedTuple):
    """What was typed into a form. failed: it was tried; else the form was left."""

    values: dict[str, str]
    failed: bool = False


class Session:
    """The state of one console. drafts: by form and what it is about; they live as long as the console.

    `changed(kind, changed, removed, figures)` is called when rows of a kind changed, `tell()` when words did.
    """

    def __init__(self) -> None:
        self.look = Look()
        self.messages = Messages()
        self.backend: Backend | None = None
        self.drafts: dict[str, Draft] = {}
        self.registry = registry
        self.guarding = Guarding()
        self.changed: Callable[..., None] = lambda *change: None
        self.tell: Callable[[], None] = lambda: None
        self.before_run: Callable[[], None] = lambda: None
        self.watching = Watching(self.look, lambda kind, changed, removed: self.changed(kind, changed, removed))
        self.project = ""  # the only one looked at; "" = all
        self.read_only = False
        self._undo: list[Callable[[], None]] = []
        self._reported: set[str] = set()
        self._paused: set[str] = set()
        self._own: dict[str, tuple[str, dict[str, Any]]] = {}

    @property
    def inventory(self) -> Inventory:
        return self.look.inventory

    @property
    def tasks(self) -> Mapping[str, Task]:
        return self.backend.tasks.tasks if self.backend is not None else {}

    def running(self) -> list[Task]:
        """Tasks that have not ended, the newest first."""
        return sorted((t for t in self.tasks.values() if not t.status.final), key=lambda t: -t.created)

    def all_read(self) -> bool:
        """Whether every host was read, or cannot be: what is not there now does not come by itself soon."""
        return all(host.scanned or not (host.usable or _is_connecting(host)) for host in self.inventory.hosts.values())

    # -- the manager comes and goes

    def attach(self, backend: Backend) -> None:
        """The manager is there: look at its inventory and hear of its changes."""
        self.backend = backend
        self.look.inventory = backend.inventory
        self._undo = [backend.inventory.subscribe(self._inventory_changed), backend.tasks.subscribe(self._task_changed)]
        self.watching.attach(backend.fleet, backend.fleet_warnings)
        self._reported = {task.id for task in backend.tasks.tasks.values() if task.status.final}
        for task in backend.tasks.tasks.values():
            self.look.activity.follow(task)
        if backend.attached_to:
            self.say("info", f"Attached to {backend.attached_to}")

    def detach(self) -> None:
        """The manager is going: listen no more."""
        self.watching.detach()
        for undo in self._undo:
            undo()
        self._undo.clear()
        self.backend = None

    def _inventory_changed(self, change: ChangeSet) -> None:
        self.changed(change.kind, change.changed, change.removed, change.figures)

    def _task_changed(self, task: Task) -> None:
        self.changed("tasks", frozenset({task.id}), frozenset())
        affected = self.look.activity.follow(task)
        if affected:
            keys = frozenset(
                row.key for project, name in affected for row in self.inventory.find_instances(project, name)
            )
            self.changed("instances", keys, frozenset())
        self._tell_pause(task)
        if task.status.final and task.id not in self._reported:
            self._reported.add(task.id)
            self._report(task)
        self.tell()

    def _tell_pause(self, task: Task) -> None:
        """A bulk act that waits for a person says so once."""
        plan = task.metadata.get("plan") or {}
        if plan.get("state") != "paused" or task.status.final:
            self._paused.discard(task.id)
        elif task.id not in self._paused:
            self._paused.add(task.id)
            self.say("bad", f"{task.description}: {plan.get('why') or 'paused'}  (its board: b in the tasks)")

    def _report(self, task: Task) -> None:
        form, values = self._own.pop(task.id, ("", {}))
        words = task_words.what(task)
        if form:
            self._draft_after(task, form, values)
        if task.status is Status.SUCCESS:
            outcome = task_words.outcome(task)
            self.say("info", f"Done: {words}" + (f" ({outcome})" if outcome else ""))
        elif task.status is Status.CANCELLED:
            self.say("warn", f"Cancelled: {words}")
        else:
            again = "  (your values are kept in the form)" if form else ""
            self.say("bad", f"Failed: {words}: {task.error or 'no reason given'}{again}")

    def _draft_after(self, task: Task, form: str, values: dict[str, str]) -> None:
        """What becomes of the values that a task was begun with, now that it ended."""
        if task.status is Status.SUCCESS:
            self.drafts.pop(form, None)
        elif task.status is Status.FAILURE:
            self.keep_draft(form, Draft(values, failed=True))

    def keep_draft(self, form: str, draft: Draft) -> None:
        """For when the form is opened again."""
        self.drafts.pop(form, None)
        self.drafts[form] = draft
        while len(self.drafts) > DRAFTS:
            del self.drafts[next(iter(self.drafts))]

    # -- words

    def say(self, severity: Any, text: str) -> None:
        """One line for the person."""
        self.messages.say(time.time(), severity, text)
        self.tell()

    def wrong(self) -> list[str]:
        """What is wrong in the fleet right now, in words, the worst first."""
        order = {"identity changed": 0, "untrusted": 1, "unreachable": 2, "connecting": 3, "slow": 4}
        bad = [host for host in self.inventory.hosts.values() if _is_wrong(host)]
        bad.sort(key=lambda host: (order.get(str(host.status), 9), host.name))
        return [f"{host.name} {host.status}" for host in bad]

    # -- deeds

    async def run(
        self,
        action: str,
        *,
        form: str = "",
        values: dict[str, Any] | None = None,
        typed: str = "",
        bulk: Plan | None = None,
        **arguments: Any,
    ) -> Task:
        """Start an action. form, values: what to offer again when the task fails.  typed: what was typed to confirm it.
        bulk: the plan that it runs. Raises REFUSALS."""
        if self.backend is None:
            raise ActionError("still connecting: no manager yet", 503)
        if self.read_only:
            raise ActionError("this console only reads (--read-only)", 403)
        if bulk is None and action in _PLANNED and any(True for _ in self.guarding.guards()):
            bulk, arguments = await self._plan_behind(action, arguments)
        rows = meant(self.inventory, arguments) if bulk is None else planned(self.inventory, bulk)
        await self.guarding.check(self.registry, action if bulk is None else bulk.act, rows, typed)
        self.before_run()
        task = await self.backend.run(action, **arguments)
        if task.status.final and task.id in self._reported:  # it ended before anybody knew whose it is
            if form:
                self._draft_after(task, form, dict(values or {}))
            return task
        self._own[task.id] = (form, dict(values or {}))
        return task

    async def _plan_behind(self, action: str, arguments: dict[str, Any]) -> tuple[Plan | None, dict[str, Any]]:
        """The plan of an action that does not itself say which instances it is about, and the arguments to run it with:
        a file is read once, so that what is looked at is what runs. Raises REFUSALS."""
        from lxdpm_tui.actions.plan import read
        from lxdpm_tui.actions.plan_actions import text_of

        if action == "bulk":
            return await self.plan_of(action, arguments), arguments
        if action != "run":
            return await self._plan_begun(action, str(arguments.get("task", ""))), arguments
        text = await asyncio.to_thread(text_of, str(arguments.get("plan", "")))
        plan = read(text)
        if arguments.get("again"):
            for item in plan.items:
                item.forget()
        return plan, {**arguments, "plan": text}

    async def _plan_begun(self, action: str, ref: str) -> Plan | None:
        """What goes on by that word to a plan that was begun, None when there is no such plan."""
        from lxdpm_tui.actions.plan import State, read

        if self.backend is None:
            return None
        for task in await self.backend.tasks.history(1000):
            if task.id.startswith(ref) and "plan" in task.metadata:
                plan = read(task.metadata["plan"])
                for item in plan.of(State.FAILED) if action != "plan-retry" else ():
                    item.state = State.SKIPPED  # it stays failed
                return plan
        return None

    def plan_over(
        self, act: str, rows: Iterable[Instance], options: Mapping[str, Any], limits: Limits
    ) -> Plan | Awaitable[Plan]:
        """The plan of a bulk act, by whoever will run it: at once, or awaited. Raises REFUSALS, now or then."""
        if self.backend is None:
            raise ActionError("still connecting: no manager yet", 503)
        return self.backend.plan_over(act, rows, options, limits)

    async def plan_of(self, action: str, arguments: Mapping[str, Any]) -> Plan:
        """The calls that an action would make, by whoever will make them. Raises REFUSALS."""
        if self.backend is None:
            raise ActionError("still connecting: no manager yet", 503)
        return await self.backend.plan_of(action, arguments)

    async def attempt(self, action: str, **arguments: Any) -> Task | None:
        """Start an action; a refusal is said in the status line."""
        try:
            return await self.run(action, **arguments)
        except REFUSALS as refusal:
            self.say("bad", f"{action}: {refusal}")
            return None

    async def decision_for(self, row: Instance) -> tuple[Task, Mapping[str, Any]] | None:
        """The placement decision that brought an instance where it is, and the task that keeps it."""
        if self.backend is None:
            return None
        for task in await self.backend.tasks.history(1000):
            for entry in task_words.placements(task):
                if (entry.get("instance"), entry.get("chosen")) == (row.name, row.host) and task.project == row.project:
                    return task, entry
        return None

    async def snapshots(self, row: Instance) -> list[dict[str, Any]]:
        """The snapshots of an instance, asked of its host, oldest first. Raises REFUSALS."""
        if self.backend is None:
            raise ActionError("still connecting: no manager yet", 503)
        host = self.backend.fleet.hosts[row.host]
        found = await host.get(f"/1.0/instances/{row.name}/snapshots", recursion=1, project=row.project)
        return sorted(found or [], key=lambda snapshot: str(snapshot.get("created_at", "")))

    def retry(self, host: str) -> None:
        """Connect to a host again now."""
        if self.backend is not None and host in self.inventory.hosts:
            self.backend.fleet.watch(host).retry_now()
            self.say("info", f"Trying {host} again")


def _is_connecting(host: HostRecord) -> bool:
    return host.status is HostStatus.CONNECTING


def _is_wrong(host: HostRecord) -> bool:
    return not host.usable or str(host.status) == "slow"


def reference(key: Key) -> str:
    """How an action is told exactly which instance: HOST:NAME."""
    return f"{key.host}:{key.name}"
