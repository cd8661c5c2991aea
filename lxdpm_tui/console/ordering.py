"""How tables are ordered and which columns they show, and remembering it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lxdpm_tui.console import json_path
from lxdpm_tui.console.columns import Column
from lxdpm_tui.console.files.views import PathColumn
from lxdpm_tui.console.keymap import Place
from lxdpm_tui.console.memory import Memory, TableMemory

if TYPE_CHECKING:
    from lxdpm_tui.console.screens.main import MainScreen


class Ordering:
    """Bound to the main screen."""

    def __init__(self, screen: MainScreen, memory: Memory) -> None:
        self._screen = screen
        self.memory = memory
        self._made: dict[Place, TableMemory] = {}

    def begin(self) -> None:
        """Order the tables as they are made, then as the person left them."""
        for place, table in self._screen.tables.items():
            table.host = self._screen.resources[place].host
            column = self.column(place, self._screen.resources[place].order)
            table.order_by(column, reverse=column.downwards if column else False)
            self._made[place] = self._now(place)
            kept = self.memory.tables.get(place)
            if kept is not None:
                self.order(place, kept.sort, kept.reverse, kept.grouped)
                if kept.columns is not None:
                    self.show_columns(place, kept.columns)

    def column(self, place: Place, id: str) -> Column | None:
        """A column of a table, shown or not; None when it has none of that id."""
        shown = (column for column in self._screen.tables[place].columns if column.id == id)
        return next(shown, next((c for c in self._screen.resources[place].columns if c.id == id), None))

    def order(self, place: Place, id: str, reverse: bool | None = None, grouped: bool | None = None) -> bool:
        """Order a table by a column, or by name with ""; whether it has that column. reverse: None = as it likes.
        grouped: by host first, where rows are on one; None = as it is."""
        column = self.column(place, id) if id else None
        if id and (column is None or column.sort is None):
            return False
        table = self._screen.tables[place]
        if grouped is not None:
            table.grouped = grouped and table.host is not None
        table.order_by(column, reverse=(column.downwards if column else False) if reverse is None else reverse)
        if table.is_mounted:
            table.rows_changed()
        return True

    def next(self) -> None:
        """Order by the next column on screen."""
        table = self._screen.table
        columns = table.sortable()
        if columns:
            at = columns.index(table.sort_column) if table.sort_column in columns else -1
            column = columns[(at + 1) % len(columns)]
            table.sort_by(column, reverse=column.downwards)

    def turn_round(self) -> None:
        table = self._screen.table
        table.sort_by(table.sort_column, reverse=not table.view.reverse)

    def group(self) -> None:
        """Rows by host first, or no longer."""
        table = self._screen.table
        table.grouped = not table.grouped
        table.sort_by(table.sort_column, reverse=table.view.reverse)

    def show_columns(self, place: Place, ids: Sequence[str], more: Sequence[Column] = ()) -> None:
        """Show these columns in this order, and no others. more: columns that the table was not made with."""
        paths = [json_path.column(PathColumn(id[5:], id.rpartition(".")[2].upper())) for id in ids if id[:5] == "path:"]
        known = {column.id: column for column in (*self._screen.resources[place].columns, *paths, *more)}
        chosen = [known[id] for id in ids if id in known]
        self.use_columns(place, chosen or list(self._screen.resources[place].columns))

    def use_columns(self, place: Place, columns: Sequence[Column]) -> None:
        table = self._screen.tables[place]
        table.columns = list(columns)
        if table.is_mounted:
            table.rows_changed()

    def reset(self, place: Place) -> None:
        """As the table was made."""
        self.use_columns(place, list(self._screen.resources[place].columns))
        self.order(place, self._made[place].sort, self._made[place].reverse, False)
        self.memory.forget(place)

    def tick(self) -> None:
        """Called each second: what the person made of the tables is kept."""
        self.note()
        try:
            self.memory.save()
        except OSError as error:
            self._screen.log.error(error)

    def note(self) -> None:
        """Remember what the person made of the tables, be it by key or mouse."""
        for place in self._screen.tables:
            now = self._now(place)
            if now != self._made.get(place) or place in self.memory.tables:
                self.memory.table(place, now)

    def _now(self, place: Place) -> TableMemory:
        table = self._screen.tables[place]
        made = [column.id for column in self._screen.resources[place].columns]
        shown = [column.id for column in table.columns]
        return TableMemory(
            table.sort_column.id if table.sort_column else "",
            table.view.reverse,
            None if shown == made else shown,
            table.grouped,
        )
