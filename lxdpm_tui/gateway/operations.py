"""Operations of all hosts and of the manager itself, by id.

Hosts forget an operation 5 s after its end, and at once when their daemon restarts; here the final state is kept for
KEEP seconds. The table is filled from the 202 answers that pass, from the hosts' events, and on a miss by asking all
hosts. An operation that its host has lost ends here as a Failure, so that nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.inventory import ChangeSet
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.requestor import AFTERWARDS, Requestor, related
from lxdpm_tui.hosts.requestor import requestor as requestor_now
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

KEEP = 300.0  # seconds after the last change
LOOK_UP = 3.0  # seconds that hosts have to say whether an operation is theirs
MISS = 2.0  # seconds that "nobody knows it" holds
UNDER_WAY = 2.0  # seconds after which what hosts answered before their event stream was open has come
PENDING = 105  # status code
LEFT = 5.0  # seconds until a host that left the fleet has not only another address

Raw = dict[str, msgspec.Raw]
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(slots=True, eq=False)
class Operation:
    """What is known of one operation. host "": the manager's own. shown: LXD's object, location set.

    placed: whether `project` was told; LXD 5.0 does not say it in the operation itself, and it may be a guess then.
    requestor: who started it through the gateway, "" when it is not known.  by: the same as events tell it.
    """

    id: str
    host: str
    project: str
    shown: Raw
    code: int
    placed: bool = True
    requestor: str = ""
    by: Requestor | None = None
    updated: float = field(default_factory=time.monotonic)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def final(self) -> bool:
        return self.code >= 200

    @property
    def error(self) -> str:
        return str(msgspec.json.decode(self.shown.get("err", msgspec.Raw(b'""'))))


Announce = Callable[[Operation], None]


class Operations:
    """The table. announce: called with each operation of ours, or that a host lost, whenever it changes."""

    def __init__(self, manager: Manager, announce: Announce) -> None:
        self._manager = manager
        self._announce = announce
        self._table: dict[str, Operation] = {}
        self._misses: dict[str, float] = {}
        self._connected: dict[str, bool] = {}
        self._checks: set[asyncio.Task[None]] = set()
        self._undo = [
            manager.tasks.subscribe(self._task_changed),
            manager.inventory.subscribe(self._host_changed),
        ]

    def close(self) -> None:
        """Idempotent."""
        while self._undo:
            self._undo.pop()()
        for check in self._checks:
            check.cancel()

    # -- what fills it

    def seen(self, host: str, raw: msgspec.Raw | bytes, project: str = "", requestor: str = "") -> Operation:
        """An operation object of a host, out of a 202 answer or an event. The table has it when this returns.

        project: as the event's envelope or the request says it; LXD's own object often does not.
        requestor: whose request was answered by it.
        """
        shown = shown_of(host, raw)
        id = str(msgspec.json.decode(shown["id"]))
        code = int(msgspec.json.decode(shown.get("status_code", msgspec.Raw(b"103"))))
        found = self._put(id, host, project, shown, code)
        found.requestor = found.requestor or requestor
        if requestor and found.by is None:
            found.by = requestor_now.get()
        found.shown = with_caller(found.shown, found.by)
        return found

    def _put(self, id: str, host: str, project: str, shown: Raw, code: int) -> Operation:
        known = self._table.get(id)
        if known is None:
            self._forget_old()
            told = project or _project_of(shown)
            known = self._table[id] = Operation(id, host, told or "default", shown, code, placed=bool(told))
        elif known.final:
            return known  # a late event never brings a finished one back
        else:
            if code != PENDING or known.code == PENDING:  # LXD may tell that it waits after it told that it runs
                known.shown, known.code, known.updated = shown, code, time.monotonic()
            if project:
                known.project, known.placed = project, True
        if known.final:
            known.ended.set()
        self._misses.pop(id, None)
        return known

    def _forget_old(self) -> None:
        limit = time.monotonic() - KEEP
        for id in [id for id, known in self._table.items() if known.final and known.updated < limit]:
            del self._table[id]

    def _task_changed(self, task: Task) -> None:
        new = task.id not in self._table
        operation = self.of_task(task)
        if new:  # told by who starts it, or takes it up again; a list is read by others, too
            operation.by = requestor_now.get()
        self._announce(operation)

    def of_task(self, task: Task) -> Operation:
        """The manager's own task as an operation."""
        raw = msgspec.json.encode(task.to_operation())
        return self._put(task.id, "", task.project, _raw.decode(raw), int(task.status))

    # -- hosts that come back without their operations

    def _host_changed(self, change: ChangeSet) -> None:
        if change.kind != "hosts":
            return
        record = self._manager.inventory.hosts.get(change.host)
        connected = bool(record and record.event_stream)
        before = self._connected.get(change.host, False)
        self._connected[change.host] = connected
        if record is not None and (before or not connected):
            return
        check = asyncio.create_task(self._check(change.host) if record is not None else self._left(change.host))
        self._checks.add(check)
        check.add_done_callback(self._checks.discard)

    async def _left(self, host: str) -> None:
        """Nobody tells any more what became of the operations of a host that is no longer in the fleet."""
        await asyncio.sleep(LEFT)
        if host not in self._manager.inventory.hosts:
            for known in self.open_on(host):
                self._lost(known)

    async def _check(self, host: str) -> None:
        """After a reconnect: events were missed, so every open operation of that host is asked for; and once more for
        those that were answered while nobody listened, and are entered only now."""
        await self._ask_for_open(host)
        await asyncio.sleep(UNDER_WAY)
        await self._ask_for_open(host)

    async def _ask_for_open(self, host: str) -> None:
        daemon = self._manager.fleet.hosts.get(host)
        if daemon is None:
            return
        for known in self.open_on(host):
            try:
                reply = await daemon.request("GET", f"/1.0/operations/{known.id}")
            except ApiError as error:
                if error.code == 404:
                    self._lost(known)
            except HostError:
                return  # gone again: the next reconnect checks
            else:
                self._announce(self.seen(host, decode.row_of(reply.body)))

    def _lost(self, known: Operation) -> None:
        shown = {
            **known.shown,
            "status": msgspec.Raw(b'"Failure"'),
            "status_code": msgspec.Raw(b"400"),
            "may_cancel": msgspec.Raw(b"false"),
            "err": msgspec.Raw(msgspec.json.encode(f"host {known.host} lost the operation")),
        }
        self._put(known.id, known.host, known.project, shown, 400)
        self._announce(known)

    # -- asking

    def by(self, host: str, path: str, project: str) -> Requestor | None:
        """Who started what is done to the thing of that path, or was until a moment ago."""
        limit = time.monotonic() - AFTERWARDS
        for known in reversed(self._table.values()):
            if known.by is None or known.host not in ("", host) or (known.final and known.updated < limit):
                continue
            if (known.project == project or not known.placed) and any(related(path, own) for own in _paths(known)):
                return known.by
        return None

    async def find(self, id: str) -> Operation | None:
        """The operation of that id; None when all hosts that answer say they do not know it."""
        known = self._table.get(id)
        if known is not None:
            return known
        task = self._manager.tasks.tasks.get(id)
        if task is not None:
            return self.of_task(task)
        missed = self._misses.get(id)
        if missed is not None and time.monotonic() - missed < MISS:
            return None

        async def ask(host: Host) -> bytes:
            return (await host.request("GET", f"/1.0/operations/{id}")).body

        answers = await self._manager.fleet.fan_out(ask, budget=LOOK_UP)
        for host, answer in answers.items():
            if isinstance(answer, bytes):
                return self.seen(host, decode.row_of(answer))
        if len(self._misses) > 1000:
            self._misses.clear()
        self._misses[id] = time.monotonic()
        return None

    def afterwards(self, id: str, work: Callable[[], Awaitable[None]]) -> None:
        """Have work done once the operation of that id has ended; at once when there is none."""
        known = self._table.get(id)

        async def run() -> None:
            if known is not None:
                await known.ended.wait()
            await work()

        running = asyncio.create_task(run())
        self._checks.add(running)
        running.add_done_callback(self._checks.discard)

    def open_on(self, host: str) -> list[Operation]:
        """Those of a host that have not ended, as far as its events told."""
        return [known for known in self._table.values() if known.host == host and not known.final]

    def own_tasks(self) -> list[Operation]:
        return [self.of_task(task) for task in self._manager.tasks.tasks.values()]

    def cancel_task(self, id: str) -> bool | None:
        """Cancel a task of ours; None when it is none, False when it cannot be cancelled."""
        task = self._manager.tasks.tasks.get(id)
        return None if task is None else task.cancel()


