"""The table and the detail of lifecycle events: the last of all hosts, live."""

from __future__ import annotations

import time
from collections.abc import Iterable

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look, Style
from lxdpm_tui.console.resources.base import Line, heading, when
from lxdpm_tui.fleet.fields import epoch
from lxdpm_tui.fleet.happenings import Happening
from lxdpm_tui.fleet.query import Field, Schema

_ENDS: tuple[tuple[tuple[str, ...], Style], ...] = (
    (("-deleted", "-removed", "-shutdown", "-stopped"), "warn"),
    (("-started", "-created", "-restarted", "-resumed"), "good"),
)


def _style(row: Happening, look: Look) -> Style:
    return next((style for ends, style in _ENDS if row.action.endswith(ends)), "")


def _clock(row: Happening, look: Look) -> str:
    moment = epoch(row.when)
    return time.strftime("%H:%M:%S", time.localtime(moment)) if moment else ""


def _about(row: Happening) -> str:
    """`instance web-1`."""
    return f"{row.kind.removesuffix('s')} {row.name}".strip().replace("storage-pool ", "pool ")


SCHEMA = Schema(
    fields={
        "host": Field("text", lambda row: row.host),
        "event": Field("text", lambda row: row.action),
        "kind": Field("text", lambda row: row.kind),
        "name": Field("text", lambda row: row.name),
        "project": Field("text", lambda row: row.project),
        "by": Field("text", lambda row: row.by),
        "age": Field("age", lambda row: epoch(row.when)),
    },
    name=lambda row: str(row.name),
    text=lambda row: " ".join((row.host, row.action, row.name, row.by, row.context)),
)

COLUMNS = (
    Column("when", "TIME", _clock, 8, style=lambda r, _: "dim", sort=lambda r: r.number, downwards=True),
    Column("host", "HOST", lambda r, _: r.host, 10, grow=1, most=22, sort=lambda r: r.host),
    Column("event", "EVENT", lambda r, _: r.action, 20, grow=1, most=34, style=_style, sort=lambda r: r.action),
    Column("about", "ABOUT", lambda r, _: _about(r), 18, grow=3, most=50, sort=_about),
    Column("project", "PROJECT", lambda r, _: r.project, 8, drop=2, sort=lambda r: r.project,
           when=lambda look: look.projects),
    Column("by", "BY", lambda r, _: r.by, 10, grow=1, most=26, drop=3, style=lambda r, _: "dim",
           sort=lambda r: r.by or None),
    Column("context", "MORE", lambda r, _: r.context, 10, grow=3, most=80, drop=4, style=lambda r, _: "dim"),
)  # fmt: skip


def detail(row: Happening, look: Look) -> Iterable[Line]:
    """Everything known of one event."""
    yield heading(row.action)
    yield Line("time", when(epoch(row.when), look.now))
    yield Line("host", row.host)
    yield Line("about", _about(row))
    yield Line("project", row.project)
    yield Line("by", row.by or "the host itself")
    for part in row.context.split(", ") if row.context else ():
        label, _, value = part.partition("=")
        yield Line(label, text.clean(value))
    yield Line()
    yield Line("source", row.source, "dim")
