"""Lines of a log, drawn by the screenful: whatever the log holds, only what is seen is looked at."""

from __future__ import annotations

import re
import time

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip

from lxdpm_tui.console import text
from lxdpm_tui.console.inside.log_buffer import Entry, LogBuffer, plain
from lxdpm_tui.console.widgets.painted import Painted

_COLOURS = ("accent", "good", "busy", "warn", "cold")


class LogView(Painted, can_focus=True):
    """Follows the end of a buffer, or stands still at a line.

    Standing still means that nothing on it moves, also when the buffer has dropped what it shows.
    """

    class Moved(Message):
        """It follows now, or does not any more."""

    def __init__(self, buffer: LogBuffer, *, names: int = 1, id: str | None = None) -> None:
        """names: how many sources there are; with several each line is prefixed."""
        super().__init__(id=id)
        self.buffer = buffer
        self.following = True
        self.wrap = False
        self.time = False
        self.search = ""
        self._several = names > 1
        self._rows: list[tuple[Entry, str, bool]] = []  # line, the part of it, whether it is the first part
        self._sources: dict[str, str] = {}

    # -- what is shown

    @property
    def plain(self) -> list[str]:
        """The rows on screen as text."""
        return [f"{self._prefix(entry) if first else ''}{part}" for entry, part, first in self._rows]

    @property
    def unseen(self) -> int:
        """Lines that came since it stands still."""
        return 0 if self.following or not self._rows else self.buffer.end - 1 - self._rows[-1][0].number

    def data_changed(self) -> None:
        """The buffer has more."""
        if self.following or len(self._rows) < self.size.height:
            self._arrange()

    def on_resize(self) -> None:
        self._arrange(again=True)

    def _arrange(self, *, top: int | None = None, again: bool = False) -> None:
        """Find the rows. top: the number of the line at the top, when it stands still; again: draw anyway."""
        height = self.size.height
        rows: list[tuple[Entry, str, bool]] = []
        if self.following:
            number = self.buffer.end - 1
            while len(rows) < height and (entry := self.buffer.get(number)) is not None:
                rows = self._parts(entry) + rows
                number -= 1
            rows = rows[-height:]
        else:
            number = top if top is not None else self._rows[0][0].number if self._rows else self.buffer.dropped
            if top is None and number < self.buffer.dropped:
                return  # what is shown is all that is left of it
            number = max(number, self.buffer.dropped)
            while len(rows) < height and (entry := self.buffer.get(number)) is not None:
                rows += self._parts(entry)
                number += 1
            rows = rows[:height]
        if rows != self._rows or again:
            self._rows = rows
            self.refresh()

    def _parts(self, entry: Entry) -> list[tuple[Entry, str, bool]]:
        line = text.clean(plain(entry.text).expandtabs())
        room = self.size.width - cell_len(self._prefix(entry)) - 1
        if not self.wrap or room < 8 or len(line) <= room:
            return [(entry, line, True)]
        return [(entry, line[at : at + room], at == 0) for at in range(0, len(line), room)]

    def _prefix(self, entry: Entry) -> str:
        moment = time.strftime("%H:%M:%S ", time.localtime(entry.when)) if self.time else ""
        return moment + (f"{text.fit(entry.source, 18)} " if self._several else "")

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y >= len(self._rows):
            return Strip.blank(width, self.style())
        entry, part, first = self._rows[y]
        prefix = self._prefix(entry)
        colour = self._sources.setdefault(entry.source, _COLOURS[len(self._sources) % len(_COLOURS)])
        segments = [
            Segment(prefix if first else " " * cell_len(prefix), self.style(colour if self._several else "dim"))
        ]
        body = text.fit(part, max(0, width - cell_len(prefix)))
        ours = self.style("dim" if entry.text.startswith("── ") else "")
        at = 0
        if self.search:
            for match in re.finditer(re.escape(self.search), body, re.IGNORECASE):
                segments += [
                    Segment(body[at : match.start()], ours),
                    Segment(match[0], self.style("mark", cursor=True)),
                ]
                at = match.end()
        segments.append(Segment(body[at:], ours))
        return Strip(segments, width)

    # -- moving

    def follow(self, on: bool) -> None:
        """Follow the end, or stand still where it is."""
        if on != self.following:
            self.following = on
            if on:
                self._arrange()
            self.post_message(self.Moved())

    def move(self, lines: int) -> None:
        """Stand still, so many lines further down; at the end of the log it follows again."""
        if not self._rows:
            return
        if self.following and lines >= 0:
            return
        self.following = False
        top = self._rows[0][0].number + lines
        last = self.buffer.end - self.size.height
        if top >= last and lines > 0:
            self.follow(True)
        else:
            self._arrange(top=max(top, self.buffer.dropped))
        self.post_message(self.Moved())

    def show(self, number: int) -> None:
        """Stand still with that line in the upper part."""
        self.following = False
        self._arrange(top=max(self.buffer.dropped, number - self.size.height // 3), again=True)
        self.post_message(self.Moved())

    def find(self, step: int) -> bool:
        """Go to the next line with the words searched for, upwards with step -1. Whether there is one."""
        here = self._rows[0][0].number + self.size.height // 3 if self._rows and not self.following else None
        if here is None:
            here, step = self.buffer.end, -1  # from the end only upwards
        found = self.buffer.find(self.search, here + step, step) if self.search else None
        if found is not None:
            self.show(found)
        return found is not None

    def restyle(self) -> None:
        """Wrap, time or search changed."""
        self._arrange(again=True)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self.move(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self.move(3)
