"""The table and the detail of warnings: those of the hosts, and what is wrong with the fleet as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look, Style
from lxdpm_tui.console.resources.base import Line, heading, when
from lxdpm_tui.fleet.fields import epoch
from lxdpm_tui.fleet.happenings import subject_of
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.fleet.lookup import Thing
from lxdpm_tui.fleet.problems import Problem
from lxdpm_tui.fleet.query import Field, Schema

SEVERITIES = {"high": 0, "moderate": 1, "low": 2}
STYLES: dict[str, Style] = {"high": "bad", "moderate": "warn"}


class FleetWarning(msgspec.Struct):
    """A problem of the fleet as a row. It is known here, so that it never ages: it has no `host`."""

    location: str
    project: str
    name: str
    body: Mapping[str, Any]

    @classmethod
    def of(cls, problem: Problem) -> FleetWarning:
        body = {
            "type": problem.type,
            "severity": problem.severity,
            "status": "",
            "count": 1,
            "last_message": problem.message,
            "entity_url": problem.entity,
            "since": problem.since,
        }
        return cls(problem.location, problem.project, problem.uuid, body)

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
        return self._own.get(key) if not key.host else self._table.get(key.host, {}).get(key)

    def items(self) -> Iterator[tuple[Key, Row]]:
        yield from list(self._own.items())
        for rows in list(self._table.values()):
            yield from list(rows.items())


def where(row: Row) -> str:
    """The host; "fleet" when it is about several."""
    return row.host if isinstance(row, Thing) else row.location or "fleet"


def _about(row: Row) -> str:
    """What it is about: `instance web-1`."""
    if isinstance(row, Thing) and not row.text("entity_url"):
        return ""
    kind, name, _ = subject_of(row.text("entity_url"))
    noun = {"members": "host", "storage-pools": "pool"}.get(kind, kind.removesuffix("s"))
    return f"{noun} {name}".strip()


def _last(row: Row) -> float:
    return epoch(row.text("last_seen_at")) if isinstance(row, Thing) else float(row.body["since"])


def _age(row: Row, look: Look) -> str:
    return text.span(look.now - _last(row)) if _last(row) else "now"


SCHEMA = Schema(
    fields={
        "host": Field("text", where),
        "severity": Field("text", lambda row: row.text("severity")),
        "type": Field("text", lambda row: row.text("type")),
        "status": Field("text", lambda row: row.text("status")),
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
