"""The last table, on screen before anything slow is imported. Standard library only, and little of that.

The console keeps its screen as text when it ends; the next start shows it, faint and with its age, until the live table
takes its place. Nothing is shown when the terminal has another size, or nothing was kept.
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
_FLAGS = frozenset({"--read-only", "--no-mouse"})
_VALUED = frozenset({"--state", "--hosts", "--view", "--filter", "--project", "--demo", "--demo-instances"})
_showing = False


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

    Only lines that cannot be wrong: what is then said of them would stand beside the splash. A demo without a directory
    is another fleet each time.
    """
    directory, demo = "", False
    given = iter(words)
    for word in given:
        if word in _FLAGS:
            continue
        value = next(given, None) if word in _VALUED else None
        if value is None or (word == "--demo" and not value.isdigit()):
            return None
        demo = demo or word == "--demo"
        if word == "--state":
            directory = value
    if not directory and demo:
        return None
    if not directory:
        import platformdirs

        directory = platformdirs.user_state_dir("lxdpm-tui")
    return directory


def begin_for(words: Sequence[str]) -> None:
    """Show the last screen, if that command line opens the console."""
    directory = directory_for(words)
    if directory is not None:
        begin(directory)


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
    _showing = True
    return True


def showing() -> bool:
    """Whether it is on screen, and nobody took its place yet."""
    return _showing


def taken() -> None:
    """The console paints from now on."""
    global _showing
    _showing = False


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
