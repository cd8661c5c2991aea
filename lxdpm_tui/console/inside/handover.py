"""The console steps aside and something else has the terminal: a remote shell, or the person's editor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from textual.app import App, SuspendNotSupported

from lxdpm_tui.actions.registry import ActionError

T = TypeVar("T")


async def hand_over(app: App[Any], work: Callable[[], Awaitable[T]]) -> T:
    """Do the work while the terminal is as it was before the console started; then draw the console again.

    The console goes on meanwhile (hosts, tasks, timers) and draws nothing: batch_update, else the frames for a writer
    that does not run would fill its queue and then block the loop.
    Raises ActionError where the console has no terminal of its own (a browser), and what the work raises.
    """
    failure: BaseException | None = None
    try:
        with app.suspend(), app.batch_update():
            try:
                result = await work()
            except BaseException as error:  # suspend() does not resume when an exception leaves it
                failure = error
    except SuspendNotSupported:
        raise ActionError("this needs a terminal of its own, which a browser does not give") from None
    if failure is not None:
        raise failure
    return result
