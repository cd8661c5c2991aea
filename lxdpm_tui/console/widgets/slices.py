"""Work on many rows, a slice at a time, so that keys are taken in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator

from textual.widget import Widget

Steps = Generator[None, None, None]
AT_ONCE = 0.008  # seconds of work that is done before others have their turn: its paint is then that of the key


_END = object()


class SlicedWork:
    """One piece of work at a time for a widget; a new one ends the one before."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._steps: Steps | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(
        self,
        steps: Steps,
        done: Callable[[], None],
        after_each: Callable[[], float] = lambda: 0.0,
        *,
        key: bool = False,
    ) -> None:
        """Go through the steps, then call done().

        after_each: called after each step; gives the seconds to wait before the next one, so that what it showed is
        painted first; below 0: give up.  key: a person waits for it, so that the first steps are made right away,
        until there is something to show.
        """
        self.stop()
        until = time.perf_counter() + AT_ONCE
        wait = 0.0
        while key and not wait and time.perf_counter() < until:
            if next(steps, _END) is _END:
                done()
                return
            wait = after_each()
            if wait < 0:
                steps.close()
                return
        self._steps = steps
        self._task = asyncio.create_task(self._run(steps, done, after_each, wait), name="sliced work on rows")
        self._task.add_done_callback(self._ended)

    def stop(self) -> None:
        """Give up what is under way."""
        if self._task is not None and self._steps is not None:
            self._task.cancel()
            self._steps.close()
        self._task = self._steps = None

    async def _run(self, steps: Steps, done: Callable[[], None], after_each: Callable[[], float], wait: float) -> None:
        await asyncio.sleep(wait)
        for _ in steps:
            wait = after_each()
            if wait < 0:
                steps.close()
                return
            await asyncio.sleep(wait)
        done()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._widget.call_later(_raise, error)  # in the app, which knows what to do with it


def _raise(error: BaseException) -> None:
    raise error
