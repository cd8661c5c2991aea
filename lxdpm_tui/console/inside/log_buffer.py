"""The last lines of some logs, in the order in which they came; bounded, whatever is thrown at it. No widgets."""

from __future__ import annotations

import re
import time
from collections import deque
from typing import NamedTuple

LINES = 20_000
BYTES = 8 << 20
LONGEST = 16 << 10  # bytes of one line; what is longer becomes several
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_]|[ -/]+[0-~])")


class Entry(NamedTuple):
    """One line. number: counts up from 0, never used twice.  when: seconds since the epoch that it came here."""

    number: int
    when: float
    source: str
    text: str


class LogBuffer:
    """A ring of lines from several sources. dropped: how many are gone from its beginning."""

    def __init__(self, lines: int = LINES, size: int = BYTES) -> None:
        self._entries: deque[Entry] = deque()
        self._lines, self._limit = lines, size
        self._size = 0
        self._halves: dict[str, bytes] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def end(self) -> int:
        """The number that the next line gets."""
        return self.dropped + len(self._entries)

    def add(self, source: str, data: bytes) -> None:
        """Output of a source, in pieces of any size. A line is there once its end has come, or it is too long."""
        whole, newline, half = (self._halves.pop(source, b"") + data).rpartition(b"\n")
        while len(half) > LONGEST:
            whole, newline, half = whole + newline + half[:LONGEST], b"\n", half[LONGEST:]
        if half:
            self._halves[source] = half
        if newline:
            now = time.time()
            for line in whole.split(b"\n"):
                self._put(now, source, line[:LONGEST].rstrip(b"\r").decode(errors="replace"))

    def flush(self) -> None:
        """Nothing more is under way just now: show lines whose end has not come (a prompt) too."""
        now = time.time()
        for source, half in self._halves.items():
            self._put(now, source, half.decode(errors="replace"))
        self._halves.clear()

    def note(self, source: str, words: str) -> None:
        """A line of our own about a source."""
        self._put(time.time(), source, f"── {words}")

    def _put(self, when: float, source: str, text: str) -> None:
        self._entries.append(Entry(self.end, when, source, text))
        self._size += len(text) + 64
        while len(self._entries) > self._lines or (self._size > self._limit and len(self._entries) > 1):
            self._size -= len(self._entries.popleft().text) + 64
            self.dropped += 1

    def get(self, number: int) -> Entry | None:
        """The line of that number, if it is still there."""
        index = number - self.dropped
        return self._entries[index] if 0 <= index < len(self._entries) else None

    def since(self, number: int) -> list[Entry]:
        """All lines from a number on."""
        skip = max(0, number - self.dropped)
        return list(self._entries)[skip:]

    def find(self, words: str, start: int, step: int) -> int | None:
        """The number of the nearest line that has the words (in any case), from `start` on; step: 1 or -1."""
        wanted = words.casefold()
        lines = self.since(0)
        inside = [line for line in lines if (line.number >= start if step > 0 else line.number <= start)]
        for line in inside[::step]:
            if wanted in plain(line.text).casefold():
                return line.number
        return None

    def text(self) -> str:
        """Everything, as it is saved: time and source before each line."""
        several = len({line.source for line in self._entries}) > 1
        return "".join(
            f"{stamp(line.when)} {line.source + ' ' if several else ''}{plain(line.text)}\n" for line in self._entries
        )


def plain(text: str) -> str:
    """Without colours and other sequences."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def stamp(when: float) -> str:
    """`2026-11-22 14:03:10`, local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
