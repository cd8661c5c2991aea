"""The live table: a window on a view, not a copy of it.

It draws the lines on screen and nothing else, remembers what each line showed, and refreshes the cells that changed.
What looks at all rows (filter, order) is done in slices when there are many.
Cursor and marks are keys, never indices; rows do not move for a second after a key was pressed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from lxdpm_tui.console.columns import Column, Look, Slot, lay_out
from lxdpm_tui.console.driver import link_of
from lxdpm_tui.console.grouping import by_host
from lxdpm_tui.console.terminal_io import backlog, resize_content
from lxdpm_tui.console.widgets.painted import Painted
from lxdpm_tui.console.widgets.slices import SlicedWork
from lxdpm_tui.console.widgets.table_cells import GUTTER, Cells, cells_of, differences, find, header_strip, line_strip
from lxdpm_tui.console.widgets.table_keys import MOVES
from lxdpm_tui.fleet.pace import pace
from lxdpm_tui.fleet.query import Query
from lxdpm_tui.fleet.view import View

K = TypeVar("K", bound=Hashable)

PAINT_EVERY = 0.25  # seconds between two paints of data: 4 a second are plenty and cheap over SSH
HOLD = 1.0  # seconds after a key in which no row changes its place
ARRANGE_EVERY = 2.0  # seconds between two orderings of many rows
PAINT = 0.02  # seconds in which rows that were found are painted
HEADER = 1


class _OfTable(Message):
    def __init__(self, table: LiveTable[Any]) -> None:
        super().__init__()
        self.table = table


class LiveTable(Painted, Generic[K], can_focus=True):
    """A table of the rows of a view."""

    DEFAULT_CSS = "LiveTable { height: 1fr; }"
    BINDINGS = [*MOVES]

    class Moved(_OfTable):
        """The cursor is on another row, or the row under it changed."""

    class Filtered(_OfTable):
        """A filter has its result: some time after it was asked for, when there are many rows."""

    class Opened(_OfTable):
        """A row was chosen with the mouse a second time."""

    def __init__(self, columns: Sequence[Column], view: View[K], look: Look, *, empty: str = "", id: str = "") -> None:
        super().__init__(id=id or None)
        self.columns = columns
        self.view = view
        self.look = look
        self.empty = empty
        self.marks: set[K] = set()
        self.cursor_key: K | None = None
        self.sort_column: Column | None = None
        self.grouped = False  # by host, and by the column in each
        self.host: Callable[[Any], str] | None = None  # of a row, where each is on one: else they cannot be grouped
        self._cursor_index = 0
        self._chosen = False  # until the user moves it, the cursor stays on the first row while rows come in
        self._slots: list[Slot] = []
        self._shown: dict[int, Cells] = {}
        self._last_key = -HOLD
        self._last_paint = -PAINT_EVERY
        self._pending: asyncio.TimerHandle | None = None
        self._slices = SlicedWork(self)
        self._arranged = -ARRANGE_EVERY
        self._previewed = False

    # -- what others ask

    @property
    def cursor_row(self) -> Any | None:
        """The record under the cursor, or None."""
        return None if self.cursor_key is None else self.view.source.get(self.cursor_key)

    def targets(self) -> list[tuple[K, Any]]:
        """What an act is about: the marked rows, else the row under the cursor."""
        marked = [key for key in self.view.keys if key in self.marks] if self.marks else []
        keys = marked or ([self.cursor_key] if self.cursor_key is not None else [])
        return [(key, row) for key in keys if (row := self.view.source.get(key)) is not None]

    def sort_by(self, column: Column | None, *, reverse: bool = False) -> None:
        """Order by a column, or by name alone."""
        self.order_by(column, reverse=reverse)
        self.rows_changed()

    def order_by(self, column: Column | None, *, reverse: bool) -> None:
        """The same, not shown yet."""
        self.sort_column = column
        sort = column.sort if column else None
        host = self.host if self.grouped else None
        self.view.set_order(by_host(host, sort, reverse) if host else sort, reverse=reverse)

    def filter(self, query: Query, *, follow: bool = False) -> None:
        """Show the rows that pass. follow: the cursor stays where it is, as when only the clock went on.

        Many rows are looked at in slices; Filtered tells when the result is there.
        """
        if self.view.many:
            self._previewed = follow  # the rows on screen may stay there
            steps = self.view.filter_slices(query)
            self._slices.start(steps, lambda: self._show_filtered(follow), lambda: self._preview(query),
                               key=not follow)  # fmt: skip
        else:
            self._slices.stop()
            self._previewed = follow
            self.view.set_query(query)
            self._show_filtered(follow)

    def _preview(self, query: Query) -> float:
        """Show the first rows that were found, as soon as they fill the screen and the cursor has its place.

        Gives the seconds that their paint takes.
        """
        keys = self.view.preview() if self.is_mounted and not self._previewed else []
        if len(keys) > 2 * self.size.height:
            row = self.cursor_row if self._chosen else None
            if row is None or not query(row) or self.cursor_key in keys:
                self._previewed = True
                self.view.keys = keys
                self.rows_changed()
                return PAINT
        return 0.0

    def _show_filtered(self, follow: bool) -> None:
        if not self.is_mounted:
            return
        if self._previewed:
            self._show_arranged(keep_line=follow)
        else:
            self.rows_changed()
        self.post_message(self.Filtered(self))

    def sortable(self) -> list[Column]:
        """The columns on screen that can be sorted by, left to right."""
        return [slot.column for slot in self._slots if slot.column.sort is not None]

    def select(self, key: K) -> None:
        """Put the cursor on a row, if it is shown."""
        if key in self.view.keys:
            self._put_cursor(self.view.keys.index(key))

    def note_key(self) -> None:
        """A key was pressed: rows stay where they are for a moment."""
        self._last_key = time.monotonic()

    # -- data

    def data_changed(self) -> None:
        """Records changed: paint soon, 4 times a second at most, seldomer and not while behind over a slow link."""
        if self._pending is None and self.is_mounted:
            link = link_of(self.app)
            every = link.paint_every(PAINT_EVERY) if link is not None else PAINT_EVERY
            self._paint_in(max(0.01, self._last_paint + every - time.monotonic()))

    def _paint_in(self, wait: float) -> None:
        # Not a Textual timer: those want the app's context, and changes come from the fleet's own tasks.
        loop = asyncio.get_running_loop()
        self._pending = loop.call_later(wait, self.call_later, self._paint_data)

    def on_unmount(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
        self._slices.stop()

    def rows_changed(self) -> None:
        """The view shows other rows now (filter, order, source): follow the cursor and draw all."""
        if self.view.many and self.view.stale and not self._slices.busy:  # it was asked for another order
            self._slices.start(self.view.arrange(), lambda: self._show_arranged(keep_line=False))
        self._follow_cursor(keep_line=False)
        self._redraw()

    def _paint_data(self) -> None:
        self._pending = None
        if not self.display:
            return
        waited = time.monotonic() - self._last_paint
        if backlog(self.app) > 1 or (pace().pressed and waited < 2 * PAINT_EVERY):  # the key's own paint comes first
            self.data_changed()
            return
        self._last_paint = time.monotonic()
        self.paint()

    def paint(self) -> None:
        """Bring the lines on screen up to date with the records, cell by cell."""
        self.look.refresh(time.time())
        moved = self.view.settle(hold=self.held or self.view.many)
        if self.view.stale:
            self._arrange_later()
        if moved:
            self._follow_cursor(keep_line=True)
            self._resize_virtual()
        self._paint_cells()
        if moved or self.cursor_key is not None:
            self.post_message(self.Moved(self))

    @property
    def held(self) -> bool:
        """Whether a key was pressed just now, so that no row may move."""
        return time.monotonic() - self._last_key < HOLD

    def _arrange_later(self) -> None:
        """The order is stale: bring it up to date after the hold, for many rows in slices and not all the time."""
        wait = self._arranged + ARRANGE_EVERY - time.monotonic() if self.view.many else 0.0
        if self.held or wait > 0:
            if self._pending is None:
                self._paint_in(max(HOLD if self.held else 0.0, wait))
        elif not self._slices.busy:
            self._slices.start(self.view.arrange(), lambda: self._show_arranged(keep_line=True), lambda: -self.held)

    def _show_arranged(self, *, keep_line: bool) -> None:
        self._arranged = time.monotonic()
        self._follow_cursor(keep_line=keep_line)
        self._resize_virtual()
        self._paint_cells()

    def _paint_cells(self) -> None:
        if self._place_columns():
            self._redraw()
            return
        dirty: list[Region] = []
        for y in range(HEADER, self.size.height):
            old, new = self._shown.get(y), self._cells(y)
            if old == new:
                continue
            dirty.extend(differences(y, old, new, self._slots, self.room))
            self._shown[y] = new
        if dirty:
            self.refresh(*dirty)

    def _redraw(self) -> None:
        self._resize_virtual()
        self._place_columns()
        self._shown.clear()
        self.refresh()
        self.post_message(self.Moved(self))

    # -- geometry

    @property
    def room(self) -> int:
        """Cells of a line, the scrollbar's not among them."""
        return self.scrollable_content_region.width

    def _resize_virtual(self) -> None:
        size = Size(1, len(self.view) + HEADER)
        if self.virtual_size != size:
            resize_content(self, size)

    def _place_columns(self) -> bool:
        slots = lay_out(self.columns, self.room - GUTTER - 1, self.look)
        changed = slots != self._slots
        self._slots = slots
        return changed

    def on_resize(self) -> None:
        self._redraw()
        self._scroll_to_cursor()

    def on_show(self) -> None:
        self.view.settle(hold=self.view.many)
        self.rows_changed()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._shown.clear()

    def watch_has_focus(self, focused: bool) -> None:
        super().watch_has_focus(focused)
        self.forget_styles()
        self._shown.clear()
        self.refresh()

    # -- drawing

    def _cells(self, y: int) -> Cells:
        index = int(self.scroll_offset.y) + y - HEADER
        keys = self.view.keys
        if not 0 <= index < len(keys):
            return Cells(None, False, self.empty if index == 0 else "", ())
        key = keys[index]
        row = self.view.source.get(key)
        return cells_of(key, row, self._slots, self.look, marked=key in self.marks, cursor=key == self.cursor_key)

    def render_line(self, y: int) -> Strip:
        """What the last paint found, even if the record is another by now: only the parts of the line that it told of
        go to the terminal, and the next paint goes by what was found here."""
        width = self.room
        if y == 0:
            return header_strip(self._slots, width, self.style, self.sort_column, self.view.reverse, self.grouped)
        line = self._shown.get(y)
        if line is None:
            line = self._shown[y] = self._cells(y)
        return line_strip(line, self._slots, width, self.style)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        if round(old_value) != round(new_value):
            self._shown.clear()
        super().watch_scroll_y(old_value, new_value)

    # -- cursor

    def _follow_cursor(self, *, keep_line: bool) -> None:
        """Rows moved: the cursor stays on its key, on the same screen line if it was in sight."""
        keys = self.view.keys
        if self.marks:
            self.marks.intersection_update(keys)
        if not keys:
            self.cursor_key, self._cursor_index = None, 0
            return
        before = self._cursor_index
        there = self._chosen and self.cursor_key is not None and self.cursor_key in self.view
        index = find(keys, self.cursor_key, before) if there else before if self._chosen else 0
        index = min(index, len(keys) - 1)
        self._cursor_index, self.cursor_key = index, keys[index]
        top = int(self.scroll_offset.y)
        if keep_line and top and index != before and top <= before < top + self._page():
            self._resize_virtual()
            self.scroll_to(y=top + index - before, animate=False)
        elif not keep_line:
            self._scroll_to_cursor()

    def _page(self) -> int:
        return max(1, self.size.height - HEADER)

    def _scroll_to_cursor(self) -> None:
        top, page = int(self.scroll_offset.y), self._page()
        if self._cursor_index < top:
            self.scroll_to(y=self._cursor_index, animate=False)
        elif self._cursor_index >= top + page:
            self.scroll_to(y=self._cursor_index - page + 1, animate=False)

    def _put_cursor(self, index: int) -> None:
        keys = self.view.keys
        if not keys:
            return
        self._chosen = True
        index = min(max(index, 0), len(keys) - 1)
        before = self._cursor_index
        self._cursor_index, self.cursor_key = index, keys[index]
        self._resize_virtual()
        self._scroll_to_cursor()
        top = int(self.scroll_offset.y)
        for moved in {before, index}:
            if top <= moved < top + self._page():
                self._shown.pop(moved - top + HEADER, None)
                self.refresh(Region(0, moved - top + HEADER, self.room, 1))
        self.post_message(self.Moved(self))

    def action_move(self, step: int, mark: bool = False) -> None:
        self.note_key()
        if mark and self.cursor_key is not None:
            self.marks.add(self.cursor_key)
        self._put_cursor(self._cursor_index + step)
        if mark and self.cursor_key is not None:
            self.marks.add(self.cursor_key)

    def action_page(self, pages: float) -> None:
        self.note_key()
        self._put_cursor(self._cursor_index + round(self._page() * pages))

    def action_edge(self, last: bool) -> None:
        self.note_key()
        self._put_cursor(len(self.view) - 1 if last else 0)

    # -- marks

    def toggle_mark(self) -> None:
        """Mark or unmark the row under the cursor and step on."""
        if self.cursor_key is not None:
            self.marks ^= {self.cursor_key}
            self.action_move(1)

    def toggle_all_marks(self) -> None:
        """Mark all rows shown; unmark them when all are marked."""
        shown = set(self.view.keys)
        self.marks = set() if shown <= self.marks else shown
        self._redraw()

    def clear_marks(self) -> None:
        self.marks.clear()
        self._redraw()

    # -- mouse

    def on_click(self, event: events.Click) -> None:
        if event.y < HEADER:
            x = event.x - GUTTER
            column = next((s.column for s in self._slots if s.x <= x < s.x + s.width and s.column.sort), None)
            if column is not None:
                again = column is self.sort_column
                self.sort_by(column, reverse=not self.view.reverse if again else column.downwards)
            return
        index = int(self.scroll_offset.y) + event.y - HEADER
        if index < len(self.view):
            same = index == self._cursor_index
            self.note_key()
            self._put_cursor(index)
            if same:
                self.post_message(self.Opened(self))
