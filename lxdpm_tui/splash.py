"""The last table, on screen before anything slow is imported. Standard library only, and little of that.

The console keeps its screen as text when it ends; the next start shows it, faint and with its age, until the live table
takes its place. Where nothing was kept for a terminal of that size, it shows the frame of the console, which has no
rows yet: that it starts, and which tables there will be.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FILE = "screen"
ALTERNATE, BACK = "\x1b[?1049h", "\x1b[?1049l"
_HIDE, _SHOW, _FAINT, _PLAIN = "\x1b[?25l", "\x1b[?25h", "\x1b[2m", "\x1b[0m"
_FIRST = "lxdpm-tui screen 1"
_FLAGS = frozenset({"--read-only"})
_COUNTS = frozenset({"--demo", "--demo-instances"})
_VALUED = frozenset({"--state", "--hosts", "--view", "--filter", "--project", *_COUNTS})
_TABS = ("1 Hosts", "2 Instances", "3 Images", "4 Profiles", "5 Tasks")
_MORE_TABS = ("6 Networks", "7 Storage", "8 Projects", "9 Warnings", "v Events")  # on wide screens
_LEAST = (20, 4)  # columns and rows of a terminal for a frame
MOST = 1000  # hosts of a demo, and instances of each of them
_showing = ""  # "rows", "frame", or "" = nothing


def keep(directory: str | os.PathLike[str], lines: Sequence[str], size: tuple[int, int]) -> None:
    """Keep a screen of `size` (columns, rows) for the next start, for its owner only. Raises OSError."""
    columns, rows = size
    text = "\n".join([f"{_FIRST} {columns} {rows} {int(time.time())}", *lines])
    path = os.path.join(directory, FILE)
    fresh = f"{path}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(fresh, path)


def directory_for(words: Sequence[str]) -> str | None:
    """The state directory of the console that a command line opens; None when it does something else.

    Only lines that cannot be wrong: what is then said of them would stand beside the splash. "": a demo without a
    directory, which is another fleet each time.
    """
    directory, demo = "", False
    given = list(words)
    while given:
        word = given.pop(0)
        if word in _FLAGS:
            continue
        if word == "--demo" and (not given or given[0].startswith("-")):
            demo = True
            continue
        if word not in _VALUED or not given:
            return None
        value = given.pop(0)
        if value.startswith("-") or (word in _COUNTS and not (value.isdecimal() and 0 < int(value) <= MOST)):
            return None
        demo = demo or word == "--demo"
        if word == "--state":
            directory = value
    if not directory and not demo:
        import platformdirs

        directory = platformdirs.user_state_dir("lxdpm-tui")
    return directory


def begin_for(words: Sequence[str]) -> None:
    """Show the last screen, else the frame, if that command line opens the console."""
    directory = directory_for(words)
    if directory is not None and not (directory and begin(directory)):
        begin_frame("--demo" in words)


def begin_frame(demo: bool = False) -> bool:
    """Show the console as it is without rows; whether there is a terminal for it."""
    global _showing
    try:
        columns, rows = os.get_terminal_size(2)
    except OSError:
        return False
    if not os.isatty(1) or columns < _LEAST[0] or rows < _LEAST[1]:
        return False
    first, second = frame(columns, demo)
    note = " opening the fleet… "
    _write(f"{ALTERNATE}{_HIDE}{_FAINT}\x1b[1;1H{first}\x1b[2;1H{second}\x1b[{rows};1H{_PLAIN}{note}")
    _showing = "frame"
    return True


def frame(columns: int, demo: bool = False) -> tuple[str, str]:
    """The two lines at the top of the console before it has rows, as console/headline.py has them then."""
    tabs: tuple[str, ...] = _TABS if columns < 160 else _TABS + _MORE_TABS
    if columns < 70:
        tabs = tuple(tab[: len("1 Hosts")] for tab in tabs)
    title = f" lxdpm-tui{'   DEMO ' if demo else ''}   starting…"
    return title[:columns], (" " + ("   " if columns >= 100 else "  ").join(tabs))[:columns]


def begin(directory: str | os.PathLike[str]) -> bool:
    """Show what was kept there; whether there was something for this terminal."""
    global _showing
    try:
        with open(os.path.join(directory, FILE), encoding="utf-8") as file:
            first, *lines = file.read().split("\n")
        columns, rows, kept = (int(word) for word in first.removeprefix(_FIRST).split())
        if not first.startswith(_FIRST) or os.get_terminal_size(2) != (columns, rows) or not os.isatty(1):
            return False
    except (OSError, ValueError):
        return False
    if not all(line.isprintable() for line in lines):
        return False
    note = f" as it was {_span(time.time() - kept)} ago, opening the fleet… "[:columns]
    text = "".join(f"\x1b[{row};1H{line}" for row, line in enumerate(lines[: rows - 1], 1) if line)
    _write(f"{ALTERNATE}{_HIDE}{_FAINT}{text}\x1b[{rows};1H{_PLAIN}{note}")
    _showing = "rows"
    return True


def showing() -> bool:
    """Whether it is on screen, and nobody took its place yet."""
    return bool(_showing)


def showing_rows() -> bool:
    """Whether rows of the last time are on screen, which are worth more than a table without rows."""
    return _showing == "rows"


def taken() -> None:
    """The console paints from now on."""
    global _showing
    _showing = ""


def end() -> None:
    """Give the terminal back, when nobody took its place."""
    if _showing:
        taken()
        _write(_SHOW + BACK)


def _write(text: str) -> None:
    data = text.encode()
    while data:
        data = data[os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, data) :]


def _span(seconds: float) -> str:
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
