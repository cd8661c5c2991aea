"""Lists of the whole fleet: all hosts at once, and a host that gives no sign of life costs its own rows only.

Hosts that are known to be down are not asked: their last-known rows are served and marked. Of the others everybody is
asked, and who has not answered PROBE_AFTER seconds later is asked a cheap question too. Once all others have answered,
a host that has answered not even the cheap one for GRACE seconds, and whose rows the event stream has kept true, is
served from those; its watcher is told to look. A host that is alive gets BUDGET seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lxdpm_tui.fleet.fleet import Fleet
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, Deadlines, HostError

PROBE_AFTER = 0.015  # most lists are there by then, and a probe that is given up costs its connection
GRACE = 0.06
BUDGET = 10.0
ALIVE = Deadlines(connect=BUDGET, first_byte=BUDGET, idle=BUDGET)

T = TypeVar("T")


@dataclass(slots=True)
class Gathered(Generic[T]):
    """live: host -> its answer.  cached: hosts to be served from the inventory -> whether they are down.
    errors: what a host answered instead (ApiError)."""

    live: dict[str, T] = field(default_factory=dict)
    cached: dict[str, bool] = field(default_factory=dict)
    errors: dict[str, ApiError] = field(default_factory=dict)


async def gather(
    fleet: Fleet,
    ask: Callable[[Host], Awaitable[T]],
    hosts: Iterable[str] | None = None,
    needed: Callable[[Gathered[T]], bool] = lambda found: False,
) -> Gathered[T]:
    """Ask all hosts (or those named). Never raises for a host.

    needed: whether, after what was found so far, a silent host is waited for until it is known to be down: without it
    a thing that no other host has would not be found.
    """
    found: Gathered[T] = Gathered()
    names = list(fleet.hosts if hosts is None else hosts)
    alive: set[str] = set()
    asking: dict[asyncio.Task[T], str] = {}
    probing: set[asyncio.Task[None]] = set()

    def probe() -> None:
        slow = [name for task, name in asking.items() if not task.done()]
        probing.update(asyncio.create_task(_probe(fleet.hosts[name], alive)) for name in slow)

    for name in names:
        if not _usable(fleet, name):
            found.cached[name] = True
            continue
        asking[asyncio.create_task(_bounded(ask, fleet.hosts[name]))] = name
    later = asyncio.get_running_loop().call_later(PROBE_AFTER, probe) if len(names) > 1 else None
    last = time.monotonic()
    pending = set(asking)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, timeout=GRACE, return_when=asyncio.FIRST_COMPLETED)
            if done:
                last = time.monotonic()
            for task in done:
                _take(found, asking[task], task)
            if done or time.monotonic() - last < GRACE:
                continue
            for task in [task for task in pending if not _usable(fleet, asking[task])]:
                found.cached[asking[task]] = True  # it was found out to be down meanwhile
                task.cancel()
                pending.discard(task)
            silent = {asking[task] for task in pending}
            if not needed(found) and all(name not in alive and fleet.watch(name).settled for name in silent):
                for name in silent:
                    found.cached[name] = False
                    fleet.watch(name).retry_now()
                break
    finally:
        if later is not None:
            later.cancel()
        for asked in pending:
            asked.cancel()
        for probed in probing:
            probed.cancel()
    return found


def _usable(fleet: Fleet, name: str) -> bool:
    record = fleet.inventory.hosts.get(name)
    return record is not None and record.usable


def _take(found: Gathered[T], name: str, task: asyncio.Task[T]) -> None:
    try:
        found.live[name] = task.result()
    except ApiError as error:
        found.errors[name] = error
    except (HostError, TimeoutError):
        found.cached[name] = True


async def _bounded(ask: Callable[[Host], Awaitable[T]], host: Host) -> T:
    async with asyncio.timeout(BUDGET):
        answer = await ask(host)
    return answer


async def _probe(host: Host, alive: set[str]) -> None:
    try:
        await host.request("GET", "/", deadlines=ALIVE)
    except HostError:
        return
    except ApiError:
        pass  # an error is an answer
    alive.add(host.name)
