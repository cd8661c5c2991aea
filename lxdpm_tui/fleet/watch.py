"""Keeps one host's part of the inventory true: events first, polling as the safety net.

One Watcher a host. A session is: ask /1.0, open the event stream, scan everything, then follow events (each refetches
only what it names), with a heartbeat that finds hung daemons and slow polls for what has no events. When anything of it
fails the session ends, the host's state says why, and after a back-off with jitter the next session starts with a full
scan again, since events are not replayed.

What polling costs a daemon is in reader.py; live figures are polled only while somebody looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import parse_qs, unquote, urlsplit

from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.environment import config_of
from lxdpm_tui.fleet.inventory import HostRecord, HostStatus, Inventory, Key
from lxdpm_tui.fleet.live import AddressHunt
from lxdpm_tui.fleet.pace import pace
from lxdpm_tui.fleet.reader import Reader
from lxdpm_tui.hosts.host import Host, backoff
from lxdpm_tui.hosts.transport import ApiError, Deadlines, HostError, IdentityChanged, TimedOut, Untrusted

log = logging.getLogger(__name__)

HEARTBEAT = 5.0  # seconds between heartbeats
SLOW_HEARTBEAT = 1.0  # and while it is slow: a late answer alone does not keep it so
SLOW_AFTER = 1.0  # a heartbeat unanswered for this long makes the host "slow"
DEAD_AFTER = 4.0  # and for this long, "unreachable"
RESOURCES_EVERY = 15.0
FIGURES_EVERY = 11.0  # less a fifth of jitter it is longer than the daemons' own cache of 8 s
RESCAN_EVERY = 120.0
ASK = Deadlines(connect=5.0, first_byte=DEAD_AFTER, idle=10.0)
FOLLOWED = ("operation", "lifecycle")  # event types; a debug daemon floods with the others
REGISTERED = 0.03  # seconds: LXD 5.0 answers an event stream a few ms before it listens for its client
COALESCE = 0.02  # seconds that changes are gathered before they are read

EventListener = Callable[[str, bytes, decode.EventWire], None]


class _Reshaped(Exception):
    """The daemon is a cluster and is not watched as one, or the other way round."""


class Watcher:
    """Follows one host for as long as `run` runs.

    reshaped: the daemon turned out to be a cluster though this watches a host alone, or the other way round; run ended.
    """

    clustered = False

    def __init__(self, host: Host, inventory: Inventory, on_event: EventListener) -> None:
        self.host = host
        self.name = host.name
        self._inventory = inventory
        self._on_event = on_event
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._dirty: dict[tuple[str, Key | None], None] = {}  # in the order in which they are read
        self._reader = Reader(host, inventory)
        self._scanned = False
        self._stopped = False
        self.reshaped = False
        self._figures_wanted = asyncio.Event()

    # -- for others

    def retry_now(self) -> None:
        """Cut the back-off short, or bring the next heartbeat forward."""
        self.host.retry()
        self._wake.set()

    @property
    def settled(self) -> bool:
        """Whether the inventory holds what the host had a moment ago: events arrive and all they named was read."""
        record = self._record()
        return bool(record and record.event_stream and self._scanned and not self._dirty and not self._reader.busy)

    def touch(self, kind: str, key: Key | None = None) -> None:
        """Read that kind (or one instance) again: something of ours changed it."""
        self._dirty[kind, key] = None
        self._changed.set()

    def want_figures(self, wanted: bool) -> None:
        if wanted:
            self._figures_wanted.set()
        else:
            self._figures_wanted.clear()

    async def read_now(self, kind: str, key: Key | None = None) -> None:
        """Read all of a kind, or one instance, before returning. Raises the HostError family and ApiError."""
        async with self._reader.turn():
            await self._reader.read({(kind, key)})

    # -- what a cluster's watcher does otherwise

    def _record(self) -> HostRecord | None:
        """What is known of the way to the daemon."""
        return self._inventory.hosts.get(self.name)

    def _update(self, **fields: object) -> None:
        self._inventory.update_host(self.name, **fields)

    def source(self, event: decode.EventWire) -> str:
        """The host that an event came from."""
        return self.name

    # -- the life of a session

    def stop(self) -> None:
        """To be called before the task that runs it is cancelled."""
        self._stopped = True

    async def run(self) -> None:
        pauses = backoff()
        while True:
            started = time.monotonic()
            self.host.retry()  # the pause between sessions is ours; an ssh connection's own would add to it
            try:
                await self._session()
            except* _Reshaped:
                self.reshaped = True
            except* Exception as group:
                self._down(group)
            if self._stopped or self.reshaped:
                return  # a cancel that comes while a session fails is lost: the group tells of the failure alone
            if time.monotonic() - started > 30:
                pauses = backoff()
            pause = next(pauses)
            self._update(retry_at=time.time() + pause)
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
                pauses = backoff()
            except TimeoutError:
                pass
            self._wake.clear()
            self._update(retry_at=0.0)

    async def _session(self) -> None:
        async with contextlib.AsyncExitStack() as begun:
            await begun.enter_async_context(pace().opening())
            await self._begun_session(begun)

    async def _begun_session(self, begun: contextlib.AsyncExitStack) -> None:
        """begun: to be closed when everything was read once: then other sessions may begin."""
        server = await self._ask_server()
        self._update(kind=self.host.dialect.kind, **decode.server(server))
        self._scanned = False
        self._dirty.clear()
        async with self.host.events(FOLLOWED) as events:
            self._update(event_stream=True)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._follow(events))
                    group.create_task(self._read_changes())
                    group.create_task(self._heartbeats())
                    group.create_task(self._every(RESOURCES_EVERY, self._read_resources))
                    await asyncio.sleep(REGISTERED)
                    await self._scan()
                    await begun.aclose()
                    group.create_task(self._every(RESCAN_EVERY, self._scan, at_once=False))
                    group.create_task(self._find_addresses())
                    group.create_task(self._read_figures())
            finally:
                self._scanned = False
                self._update(event_stream=False)

    def _down(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        self._update(event_stream=False)
        match error:
            case IdentityChanged():
                self._set_status(HostStatus.IDENTITY_CHANGED, error.reason)
            case Untrusted():
                self._set_status(HostStatus.UNTRUSTED, error.reason)
            case HostError():
                self._set_status(HostStatus.UNREACHABLE, error.reason)
            case ApiError():
                self._set_status(HostStatus.UNREACHABLE, error.text)
            case _:  # an answer that is not LXD's: shown like any other fault, and logged whole
                log.error("host %s: unexpected answer", self.name, exc_info=error)
                self._set_status(HostStatus.UNREACHABLE, f"unexpected answer: {error}")

    def _set_status(self, status: HostStatus, reason: str = "") -> None:
        record = self._record()
        if record is None:
            return
        since = record.since if record.status == status else time.time()
        if record.status != status:
            log.info("host %s is %s%s", self.name, status, f": {reason}" if reason else "")
        self._update(status=status, reason=reason, since=since)

    async def _ask_server(self) -> dict[str, object]:
        """One heartbeat. While the answer is overdue the host counts as slow; the deadline ends the session."""
        started = time.monotonic()
        record = self._record()

        def late() -> None:
            if record is not None and record.usable:
                self._update(overdue=True)
                self._set_status(HostStatus.SLOW, f"no answer for {SLOW_AFTER:.0f} s")

        overdue = asyncio.get_running_loop().call_later(SLOW_AFTER, late)
        try:
            server = await self.host.server(deadlines=ASK)
        except TimedOut as error:
            raise TimedOut(f"{error.reason} (hung?)", self.name) from error
        finally:
            overdue.cancel()
        took = time.monotonic() - started
        config = config_of(server)
        self._update(reached=time.time(), round_trip=took, overdue=False, config=config)
        slow = took > SLOW_AFTER
        self._set_status(HostStatus.SLOW if slow else HostStatus.ONLINE, f"answers in {took:.1f} s" if slow else "")
        if decode.is_clustered(server) != self.clustered:
            raise _Reshaped
        return server

    async def _heartbeats(self) -> None:
        while True:
            record = self._record()
            slow = record is not None and record.status == HostStatus.SLOW
            try:
                async with asyncio.timeout((SLOW_HEARTBEAT if slow else HEARTBEAT) * random.uniform(0.8, 1.2)):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._ask_server()
            except HostError as error:
                self._down(error)  # before the session's end: closing what hangs takes a moment
                raise

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]], at_once: bool = True) -> None:
        if at_once:
            await work()
        while True:
            await asyncio.sleep(seconds * random.uniform(0.8, 1.2))
            await work()

    # -- events

    async def _follow(self, events: AsyncIterator[bytes]) -> None:
        async for message in events:
            event = decode.event(message)
            if event.type == "lifecycle":
                self._mark(event)
            elif event.type == "operation" and decode.ended_on_images(event.metadata):
                self.touch("images")  # Incus tells of a deletion while the image is still there
            self._on_event(self.source(event), message, event)

    def _mark(self, event: decode.EventWire) -> None:
        change = decode.lifecycle(event.metadata)
        noun = change.action.partition("-")[0]
        if noun in ("instance", "container", "virtual"):
            source = urlsplit(change.source)
            project = event.project or parse_qs(source.query).get("project", ["default"])[0]
            parts = source.path.split("/")
            name = unquote(parts[3]) if len(parts) > 3 else ""
            context = change.context or {}
            other = context.get("old_name") or context.get("new_name")  # LXD 4 names the new one
            if other and len(parts) == 4:
                self.touch("instances", Key(self.name, project, str(other)))
            self.touch("instances", Key(self.name, project, name))
        elif noun == "image":
            self.touch("images")
        elif noun == "profile":
            self.touch("profiles")
            self.touch("instances")
        elif noun == "project":
            self.touch("projects")
            self.touch("profiles")
            self.touch("images")
        elif noun == "network":
            self.touch("networks")
        elif noun == "storage":
            self.touch("pools")

    async def _read_changes(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(COALESCE)
            self._changed.clear()
            async with self._reader.turn():
                work, self._dirty = self._dirty, {}
                await self._reader.read(work)

    # -- polling

    async def _scan(self) -> None:
        await self._reader.scan()
        self._scanned = True
        self._update(scanned=time.time())
        await self._reader.read_many_addresses()

    async def _read_resources(self) -> None:
        if await self._reader.read_resources():
            self.touch("instances")  # memory limits in percent

    async def _find_addresses(self) -> None:
        """Of running instances that show none yet: DHCP takes a moment after a start, and has no event."""
        hunt = AddressHunt()
        while True:
            for key in hunt.due(self._reader.without_address(), time.monotonic()):
                await self._reader.read_address(key)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(hunt.pause(time.monotonic())):
                    await self._reader.instances_read.wait()
            self._reader.instances_read.clear()

    async def _read_figures(self) -> None:
        """Live CPU and memory, as long as somebody looks."""
        while self.host.dialect.metrics:
            await self._figures_wanted.wait()
            await self._reader.read_figures()
            await asyncio.sleep(FIGURES_EVERY * random.uniform(0.8, 1.2))
