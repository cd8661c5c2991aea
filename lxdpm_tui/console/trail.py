"""Where the person was: tables with their filters, back and forward as in a browser. No widgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from lxdpm_tui.console.keymap import Place

KEPT = 100
CRUMBS = 4


class Stop(NamedTuple):
    """A table and its filter. inner: reached from the row of the stop before, so that escape leads out again."""

    place: Place
    query: str = ""
    inner: bool = False


@dataclass(slots=True)
class Trail:
    """The stops; `at` is where the person is."""

    stops: list[Stop] = field(default_factory=lambda: [Stop("instances")])
    at: int = 0

    @property
    def here(self) -> Stop:
        return self.stops[self.at]

    def begin(self, stop: Stop) -> None:
        """This is the first stop; what was before, keys of somebody quick, is forgotten."""
        self.stops, self.at = [stop], 0

    def visit(self, stop: Stop) -> None:
        """Go on to a stop; what was ahead is forgotten."""
        if stop[:2] == self.here[:2]:
            return
        self.stops[self.at + 1 :] = [stop]
        del self.stops[:-KEPT]
        self.at = len(self.stops) - 1

    def refine(self, query: str) -> None:
        """Another filter at the same stop."""
        self.stops[self.at] = self.here._replace(query=query)

    def step(self, by: int) -> Stop | None:
        """Back (-1) or forward (1); None at the end of the way."""
        if not 0 <= self.at + by < len(self.stops):
            return None
        self.at += by
        return self.here

    def crumbs(self) -> str:
        """`hosts › instances host:=h1`; what is ahead is not told. "" while there is only one stop."""
        last = self.stops[max(0, self.at + 1 - CRUMBS) : self.at + 1]
        words = [f"{stop.place} {stop.query}".strip() for stop in last]
        more = "… › " if self.at >= CRUMBS else ""
        return more + " › ".join(words) if self.at else ""
