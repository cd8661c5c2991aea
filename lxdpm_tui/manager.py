"""The assembly: one manager a state directory, with its store, fleet, scheduler, tasks and actions."""

from __future__ import annotations

import asyncio
import fcntl
import importlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from lxdpm_tui.actions import images, load_all
from lxdpm_tui.actions.hosts_follow import HostsFile
from lxdpm_tui.actions.instances import launch_plans
from lxdpm_tui.actions.own_warnings import OwnWarnings
from lxdpm_tui.actions.plan import Limits, Plan
from lxdpm_tui.actions.plan import read as read_plan
from lxdpm_tui.actions.plan_actions import asked, plan_asked, plan_of
from lxdpm_tui.actions.plan_make import make
from lxdpm_tui.actions.plan_run import PlanRun
from lxdpm_tui.actions.registry import ActionError, registry
from lxdpm_tui.actions.there import THE_CLUSTERS_OWN
from lxdpm_tui.actions.undo import undo_handlers
from lxdpm_tui.config import HostConfig, Paths, SshAddress
from lxdpm_tui.fleet.fleet import Fleet
from lxdpm_tui.fleet.inventory import ChangeSet, Instance
from lxdpm_tui.hosts.identity import ensure_identity
from lxdpm_tui.scheduler.facts import Facts
from lxdpm_tui.scheduler.membership import Membership
from lxdpm_tui.scheduler.scheduler import Scheduler
from lxdpm_tui.store import Store, StoreError
from lxdpm_tui.tasks.manager import TaskManager
from lxdpm_tui.tasks.task import Task
from lxdpm_tui.upstream import Upstream

caller: ContextVar[str] = ContextVar("caller", default="local")
"""Who asks: "console", "cli", "unix" or the fingerprint of a client's certificate. For the audit and task owners."""


class AlreadyRunning(Exception):
    """Another manager holds the state directory. pid: its process."""

    def __init__(self, pid: int, state_dir: str) -> None:
        super().__init__(
            f"a manager (process {pid}) already works on {state_dir}; end it, or give this one a --state of its own"
        )
        self.pid = pid


def _load_for(hosts: list[HostConfig]) -> None:
    """Import what opening needs; away from the event loop, where it would hold up the first keys."""
    load_all()
    if any(isinstance(host.address, SshAddress) for host in hosts):
        importlib.import_module("lxdpm_tui.hosts.ssh")


