"""Work on many rows, a slice at a time, so that keys are taken in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator

from textual.widget import Widget

Steps = Generator[None, None, None]


class SlicedWork:
    """One piece of work at a time for a widget; a new one ends the one before."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._steps: Steps | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self, steps: Steps, done: Callable[[], None], after_each: Callable[[], bool] = lambda: True) -> None:
        """Go through the steps, then call done(); after_each: called after each step, False gives up."""
        self.stop()
        self._steps = steps
        self._task = asyncio.create_task(self._run(steps, done, after_each), name="sliced work on rows")
        self._task.add_done_callback(self._ended)

    def stop(self) -> None:
        """Give up what is under way."""
        if self._task is not None and self._steps is not None:
            self._task.cancel()
            self._steps.close()
        self._task = self._steps = None

    async def _run(self, steps: Steps, done: Callable[[], None], after_each: Callable[[], bool]) -> None:
        for _ in steps:
            await asyncio.sleep(0)
            if not after_each():
                steps.close()
                return
        done()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._widget.call_later(_raise, error)  # in the app, which knows what to do with it


def _raise(error: BaseException) -> None:
    raise error
