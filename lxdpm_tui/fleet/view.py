"""Filtered, ordered views over records that live elsewhere. No I/O, no UI, no clock of its own.

A view holds keys, in order. Changes are applied as they come (cheap); `settle` brings the order up to date, at a pace
and at moments that the caller chooses, so that rows do not move under a cursor. What looks at every row comes in slices
of a few milliseconds (`filter_slices`, `arrange`), for a hundred thousand rows. One event loop owns a view.
"""

from __future__ import annotations

import itertools
from bisect import insort
from collections.abc import Callable, Generator, Hashable, Iterable
from operator import attrgetter
from typing import Any, Generic, TypeVar

from lxdpm_tui.fleet.query import EVERYTHING, Query
from lxdpm_tui.fleet.sources import InventorySource, MappingSource, Source, by_name, natural, record_name

__all__ = ["InventorySource", "MappingSource", "Source", "View", "by_name", "natural", "record_name"]

K = TypeVar("K", bound=Hashable)
Sort = Callable[[Any], Any]

SLICE = 8000  # records looked at between two breaths: 1 to 4 ms
RUN = 8192  # records sorted at once
WAYS = 4  # sorted runs that are merged at once
MANY = 5000  # rows from which ordering all of them at once would be felt
FEW = 64  # new records that are put in their places one by one


class _Entry(Generic[K]):
    """One record of a view. rank: its identity's.  turn: the filter's turn in which it passed; 0 = it is gone.

    value: what it was last ordered by.  placed: the turn in which it came among the rows shown.  text: for plain words.
    """

    __slots__ = ("key", "placed", "rank", "record", "text", "turn", "value")

    def __init__(self, key: K, rank: Any, record: Any) -> None:
        self.key = key
        self.rank = rank
        self.record = record
        self.turn = -1
        self.value: Any = None
        self.placed = 0
        self.text = ""


_rank = attrgetter("rank")
_value = attrgetter("value")
Steps = Generator[None, None, None]


