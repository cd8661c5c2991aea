"""Lines of styled pieces, drawn again only where they changed; for what is no table: the overview."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.segment import Segment
from textual.geometry import Region, Size
from textual.strip import Strip

from lxdpm_tui.console import text
from lxdpm_tui.console.widgets.painted import Painted, merged


class Piece(NamedTuple):
    """Some text in a named style."""

    text: str
    style: str = ""


class Board(Painted, can_focus=True):
    """Shows lines of pieces, each cut at the width."""

    DEFAULT_CSS = "Board { height: 1fr; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[tuple[Piece, ...]] = []

    @property
    def plain(self) -> list[str]:
        """The lines as text."""
        return ["".join(piece.text for piece in line).rstrip() for line in self._lines]

    def show_lines(self, lines: Sequence[Sequence[Piece]]) -> None:
        """Show these lines."""
        old, self._lines = self._lines, [tuple(line) for line in lines]
        size = Size(1, len(self._lines))
        if self.virtual_size != size:
            self.virtual_size = size
            self.refresh()
            return
        top = int(self.scroll_offset.y)
        dirty = [
            Region(0, number - top, self.size.width, 1)
            for number, line in enumerate(self._lines)
            if old[number] != line and 0 <= number - top < self.size.height
        ]
        if dirty:
            self.refresh(*dirty)

    def render_line(self, y: int) -> Strip:
        index, width = int(self.scroll_offset.y) + y, self.scrollable_content_region.width
        if not 0 <= index < len(self._lines):
            return Strip.blank(width, self.style())
        segments, left = [], width
        for piece in self._lines[index]:
            shown = text.clean(piece.text)
            part = text.fit(shown, min(left, len(shown))) if left else ""
            segments.append(Segment(part, self.style(piece.style)))
            left -= Segment(part).cell_length
        segments.append(Segment(" " * left, self.style()))
        return Strip(merged(segments), width)

    def action_by(self, step: int) -> None:
        self.scroll_to(y=min(max(0, self.scroll_offset.y + step), self.max_scroll_y), animate=False)
