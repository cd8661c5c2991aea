"""Every private touch of Textual, in one place: each is guarded by a test that fails when a new version changes it.

Also the signals that end a terminal program.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.control import Control
from textual._compositor import ChopsUpdate
from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode
from textual.filter import Monochrome
from textual.widget import Widget

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.style import Style as RichStyle
    from textual.app import App
    from textual.geometry import Size
    from textual.screen import Screen
    from textual.scroll_view import ScrollView

LAST_RESORT = 15.0  # seconds from a hang-up to a hard exit, when closing does not end by itself


def _render_cropped(self: ChopsUpdate, console: RichConsole) -> str:
    """ChopsUpdate.render_segments, but cropped at both edges.

    Textual 8.2 crops the right edge only, so that a changed cell sends its line from the left again: 3 to 4 times the
    bytes of what changed.
    """
    parts: list[str] = []
    for y, left, right in self.spans:
        for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
            if strip is None or x >= right or end <= left:
                continue
            start = max(x, left)
            parts.append(Control.move_to(start, y).segment.text)
            if start > x or end > right:
                strip = strip.crop(start - x, min(end, right) - x)
            parts.append(strip.render(console))
    return "".join(parts)


def install_crop() -> None:
    """Make partial updates send only what they cover. Idempotent; for the whole process."""
    ChopsUpdate.render_segments = _render_cropped  # type: ignore[method-assign]


def backlog(app: App[Any]) -> int:
    """How many frames wait to be written to the terminal; 0 where there is no writer thread (tests, a browser)."""
    writer = getattr(app._driver, "_writer_thread", None)
    return int(writer._queue.qsize()) if writer is not None else 0


def screen_text(app: App[Any]) -> list[str]:
    """What is on screen as lines of text, without styles and trailing blanks."""
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


def hold_frames(app: App[Any]) -> None:
    """Draw nothing on the terminal until release_frames."""
    app._display = lambda screen, renderable: None  # type: ignore[method-assign]


def release_frames(app: App[Any]) -> None:
    """Draw the whole screen, and then all changes as ever."""
    del app._display
    app._display(app.screen, app.screen._compositor.render_update(full=True))


def without_greys(app: App[Any]) -> None:
    """Under NO_COLOR Textual turns colours into greys, and the terminal's own colours into black on black.

    Our plain theme has no colours: there is nothing to turn.
    """
    app._filters[:] = [each for each in app._filters if not isinstance(each, Monochrome)]


def resize_content(view: ScrollView, size: Size) -> None:
    """Another size of what is scrolled, without laying out and painting the whole screen anew (20 ms)."""
    view.set_reactive(Widget.virtual_size, size)
    view._scroll_update(size)


def part_style(widget: Widget, name: str) -> RichStyle:
    """What the style sheet says of a part of a widget, as far as it differs; `> .name` in the rules."""
    part = DOMNode(classes=name)
    part._attach(widget)
    widget.app.stylesheet.apply(part, animate=False)
    return part.styles.partial_rich_style


def rebind(screen: Screen[Any], bindings: Sequence[Binding]) -> None:
    """Give a screen other keys than its class has. App.set_keymap takes a key from all that shared it."""
    screen._bindings = BindingsMap(bindings)
    screen.refresh_bindings()


def let_go(app: App[Any]) -> None:
    """The terminal is gone: write nowhere from now on, and never wait for it. Safe in a signal handler.

    A write to it would end Textual's writer thread, and then block the whole program as soon as 30 frames wait.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    writer = getattr(app._driver, "_writer_thread", None)
    if writer is not None:
        writer._queue.maxsize = 0
        if writer._queue.mutex.acquire(blocking=False):
            writer._queue.not_full.notify_all()
            writer._queue.mutex.release()


def _terminal_is_there() -> bool:
    try:
        termios.tcgetattr(sys.__stderr__.fileno() if sys.__stderr__ else 2)
    except (termios.error, OSError, ValueError):
        return False
    return True


def hung_up() -> bool:
    """Whether the terminal is gone without a SIGHUP: it was not the controlling one. Textual would read on for ever."""
    look = select.poll()
    look.register(0, 0)
    return any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in look.poll(0))


def leave_on_signals(app: App[Any], leave: Callable[[], None]) -> Callable[[], None]:
    """Call leave() on SIGHUP, SIGTERM and SIGINT, in the running loop; gives the undoing.

    When the process is still there some seconds later, it ends hard: the journal makes that safe, an orphan that keeps
    the fleet locked would not be. The handlers are Python's, not the loop's, for the loop may be what is blocked.
    """
    loop = asyncio.get_running_loop()
    timers: list[threading.Timer] = []

    def caught(number: int, frame: object) -> None:
        timer = threading.Timer(LAST_RESORT, os._exit, (128 + number,))
        timer.daemon = True
        timer.start()
        timers.append(timer)
        if number == signal.SIGHUP and not _terminal_is_there():
            let_go(app)
        loop.call_soon_threadsafe(leave)

    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, caught) for number in numbers}

    def undo() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        for timer in timers:
            timer.cancel()

    return undo
