"""How fast a thousand hosts may come in, so that whoever looks at them never waits: one heavy piece of work a turn of
the event loop, none right after a key, and only so many sessions that begin at once. No I/O.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from weakref import WeakKeyDictionary

OPENINGS = 16  # sessions that begin at the same time
PATIENCE = 1.0  # seconds that one may keep others from beginning: a hung host delays nobody for longer
KEY = 0.03  # seconds after a key in which its paint goes first
LONGEST = 0.25  # seconds that keys may hold work up when they never end


class Pace:
    """Of one event loop; see `pace`."""

    def __init__(self) -> None:
        self._lane = asyncio.Lock()
        self._openings = asyncio.Semaphore(OPENINGS)
        self._until = 0.0

    def key(self) -> None:
        """Somebody pressed a key: what is to be painted goes first."""
        self._until = time.monotonic() + KEY

    @property
    def pressed(self) -> bool:
        """Whether a key came in just now, so that its paint is due."""
        return time.monotonic() < self._until

    @contextlib.asynccontextmanager
    async def piece(self) -> AsyncIterator[None]:
        """A piece of work of some milliseconds, without an await in it: it has a turn of the loop for itself."""
        async with self._lane:
            latest = time.monotonic() + LONGEST
            while (wait := min(self._until, latest) - time.monotonic()) > 0:  # noqa: ASYNC110  (keys put it off)
                await asyncio.sleep(wait)
            yield
            await asyncio.sleep(0)  # all else that is ready comes before the next piece

    @contextlib.asynccontextmanager
    async def opening(self) -> AsyncIterator[None]:
        """The beginning of a session. After PATIENCE the next one may begin, whether this one is through or not."""
        await self._openings.acquire()
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                self._openings.release()

        timer = asyncio.get_running_loop().call_later(PATIENCE, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()


_paces: WeakKeyDictionary[asyncio.AbstractEventLoop, Pace] = WeakKeyDictionary()


def pace() -> Pace:
    """The pace of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _paces.get(loop)
    if found is None:
        found = _paces[loop] = Pace()
    return found
