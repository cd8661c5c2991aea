"""The registry of hosts and their watchers; concurrent fan-out with a budget."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from lxdpm_tui.config import HostConfig
from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.cluster import ClusterWatcher
from lxdpm_tui.fleet.inventory import ChangeSet, HostRecord, HostStatus, Inventory
from lxdpm_tui.fleet.member import MemberHost
from lxdpm_tui.fleet.members import Shape
from lxdpm_tui.fleet.progress import Progress
from lxdpm_tui.fleet.watch import EventListener, Watcher
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.identity import ClientIdentity
from lxdpm_tui.hosts.limit import limit
from lxdpm_tui.hosts.transport import ApiError, ConnectionLost, Deadlines, HostError, TimedOut, Unreachable

log = logging.getLogger(__name__)

T = TypeVar("T")

LOST_AFTER = 6.0  # seconds, in which a new session may be had twice: what is silent longer is not there


class Fleet:
    """All hosts. `start` begins to watch them and returns at once: nobody waits for a host."""

    def __init__(
        self, configs: Iterable[HostConfig], identity: ClientIdentity | None, maintenance: frozenset[str] = frozenset()
    ) -> None:
        self.inventory = Inventory()
        self.hosts: dict[str, Host] = {}
        self._watchers: dict[str, Watcher] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._listeners: list[EventListener] = []
        self._figures_wanted = False
        self._entries: dict[str, Watcher] = {}
        self._maintenance = maintenance
        self.identity = identity
        self._started = False
        for config in configs:
            self.add(config)

    async def start(self) -> None:
        self._started = True
        for name in self._entries:
            self._begin(name)

    def _begin(self, name: str) -> None:
        self._tasks[name] = asyncio.create_task(self._watch(name), name=f"watch {name}")
        self._tasks[name].add_done_callback(_report)

    # -- hosts that come and go while it runs

    @property
    def configs(self) -> dict[str, HostConfig]:
        """The entries by name, as they were given. A cluster is one entry, whatever members it has."""
        return {name: watcher.host.config for name, watcher in self._entries.items()}

    def add(self, config: HostConfig) -> None:
        """Take a host in, if it is not in already; it is watched from now on, or from the start on.

        Raises ValueError when its name is taken by another.
        """
        if self.configs.get(config.name) == config:
            return
        if config.name in self._entries or config.name in self.hosts:
            raise ValueError(f"there is a host {config.name} already")
        host = Host(config, self.identity)
        self._entries[config.name] = Watcher(host, self.inventory, self._on_event)
        self._add_alone(host)
        if self._started:
            self._begin(config.name)
            self._entries[config.name].want_figures(self._figures_wanted)

    def relabel(self, name: str, config: HostConfig) -> None:
        """Give an entry another config that differs in its labels only. Raises KeyError."""
        self._entries[name].host.config = config
        self.inventory.update_host(name, labels=config.labels)

    async def remove(self, name: str) -> None:
        """Forget a host and its rows; what runs there goes on. What is under way with it fails. Raises KeyError."""
        watcher = self._entries.pop(name)
        watcher.stop()
        for host in [name, *(each for each, known in self._watchers.items() if known is watcher)]:
            self._remove(host)
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await watcher.host.close()

    async def close(self) -> None:
        self._closing = True
        for name, task in self._tasks.items():
            self._entries[name].stop()
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(w.host.close() for w in self._entries.values()), return_exceptions=True)

    # -- entries that are hosts of their own, and those that are clusters

    _closing = False

    async def _watch(self, name: str) -> None:
        """Watch an entry as what it is; when it turns out to be the other thing, as that."""
        while True:
            watcher = self._entries[name]
            await watcher.run()
            if self._closing or not watcher.reshaped:
                return
            log.info("%s is %s", name, "no cluster any more" if watcher.clustered else "a cluster")
            if watcher.clustered:
                for host in [each for each, known in self._watchers.items() if known is watcher]:
                    self._remove(host)
                self._entries[name] = Watcher(watcher.host, self.inventory, self._on_event)
                self._add_alone(watcher.host)
            else:
                self._entries[name] = self._as_cluster(watcher.host)

    def _as_cluster(self, entry: Host) -> ClusterWatcher:
        def joined(host: MemberHost, record: HostRecord) -> None:
            self.hosts[host.name] = host
            self._watchers[host.name] = watcher
            self.inventory.add_host(record)
            watcher.want_figures(self._figures_wanted)

        alone = len(self._entries) == 1
        shape = Shape(lambda member: member if alone else f"{entry.name}/{member}", joined, self._remove)
        watcher = ClusterWatcher(entry, self.inventory, self._on_event, shape)
        self._watchers[entry.name] = watcher
        return watcher

    def _add_alone(self, host: Host) -> None:
        self.hosts[host.name] = host
        self._watchers[host.name] = self._entries[host.name]
        self.inventory.add_host(
            HostRecord(
                name=host.name,
                address=str(host.config.address),
                transport=host.config.address.scheme,
                labels=host.config.labels,
                maintenance=host.name in self._maintenance,
                read_only=host.config.read_only,
            )
        )

    def _remove(self, name: str) -> None:
        self.hosts.pop(name, None)
        self._watchers.pop(name, None)
        self.inventory.remove_host(name)

    @property
    def cluster(self) -> ClusterWatcher | None:
        """The one cluster that is all of the fleet; None while that is not known, and of other fleets."""
        [first, *others] = self._entries.values() or [None]
        return first if isinstance(first, ClusterWatcher) and not others else None

    async def tell_cluster(self, name: str, *, maintenance: bool) -> bool:
        """Have the cluster of a member keep whether it takes new instances; False for a host of its own.

        Raises KeyError, ApiError and the HostError family.
        """
        watcher = self._watchers[name]
        if not isinstance(watcher, ClusterWatcher):
            return False
        await watcher.set_placement(watcher.members.member(name), not maintenance)
        return True

    def phases(self, name: str) -> list[str]:
        """The members, by their names here, of the cluster that this host is one of; [] for a host of its own, and
        behind a gateway, which sees to that itself."""
        watcher = self._watchers[name]
        if not isinstance(watcher, ClusterWatcher) or watcher.members.ours:
            return []
        return watcher.members.names()

    def member(self, name: str) -> str:
        """What its cluster calls a host. Raises KeyError."""
        host = self.hosts[name]
        return host.member if isinstance(host, MemberHost) else name

    def may_come(self, name: str) -> bool:
        """Whether it may be a member of a cluster that was not reached since the start."""
        entry = name.partition("/")[0] if "/" in name else next(iter(self._entries), "")
        watcher = self._entries.get(entry) if "/" in name or len(self._entries) == 1 else None
        record = self.inventory.hosts.get(entry)
        return name not in self.hosts and watcher is not None and record is not None and record.cluster == ""

    def distinct(self, names: Iterable[str]) -> list[str]:
        """Of these hosts one for each cluster, and all others: what all members have is changed on one of them.

        A member that can be asked stands for its cluster if there is one.
        """
        chosen: dict[str, str] = {}
        for name in names:
            record = self.inventory.hosts.get(name)
            group = f"cluster {record.cluster}" if record and record.cluster else f"host {name}"
            if group not in chosen or (self.inventory.is_stale(chosen[group]) and not self.inventory.is_stale(name)):
                chosen[group] = name
        return list(chosen.values())

    def watch(self, name: str) -> Watcher:
        """The watcher of a host. Raises KeyError."""
        return self._watchers[name]

    def want_figures(self, wanted: bool) -> None:
        """Whether live CPU and memory of instances are to be polled (somebody looks)."""
        self._figures_wanted = wanted
        for watcher in self._entries.values():
            watcher.want_figures(wanted)

    # -- events

    def subscribe_events(self, listener: EventListener) -> Callable[[], None]:
        """Call listener(host, message, event) for each event of each host, in arrival order; returns undo."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def source(self, name: str, event: decode.EventWire) -> str:
        """The host that an event came from which that one's stream told: of a cluster it may be another member.

        Raises KeyError.
        """
        return self._watchers[name].source(event)

    def _on_event(self, host: str, message: bytes, event: decode.EventWire) -> None:
        for listener in tuple(self._listeners):
            listener(host, message, event)

    # -- asking several

    def usable(self) -> list[str]:
        """Names of the hosts that can be asked now, in the order of the configuration."""
        return [name for name, record in self.inventory.hosts.items() if record.usable]

    def silent(self) -> list[str]:
        """Names of the hosts that cannot be asked now, nor anybody else in their place: a cluster answers for all its
        members."""
        return [name for name in self.distinct(self.inventory.hosts) if not self.inventory.hosts[name].usable]

    async def fan_out(
        self, ask: Callable[[Host], Awaitable[T]], hosts: Iterable[str] | None = None, budget: float = 5.0
    ) -> dict[str, T | HostError | ApiError]:
        """Ask hosts (default: the usable ones) at once; each has `budget` seconds. Errors come back as values."""

        async def one(host: Host) -> T | HostError | ApiError:
            try:
                async with limit(budget):
                    return await ask(host)
            except TimeoutError:
                return TimedOut(f"no answer within {budget:g} s", host.name)
            except (HostError, ApiError) as error:
                return error

        names = list(self.usable() if hosts is None else hosts)
        return dict(zip(names, await asyncio.gather(*(one(self.hosts[name]) for name in names)), strict=True))

    @contextlib.asynccontextmanager
    async def while_usable(self, name: str) -> AsyncIterator[None]:
        """For a question that can be asked again: no longer waited for once the host is found to be down.

        Raises Unreachable with the host's own reason then.
        """
        loop = asyncio.get_running_loop()
        ending = asyncio.timeout(None)

        def look(change: ChangeSet) -> None:
            if change.kind == "hosts" and self._why_not(name) is not None:
                ending.reschedule(loop.time())

        undo = self.inventory.subscribe(look)
        try:
            async with ending:
                yield
        except TimeoutError:
            if (reason := self._why_not(name)) is None:
                raise
            raise Unreachable(reason, name) from None
        finally:
            undo()

    def _why_not(self, name: str) -> str | None:
        """Why a host cannot be asked now; None when it can."""
        record = self.inventory.hosts.get(name)
        if record is None:
            return "not in this fleet"
        return None if record.usable else record.reason or record.status

    async def operate(
        self,
        name: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        deadlines: Deadlines | None = None,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Send one change to a host and follow it to its end, synchronous or not; gives the operation's metadata.

        on_progress gets the operation's metadata as the host's events tell it. A host that falls silent in the middle
        of it, and stays so for LOST_AFTER seconds, raises ConnectionLost: nobody waits for ever.
        Raises ApiError (the operation's own error text) and the HostError family.
        """
        host = self.hosts[name]
        progress = Progress(on_progress) if on_progress else None
        undo = self.subscribe_events(progress.listen) if progress else None
        lost = asyncio.Event()
        timer: asyncio.TimerHandle | None = None
        was_usable = False

        def look(_: object = None) -> None:
            nonlocal timer, was_usable
            record = self.inventory.hosts.get(name)
            if record is not None and record.usable:
                was_usable = True
                if timer:
                    timer.cancel()
                timer = None
            elif was_usable and timer is None:
                timer = asyncio.get_running_loop().call_later(LOST_AFTER, lost.set)

        async def change() -> dict[str, Any]:
            reply = await host.request(method, path, params=params, json=json, headers=headers, deadlines=deadlines)
            envelope = reply.json()
            if envelope.get("type") != "async":
                return envelope.get("metadata") or {}
            if progress:
                progress.follow(operation_id(envelope["operation"]))
            return (await host.wait(envelope["operation"])).get("metadata") or {}

        unwatch = self.inventory.subscribe(look)
        look()
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(change()), asyncio.create_task(lost.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if not waits[0].done():
                record = self.inventory.hosts.get(name)
                why = f": {record.reason}" if record and record.reason else ""
                raise ConnectionLost(f"it was lost in the middle of it{why}", name)
            result: dict[str, Any] = waits[0].result()
            return result
        finally:
            unwatch()
            if timer:
                timer.cancel()
            if undo:
                undo()
            for wait in waits:
                wait.cancel()

    async def until_known(self, timeout: float = 5.0) -> list[str]:
        """Wait until every host was read, or has said why it cannot be; gives those of which nothing is known yet."""
        changed = asyncio.Event()
        undo = self.inventory.subscribe(lambda _: changed.set())

        def unknown() -> list[str]:
            return [
                name
                for name, record in self.inventory.hosts.items()
                if record.status == HostStatus.CONNECTING
                or (record.usable and not (record.scanned and record.memory_total))
            ]

        try:
            async with asyncio.timeout(timeout):
                while unknown():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            pass
        finally:
            undo()
        return unknown()

    async def until_usable(self, name: str, timeout: float | None = None) -> None:
        """Wait for a host to be usable. Raises Unreachable with the host's own reason when the timeout passes."""
        usable = asyncio.Event()

        def look(_: object = None) -> None:
            record = self.inventory.hosts.get(name)
            if record is not None and record.usable:
                usable.set()

        undo = self.inventory.subscribe(look)
        look()
        try:
            async with asyncio.timeout(timeout):
                await usable.wait()
        except TimeoutError:
            record = self.inventory.hosts.get(name)
            raise Unreachable(record.reason if record else "not in this fleet", name) from None
        finally:
            undo()


def operation_id(url: str) -> str:
    """The id in an operation's URL, whatever follows it."""
    return url.partition("?")[0].rstrip("/").rsplit("/", 1)[1]


def _report(task: asyncio.Task[None]) -> None:
    """A watcher never ends by itself: if one does, that is our bug, and it must not be silent."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended: %r", task.get_name(), error, exc_info=error)
