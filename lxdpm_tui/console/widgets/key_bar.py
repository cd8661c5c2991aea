"""The last line: the keys that work here and now."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from lxdpm_tui.console.theme import text_colors
from lxdpm_tui.console.widgets.one_line import OneLine


class KeyBar(OneLine):
    """Shows as many (key, label) pairs as fit; the last of them is always there."""

    DEFAULT_CSS = """
    KeyBar { background: $panel; color: $foreground; dock: bottom; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._pairs: tuple[tuple[str, str], ...] = ()
        self._theme = ""

    def offer(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Show these keys, the most useful first; the last one stands at the right edge."""
        if (tuple(pairs), self.app.theme) != (self._pairs, self._theme):
            self._pairs, self._theme = tuple(pairs), self.app.theme
            self._fill()

    def on_resize(self) -> None:
        self._fill()

    def _fill(self) -> None:
        if not self._pairs:
            return
        *rest, last = self._pairs
        right = self._pair(last)
        room = self.size.width - right.cell_len - 2
        left = Text()
        for pair in rest:
            piece = self._pair(pair)
            if left.cell_len + piece.cell_len + 2 > room:
                break
            left.append_text(piece)
            left.append("  ")
        left.rstrip()
        self.say(left, right)

    def _pair(self, pair: tuple[str, str]) -> Text:
        key, label = pair
        return Text.assemble((key, f"bold {self._key_color}"), " ", (label, self._label_color))

    @property
    def _key_color(self) -> str:
        return text_colors(self.app.theme_variables)["primary"]

    @property
    def _label_color(self) -> str:
        return text_colors(self.app.theme_variables)["foreground"]
