"""The server behind everything, when the whole fleet is one cluster or one gateway: placement and tasks are its own.

Its operations, started by anybody, are shown as tasks while they happen, and can be cancelled. When it is a gateway of
ours, actions are carried out there, by its scheduler and in its journal, so that all its consoles see the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

import msgspec

from lxdpm_tui.actions.plan_actions import text_of
from lxdpm_tui.actions.registry import ActionError, registry
from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.cluster import ClusterWatcher, is_passing
from lxdpm_tui.fleet.fleet import Fleet, operation_id
from lxdpm_tui.fleet.inventory import ChangeSet
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, Deadlines, HostError
from lxdpm_tui.scheduler.model import Strategy
from lxdpm_tui.scheduler.scheduler import Scheduler
from lxdpm_tui.tasks.manager import TaskManager
from lxdpm_tui.tasks.task import Status, Task

SETTLE = 0.15  # seconds until an operation is shown: by then a task of which it is a part is known
PATIENT = Deadlines(connect=5.0, first_byte=60.0, idle=60.0)  # an action may be looked into before it is answered
QUICK = Deadlines(connect=5.0, first_byte=10.0, idle=10.0)  # what is answered without asking hosts
_CHUNK = 1 << 18
_FILES = ("file-push", "file-pull")  # between instances and the disk of this machine
_KINDS = {
    "Creating": "create",
    "Starting": "start",
    "Stopping": "stop",
    "Restarting": "restart",
    "Freezing": "freeze",
    "Unfreezing": "unfreeze",
    "Deleting": "delete",
    "Renaming": "rename",
    "Snapshotting": "snapshot",
    "Restoring": "restore",
    "Migrating": "move",
    "Updating": "update",
}
"""What LXD's descriptions of operations begin with, as the actions are called here."""


class RemoteTask(Task):
    """A task of the server's. asked: called when somebody asks to cancel it.  told: when the server had it as it is
    shown, seconds since the epoch by the server's clock."""

    asked: Callable[[], None]
    told = 0.0

    def cancel(self, *, force: bool = False) -> bool:
        """See Task. The server decides; until it says so the task is Cancelling."""
        if not super().cancel(force=force):
            return False
        self.asked()
        return True


