"""What one line of a live table shows, how it is drawn, and where two states of it differ. No widget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.geometry import Region
from textual.strip import Strip

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look, Slot
from lxdpm_tui.console.widgets.painted import merged

NEAR = 8  # cells between two changes that are drawn along: moving and styling anew costs some 50 bytes
NEARBY = 512  # rows beside its old place where a row is looked for first
GUTTER = 2  # cells left of the first column: the mark


class Cells(NamedTuple):
    """Whose row a line shows, whether it is marked, and its cells as (text, style name).

    base: "cursor" on the cursor's line; without cells what is said in their place.
    """

    key: Any
    marked: bool
    base: str
    cells: tuple[tuple[str, str], ...]


def cells_of(key: Any, row: Any, slots: Sequence[Slot], look: Look, *, marked: bool, cursor: bool) -> Cells:
    """What a record's line shows; nothing when it is gone. The rows of a host that cannot be asked are faded."""
    if row is None:
        return Cells(key, False, "", ())
    host = getattr(row, "host", None)
    faded = isinstance(host, str) and look.inventory.is_stale(host)
    cells = []
    for column, _, width in slots:
        style = "stale" if faded else column.style(row, look) if column.style else ""
        cells.append((text.fit(column.value(row, look), width, column.right), style))
    return Cells(key, marked, "cursor" if cursor else "", tuple(cells))


def differences(y: int, old: Cells | None, new: Cells, slots: Sequence[Slot], width: int) -> Iterable[Region]:
    """The parts of line y to draw again so that it shows `new` where it showed `old` (None = nobody knows what)."""
    if old is None or old.base != new.base or old.key is None or new.key is None or len(old.cells) != len(new.cells):
        yield Region(0, y, width, 1)
        return
    spans = [(0, GUTTER)] if old.marked != new.marked else []
    for slot, before, after in zip(slots, old.cells, new.cells, strict=True):
        if before == after:
            continue
        left, right = GUTTER + slot.x, GUTTER + slot.x + slot.width
        if spans and left - spans[-1][1] <= NEAR:
            spans[-1] = (spans[-1][0], right)
        else:
            spans.append((left, right))
    for left, right in spans:
        yield Region(left, y, right - left, 1)


class Styles(Protocol):
    """Gives the style of a name, on the cursor line or off it."""

    def __call__(self, name: str = "", *, cursor: bool = False) -> RichStyle: ...


def line_strip(line: Cells, slots: Sequence[Slot], width: int, style_of: Styles) -> Strip:
    """One row drawn, or what is said where the first one would be."""
    cursor = line.base == "cursor"
    plain = style_of(cursor=cursor)
    if not line.cells:
        return Strip([Segment(text.fit(" " * GUTTER + line.base, width), style_of("dim"))], width)
    segments = [Segment("▌ ", style_of("mark", cursor=cursor)) if line.marked else Segment("  ", plain)]
    x, style = 0, plain
    for slot, (cell, name) in zip(slots, line.cells, strict=True):
        gap = " " * (slot.x - x)
        if not cell.isspace():  # blanks go on in the style before them: fewer changes of style, fewer bytes
            segments.append(Segment(gap, style))
            gap, style = "", style_of(name, cursor=cursor)
        segments.append(Segment(gap + cell, style))
        x = slot.x + slot.width
    segments.append(Segment(" " * max(0, width - GUTTER - x), style))
    return Strip(merged(segments), width)


def header_strip(
    slots: Sequence[Slot], width: int, style_of: Styles, order: Column | None, reverse: bool, grouped: bool
) -> Strip:
    """The titles. order: the column that rows are sorted by.  grouped: by host before that."""
    style = style_of("header")
    segments = [Segment(" " * GUTTER, style)]
    x = 0
    for column, at, room in slots:
        segments.append(Segment(" " * (at - x), style))
        sorted_by = column is order
        arrow = ("▼" if reverse else "▲") if sorted_by else ""
        if grouped and column.id == "host":
            sorted_by, arrow = True, f"≡{arrow}"
        title = f"{arrow}{column.title}" if column.right else f"{column.title}{arrow}"
        segments.append(Segment(text.fit(title, room, column.right), style_of("sorted") if sorted_by else style))
        x = at + room
    segments.append(Segment(" " * max(0, width - GUTTER - x), style))
    return Strip(merged(segments), width)


def find(keys: Sequence[Any], key: Any, before: int) -> int:
    """Where a row is now that was at `before`; `before` when it is gone."""
    if key is None or (before < len(keys) and keys[before] == key):
        return before
    for start, end in ((max(0, before - NEARBY), before + NEARBY), (0, len(keys))):
        try:
            return keys.index(key, start, end)
        except ValueError:
            continue
    return before