class View(Generic[K]):
    """The keys of the records that pass the filter, in order.

    keys: what to show now, kept until the next settle.  total: how many records there are without the filter.
    identity: the order among rows that sort alike, and when nothing else is asked for.
    text: gives a record's text in small letters (Schema.small): kept at hand for plain words.
    """

    def __init__(
        self, source: Source[K], *, identity: Callable[[K], Any], text: Callable[[Any], str] | None = None
    ) -> None:
        self.source = source
        self.query: Query = EVERYTHING
        self.keys: list[K] = []
        self.reverse = False
        self._identity = identity
        self._sort: Sort | None = None
        self._entries: dict[K, _Entry[K]] = {}
        self._base: list[_Entry[K]] = []  # all by rank; gone ones among them until the next _tidy
        self._fresh: list[_Entry[K]] = []  # not in _base yet
        self._gone = False
        self._order: list[_Entry[K]] = []  # those of `keys`
        self._turns = itertools.count(2)
        self._turn = self._coming = 1
        self._text = text
        self._found: list[_Entry[K]] = []
        self._order_stale = False
        self._removed = False
        self._added: list[_Entry[K]] = []
        self._working: Steps | None = None  # a filter under way: nothing else moves rows meanwhile
        self._missed: list[_Entry[K]] = []
        self._broken = False  # a filter was given up halfway: there is nothing to narrow
        self._noted: set[K] = (
            set()
        )  # changed, with a source that is costly to ask: looked at when somebody wants to know

    @property
    def total(self) -> int:
        self._digest()
        return len(self._entries)

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: K) -> bool:
        """Whether a record passes the filter, as far as is known while one is under way; it may not be among `keys`."""
        entry = self._entries.get(key)
        return entry is not None and entry.turn in (self._turn, self._coming)

    # -- what the person asks for

    def set_source(self, source: Source[K]) -> None:
        """Look at other records from now on."""
        self.source = source
        self.reload()

    def reload(self) -> None:
        """Read all records again and order them, at once."""
        self._end_filter()
        for entry in self._entries.values():
            entry.turn = 0
        self._noted.clear()
        self._added.clear()
        self._missed.clear()
        identity = self._identity
        self._entries = {key: _Entry(key, identity(key), record) for key, record in self.source.items()}
        self._base, self._fresh = sorted(self._entries.values(), key=_rank), []
        self._gone = self._broken = False
        if self._text is not None:
            for entry in self._base:
                entry.text = self._text(entry.record)
        _drain(self._refilter(self.query, self._base, narrow=False))

    def set_query(self, query: Query) -> None:
        """Filter at once (up to some 10,000 records; for more see filter_slices)."""
        _drain(self.filter_slices(query))

    def filter_slices(self, query: Query) -> Steps:
        """Filter in slices of some milliseconds: yields between them, shows the result after the last.

        Starting another filter ends this one.
        """
        self._end_filter()
        self._digest()
        self._tidy()
        self._take_in()
        narrow = not self._broken and query.narrows(self.query)
        self._working = steps = self._refilter(query, self._order if narrow else self._base, narrow=narrow)
        return steps

    def preview(self) -> list[K]:
        """The first rows of a filter's result, while it is under way; [] when their order is not known yet."""
        return [entry.key for entry in self._found]

    def set_order(self, sort: Sort | None, *, reverse: bool = False) -> None:
        """Order by a value of the record (None = unknown, always last), or by identity alone.

        Up to MANY rows it is done at once; more stay as they are until settle or arrange.
        """
        self._sort = None if sort is record_name and self._identity is by_name else sort
        self.reverse = reverse
        self._order_stale = True
        if len(self._order) <= MANY:
            self.settle()

    # -- what the records do

    def apply(self, changed: Iterable[K], removed: Iterable[K] = (), *, figures: bool = False) -> None:
        """Some records changed or went. Membership is known at once, what is shown only after settle.

        figures: nothing changed but live figures of records that were there before.
        """
        if getattr(self.source, "costly", False):
            self._noted.update(changed, removed)
            return
        if figures and not self.query.live and (self._sort is None or self._order_stale):
            return  # neither filter nor order can have changed
        for key in removed:
            self._drop(key)
        get = self.source.get
        for key in changed:
            self._see(key, get(key))
        if max(len(self._fresh), len(self._added)) > 2 * len(self._entries) + FEW:
            self._forget_gone()

    @property
    def stale(self) -> bool:
        """Whether settle would change anything."""
        return self._order_stale or self._removed or bool(self._added) or bool(self._noted)

    @property
    def many(self) -> bool:
        """Whether there are so many rows that they are better ordered by `arrange`."""
        return len(self._entries) > MANY

    def settle(self, *, hold: bool = False) -> bool:
        """Bring `keys` up to date; True when they changed.

        hold: move nothing. Rows that went still go, new rows wait at the end, the order stays as it is.
        While a filter is under way nothing changes: its end brings everything up to date.
        """
        if self._working is not None or not (self._added or self._removed or self._noted or self._order_stale):
            return False
        if hold and not (self._added or self._removed or self._noted):
            return False
        before = self.keys
        self._take_in()
        if self._order_stale and not hold:
            _drain(self._arranged())
        self.keys = [entry.key for entry in self._order]
        return self.keys != before

    def arrange(self) -> Steps:
        """As settle, in slices: yields between them, shows the result after the last. May be given up at any."""
        if self._working is not None:
            return
        self._take_in()
        yield
        if self._order_stale:
            try:
                yield from self._arranged()
            except GeneratorExit:
                self._order_stale = True
                raise
        self.keys = [entry.key for entry in self._order]

    # -- inside

    def _see(self, key: K, record: Any) -> None:
        entry = self._entries.get(key)
        if record is None:
            self._drop(key)
            return
        if entry is None:
            self._entries[key] = entry = _Entry(key, self._identity(key), record)
            self._fresh.append(entry)
        else:
            entry.record = record
        if self._text is not None:
            entry.text = self._text(record)
        if self._working is not None:
            self._missed.append(entry)
        else:
            self._look(entry)

    def _look(self, entry: _Entry[K]) -> None:
        if not self.query(entry.record):
            if entry.turn == self._turn:
                entry.turn = -1
                self._removed = True
        elif entry.turn != self._turn:
            entry.turn = self._turn
            self._added.append(entry)
        elif self._sort is not None and not self._order_stale and entry.value != self._sort(entry.record):
            self._order_stale = True

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            entry.turn = 0
            self._gone = self._removed = True

    def _forget_gone(self) -> None:
        """Rows come and go without end while nobody looks, and nothing settles: what went is not kept until then."""
        self._fresh = [entry for entry in self._fresh if entry.turn]
        self._added = list(dict.fromkeys(entry for entry in self._added if entry.turn))

    def _digest(self) -> None:
        """Look at what a costly source told."""
        noted, self._noted = self._noted, set()
        for key in noted:
            self._see(key, self.source.get(key))

    def _take_in(self) -> None:
        """Rows that went go, new ones come to the end."""
        self._digest()
        turn = self._turn
        if self._removed:
            kept = []
            for entry in self._order:
                if entry.turn == turn:
                    kept.append(entry)
                else:
                    entry.placed = 0
            self._order, self._removed = kept, False
        added, self._added = self._added, []
        for entry in added:
            if entry.turn == turn and entry.placed != turn:
                entry.placed, self._order_stale = turn, True
                self._order.append(entry)

    def _tidy(self) -> None:
        """All records, by rank."""
        if self._gone:
            self._base = [entry for entry in self._base if entry.turn]
            self._gone = False
        fresh, self._fresh = [entry for entry in self._fresh if entry.turn], []
        if len(fresh) > FEW:
            self._base += fresh
            self._base.sort(key=_rank)
        else:
            for entry in fresh:
                insort(self._base, entry, key=_rank)

    def _arranged(self) -> Steps:
        """Put _order in order."""
        self._order_stale = False
        self._tidy()
        turn = self._turn
        rows = [entry for entry in self._base if entry.placed == turn]
        yield
        if self._sort is not None:
            rows = yield from self._sorted(rows, self._sort)
        elif self.reverse:
            rows.reverse()
        if len(rows) != len(self._order) or self._removed:  # some came or went between two slices
            order = set(rows)
            rows += [entry for entry in self._order if entry not in order]
        self._order = rows

    def _sorted(self, rows: list[_Entry[K]], sort: Sort) -> Generator[None, None, list[_Entry[K]]]:
        known: list[_Entry[K]] = []
        unknown: list[_Entry[K]] = []
        for start in range(0, len(rows), RUN):
            for entry in rows[start : start + RUN]:
                entry.value = value = sort(entry.record)
                (unknown if value is None else known).append(entry)
            yield
        runs = [known[start : start + RUN] for start in range(0, len(known), RUN)]
        for run in runs:
            run.sort(key=_value, reverse=self.reverse)
            yield
        while len(runs) > 1:
            merged = []
            for start in range(0, len(runs), WAYS):
                together = [entry for run in runs[start : start + WAYS] for entry in run]
                together.sort(key=_value, reverse=self.reverse)  # finds the runs, and only merges them
                merged.append(together)
                yield
            runs = merged
        return (runs[0] if runs else []) + unknown

    def _refilter(self, query: Query, rows: list[_Entry[K]], *, narrow: bool) -> Steps:
        """rows: all by rank, or those shown, in their order, when no other can pass."""
        turn = self._coming = next(self._turns)  # one that was given up has left its own on some entries
        passed: list[_Entry[K]] = []
        self._broken = True
        words, tests = query.words, query.tests
        if words and query.small is not self._text:
            words, tests = (), tuple(term.test for term in query.terms)
        in_order = not self._order_stale and (narrow or not (self._sort is not None or self.reverse))
        for start in range(0, len(rows), SLICE):
            part = rows[start : start + SLICE]
            for word in words:
                part = [entry for entry in part if word in entry.text]
            for test in tests:
                part = [entry for entry in part if test(entry.record)]
            if self._gone:  # between two slices
                part = [entry for entry in part if entry.turn]
            for entry in part:
                entry.turn = entry.placed = turn
            passed += part
            if start + SLICE < len(rows):
                self._found = passed if in_order else []
                yield
        self._found = []
        if self._gone:
            passed = [entry for entry in passed if entry.turn]
        stale = self._order_stale or (not narrow and (self._sort is not None or self.reverse))
        self._turn, self.query, self._order = turn, query, passed
        self._added.clear()
        self._removed = self._broken = False
        if stale:
            yield from self._arranged()
        self._working = None
        missed, self._missed = self._missed, []
        for entry in missed:
            if entry.turn:
                self._look(entry)
        self._take_in()
        self.keys = [entry.key for entry in self._order]

    def _end_filter(self) -> None:
        if self._working is not None:
            self._working.close()
            self._working, self._found = None, []
            self._order_stale = True


def _drain(steps: Steps) -> None:
    for _ in steps:
        pass
