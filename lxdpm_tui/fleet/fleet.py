"""The registry of hosts and their watchers; concurrent fan-out with a budget."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from lxdpm_tui.config import HostConfig
from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.inventory import HostRecord, HostStatus, Inventory
from lxdpm_tui.fleet.watch import EventListener, Watcher
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.identity import ClientIdentity
from lxdpm_tui.hosts.transport import ApiError, ConnectionLost, Deadlines, HostError, TimedOut, Unreachable

log = logging.getLogger(__name__)

T = TypeVar("T")

LOST_AFTER = 2.0  # a new session takes less: what is silent longer is not there


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
        for config in configs:
            host = Host(config, identity)
            self.hosts[config.name] = host
            self._watchers[config.name] = Watcher(host, self.inventory, self._on_event)
            self.inventory.add_host(
                HostRecord(
                    name=config.name,
                    address=str(config.address),
                    transport=config.address.scheme,
                    labels=config.labels,
                    maintenance=config.name in maintenance,
                )
            )

    async def start(self) -> None:
        for name, watcher in self._watchers.items():
            self._tasks[name] = asyncio.create_task(watcher.run(), name=f"watch {name}")
            self._tasks[name].add_done_callback(_report)

    async def close(self) -> None:
        for name, task in self._tasks.items():
            self._watchers[name].stop()
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(host.close() for host in self.hosts.values()), return_exceptions=True)

    def watch(self, name: str) -> Watcher:
        """The watcher of a host. Raises KeyError."""
        return self._watchers[name]

    def want_figures(self, wanted: bool) -> None:
        """Whether live CPU and memory of instances are to be polled (somebody looks)."""
        for watcher in self._watchers.values():
            watcher.want_figures(wanted)

    # -- events

    def subscribe_events(self, listener: EventListener) -> Callable[[], None]:
        """Call listener(host, message, event) for each event of each host, in arrival order; returns undo."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def _on_event(self, host: str, message: bytes, event: decode.EventWire) -> None:
        for listener in tuple(self._listeners):
            listener(host, message, event)

    # -- asking several

    def usable(self) -> list[str]:
        """Names of the hosts that can be asked now, in the order of the configuration."""
        return [name for name, record in self.inventory.hosts.items() if record.usable]

    def silent(self) -> list[str]:
        """Names of the hosts that cannot be asked now."""
        return [name for name, record in self.inventory.hosts.items() if not record.usable]

    async def fan_out(
        self, ask: Callable[[Host], Awaitable[T]], hosts: Iterable[str] | None = None, budget: float = 5.0
    ) -> dict[str, T | HostError | ApiError]:
        """Ask hosts (default: the usable ones) at once; each has `budget` seconds. Errors come back as values."""

        async def one(host: Host) -> T | HostError | ApiError:
            try:
                async with asyncio.timeout(budget):
                    return await ask(host)
            except TimeoutError:
                return TimedOut(f"no answer within {budget:g} s", host.name)
            except (HostError, ApiError) as error:
                return error

        names = list(self.usable() if hosts is None else hosts)
        return dict(zip(names, await asyncio.gather(*(one(self.hosts[name]) for name in names)), strict=True))

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
        seen: list[str] = []
        undo = self.subscribe_events(_progress(name, seen, on_progress)) if on_progress else None
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
            seen.append(operation_id(envelope["operation"]))
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


def _progress(host: str, ids: list[str], tell: Callable[[dict[str, Any]], None]) -> EventListener:
    def listen(name: str, _: bytes, event: decode.EventWire) -> None:
        if name == host and ids and event.type == "operation":
            operation = msgspec.json.decode(event.metadata)
            if operation.get("id") == ids[0] and operation.get("metadata"):
                tell(operation["metadata"])

    return listen


def _report(task: asyncio.Task[None]) -> None:
    """A watcher never ends by itself: if one does, that is our bug, and it must not be silent."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended: %r", task.get_name(), error, exc_info=error)
