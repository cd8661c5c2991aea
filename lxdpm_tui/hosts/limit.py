"""A limit of time for what others take, of which this process's own stalls are no part."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

_PARTS = 4


@contextlib.asynccontextmanager
async def limit(seconds: float | None) -> AsyncIterator[None]:
    """As asyncio.timeout: TimeoutError when the body takes longer. None: no limit.

    The time is counted in four parts, of which the next begins when this process has noticed the end of the one before:
    a stall of its own, of whatever length, counts as a part at most, and what came meanwhile is read before the end.
    """
    if seconds is None:
        yield
        return
    loop = asyncio.get_running_loop()
    part = seconds / _PARTS
    timer: asyncio.TimerHandle

    def over(left: int) -> None:
        nonlocal timer
        if left:
            timer = loop.call_later(part, over, left - 1)
        else:
            ending.reschedule(loop.time())

    ending = asyncio.timeout(None)
    timer = loop.call_later(part, over, _PARTS - 1)
    try:
        async with ending:
            yield
    finally:
        timer.cancel()