def shown_of(host: str, raw: msgspec.Raw | bytes) -> Raw:
    """A host's operation as clients of the fleet see it: with its location, and with backups told as LXD 5.0 does.

    The client of LXD 5.0 cuts off that very beginning to have the name; all later ones, and Incus', take what is
    behind the last slash.
    """
    shown = _raw.decode(raw)
    shown["location"] = msgspec.Raw(msgspec.json.encode(host))
    if b'"backups"' in bytes(shown.get("resources", b"")):
        resources: dict[str, Any] = msgspec.json.decode(shown["resources"])
        urls = resources["backups"] or ()
        resources["backups"] = [f"/1.0/backups/{urlsplit(url).path.rpartition('/')[2]}" for url in urls]
        shown["resources"] = msgspec.Raw(msgspec.json.encode(resources))
    return shown


def with_caller(shown: Raw, by: Requestor | None) -> Raw:
    """With the real caller, where the host says that it was us; most daemons say nothing."""
    if by is None or "requestor" not in shown:
        return shown
    return {**shown, "requestor": msgspec.Raw(msgspec.json.encode(by))}


def _paths(operation: Operation) -> list[str]:
    """Of what it works on."""
    resources: dict[str, Any] = msgspec.json.decode(operation.shown.get("resources", msgspec.Raw(b"null"))) or {}
    return [urlsplit(str(url)).path for urls in resources.values() for url in urls or ()]


def _project_of(shown: Raw) -> str:
    """The project that the resources' URLs name, "" for none; operations carry it nowhere else."""
    resources: dict[str, Any] = msgspec.json.decode(shown.get("resources", msgspec.Raw(b"null"))) or {}
    for urls in resources.values():
        for url in urls or ():
            _, mark, query = str(url).partition("project=")
            if mark:
                return query.partition("&")[0]
    return ""
