"""Lists of the whole fleet: all hosts at once, and a host that gives no sign of life costs its own rows only.

Hosts that are known to be down are not asked: their last-known rows are served and marked. Of the others everybody is
asked. When nobody has answered for PROBE_AFTER seconds, those that have not are asked a cheap question too. A host that
has answered not even that after GRACE seconds without an answer of anybody, and whose rows the event stream has kept
true, is served from those; its watcher is told to look. Both are longer for hosts that are far away. Who asks for more
than the inventory has may wait longer than GRACE for it, but for a host's silence only once: until it answers again, it
gets GRACE. A host that is alive gets BUDGET seconds. What the inventory does not have is waited for until the host
answers or is known to be down (`needed`).
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from lxdpm_tui.fleet.fleet import Fleet
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, Deadlines, HostError

PROBE_AFTER = 0.025  # most lists are there by then
GRACE = 0.06
FAR = 0.25  # at most so much of a host's round trip is allowed for
LONG_GRACE = 0.5  # where the inventory has only a part of what is asked for: a host that is busy is silent that long
LATE = 0.02  # seconds by which this process may oversleep: beyond, the silence was its own
TURNS = 10  # of the event loop in which an answer that has come reaches who waits for it
BUDGET = 10.0
ALIVE = Deadlines(connect=BUDGET, first_byte=BUDGET, idle=BUDGET)

T = TypeVar("T")


@dataclass(slots=True)
class Gathered(Generic[T]):
    """live: host -> its answer, in the order in which they were to be asked, whoever answered first.
    cached: hosts to be served from the inventory -> whether they are down.  errors: what a host answered instead."""

    live: dict[str, T] = field(default_factory=dict)
    cached: dict[str, bool] = field(default_factory=dict)
    errors: dict[str, ApiError] = field(default_factory=dict)


async def gather(
    fleet: Fleet,
    ask: Callable[[Host], Awaitable[T]],
    hosts: Iterable[str] | None = None,
    *,
    needed: bool = False,
    grace: float = GRACE,
) -> Gathered[T]:
    """Ask all hosts (or those named). Never raises for a host.

    needed: whether a silent host is waited for until it is known to be down: nothing else has its part, or what is
    remembered of it no event keeps true.  grace: seconds of silence until it is not waited for any more, at least
    GRACE.
    """
    loop = asyncio.get_running_loop()
    found: Gathered[T] = Gathered()
    names = list(fleet.hosts if hosts is None else hosts)
    asking: dict[str, asyncio.Future[T]] = {}
    asked: dict[str, Host] = {}
    silent: set[str] = set()
    probes: dict[str, asyncio.Task[bool]] = {}
    looked_for: set[str] = set()  # whose watchers were told to look
    fewer = asyncio.Event()  # nobody is silent any more, or only those that are waited for less long
    own = False  # whether a silence of our own was made up for
    last = probed = looked = loop.time()
    until = last + BUDGET

    def answered(name: str, answer: asyncio.Future[T]) -> None:
        nonlocal last
        last = loop.time()
        if not answer.cancelled() and not isinstance(answer.exception(), (HostError, TimeoutError)):
            _doubted.discard(asked[name])
        silent.discard(name)
        if doubted():
            fewer.set()

    def doubted() -> bool:
        """Whether nothing is to be heard of all that are silent, which was so before."""
        return len(silent) <= len(_doubted) and all(asked[name] in _doubted for name in silent)

    for name in names:
        if not _usable(fleet, name):
            found.cached[name] = True
            continue
        asked[name] = fleet.hosts[name]
        asking[name] = asyncio.ensure_future(ask(asked[name]))
        asking[name].add_done_callback(partial(answered, name))
        silent.add(name)
    try:
        while silent:
            far = max(min(asked[name].round_trip, FAR) for name in silent)
            unasked = silent - probes.keys()
            if unasked:
                due = last + PROBE_AFTER + far
            else:
                patience = GRACE if doubted() else grace
                due = max(last + patience + 2 * far, probed + patience - PROBE_AFTER + far, looked + GRACE)
            now = loop.time()
            if now < min(due, until):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(min(due, until)):
                        await fewer.wait()
                fewer.clear()
                if not own and loop.time() > due + LATE:  # answers may have come that nobody had time to read
                    own, last = True, loop.time()
            elif now >= until:
                found.cached.update(dict.fromkeys(silent, True))
                break
            elif unasked:
                probed = now
                probes.update({name: _probe(asked[name]) for name in unasked})
            else:
                looked = now
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                for name in [name for name in silent if not _usable(fleet, name)]:
                    found.cached[name] = True  # it was found out to be down meanwhile
                    asking[name].cancel()
                    silent.discard(name)
                alive = {name for name in silent if probes[name].done() and probes[name].result()}
                for name in silent - alive - looked_for:
                    fleet.watch(name).retry_now()
                    if grace > GRACE:
                        _doubted.add(asked[name])
                looked_for |= silent
                _take(found, asking)
                if not (alive or needed) and all(fleet.watch(name).settled for name in silent):
                    found.cached.update(dict.fromkeys((name for name in silent if not asking[name].done()), False))
                    break
    finally:
        for name in silent:
            asking[name].cancel()
    _take(found, asking)
    found.live = {name: found.live[name] for name in names if name in found.live}
    return found


def _usable(fleet: Fleet, name: str) -> bool:
    record = fleet.inventory.hosts.get(name)
    return record is not None and record.usable


def _take(found: Gathered[T], asking: Mapping[str, asyncio.Future[T]]) -> None:
    """Put what has come by now where it belongs."""
    for name, task in asking.items():
        if not task.done() or name in found.cached:
            continue
        try:
            found.live[name] = task.result()
        except ApiError as error:
            found.errors[name] = error
        except (HostError, TimeoutError):
            found.cached[name] = True


_doubted: weakref.WeakSet[Host] = weakref.WeakSet()  # silent for all of a longer grace, and no answer since
_probing: dict[Host, asyncio.Task[bool]] = {}


def _probe(host: Host) -> asyncio.Task[bool]:
    """Whether the host answers a cheap question, which is asked once for all who want to know at the same time. It goes
    on when nobody waits for it any more: given up, it would cost its connection."""
    task = _probing.get(host)
    if task is None:
        task = _probing[host] = asyncio.create_task(_answers(host))
        task.add_done_callback(lambda _: _probing.pop(host, None))
    return task


async def _answers(host: Host) -> bool:
    try:
        await host.request("GET", "/", deadlines=ALIVE)
    except HostError:
        return False
    except ApiError:
        pass  # an error is an answer
    return True
