"""The table and the detail of warnings: those of the hosts, and what is wrong with the fleet as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look, Style
from lxdpm_tui.console.keymap import Place
from lxdpm_tui.console.resources.base import Line, heading, when
from lxdpm_tui.fleet.fields import epoch
from lxdpm_tui.fleet.happenings import subject_of
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.fleet.lookup import Thing
from lxdpm_tui.fleet.query import Field, Schema

FLEET = "fleet"  # where a warning about several hosts is
SEVERITIES = {"high": 0, "moderate": 1, "low": 2}
STYLES: dict[str, Style] = {"high": "bad", "moderate": "warn"}


class FleetWarning(msgspec.Struct):
    """What is wrong with the fleet as a whole, as a row. It never ages: it has no `host`."""

    location: str
    project: str
    name: str
    body: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> FleetWarning:
        """body: LXD's warning object. When it was looked at last says nothing."""
        kept = {name: value for name, value in body.items() if name != "last_seen_at"}
        return cls(body["location"], body["project"], body["uuid"], kept)

    @property
    def key(self) -> Key:
        return Key("", self.project, self.name)

    def text(self, field: str) -> str:
        return str(self.body.get(field) or "")


Row = Thing | FleetWarning


class WarningSource:
    """The hosts' warnings and the fleet's own, in one."""

    def __init__(self, table: Mapping[str, Mapping[Key, Thing]], own: Mapping[Key, FleetWarning]) -> None:
        self._table = table
        self._own = own

    def get(self, key: Key) -> Row | None:
        own = self._own.get(key._replace(host=""))
        if not key.host:
            return own
        return None if own is not None else self._table.get(key.host, {}).get(key)

    def items(self) -> Iterator[tuple[Key, Row]]:
        yield from list(self._own.items())
        for rows in list(self._table.values()):
            yield from ((key, row) for key, row in list(rows.items()) if key._replace(host="") not in self._own)


def where(row: Row) -> str:
    """The host; FLEET when it is about several."""
    return row.host if isinstance(row, Thing) else row.location or FLEET


def _subject(row: Row) -> tuple[str, str]:
    """What it is about: ("instance", "web-1"); two empty words for the host as a whole."""
    if not row.text("entity_url"):
        return "", ""
    kind, name, _ = subject_of(row.text("entity_url"))
    return {"members": "host", "storage-pools": "pool"}.get(kind, kind.removesuffix("s")), name


def _about(row: Row) -> str:
    """`instance web-1`"""
    return " ".join(_subject(row)).strip()


def about(place: Place, row: Any) -> str:
    """The filter that finds the warnings about a row of another table; "" for one that has none of its own."""
    if place == "hosts":
        return f"host:={row.name}"
    noun = "volume" if place == "storage" and "/" in row.name else _NOUNS.get(place, "")
    if not noun:
        return ""
    hosts = "|".join(map(re.escape, (*_hosts_of(row), FLEET)))
    scope = f" project:={row.project}" if row.project and place != "projects" else ""
    return f"kind:={noun} about:={row.name}{scope} host:~^({hosts})$"


_NOUNS: Mapping[str, str] = {
    "instances": "instance",
    "profiles": "profile",
    "networks": "network",
    "storage": "pool",
    "projects": "project",
}


def _hosts_of(row: Any) -> Iterable[str]:
    """Those that have the row; of one that is on several it has the copies by host."""
    return getattr(row, "copies", None) or (row.host,)


def _last(row: Row) -> float:
    """Of one of the fleet's own: since when."""
    return epoch(row.text("last_seen_at" if isinstance(row, Thing) else "first_seen_at"))


def _age(row: Row, look: Look) -> str:
    return text.span(look.now - _last(row)) if _last(row) else "now"


SCHEMA = Schema(
    fields={
        "host": Field("text", where),
        "severity": Field("text", lambda row: row.text("severity")),
        "type": Field("text", lambda row: row.text("type")),
        "status": Field("text", lambda row: row.text("status")),
        "kind": Field("text", lambda row: _subject(row)[0]),
        "about": Field("text", lambda row: _subject(row)[1]),
        "project": Field("text", lambda row: row.project),
        "message": Field("text", lambda row: row.text("last_message")),
        "count": Field("number", lambda row: row.body.get("count") or 0),
        "age": Field("age", _last),
    },
    name=lambda row: row.text("type"),
    text=lambda row: " ".join((where(row), row.text("type"), row.text("last_message"), _about(row))),
)

COLUMNS = (
    Column("severity", "SEVERITY", lambda r, _: r.text("severity"), 9,
           style=lambda r, _: STYLES.get(r.text("severity"), "dim"),
           sort=lambda r: SEVERITIES.get(r.text("severity"), 9)),
    Column("host", "HOST", lambda r, _: where(r), 10, grow=1, most=22, sort=where),
    Column("type", "WARNING", lambda r, _: r.text("type"), 18, grow=2, most=40, sort=lambda r: r.text("type")),
    Column("about", "ABOUT", lambda r, _: _about(r), 12, grow=1, most=30, drop=2, sort=lambda r: _about(r) or None),
    Column("message", "MESSAGE", lambda r, _: r.text("last_message"), 18, grow=5, most=120, drop=1),
    Column("age", "LAST", _age, 7, right=True, drop=3, style=lambda r, _: "dim", sort=lambda r: -_last(r)),
    Column("count", "COUNT", lambda r, _: str(r.body.get("count") or ""), 5, right=True, drop=5,
           sort=lambda r: r.body.get("count") or None, downwards=True),
    Column("status", "STATUS", lambda r, _: r.text("status"), 12, drop=4, style=lambda r, _: "dim",
           sort=lambda r: r.text("status") or None),
)  # fmt: skip


def detail(row: Row, look: Look) -> Iterable[Line]:
    """Everything known of one warning."""
    yield heading(row.text("type"))
    yield Line("severity", row.text("severity"), STYLES.get(row.text("severity"), ""))
    yield Line("host", where(row))
    yield Line("about", _about(row))
    yield Line("project", row.project)
    yield Line("status", row.text("status"))
    if isinstance(row, Thing):
        yield Line("first seen", when(epoch(row.text("first_seen_at")), look.now))
        yield Line("last seen", when(_last(row), look.now))
        yield Line("count", str(row.body.get("count") or ""))
        yield Line("id", row.name)
    elif _last(row):
        yield Line("since", when(_last(row), look.now))
    yield Line()
    yield Line("", row.text("last_message"))
