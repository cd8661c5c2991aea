"""A line of text that is drawn again only when it says something else."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget


class OneLine(Widget):
    """One line, cut at the width of the screen; `left` and `right` are set apart."""

    DEFAULT_CSS = """
    OneLine { height: 1; width: 1fr; padding: 0 1; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._left = Text()
        self._right = Text()

    def say(self, left: Text, right: Text | None = None) -> None:
        """Show these; nothing is drawn when they are what is shown already."""
        right = right or Text()
        if (
            (left, right) != (self._left, self._right)
            or left.spans != self._left.spans
            or right.spans != self._right.spans
        ):
            self._left, self._right = left, right
            self.refresh()

    @property
    def plain(self) -> str:
        """What it says, without styles."""
        return f"{self._left.plain}  {self._right.plain}".rstrip()

    def render(self) -> Text:
        width = self.size.width
        right = self._right.copy()
        right.truncate(max(0, width * 2 // 3), overflow="ellipsis")
        left = self._left.copy()
        room = width - right.cell_len - (2 if right.plain else 0)
        left.truncate(max(0, room), overflow="ellipsis")
        gap = width - left.cell_len - right.cell_len
        line = Text(no_wrap=True, end="")
        line.append_text(left)
        line.append(" " * max(0, gap))
        line.append_text(right)
        return line
