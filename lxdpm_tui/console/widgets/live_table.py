"""The live table: a window on a view, not a copy of it.

It draws the lines on screen and nothing else, remembers what each line showed, and refreshes the cells that changed.
Cursor and marks are keys, never indices; rows do not move for a second after a key was pressed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look, Slot, lay_out
from lxdpm_tui.console.terminal_io import backlog
from lxdpm_tui.console.widgets.painted import Painted, merged
from lxdpm_tui.console.widgets.table_cells import GUTTER, Cells, differences
from lxdpm_tui.fleet.view import View

K = TypeVar("K", bound=Hashable)

PAINT_EVERY = 0.25  # seconds between two paints of data: 4 a second are plenty and cheap over SSH
HOLD = 1.0  # seconds after a key in which no row changes its place
HEADER = 1


class LiveTable(Painted, Generic[K], can_focus=True):
    """A table of the rows of a view."""

    DEFAULT_CSS = "LiveTable { height: 1fr; }"
    BINDINGS = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("shift+up", "move(-1, True)", show=False),
        Binding("shift+down", "move(1, True)", show=False),
        Binding("pageup", "page(-1.0)", show=False),
        Binding("pagedown", "page(1.0)", show=False),
        Binding("ctrl+u", "page(-0.5)", show=False),
        Binding("ctrl+d", "page(0.5)", show=False),
        Binding("home,g", "edge(False)", show=False),
        Binding("end,G", "edge(True)", show=False),
    ]

    class Moved(Message):
        """The cursor is on another row, or the row under it changed."""

        def __init__(self, table: LiveTable[Any]) -> None:
            super().__init__()
            self.table = table

    class Opened(Message):
        """A row was chosen with the mouse a second time."""

        def __init__(self, table: LiveTable[Any]) -> None:
            super().__init__()
            self.table = table

    def __init__(self, columns: Sequence[Column], view: View[K], look: Look, *, empty: str = "", id: str = "") -> None:
        super().__init__(id=id or None)
        self.columns = columns
        self.view = view
        self.look = look
        self.empty = empty
        self.marks: set[K] = set()
        self.cursor_key: K | None = None
        self.sort_column: Column | None = None
        self._cursor_index = 0
        self._chosen = False  # until the user moves it, the cursor stays on the first row while rows come in
        self._slots: list[Slot] = []
        self._shown: dict[int, Cells] = {}
        self._last_key = -HOLD
        self._last_paint = -PAINT_EVERY
        self._pending: asyncio.TimerHandle | None = None

    # -- what others ask

    @property
    def cursor_row(self) -> Any | None:
        """The record under the cursor, or None."""
        return None if self.cursor_key is None else self.view.source.get(self.cursor_key)

    def targets(self) -> list[tuple[K, Any]]:
        """What an act is about: the marked rows, else the row under the cursor."""
        keys: Iterable[K] = [key for key in self.view.keys if key in self.marks] or (
            [self.cursor_key] if self.cursor_key is not None else []
        )
        return [(key, row) for key in keys if (row := self.view.source.get(key)) is not None]

    def sort_by(self, column: Column | None, *, reverse: bool = False) -> None:
        """Order by a column, or by name alone."""
        self.sort_column = column
        self.view.set_order(column.sort if column else None, reverse=reverse)
        self.rows_changed()

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
        """Records changed: paint soon, at most 4 times a second, and not while the terminal is behind."""
        if self._pending is None and self.is_mounted:
            self._paint_in(max(0.01, self._last_paint + PAINT_EVERY - time.monotonic()))

    def _paint_in(self, wait: float) -> None:
        # Not a Textual timer: those want the app's context, and changes come from the fleet's own tasks.
        loop = asyncio.get_running_loop()
        self._pending = loop.call_later(wait, self.call_later, self._paint_data)

    def on_unmount(self) -> None:
        if self._pending is not None:
            self._pending.cancel()

    def rows_changed(self) -> None:
        """The view shows other rows now (filter, order, source): follow the cursor and draw all."""
        self._follow_cursor(keep_line=False)
        self._redraw()

    def _paint_data(self) -> None:
        self._pending = None
        if not self.display:
            return
        if backlog(self.app) > 1:
            self.data_changed()
            return
        self._last_paint = time.monotonic()
        self.paint()

    def paint(self) -> None:
        """Bring the lines on screen up to date with the records, cell by cell."""
        self.look.refresh(time.time())
        held = time.monotonic() - self._last_key < HOLD
        moved = self.view.settle(hold=held)
        if held and self.view.stale and self._pending is None:
            self._paint_in(HOLD)
        if moved:
            self._follow_cursor(keep_line=True)
            self._resize_virtual()
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
        if moved or self.cursor_key is not None:
            self.post_message(self.Moved(self))

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
            self.virtual_size = size

    def _place_columns(self) -> bool:
        slots = lay_out(self.columns, self.room - GUTTER - 1, self.look)
        changed = slots != self._slots
        self._slots = slots
        return changed

    def on_resize(self) -> None:
        self._redraw()
        self._scroll_to_cursor()

    def on_show(self) -> None:
        self.view.settle()
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
            return Cells(None, False, "empty" if index == 0 else "", ())
        key = keys[index]
        row = self.view.source.get(key)
        if row is None:
            return Cells(key, False, "", ())
        base = "cursor" if key == self.cursor_key else ""
        look = self.look
        faded = self._faded(row)
        cells = []
        for column, _, width in self._slots:
            style = column.style(row, look) if column.style else ""
            if faded:
                style = "stale"
            cells.append((text.fit(column.value(row, look), width, column.right), style))
        return Cells(key, key in self.marks, base, tuple(cells))

    def _faded(self, row: Any) -> bool:
        host = getattr(row, "host", None)
        return isinstance(host, str) and self.look.inventory.is_stale(host)

    def render_line(self, y: int) -> Strip:
        width = self.room
        if y == 0:
            return self._header(width)
        line = self._cells(y)
        self._shown[y] = line
        cursor = line.base == "cursor"
        plain = self.style(cursor=cursor)
        if not line.cells:
            message = self.empty if line.base == "empty" else ""
            return Strip([Segment(text.fit(" " * GUTTER + message, width), self.style("dim"))], width)
        segments = [Segment("▌ ", self.style("mark", cursor=cursor)) if line.marked else Segment("  ", plain)]
        x, style = 0, plain
        for slot, (cell, name) in zip(self._slots, line.cells, strict=True):
            gap = " " * (slot.x - x)
            if not cell.isspace():  # blanks go on in the style before them: fewer changes of style, fewer bytes
                segments.append(Segment(gap, style))
                gap, style = "", self.style(name, cursor=cursor)
            segments.append(Segment(gap + cell, style))
            x = slot.x + slot.width
        segments.append(Segment(" " * max(0, width - GUTTER - x), style))
        return Strip(merged(segments), width)

    def _header(self, width: int) -> Strip:
        style = self.style("header")
        segments = [Segment(" " * GUTTER, style)]
        x = 0
        for column, at, room in self._slots:
            segments.append(Segment(" " * (at - x), style))
            sorted_by = column is self.sort_column
            arrow = ("▼" if self.view.reverse else "▲") if sorted_by else ""
            title = f"{arrow}{column.title}" if column.right else f"{column.title}{arrow}"
            segments.append(Segment(text.fit(title, room, column.right), self.style("sorted") if sorted_by else style))
            x = at + room
        segments.append(Segment(" " * max(0, width - GUTTER - x), style))
        return Strip(merged(segments), width)

    # -- cursor

    def _follow_cursor(self, *, keep_line: bool) -> None:
        """Rows moved: the cursor stays on its key, on the same screen line if it was in sight."""
        keys = self.view.keys
        self.marks.intersection_update(keys)
        if not keys:
            self.cursor_key, self._cursor_index = None, 0
            return
        before = self._cursor_index
        index = before if self._chosen else 0
        if (
            self._chosen
            and self.cursor_key is not None
            and not (before < len(keys) and keys[before] == self.cursor_key)
        ):
            try:
                index = keys.index(self.cursor_key)
            except ValueError:
                index = before
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
