"""The columns of a table: which are shown, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from lxdpm_tui.console.columns import Column
from lxdpm_tui.console.widgets.board import Board, Piece


class Chosen(NamedTuple):
    """columns: what to show, in its order; None = as the table was made."""

    columns: list[Column] | None


class ColumnsScreen(ModalScreen[Chosen | None]):
    """Gives what was chosen, None when nothing was."""

    CSS_PATH = ["form.tcss", "reading.tcss"]
    CSS = "ColumnsScreen { align: center middle; background: $background 60%; }"
    BINDINGS = [
        Binding("escape,q", "dismiss(None)", show=False),
        Binding("enter", "take", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("space", "tick", show=False),
        Binding("shift+up,K", "carry(-1)", show=False),
        Binding("shift+down,J", "carry(1)", show=False),
        Binding("d", "default", show=False),
    ]

    def __init__(self, title: str, shown: Sequence[Column], known: Sequence[Column]) -> None:
        """shown: the columns now.  known: all there are."""
        super().__init__()
        self._title = title
        self._all = [*shown, *(column for column in known if column not in shown)]
        self._on = {column.id for column in shown}
        self._at = 0

    def compose(self) -> ComposeResult:
        with Vertical(id="reading"):
            yield Static(self._title, id="reading-title", markup=False)
            board = Board(id="columns")
            board.styles.height = len(self._all)
            yield board
            yield Static("space shown   shift+↑↓ order   enter take   d default   esc", id="reading-help", markup=False)

    def on_mount(self) -> None:
        self.query_one(Board).focus()
        self._say()

    def on_resize(self) -> None:
        self.query_one(Board).styles.max_height = max(3, self.size.height - 6)

    def _say(self) -> None:
        lines = []
        for number, column in enumerate(self._all):
            on = column.id in self._on
            cursor = "▸" if number == self._at else " "
            words = f"{cursor} [{'x' if on else ' '}] {column.title:<14} {column.id}"
            lines.append([Piece(words, "accent" if number == self._at else "" if on else "dim")])
        board = self.query_one(Board)
        board.show_lines(lines)
        if not board.scroll_offset.y <= self._at < board.scroll_offset.y + max(1, board.size.height):
            board.scroll_to(y=self._at, animate=False)

    def action_move(self, step: int) -> None:
        self._at = min(max(0, self._at + step), len(self._all) - 1)
        self._say()

    def action_carry(self, step: int) -> None:
        """Move the column itself."""
        to = self._at + step
        if 0 <= to < len(self._all):
            self._all[self._at], self._all[to] = self._all[to], self._all[self._at]
            self._at = to
            self._say()

    def action_tick(self) -> None:
        self._on ^= {self._all[self._at].id}
        self.action_move(1)

    def action_default(self) -> None:
        self.dismiss(Chosen(None))

    def action_take(self) -> None:
        """What is shown; a table without columns is none."""
        columns = [column for column in self._all if column.id in self._on]
        self.dismiss(Chosen(columns) if columns else None)
