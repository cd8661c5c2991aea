"""What the console knows and does, without a widget: the manager behind it, tasks followed, drafts, messages."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from lxdpm_tui.actions.registry import ActionError, registry
from lxdpm_tui.console.columns import Look
from lxdpm_tui.console.messages import Messages
from lxdpm_tui.console.resources import tasks as task_words
from lxdpm_tui.console.watching import Watching
from lxdpm_tui.fleet.inventory import ChangeSet, HostRecord, Instance, Inventory, Key
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Status, Task

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

    def plan(self, **arguments: Any) -> list[dict[str, Any]]: ...


class Session:
    """The state of one console.

    `changed(kind, changed, removed, figures)` is called when rows of a kind changed, `tell()` when words did.
    """

    def __init__(self) -> None:
        self.look = Look()
        self.messages = Messages()
        self.backend: Backend | None = None
        self.drafts: dict[str, dict[str, Any]] = {}
        self.registry = registry
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

    # -- the manager comes and goes

    def attach(self, backend: Backend) -> None:
        """The manager is there: look at its inventory and hear of its changes."""
        self.backend = backend
        self.look.inventory = backend.inventory
        self._undo = [backend.inventory.subscribe(self._inventory_changed), backend.tasks.subscribe(self._task_changed)]
        self.watching.attach(backend.fleet)
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
        if task.status is Status.SUCCESS:
            if form:
                self.drafts.pop(form, None)
            outcome = task_words.outcome(task)
            self.say("info", f"Done: {words}" + (f" ({outcome})" if outcome else ""))
        elif task.status is Status.CANCELLED:
            self.say("warn", f"Cancelled: {words}")
        else:
            if form:
                self.drafts[form] = values
            again = "  (your values are kept in the form)" if form else ""
            self.say("bad", f"Failed: {words}: {task.error or 'no reason given'}{again}")

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

    async def run(self, action: str, *, form: str = "", values: dict[str, Any] | None = None, **arguments: Any) -> Task:
        """Start an action. form, values: what to offer again when the task fails. Raises REFUSALS."""
        if self.backend is None:
            raise ActionError("still connecting: no manager yet", 503)
        if self.read_only:
            raise ActionError("this console only reads (--read-only)", 403)
        self.before_run()
        task = await self.backend.run(action, **arguments)
        if task.status.final and task.id in self._reported:
            return task
        self._own[task.id] = (form, dict(values or {}))
        return task

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


def _is_wrong(host: HostRecord) -> bool:
    return not host.usable or str(host.status) == "slow"


def reference(key: Key) -> str:
    """How an action is told exactly which instance: HOST:NAME."""
    return f"{key.host}:{key.name}"
