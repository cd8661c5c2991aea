"""A pane of labelled lines that scrolls and redraws only the lines that changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.strip import Strip

from lxdpm_tui.console import text
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.widgets.painted import Painted

LABEL = 12


class Lines(Painted, can_focus=False):
    """Shows Line tuples: headings, labels with values, free text; long values are wrapped."""

    BINDINGS = [
        Binding("up,k", "by(-1)", show=False),
        Binding("down,j", "by(1)", show=False),
        Binding("pageup", "by(-10)", show=False),
        Binding("pagedown", "by(10)", show=False),
        Binding("home,g", "by(-100000)", show=False),
        Binding("end,G", "by(100000)", show=False),
    ]

    def __init__(self, *, label: int = LABEL, id: str | None = None) -> None:
        super().__init__(id=id)
        self._label = self._room = label
        self._lines: tuple[Line, ...] = ()
        self._wrapped: list[Line] = []

    def show_lines(self, lines: Iterable[Line], *, top: bool = False) -> None:
        """Show these; draws what is different only. top: begin at the first line."""
        new = tuple(lines)
        if top:
            self.scroll_to(y=0, animate=False)
        if new != self._lines:
            self._lines = new
            self._wrap()

    @property
    def plain(self) -> list[str]:
        """The lines as text."""
        return [f"{line.label} {line.value}".strip() for line in self._lines]

    @property
    def height_needed(self) -> int:
        return len(self._wrapped)

    def on_resize(self) -> None:
        self._wrap()

    def _wrap(self) -> None:
        before, label = self._wrapped, self._room
        width = self.size.width - 3
        longest = max((len(line.label) for line in self._lines if line.value), default=0)
        self._room = min(max(longest, self._label), max(self._label, width // 3))
        self._wrapped = [part for line in self._lines for part in self._parts(line, width)]
        size = Size(self.size.width, len(self._wrapped))
        if self.virtual_size != size or label != self._room:
            self.virtual_size = size
            self.refresh()
            return
        top = int(self.scroll_offset.y)
        dirty = [
            Region(0, number - top, self.size.width, 1)
            for number, line in enumerate(self._wrapped)
            if number >= len(before) or before[number] != line
        ]
        if dirty:
            self.refresh(*dirty)

    def _parts(self, line: Line, width: int) -> Sequence[Line]:
        room = width - (self._room + 1 if line.label else 0)
        value = text.clean(line.value)
        if room < 8 or len(value) <= room:
            return (Line(line.label, value, line.style),)
        parts = []
        while len(value) > room:
            at = value.rfind(" ", room // 2, room + 1)
            at = at if at > 0 else room
            parts.append(value[:at].rstrip())
            value = value[at:].lstrip()
        parts.append(value)
        return [Line(line.label if n == 0 else line.label and " ", part, line.style) for n, part in enumerate(parts)]

    def render_line(self, y: int) -> Strip:
        index = int(self.scroll_offset.y) + y
        width = self.size.width
        if not 0 <= index < len(self._wrapped):
            return Strip.blank(width, self.style())
        line = self._wrapped[index]
        if line.label and not line.value and line.style == "accent":
            return Strip([Segment(text.fit(f" {line.label}", width), self.style("accent"))], width)
        segments = [Segment(" ", self.style())]
        room = width - 1
        if line.label:
            segments.append(Segment(text.fit(line.label, self._room) + " ", self.style("label")))
            room -= self._room + 1
        segments.append(Segment(text.fit(line.value, room), self.style(line.style)))
        return Strip(segments, width)

    def action_by(self, step: int) -> None:
        self.scroll_to(y=min(max(0, self.scroll_offset.y + step), self.max_scroll_y), animate=False)
