"""Filtered, ordered views over records that live elsewhere. No I/O, no UI, no clock of its own.

A view holds keys only. Changes are applied as they come (cheap); `settle` brings the order up to date, at a pace and at
moments that the caller chooses, so that rows do not move under a cursor. One event loop owns a view.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Hashable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from lxdpm_tui.fleet.inventory import Inventory, Key, Kind
from lxdpm_tui.fleet.query import EVERYTHING, Query

K = TypeVar("K", bound=Hashable)
Sort = Callable[[Any], Any]

_DIGITS = re.compile(r"\d+")
SLICE = 2000  # records looked at between two breaths of a sliced filter: 1 to 4 ms


class Source(Protocol[K]):
    """Where the records of a view live."""

    def get(self, key: K) -> Any | None:
        """The record, or None when it is gone."""
        ...

    def items(self) -> Iterable[tuple[K, Any]]:
        """All records, in any order."""
        ...


class InventorySource:
    """One kind of records of an inventory, all hosts."""

    def __init__(self, inventory: Inventory, kind: Kind) -> None:
        self.inventory = inventory
        self.kind: Kind = kind

    def get(self, key: Key) -> Any | None:
        if self.kind == "hosts":
            return self.inventory.hosts.get(key.host)
        table: Mapping[str, Mapping[Key, Any]] = getattr(self.inventory, self.kind)
        return table.get(key.host, {}).get(key)

    def items(self) -> Iterable[tuple[Key, Any]]:
        if self.kind == "hosts":
            for name, record in list(self.inventory.hosts.items()):
                yield Key(name, "", ""), record
            return
        table: Mapping[str, Mapping[Key, Any]] = getattr(self.inventory, self.kind)
        for rows in list(table.values()):
            yield from list(rows.items())


class MappingSource(Generic[K]):
    """Records in one mapping, such as the tasks by id."""

    def __init__(self, rows: Mapping[K, Any]) -> None:
        self.rows = rows

    def get(self, key: K) -> Any | None:
        return self.rows.get(key)

    def items(self) -> Iterable[tuple[K, Any]]:
        return list(self.rows.items())


@lru_cache(1 << 18)
def natural(name: str) -> str:
    """A name for sorting as people count: web-2 before web-10."""
    return _DIGITS.sub(lambda digits: digits[0].zfill(9), name)


def by_name(key: Key) -> tuple[str, str, str]:
    """The order of inventory rows that sort alike."""
    return (natural(key.name), key.project, natural(key.host))


class View(Generic[K]):
    """The keys of the records that pass the filter, in order.

    keys: what to show now, kept until the next settle.  total: how many records there are without the filter.
    identity: the order among rows that sort alike, and when nothing else is asked for.
    """

    def __init__(self, source: Source[K], *, identity: Callable[[K], Any]) -> None:
        self.source = source
        self.query: Query = EVERYTHING
        self.keys: list[K] = []
        self.reverse = False
        self._identity = identity
        self._sort: Sort | None = None
        self._all: set[K] = set()
        self._members: set[K] = set()
        self._values: dict[K, Any] = {}
        self._base: list[K] = []
        self._base_stale = False
        self._order_stale = False
        self._removed = False
        self._added: list[K] = []
        self._filtering: Generator[None, None, None] | None = None
        self._missed: set[K] = set()

    @property
    def total(self) -> int:
        return len(self._all)

    def __len__(self) -> int:
        return len(self.keys)

    # -- what the person asks for

    def set_source(self, source: Source[K]) -> None:
        """Look at other records from now on."""
        self.source = source
        self.reload()

    def reload(self) -> None:
        """Read all records again and order them."""
        self._drain(self._refilter(self.query, narrow=False))
        self.settle()

    def set_query(self, query: Query) -> None:
        """Filter at once (up to some 10,000 records; for more see filter_slices)."""
        self._drain(self.filter_slices(query))

    def filter_slices(self, query: Query) -> Generator[None, None, None]:
        """Filter in slices of some milliseconds: yields between them, shows the result after the last.

        Starting another filter ends this one.
        """
        if self._filtering is not None:
            self._filtering.close()
        steps = self._refilter(query, narrow=query.narrows(self.query))
        self._filtering = steps
        return steps

    def set_order(self, sort: Sort | None, *, reverse: bool = False) -> None:
        """Order by a value of the record (None = unknown, always last), or by identity alone."""
        self._sort, self.reverse = sort, reverse
        self._values.clear()
        self._order_stale = True
        self.settle()

    # -- what the records do

    def apply(self, changed: Iterable[K], removed: Iterable[K] = ()) -> None:
        """Some records changed or went. Membership is known at once, what is shown only after settle."""
        for key in removed:
            self._all.discard(key)
            self._leave(key)
            if self._filtering is not None:
                self._missed.add(key)
        for key in changed:
            record = self.source.get(key)
            if record is None:
                self._all.discard(key)
                self._leave(key)
                continue
            self._all.add(key)
            if self._filtering is not None:
                self._missed.add(key)
            self._look(key, record)

    @property
    def stale(self) -> bool:
        """Whether settle would change anything."""
        return self._order_stale or self._base_stale or self._removed or bool(self._added)

    def settle(self, *, hold: bool = False) -> bool:
        """Bring `keys` up to date; True when they changed.

        hold: move nothing. Rows that went still go, new rows wait at the end, the order stays as it is.
        """
        if not self.stale:
            return False
        before = self.keys
        if self._removed:
            self.keys = [key for key in self.keys if key in self._members]
            self._removed = False
        if self._added:
            shown = set(self.keys)
            fresh = [key for key in dict.fromkeys(self._added) if key in self._members and key not in shown]
            self.keys = self.keys + fresh
            self._added.clear()
            if fresh:
                self._base_stale = self._order_stale = True
        if self._order_stale and not hold:
            self.keys = self._ordered()
            self._order_stale = False
        return self.keys != before

    # -- inside

    def _look(self, key: K, record: Any) -> None:
        if not self.query(record):
            self._leave(key)
        elif key not in self._members:
            self._members.add(key)
            self._added.append(key)
            self._base_stale = True
        elif self._sort is not None and self._values.get(key) != self._sort(record):
            self._order_stale = True

    def _leave(self, key: K) -> None:
        if key in self._members:
            self._members.discard(key)
            self._values.pop(key, None)
            self._removed = self._base_stale = True

    def _ordered(self) -> list[K]:
        if self._base_stale or len(self._base) != len(self._members):
            self._base = sorted(self._members, key=self._identity)
            self._base_stale = False
        if self._sort is None:
            return self._base[::-1] if self.reverse else list(self._base)
        sort, get = self._sort, self.source.get
        values: dict[K, Any] = {}
        known: list[K] = []
        unknown: list[K] = []
        for key in self._base:
            record = get(key)
            value = None if record is None else sort(record)
            values[key] = value
            (unknown if value is None else known).append(key)
        self._values = values
        known.sort(key=values.__getitem__, reverse=self.reverse)
        return known + unknown

    def _refilter(self, query: Query, *, narrow: bool) -> Generator[None, None, None]:
        source = self.source
        if narrow:
            rows: Iterable[tuple[K, Any]] = [(key, source.get(key)) for key in self._members]
        else:
            rows = list(source.items())
        members: set[K] = set()
        everything: set[K] = set()
        for number, (key, record) in enumerate(rows, 1):
            everything.add(key)
            if record is not None and query(record):
                members.add(key)
            if number % SLICE == 0:
                yield
        if not narrow:
            self._all = everything
        self.query, self._members = query, members
        self._filtering = None
        self._added.clear()
        self._removed = False
        self._base_stale = self._order_stale = True
        missed, self._missed = self._missed, set()
        for key in missed:
            late = source.get(key)
            if late is None:
                self._all.discard(key)
                self._leave(key)
            else:
                self._all.add(key)
                self._look(key, late)
        self.keys = self._ordered()
        self._order_stale = self._removed = False
        self._added.clear()

    @staticmethod
    def _drain(steps: Generator[None, None, None]) -> None:
        for _ in steps:
            pass
