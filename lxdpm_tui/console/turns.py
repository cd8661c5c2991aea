"""An event loop in which what a person waits for goes before the fleet.

asyncio runs what is ready in the order in which it became so, all of it each turn. While a thousand hosts are read that
are hundreds of callbacks, and from a key to its paint it takes a dozen turns. Here callbacks of background tasks wait
while others are ready, and few of them have a turn at a time. The order among them, and among the others, is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import ContextVar
from typing import Any

BACKGROUND: ContextVar[bool] = ContextVar("lxdpm_tui_background", default=False)
"""Set in a task that nobody waits for; tasks and connections that it begins have it too."""

AT_ONCE = 16  # background callbacks in one turn of the loop: a few milliseconds
SHARE = 16  # other callbacks in a row while background ones wait: those are never kept out


class Turns:
    """What an event loop has to run, in place of its deque."""

    def __init__(self) -> None:
        self._first: deque[asyncio.Handle] = deque()
        self._behind: deque[asyncio.Handle] = deque()
        self._waiting: set[int] = set()
        self._row = 0

    def append(self, handle: asyncio.Handle) -> None:
        context: Any = handle._context  # type: ignore[attr-defined]
        if not context.get(BACKGROUND):
            self._first.append(handle)
        elif id(handle) not in self._waiting:  # a socket that was not read yet is told again each turn
            self._waiting.add(id(handle))
            self._behind.append(handle)

    def popleft(self) -> asyncio.Handle:
        if self._first and (not self._behind or self._row < SHARE):
            self._row += 1
            return self._first.popleft()
        self._row = 0
        handle = self._behind.popleft()
        self._waiting.discard(id(handle))
        return handle

    def __len__(self) -> int:
        """How many may run in this turn."""
        return len(self._first) + min(AT_ONCE, len(self._behind))

    def clear(self) -> None:
        self._first.clear()
        self._behind.clear()
        self._waiting.clear()


class Loop(asyncio.SelectorEventLoop):
    """asyncio's own, with Turns; as it is where a Python to come keeps its callbacks in another way."""

    def __init__(self) -> None:
        super().__init__()
        if type(getattr(self, "_ready", None)) is deque and hasattr(asyncio.Handle, "_context"):
            self._ready = Turns()


def run(main: Any) -> Any:
    """As asyncio.run, in such a loop."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)
