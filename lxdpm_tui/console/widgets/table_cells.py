"""What one line of a live table shows, and where two states of it differ. No widget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from textual.geometry import Region

from lxdpm_tui.console.columns import Slot

NEAR = 8  # cells between two changes that are drawn along: moving and styling anew costs some 50 bytes
GUTTER = 2  # cells left of the first column: the mark


class Cells(NamedTuple):
    """Whose row a line shows, whether it is marked, "cursor", "empty" or "", and its cells as (text, style name)."""

    key: Any
    marked: bool
    base: str
    cells: tuple[tuple[str, str], ...]


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
