"""guards.toml: what must not happen in passing to instances that a filter names.

[production]
filter = "prod- user.stage=live"     as in the table of instances
acts = ["delete", "stop"]            names of actions; without it all that ask before they run
ask = "type"                         type: its name, or how many they are, is typed; never: it is refused here
why = "shop.example runs on them"
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from lxdpm_tui.console.files.toml import Document
from lxdpm_tui.fleet.fields import INSTANCES
from lxdpm_tui.fleet.query import Query, QueryError, parse

Ask = Literal["type", "never"]
_STRICT: tuple[Ask, ...] = ("type", "never")  # the last counts most
_KEYS = ("filter", "acts", "ask", "why")
SETTINGS = frozenset(("configure", "config-set", "config-unset", "device-add", "device-remove", "edit"))
"""Ways to the same change: the form and bulk act, the actions of the `:` line, $EDITOR. One guarded: all are."""


class Guard(NamedTuple):
    """acts: () = those that ask before they run."""

    name: str
    query: Query
    acts: tuple[str, ...]
    ask: Ask
    why: str

    def heeds(self, act: str, asks: bool, rows: Iterable[Any]) -> bool:
        """Whether that act on one of those instances is what it guards. asks: it asks before it runs anyway."""
        acts = self.acts if SETTINGS.isdisjoint(self.acts) else SETTINGS.union(self.acts)
        return (act in acts if acts else asks) and any(self.query(row) for row in rows)

    def words(self) -> str:
        """`guard production: shop.example runs on them`."""
        return f"guard {self.name}" + (f": {self.why}" if self.why else "")


def strictest(guards: Iterable[Guard], act: str, asks: bool, rows: Iterable[Any]) -> Guard | None:
    """The one that counts when an act is asked for on some instances."""
    among = list(rows)
    found = [guard for guard in guards if guard.heeds(act, asks, among)]
    return max(found, key=lambda guard: _STRICT.index(guard.ask), default=None)


def broken(why: str) -> dict[str, Guard]:
    """What stands for a file with mistakes that was never read without: nothing that asks runs until it is mended."""
    return {"guards.toml": Guard("guards.toml", Query(""), (), "never", why)}


def read_guards(path: Path) -> dict[str, Guard]:
    """Raises ConfigError."""
    document = Document(path)
    found = {}
    for name, table in document.tables():
        document.known(name, table, _KEYS)
        ask = document.text(name, table, "ask", "type")
        if ask not in _STRICT:
            document.wrong(name, "ask", f"expected {' or '.join(_STRICT)}")
        source = document.text(name, table, "filter")
        query = Query(source)
        try:
            query = parse(source, INSTANCES)
        except QueryError as error:
            document.wrong(name, "filter", error.text)
        if "filter" not in table:
            document.wrong(name, "filter", 'is missing; "" means every instance')
        acts = document.texts(name, table, "acts")
        found[name] = Guard(name, query, acts, cast(Ask, ask), document.text(name, table, "why"))
    document.done()
    return found