class Upstream:
    """Follows the one server, as long as there is one (Fleet.cluster)."""

    def __init__(self, fleet: Fleet, tasks: TaskManager, scheduler: Scheduler) -> None:
        self._fleet = fleet
        self._tasks = tasks
        self._scheduler = scheduler
        self._shown: dict[str, RemoteTask] = {}
        self._latest: dict[str, tuple[dict[str, Any], str, float]] = {}  # not shown yet: operation, project, since when
        self._work: set[asyncio.Task[Any]] = set()
        self._connected = False
        self._undo = [fleet.subscribe_events(self._event), fleet.inventory.subscribe(self._changed)]
        tasks.elsewhere = self.history

    def close(self) -> None:
        for undo in self._undo:
            undo()
        for work in self._work:
            work.cancel()

    @property
    def cluster(self) -> ClusterWatcher | None:
        return self._fleet.cluster

    @property
    def ours(self) -> bool:
        """Whether the server is a gateway of ours: actions go there."""
        return self.cluster is not None and self.cluster.members.ours

    def runs(self, action: str) -> bool:
        """Whether an action is carried out there. Files of this machine are not, unless that is the same machine."""
        return self.ours and (action not in _FILES or self._server.transport.scheme == "unix")

    @property
    def places(self) -> bool:
        """Whether it is another one's cluster: instances that name no member go where it chooses."""
        return self.cluster is not None and not self.cluster.members.ours

    @property
    def _server(self) -> Host:
        assert self.cluster is not None, "asked of a fleet that has no server"
        return self.cluster.host

    # -- what is asked of it

    async def run(self, action: str, arguments: Mapping[str, Any]) -> Task:
        """Start an action there. Raises ActionError when it is refused, and the HostError family."""
        known = registry.actions.get(action)
        if known is None:
            raise ActionError(f"there is no action {action!r}", 404)
        sent = {name: value for name, value in arguments.items() if value is not None}
        for param in known.params:
            if param.kind == "file" and sent.get(param.name):
                sent[param.name] = self._file(action, param.name, str(sent[param.name]))
        if isinstance(sent.get("source"), Path):
            return await self._upload(sent)
        path = f"/1.0/fleet/actions/{action}"
        return await self._started("POST", path, str(sent.get("project") or "default"), json=sent)

    async def ask(self, what: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the server says to a question at /1.0/fleet. Raises ActionError when it refuses, and HostError."""
        method = "GET" if body is None else "POST"
        try:
            reply = await self._server.request(method, f"/1.0/fleet/{what}", deadlines=QUICK, json=body)
        except ApiError as error:
            raise ActionError(error.text, error.code) from error
        return reply.metadata

    async def _started(self, method: str, path: str, project: str, **request: Any) -> Task:
        try:
            reply = await self._server.request(method, path, deadlines=PATIENT, **request)
        except ApiError as error:
            raise ActionError(error.text, error.code) from error
        newer = self._latest.pop(operation_id(reply.operation), None)  # its events may overtake the answer
        task = self._show(reply.metadata, project)
        return task if newer is None else self._show(*newer[:2])

    def _file(self, action: str, name: str, text: str) -> str | Path:
        """A file of this machine, as the server can have it: its text, its full name, or a Path that is to be sent."""
        if action == "run":
            return text_of(text)  # the plan itself: its name means nothing there
        path = Path(text).expanduser()
        if action in _FILES:
            return str(path.absolute())
        here = self._server.transport.scheme == "unix"
        if not (path.exists() if here else path.is_file()):
            return text
        if name == "certificate":
            return path.read_text()
        return str(path.absolute()) if here else path

    async def _upload(self, sent: dict[str, Any]) -> Task:
        """An image's file to a server that cannot read our disk."""
        path: Path = sent["source"]
        if sent.get("rootfs") or sent.get("hosts") or sent.get("pending"):
            raise ActionError("images in two files, and for some hosts only, are imported where the server runs")
        headers = {"Content-Type": "application/octet-stream", "X-LXD-filename": path.name}
        if sent.get("public"):
            headers["X-LXD-public"] = "1"
        project = str(sent.get("project") or "default")
        params = {"project": project}
        with path.open("rb") as file:
            body = _chunks(file)
            task = await self._started("POST", "/1.0/images", project, params=params, data=body, headers=headers)
        if sent.get("aliases"):
            self._do(self._name(task, list(sent["aliases"]), params))
        return task

    async def _name(self, task: Task, aliases: list[str], params: dict[str, str]) -> None:
        if await task.wait() is Status.SUCCESS:
            for alias in aliases:
                body = {"name": alias, "target": task.metadata.get("fingerprint", "")}
                with contextlib.suppress(ApiError, HostError):
                    await self._server.request("POST", "/1.0/images/aliases", params=params, json=body)

    async def set_strategy(self, wanted: str) -> None:
        """Raises ActionError, and the HostError family."""
        try:
            await self._server.request("PUT", "/1.0/planner", json={"state": wanted})
        except ApiError as error:
            raise ActionError(error.text, error.code) from error
        await self._scheduler.set_strategy(wanted)

    async def history(self, limit: int) -> list[Task]:
        """What a gateway of ours keeps of ended tasks; [] of other servers, which keep none."""
        if not self.ours:
            return []
        try:
            rows = (await self._server.request("GET", "/1.0/fleet/tasks")).metadata or []
        except (ApiError, HostError):
            return []
        return [self._shown.get(row["id"]) or _task(row, "") for row in rows[:limit]]

    # -- what it tells

    def _changed(self, change: ChangeSet) -> None:
        if change.kind != "hosts":
            return
        cluster = self.cluster
        connected = bool(cluster and cluster.members.hosts and cluster.members.way.event_stream)
        if connected and not self._connected:
            self._do(self._catch_up())
        self._connected = connected

    async def _catch_up(self) -> None:
        """After a connect: what runs there already, what became of what ran before, and its strategy."""
        cluster = self.cluster
        if cluster is None:
            return
        with contextlib.suppress(HostError, ApiError):  # gone again: the next connect asks anew
            if self.ours:
                text = (await self._server.request("GET", "/1.0/planner")).metadata
                if text in tuple(Strategy):
                    await self._scheduler.set_strategy(text)
            running: set[str] = set()
            for project in cluster.members.way.projects or ("default",):
                params = {"recursion": "1", "project": project}
                by_status = (await self._server.request("GET", "/1.0/operations", params=params)).metadata or {}
                for operation in (each for rows in by_status.values() for each in rows or ()):
                    running.add(operation["id"])
                    if operation["id"] in self._shown or int(operation["status_code"]) < 200:
                        self._take(operation, project)
            for id, task in list(self._shown.items()):
                if id not in running and not task.status.final:
                    await self._ask_again(id, task)

    async def _ask_again(self, id: str, task: RemoteTask) -> None:
        try:
            self._show((await self._server.request("GET", f"/1.0/operations/{id}")).metadata, task.project)
        except ApiError:
            task.finish(Status.FAILURE, "the server does not know any more what became of it", 404)

    def _event(self, host: str, message: bytes, event: decode.EventWire) -> None:
        if event.type == "operation" and self.cluster is not None:
            self._take(msgspec.json.decode(event.metadata), event.project)

    def _take(self, operation: dict[str, Any], project: str) -> None:
        id = str(operation["id"])
        if id in self._shown:
            self._show(operation, project)
        elif operation.get("class") == "task" and id not in self._tasks.tasks:
            first = id not in self._latest
            self._latest[id] = (operation, project, time.time() if first else self._latest[id][2])
            if first:
                asyncio.get_running_loop().call_later(SETTLE, self._show_late, id)

    def _show_late(self, id: str) -> None:
        found = self._latest.pop(id, None)
        if found is None or id in self._shown:
            return
        operation, project, arrived = found
        if not self._is_part(operation, arrived):
            self._show(operation, project)

    def _is_part(self, operation: dict[str, Any], arrived: float) -> bool:
        """Whether it is a step of a task that is shown: that one is about the same instances.

        Of the server's own only a move has steps, and what a manager of ours does there.
        """
        about = _instances(operation.get("resources"))
        recent = arrived - 2.0
        if any(is_passing(url.rpartition("/")[2]) for url in about):
            return True
        return bool(about) and any(
            task.id != operation["id"]
            and (not task.status.final or task.updated > recent)
            and (not isinstance(task, RemoteTask) or task.kind == "move" or bool(task.metadata.get("hosts")))
            and about & _instances(task.resources)
            for task in self._tasks.tasks.values()
        )

    def _show(self, operation: dict[str, Any], project: str) -> Task:
        """Make or bring up to date the task of an operation."""
        id = str(operation["id"])
        known = self._shown.get(id)
        if known is None:
            known = self._shown[id] = _task(operation, project)
            known.asked = lambda: self._do(self._cancel(id))
            self._tasks.adopt(known, lambda: self._shown.pop(id, None))
        _bring_up(known, operation)
        return known

    async def _cancel(self, id: str) -> None:
        with contextlib.suppress(ApiError, HostError):  # refused or gone: its own events say how it goes on
            await self._server.request("DELETE", f"/1.0/operations/{id}")

    def _do(self, work: Any) -> None:
        running = asyncio.ensure_future(work)
        self._work.add(running)
        running.add_done_callback(self._work.discard)


def _task(operation: Mapping[str, Any], project: str) -> RemoteTask:
    description = str(operation.get("description", ""))
    first = description.partition(" ")[0]
    task = RemoteTask(
        kind=_KINDS.get(first, description.lower().replace(" ", "-")),
        description=description,
        project=project or _project_of(operation),
        resources={kind: list(urls or ()) for kind, urls in (operation.get("resources") or {}).items()},
        owner="server",
        may_cancel=bool(operation.get("may_cancel")),
        id=str(operation["id"]),
        status=Status.RUNNING,
        created=_seconds(operation.get("created_at")),
    )
    _bring_up(task, operation)
    return task


def _bring_up(task: RemoteTask, operation: Mapping[str, Any]) -> None:
    """The task as the operation is now. A manager's own task tells its hosts; LXD's is on the one at `location`.

    An answer that events overtook is older than what is shown: it takes nothing back.
    """
    code = int(operation.get("status_code", 103))
    told = _exactly(operation.get("updated_at"))
    if code < 200 and (task.status.final or 0 < told < task.told):
        return
    task.told = max(told, task.told)
    metadata = dict(operation.get("metadata") or {})
    hosts = metadata.get("hosts")
    if isinstance(hosts, dict):
        task.hosts = hosts
    elif operation.get("location"):
        state: dict[str, Any] = {"status": str(operation.get("status", "")).lower()}
        progress = metadata.get("progress")
        percent = progress.get("percent") if isinstance(progress, dict) else None
        if isinstance(percent, str) and percent.isdigit():
            state["progress"] = int(percent)
        task.hosts = {str(operation["location"]): state}
    task.resources = {kind: list(urls or ()) for kind, urls in (operation.get("resources") or {}).items()}
    if code >= 200:
        task.metadata.update(metadata)
        status = {200: Status.SUCCESS, 401: Status.CANCELLED}.get(code, Status.FAILURE)
        task.finish(status, str(operation.get("err") or ""), 0 if code == 200 else code)
    else:
        task.may_cancel = bool(operation.get("may_cancel"))
        status = Status.CANCELLING if task.cancelled or code == int(Status.CANCELLING) else Status.RUNNING
        task.update(status=status, metadata=metadata)


def _project_of(operation: Mapping[str, Any]) -> str:
    """As the URLs of its resources tell it; operations have it nowhere else."""
    for urls in (operation.get("resources") or {}).values():
        for url in urls or ():
            if found := parse_qs(urlsplit(str(url)).query).get("project"):
                return found[0]
    return "default"


def _instances(resources: Mapping[str, Any] | None) -> set[str]:
    """The URLs of instances without their query; LXD tells containers twice, as instances too."""
    return {str(url).partition("?")[0] for url in (resources or {}).get("instances") or ()}


def _seconds(text: Any) -> float:
    """LXD's time text (nanoseconds) as seconds since the epoch; now when there is none."""
    head, _, rest = str(text or "").partition(".")
    zone = rest.lstrip("0123456789")
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(head + (zone or "Z").replace("Z", "+00:00")).timestamp()
    return time.time()


def _exactly(text: Any) -> float:
    """LXD's time text as seconds since the epoch with their fraction; 0.0 when there is none."""
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(str(text or "")).timestamp()
    return 0.0


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        yield chunk