class Manager:
    """Everything behind both front doors. Use `async with Manager.open(...)`.

    attached_to: the address of the server that another manager serves; "" for a manager of one's own.
    claims: (project, name) of instances that are being made or renamed, so that no name is given twice.
    plans: the bulk acts that run or are paused, by the ids of their tasks.
    warnings: what is wrong with the fleet as a whole, as this manager sees it.
    """

    registry = registry

    def __init__(self, paths: Paths, fleet: Fleet, store: Store) -> None:
        self.paths = paths
        self.fleet = fleet
        self.inventory = fleet.inventory
        self.store = store
        self.membership = Membership(store)
        self.scheduler = Scheduler(Facts(self.inventory, placement=self.membership.placement), store)
        self.tasks = TaskManager(store, fleet.until_usable)
        self.tasks.undo_handlers.update(undo_handlers(self))
        self.claims: set[tuple[str, str]] = set()
        self.plans: dict[str, PlanRun] = {}
        self.warnings = OwnWarnings(fleet.inventory, store)
        self.hosts_file = HostsFile(self)
        self.upstream = Upstream(fleet, self.tasks, self.scheduler)
        self.attached_to = ""
        self._audits: dict[asyncio.Task[None], Task] = {}
        self.inventory.subscribe(self._instances_seen)

    @classmethod
    @asynccontextmanager
    async def open(cls, paths: Paths, hosts: Iterable[HostConfig]) -> AsyncIterator[Manager]:
        """Take the lock, open the store, begin to watch the hosts, take up unfinished tasks.

        Raises AlreadyRunning, StoreError. Does not wait for any host.
        """
        paths.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = take_lock(paths)
        try:
            async with cls._opened(paths, hosts, paths.state_dir) as manager:
                yield manager
        finally:
            os.close(lock)

    @classmethod
    @asynccontextmanager
    async def attach(cls, paths: Paths, server: HostConfig) -> AsyncIterator[Manager]:
        """A manager for one server that is managed elsewhere: a gateway, a cluster, a daemon. Takes no lock and keeps
        nothing.

        paths: state_dir has the client certificate to show.  Raises StoreError. Does not wait for the server.
        """
        paths.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="lxdpm-attached-") as folder:
            async with cls._opened(Paths(paths.hosts_file, Path(folder)), [server], paths.state_dir) as manager:
                manager.attached_to = str(server.address)
                yield manager

    @classmethod
    @asynccontextmanager
    async def _opened(cls, paths: Paths, hosts: Iterable[HostConfig], identity_dir: Path) -> AsyncIterator[Manager]:
        hosts = list(hosts)
        await asyncio.to_thread(_load_for, hosts)
        store = Store(paths.database)
        await store.open()
        try:
            identity = await asyncio.to_thread(ensure_identity, identity_dir)
            fleet = Fleet(hosts, identity, frozenset(await store.list_maintenance()))
            manager = cls(paths, fleet, store)
            await manager.membership.load()
            await manager.scheduler.load()
            end_images = images.begin(manager)
            try:
                await fleet.start()
                await manager.tasks.recover()
                yield manager
            finally:
                end_images()
                await manager.hosts_file.close()
                await manager.tasks.close()
                manager.upstream.close()
                await manager._finish_audits()
                await fleet.close()
                await manager.scheduler.close()
        finally:
            await store.close()

    @property
    def caller(self) -> str:
        return caller.get()

    async def run(self, action: str, /, **arguments: Any) -> Task:
        """Start an action by name; it is entered in the audit, also when refused. Raises ActionError.

        When all of the fleet is another gateway it is started there, which may raise the HostError family.
        """
        if self.upstream.runs(action):
            return await self.upstream.run(action, arguments)
        try:
            task = await registry.run(self, action, **arguments)
        except ActionError as error:
            await self.store.append_audit(self.caller, action, arguments, result=f"refused: {error.text}")
            raise
        await self.audit(action, arguments, task)
        return task

    async def set_strategy(self, wanted: str) -> None:
        """Choose how instances are placed. Raises ActionError, and the HostError family when a gateway places them."""
        if self.upstream.ours:
            await self.upstream.set_strategy(wanted)
        else:
            await self.scheduler.set_strategy(wanted)

    async def audit(self, action: str, arguments: dict[str, Any], task: Task) -> None:
        """Enter a started action in the audit; its result follows when the task ends."""
        line = await self.store.append_audit(self.caller, action, arguments, task.id)
        result = asyncio.create_task(self._audit_result(line, task))
        self._audits[result] = task
        result.add_done_callback(self._audits.pop)

    async def _audit_result(self, line: int, task: Task) -> None:
        status = await task.wait()
        await self.store.set_audit_result(line, f"{status.text}: {task.error}" if task.error else status.text)

    async def _finish_audits(self) -> None:
        """Results of ended tasks are written; one that goes on at the next start leaves its line without a result."""
        for result, task in self._audits.items():
            if not task.status.final:
                result.cancel()
        await asyncio.gather(*self._audits, return_exceptions=True)

    def plan(self, /, **arguments: Any) -> list[dict[str, Any]]:
        """Where a launch with these arguments would go and why, one decision an instance; nothing is held.

        As this manager knows the fleet: see `preview`. Arguments as for the action `launch`. Raises ActionError.
        """
        launch = registry.actions["launch"]
        full = registry.complete(launch, arguments)
        strategy = full.pop("strategy")
        full.pop("no_start")
        plans = launch_plans(self, **full)
        if self.upstream.places and not full["target"]:
            chosen = {"chosen": "a member of the cluster's choice", "strategy": THE_CLUSTERS_OWN, "hosts": []}
            return [{"instance": plan.request.instance, **chosen} for plan in plans]
        decisions = self.scheduler.plan_all([plan.request for plan in plans], strategy)
        return [
            {"instance": plan.request.instance, **decision.to_dict()}
            for plan, decision in zip(plans, decisions, strict=True)
        ]

    async def preview(self, /, **arguments: Any) -> list[dict[str, Any]]:
        """As `plan`, by whoever will carry it out. Raises ActionError, and HostError when that is a gateway."""
        if self.upstream.ours:
            found: list[dict[str, Any]] = await self.upstream.ask("plan", arguments)
            return found
        return self.plan(**arguments)

    async def fleet_warnings(self) -> list[dict[str, Any]]:
        """What is wrong with the fleet as a whole, as LXD's warnings, by who serves it. Raises as `preview`."""
        if self.upstream.ours:
            found: list[dict[str, Any]] = await self.upstream.ask("warnings")
            return found
        try:
            return await self.warnings.all()
        except StoreError as error:
            raise ActionError(str(error), 503) from error

    async def plan_of(self, action: str, arguments: Mapping[str, Any]) -> Plan:
        """The calls that an action would make, in waves, by whoever will make them. Raises as `preview`."""
        if self.upstream.ours:
            return read_plan(await self.upstream.ask(f"plan/{action}", arguments))
        return plan_of(self, action, arguments)

    def plan_over(
        self, act: str, rows: Iterable[Instance], options: Mapping[str, Any], limits: Limits
    ) -> Plan | Awaitable[Plan]:
        """The plan of a bulk act: at once when it will run here, else as soon as the gateway that runs it has made it.

        Raises as `preview`, now or then.
        """
        if self.upstream.ours:
            return self.plan_asked(asked(act, rows, options, limits))
        return make(self.inventory, act, list(rows), options, limits)

    async def plan_asked(self, body: Mapping[str, Any]) -> Plan:
        """The same for who asks from elsewhere, with what `asked` makes. Raises as `preview`."""
        if self.upstream.ours:
            return read_plan(await self.upstream.ask("plans", body))
        return plan_asked(self, body)

    def _instances_seen(self, change: ChangeSet) -> None:
        """An instance that shows up in the inventory is counted there; what was held for it is over."""
        if change.kind == "instances" and not change.figures:
            for key in change.changed:
                self.scheduler.seen(key.host, key.project, key.name)


def take_lock(paths: Paths) -> int:
    """The lock of a state directory, as a file descriptor to keep open. Raises AlreadyRunning naming the holder."""
    descriptor = os.open(paths.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 32, 0).partition(b"\n")[0].strip()
        os.close(descriptor)
        raise AlreadyRunning(int(holder) if holder.isdigit() else 0, str(paths.state_dir)) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def note_socket(paths: Paths, socket: Path | None) -> None:
    """Write beside our process id where we serve (None: no longer), for those who find the lock taken."""
    where = "" if socket is None else f"\n{socket}"
    paths.lock_file.write_text(f"{os.getpid()}{where}")


def noted_socket(paths: Paths) -> Path | None:
    """Where the manager that holds the lock serves; None when it does not, or not yet."""
    try:
        _, _, where = paths.lock_file.read_text().partition("\n")
    except OSError:
        return None
    socket = Path(where.strip()) if where.strip() else None
    return socket if socket is not None and socket.is_socket() else None
