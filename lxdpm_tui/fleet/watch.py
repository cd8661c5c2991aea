"""Keeps one host's part of the inventory true: events first, polling as the safety net.

One Watcher a host. A session is: ask /1.0, open the event stream, scan everything, then follow events (each refetches
only what it names), with a heartbeat that finds hung daemons and slow polls for what has no events. When anything of it
fails the session ends, the host's state says why, and after a back-off with jitter the next session starts with a full
scan again, since events are not replayed.

What polling costs a daemon (LXD 5.0.2, measured): GET /1.0 0.5 ms; instances?recursion=1 0.3 ms an instance;
recursion=2 6.5 ms a *running* instance, so it is asked once a session at most; /1.0/metrics is one call, about 1 ms a
running instance and cached by the daemon for 8 s, so live figures come from there and only while somebody looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.decode import Raw
from lxdpm_tui.fleet.inventory import HostStatus, Image, Inventory, Key, Pool, Profile
from lxdpm_tui.fleet.live import AT_ONCE, AddressHunt, CpuShares
from lxdpm_tui.hosts.host import Host, backoff
from lxdpm_tui.hosts.transport import ApiError, Deadlines, HostError, IdentityChanged, TimedOut, Untrusted

log = logging.getLogger(__name__)

HEARTBEAT = 5.0  # seconds between heartbeats
SLOW_AFTER = 1.0  # a heartbeat unanswered for this long makes the host "slow"
DEAD_AFTER = 4.0  # and for this long, "unreachable"
RESOURCES_EVERY = 15.0
FIGURES_EVERY = 11.0  # less a fifth of jitter it is longer than the daemons' own cache of 8 s
RESCAN_EVERY = 120.0
ASK = Deadlines(connect=5.0, first_byte=DEAD_AFTER, idle=10.0)
SCAN = Deadlines(connect=5.0, first_byte=30.0, idle=30.0)
FOLLOWED = ("operation", "lifecycle")  # event types; a debug daemon floods with the others
COALESCE = 0.02  # seconds that changes are gathered before they are read

EventListener = Callable[[str, bytes, decode.EventWire], None]


class Watcher:
    """Follows one host for as long as `run` runs."""

    def __init__(self, host: Host, inventory: Inventory, on_event: EventListener) -> None:
        self.host = host
        self.name = host.name
        self._inventory = inventory
        self._on_event = on_event
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._dirty: set[tuple[str, Key | None]] = set()
        self._lock = asyncio.Lock()
        self._reading = 0
        self._scanned = False
        self._instances_read = asyncio.Event()
        self._figures_wanted = asyncio.Event()
        self._shares = CpuShares()
        self._borrowers: dict[str, list[str]] = {"images": [], "profiles": []}

    # -- for others

    def retry_now(self) -> None:
        """Cut the back-off short, or bring the next heartbeat forward."""
        self.host.retry()
        self._wake.set()

    @property
    def settled(self) -> bool:
        """Whether the inventory holds what the host had a moment ago: events arrive and all they named was read."""
        record = self._inventory.hosts.get(self.name)
        return bool(record and record.event_stream and self._scanned and not self._dirty and not self._reading)

    def touch(self, kind: str, key: Key | None = None) -> None:
        """Read that kind (or one instance) again: something of ours changed it."""
        self._dirty.add((kind, key))
        self._changed.set()

    def want_figures(self, wanted: bool) -> None:
        if wanted:
            self._figures_wanted.set()
        else:
            self._figures_wanted.clear()

    async def read_now(self, kind: str, key: Key | None = None) -> None:
        """Read all of a kind, or one instance, before returning. Raises the HostError family and ApiError."""
        async with self._one_read():
            await (self._readers()[kind]() if key is None else self._read_instance(key))

    # -- the life of a session

    async def run(self) -> None:
        pauses = backoff()
        while True:
            started = time.monotonic()
            try:
                await self._session()
            except* IdentityChanged as group:
                self._down(HostStatus.IDENTITY_CHANGED, group)
            except* Untrusted as group:
                self._down(HostStatus.UNTRUSTED, group)
            except* (HostError, ApiError) as group:
                self._down(HostStatus.UNREACHABLE, group)
            except* Exception as group:  # an answer that is not LXD's: shown like any other fault, and logged whole
                log.exception("host %s: unexpected answer", self.name)
                self._down(HostStatus.UNREACHABLE, group)
            if time.monotonic() - started > 30:
                pauses = backoff()
            pause = next(pauses)
            self._inventory.update_host(self.name, retry_at=time.time() + pause)
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
                pauses = backoff()
            except TimeoutError:
                pass
            self._wake.clear()
            self._inventory.update_host(self.name, retry_at=0.0)

    async def _session(self) -> None:
        server = await self._ask_server()
        self._inventory.update_host(self.name, kind=self.host.dialect.kind, **decode.server(server))
        self._scanned = False
        self._dirty.clear()
        async with self.host.events(FOLLOWED) as events:
            self._inventory.update_host(self.name, event_stream=True)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._follow(events))
                    group.create_task(self._read_changes())
                    group.create_task(self._heartbeats())
                    group.create_task(self._every(RESOURCES_EVERY, self._read_resources))
                    await self._scan()
                    group.create_task(self._every(RESCAN_EVERY, self._scan, at_once=False))
                    group.create_task(self._find_addresses())
                    group.create_task(self._read_figures_while_wanted())
            finally:
                self._scanned = False
                self._inventory.update_host(self.name, event_stream=False)

    def _down(self, status: HostStatus, group: BaseExceptionGroup[BaseException]) -> None:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        reason = error.reason if isinstance(error, HostError) else getattr(error, "text", f"unexpected answer: {error}")
        self._set_status(status, reason)

    def _set_status(self, status: HostStatus, reason: str = "") -> None:
        record = self._inventory.hosts.get(self.name)
        if record is None:
            return
        since = record.since if record.status == status else time.time()
        if record.status != status:
            log.info("host %s is %s%s", self.name, status, f": {reason}" if reason else "")
        self._inventory.update_host(self.name, status=status, reason=reason, since=since)

    async def _ask_server(self) -> dict[str, object]:
        """One heartbeat. While the answer is overdue the host counts as slow; the deadline ends the session."""
        started = time.monotonic()
        record = self._inventory.hosts.get(self.name)
        overdue = asyncio.get_running_loop().call_later(
            SLOW_AFTER,
            lambda: (
                self._set_status(HostStatus.SLOW, f"no answer for {SLOW_AFTER:.0f} s")
                if record is not None and record.usable
                else None
            ),
        )
        try:
            server = await self.host.server(deadlines=ASK)
        except TimedOut as error:
            raise TimedOut(f"{error.reason} (hung?)", self.name) from error
        finally:
            overdue.cancel()
        took = time.monotonic() - started
        self._inventory.update_host(self.name, reached=time.time(), round_trip=took)
        slow = took > SLOW_AFTER
        self._set_status(HostStatus.SLOW if slow else HostStatus.ONLINE, f"answers in {took:.1f} s" if slow else "")
        return server

    async def _heartbeats(self) -> None:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT * random.uniform(0.8, 1.2)):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._ask_server()

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
            self._on_event(self.name, message, event)

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

    def _readers(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """In the order in which they are to be read: which projects there are decides what is asked for then."""
        return {
            "projects": self._read_projects,
            "profiles": self._read_profiles,
            "instances": self._read_instances,
            "images": self._read_images,
            "networks": self._read_networks,
            "pools": self._read_pools,
        }

    async def _read_changes(self) -> None:
        readers = self._readers()
        while True:
            await self._changed.wait()
            await asyncio.sleep(COALESCE)
            self._changed.clear()
            async with self._one_read():
                work, self._dirty = self._dirty, set()
                whole = {kind for kind, key in work if key is None}
                for kind, read in readers.items():
                    if kind in whole:
                        await read()
                for kind, key in work:
                    if key is not None and kind not in whole:
                        await self._read_instance(key)

    # -- reading

    @contextlib.asynccontextmanager
    async def _one_read(self) -> AsyncIterator[None]:
        """One read after the other: an answer that was made earlier never comes in after a later one."""
        self._reading += 1
        try:
            async with self._lock:
                yield
        finally:
            self._reading -= 1

    async def _get(self, path: str, **params: str) -> bytes:
        return (await self.host.request("GET", path, params=params, deadlines=SCAN)).body

    async def _scan(self) -> None:
        async with self._one_read():
            for read in self._readers().values():
                await read()
        self._scanned = True
        self._inventory.update_host(self.name, scanned=time.time())
        if len(self._without_address()) > AT_ONCE:
            for project, body in await self._per_project("/1.0/instances", "instance_all_projects", recursion="2"):
                for raw in decode.rows_of(body):
                    full = decode.instance(self.name, raw, project=project)
                    self._inventory.update_addresses(full.key, full.addresses)

    def _without_address(self) -> list[Key]:
        rows = self._inventory.instances.get(self.name, {}).values()
        return [row.key for row in rows if row.status == "Running" and not row.addresses]

    def _memory_total(self) -> int:
        record = self._inventory.hosts.get(self.name)
        return record.memory_total if record else 0

    async def _read_projects(self) -> None:
        rows = (await self.host.get("/1.0/projects", recursion="1")) or []
        self._borrowers = {kind: decode.borrowers(rows, kind) for kind in self._borrowers}
        self._inventory.update_host(self.name, projects=tuple(sorted(row["name"] for row in rows)))

    def _projects(self) -> tuple[str, ...]:
        record = self._inventory.hosts.get(self.name)
        return (record.projects if record else ()) or ("default",)

    async def _read_instances(self) -> None:
        total = self._memory_total()
        rows = [
            decode.instance(self.name, raw, total, project)
            for project, body in await self._per_project("/1.0/instances", "instance_all_projects")
            for raw in decode.rows_of(body)
        ]
        self._inventory.replace("instances", self.name, rows)
        self._instances_read.set()

    async def _read_instance(self, key: Key) -> None:
        try:
            body = await self._get(f"/1.0/instances/{quote(key.name, safe='')}", project=key.project)
        except ApiError as error:
            if error.code != 404:
                raise
            self._inventory.drop("instances", key)
            return
        row = decode.instance(self.name, decode.row_of(body), self._memory_total(), key.project)
        self._inventory.put("instances", row)
        self._instances_read.set()

    async def _read_images(self) -> None:
        await self._read_shared("images", "images_all_projects", decode.image)

    async def _read_profiles(self) -> None:
        await self._read_shared("profiles", "profiles_all_projects", decode.profile)

    async def _read_shared(
        self, kind: Literal["images", "profiles"], extension: str, read: Callable[[str, Raw, str], Image | Profile]
    ) -> None:
        """Each project's, as it sees them: one without its own has default's, under its own name."""
        rows = []
        for project, body in await self._per_project(f"/1.0/{kind}", extension):
            for raw in decode.rows_of(body):
                row = read(self.name, raw, project)
                rows.append(row)
                if not project and row.project == "default":
                    rows += [read(self.name, raw, borrower) for borrower in self._borrowers[kind]]
        self._inventory.replace(kind, self.name, rows)

    async def _per_project(self, path: str, extension: str, recursion: str = "1") -> list[tuple[str, bytes]]:
        """Answers of (project, body), one for each of its projects; where the daemon can, one for all, of ("", body)."""
        record = self._inventory.hosts.get(self.name)
        if record and extension in record.extensions:
            return [("", await self._get(path, recursion=recursion, **{"all-projects": "true"}))]
        return [(name, await self._get(path, recursion=recursion, project=name)) for name in self._projects()]

    async def _read_networks(self) -> None:
        rows = (await self.host.get("/1.0/networks")) or []
        self._inventory.update_host(self.name, networks=frozenset(unquote(url.rsplit("/", 1)[1]) for url in rows))

    async def _read_pools(self) -> None:
        pools = {}
        for pool in (await self.host.get("/1.0/storage-pools", recursion="1")) or []:
            name = pool["name"]
            try:
                space = (await self.host.get(f"/1.0/storage-pools/{quote(name, safe='')}/resources"))["space"]
            except ApiError:
                space = {}  # a pool whose driver cannot tell, or that is in error
            pools[name] = Pool(name, pool.get("driver", ""), space.get("total", 0), space.get("used", 0))
        self._inventory.update_host(self.name, pools=pools)

    async def _read_resources(self) -> None:
        found = await self.host.get("/1.0/resources")
        memory = found.get("memory") or {}
        load = (found.get("load") or {}).get("Average1Min", -1.0)
        before = self._memory_total()
        self._inventory.update_host(
            self.name,
            cpus=(found.get("cpu") or {}).get("total", 0),
            memory_total=memory.get("total", 0),
            memory_used=memory.get("used", 0),
            load=load,
        )
        if before != memory.get("total", 0):
            self.touch("instances")

    async def _find_addresses(self) -> None:
        """Of running instances that show none yet: DHCP takes a moment after a start, and has no event."""
        hunt = AddressHunt()
        while True:
            for key in hunt.due(self._without_address(), time.monotonic()):
                try:
                    body = await self._get(f"/1.0/instances/{quote(key.name, safe='')}/state", project=key.project)
                except ApiError:
                    continue  # gone or stopped in the meantime: its event tells
                self._inventory.update_addresses(key, decode.addresses_of(decode.state(decode.row_of(body))))
            try:
                async with asyncio.timeout(hunt.pause(time.monotonic())):
                    await self._instances_read.wait()
            except TimeoutError:
                pass
            self._instances_read.clear()

    async def _read_figures_while_wanted(self) -> None:
        while self.host.dialect.metrics:
            await self._figures_wanted.wait()
            body = await self._get("/1.0/metrics")
            figures = decode.figures(self.name, body.decode())
            shares = self._shares.take({key: seconds for key, (_, seconds) in figures.items()}, time.monotonic())
            self._inventory.update_figures(self.name, {key: (figures[key][0], shares[key]) for key in figures})
            await asyncio.sleep(FIGURES_EVERY * random.uniform(0.8, 1.2))
