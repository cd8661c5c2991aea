"""The way to the terminal: how much goes through it and how fast, and taking over from the splash.

Over SSH the screen is as quick as its bytes. What the terminal's writer had to wait for tells how fast the link is; the
tables paint seldomer when one paint takes long to get through.
"""

from __future__ import annotations

import os
import time
from typing import IO, TYPE_CHECKING, Any, cast

from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

from lxdpm_tui import splash
from lxdpm_tui.console import text

if TYPE_CHECKING:
    from textual.app import App

BLOCKED = 0.004  # seconds that a write takes only when the link is full
FORGET = 10.0  # seconds after which a link that was full counts as free again
SHARE = 0.4  # of a full link that paints of data may take; the rest is for keys
SELDOM = 2.0  # seconds between two paints of data at most
WORTH = 1500  # bytes of a paint of data, when none was measured


class Link:
    """What is known of the way to the terminal. Written by the writer's thread, read by all.

    sent: bytes so far.  rate: bytes a second when it is full, 0 = it never was.  full: when it last was (monotonic).
    """

    def __init__(self) -> None:
        self.sent = 0
        self.rate = 0.0
        self.full = -FORGET
        self._paint = float(WORTH)

    def passed(self, size: int, seconds: float) -> None:
        """So much was written in that time."""
        self.sent += size
        if seconds > BLOCKED and size:
            rate = size / seconds
            self.rate = 0.7 * self.rate + 0.3 * rate if self.slow else rate
            self.full = time.monotonic()

    @property
    def slow(self) -> bool:
        """Whether it was full a moment ago."""
        return time.monotonic() - self.full < FORGET

    def paint_every(self, least: float) -> float:
        """Seconds between two paints of data, at least `least`: a slow link keeps room for keys."""
        return min(SELDOM, max(least, self._paint / (self.rate * SHARE))) if self.slow and self.rate else least

    def words(self, backlog: int, least: float) -> str:
        """The link in one line. backlog: frames that wait."""
        speed = f"{text.long_size(self.rate)}/s when full" if self.rate else "faster than what was sent"
        every = self.paint_every(least)
        return (
            f"Link: {speed}, {text.long_size(self.sent)} sent, {text.count(backlog, 'frame')} waiting, "
            f"data painted every {every:.2g} s at most"
        )


class Metered:
    """A text file that tells the link what passed through it. For the writer's thread alone."""

    def __init__(self, file: IO[str], link: Link) -> None:
        self._file = file
        self._link = link
        self._size = 0
        self._seconds = 0.0

    def write(self, data: str) -> None:
        began = time.perf_counter()
        self._file.write(data)
        self._seconds += time.perf_counter() - began
        self._size += len(data)

    def flush(self) -> None:
        began = time.perf_counter()
        self._file.flush()
        self._link.passed(self._size, self._seconds + time.perf_counter() - began)
        self._size, self._seconds = 0, 0.0

    def fileno(self) -> int:
        return self._file.fileno()


class ConsoleDriver(LinuxDriver):
    """Textual's own, metered; the first time it leaves the splash on screen until there is something to put over it."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.link = Link()
        self._file = cast(Any, Metered(cast("IO[str]", self._file), self.link))

    def _get_terminal_size(self) -> tuple[int, int]:
        """What the terminal itself says. Textual believes COLUMNS and LINES more, which stay what they were when the
        window gets another size. Of a serial line, which knows no size, those or 80x24."""
        try:
            size = os.get_terminal_size(self.fileno)
        except OSError:
            return super()._get_terminal_size()
        return size if all(size) else super()._get_terminal_size()

    def write(self, data: str) -> None:
        if data == splash.ALTERNATE and splash.showing():
            splash.taken()
            return
        super().write(data)


def driver_class(found: type[Driver]) -> type[Driver]:
    """Ours in place of Textual's for a terminal; any other (a browser, tests) as it is."""
    return ConsoleDriver if found is LinuxDriver else found


def link_of(app: App[Any]) -> Link | None:
    """None where nothing is metered."""
    driver = app._driver
    return driver.link if isinstance(driver, ConsoleDriver) else None
