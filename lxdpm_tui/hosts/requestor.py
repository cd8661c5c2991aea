"""For whom hosts are changed. They see only us; by what was sent to them their events can be told the real caller's."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field

Requestor = Mapping[str, str]  # username, protocol ("tls", "unix"), address: as in LXD's lifecycle events

requestor: ContextVar[Requestor | None] = ContextVar("requestor", default=None)
"""Whose request is being carried out; None when it is nobody's but our own."""

AFTERWARDS = 5.0  # seconds that an event may come behind the answer to what caused it
_KEPT = 512
_TELLS = re.compile(r"/(files|export|console|metadata|templates)$|/logs/")  # what is read there, an event tells


@dataclass(slots=True, eq=False)
class _Change:
    path: str
    who: Requestor
    ended: float = field(default=float("inf"))


class Changes:
    """The latest that were sent to one host for somebody."""

    def __init__(self) -> None:
        self._latest: deque[_Change] = deque(maxlen=_KEPT)

    def under_way(self, target: str, *, reads: bool) -> AbstractContextManager[None]:
        """While a request is sent and answered. target: path and query.  reads: whether it changes nothing."""
        path, who = target.partition("?")[0], requestor.get()
        if who is None or (reads and not _TELLS.search(path)):
            return nullcontext()
        return self._noted(_Change(path, who))

    @contextmanager
    def _noted(self, change: _Change) -> Iterator[None]:
        self._latest.append(change)
        try:
            yield
        finally:
            change.ended = time.monotonic()

    def by(self, path: str) -> Requestor | None:
        """Who has just changed what has that path, something below it, or what it is in. None when nobody has, or
        when it may have been one or another."""
        limit = time.monotonic() - AFTERWARDS
        below, within = f"{path}/", tuple(path[:end] for end, sign in enumerate(path) if sign == "/")
        near = [
            change
            for change in self._latest
            if (change.path == path or change.path in within or change.path.startswith(below)) and change.ended > limit
        ]
        nearest = max((len(change.path) for change in near), default=0)
        callers = [change.who for change in near if len(change.path) == nearest]
        return callers[0] if callers and all(who == callers[0] for who in callers) else None


def related(one: str, other: str) -> bool:
    """Whether two paths are of one thing, or of one within the other."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
