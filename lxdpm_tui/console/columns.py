"""Columns as data, what they may look at, and how they share a width. No widgets."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from lxdpm_tui.console.activity import Activity
from lxdpm_tui.fleet.fields import Row
from lxdpm_tui.fleet.inventory import Inventory

Style = Literal["", "good", "bad", "warn", "busy", "cold", "dim", "accent", "stale"]


@dataclass(slots=True)
class Look:
    """What a cell may look at besides its own record. now: seconds since the epoch, set before each paint."""

    inventory: Inventory = field(default_factory=Inventory)
    activity: Activity = field(default_factory=Activity)
    now: float = field(default_factory=time.time)
    projects: bool = False
    outage: bool = False
    _memo: dict[Hashable, Any] = field(default_factory=dict)

    def refresh(self, now: float) -> None:
        """Before a paint: take the time, forget what was worked out for the last one."""
        self.now = now
        self._memo.clear()
        hosts = self.inventory.hosts.values()
        self.outage = any(not host.usable and host.scanned for host in hosts)
        self.projects = any(len(host.projects) > 1 for host in hosts)

    def once(self, name: Hashable, work: Callable[[], Any]) -> Any:
        """Work something out at most once a paint."""
        if name not in self._memo:
            self._memo[name] = work()
        return self._memo[name]


Value = Callable[[Row, Look], str]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    value: the cell's text.  width: least cells; grow: its share of what is left, up to `most`.  drop: columns with the
    highest number go first when the screen is narrow, 0 stays.  style: of the cell.  sort: the value to order by, None
    for unknown; numbers sort downwards first.  when: whether it is there at all.
    """

    id: str
    title: str
    value: Value
    width: int
    grow: int = 0
    most: int = 200
    drop: int = 0
    right: bool = False
    style: Callable[[Row, Look], Style] | None = None
    sort: Callable[[Row], Any] | None = None
    downwards: bool = False
    when: Callable[[Look], bool] | None = None


class Slot(NamedTuple):
    """A column and where it is on the line."""

    column: Column
    x: int
    width: int


def lay_out(columns: Sequence[Column], width: int, look: Look) -> list[Slot]:
    """Share `width` cells among the columns; those that do not fit are left out, the most droppable first."""
    gap = 2 if width >= 110 else 1
    shown = [column for column in columns if column.when is None or column.when(look)]
    while len(shown) > 1 and _needed(shown, gap) > width and any(column.drop for column in shown):
        shown.remove(max(reversed(shown), key=lambda column: column.drop))
    widths = {column.id: column.width for column in shown}
    spare = width - _needed(shown, gap)
    while spare > 0:
        growing = [column for column in shown if column.grow and widths[column.id] < column.most]
        if not growing:
            break
        shares = sum(column.grow for column in growing)
        given = 0
        for column in growing:
            more = min(max(1, spare * column.grow // shares), column.most - widths[column.id], spare - given)
            widths[column.id] += more
            given += more
        spare -= given
    slots, x = [], 0
    for column in shown:
        slots.append(Slot(column, x, max(0, min(widths[column.id], width - x))))
        x += widths[column.id] + gap
    return slots


def _needed(columns: Iterable[Column], gap: int) -> int:
    widths = [column.width for column in columns]
    return sum(widths) + gap * (len(widths) - 1)
