"""The table and the detail of storage: the pools of every host, and the custom volumes in them."""

from __future__ import annotations

from collections.abc import Iterable

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look, Style
from lxdpm_tui.console.resources.base import Line, heading, pairs, project_column, seen_column, stale_note, used_by
from lxdpm_tui.fleet.lookup import Thing
from lxdpm_tui.fleet.query import Field, Schema
from lxdpm_tui.fleet.units import parse_size
from lxdpm_tui.fleet.view import natural


def is_pool(row: Thing) -> bool:
    return "driver" in row.body


def _kind(row: Thing) -> str:
    return "pool" if is_pool(row) else f"volume ({row.text('content_type')})" if row.text("content_type") else "volume"


def _total(row: Thing) -> int:
    """Bytes: of a pool what it holds, of a volume its size; 0 when nobody knows."""
    if is_pool(row):
        return int(row.body.get("total") or 0)
    try:
        return parse_size(row.config.get("size", ""))
    except ValueError:
        return 0


def share(row: Thing) -> float:
    total = int(row.body.get("total") or 0)
    return int(row.body.get("used") or 0) / total if total else -1.0


def _usage(row: Thing, look: Look) -> str:
    return f"{text.meter(share(row), 6)} {text.percent(share(row)):>4}" if share(row) >= 0 else ""


def _usage_style(row: Thing, look: Look) -> Style:
    return "bad" if share(row) > 0.95 else "warn" if share(row) > 0.85 else ""


SCHEMA = Schema(
    fields={
        "name": Field("text", lambda row: row.name),
        "host": Field("text", lambda row: row.host),
        "project": Field("text", lambda row: row.project),
        "kind": Field("text", _kind),
        "pool": Field("text", lambda row: row.text("pool")),
        "driver": Field("text", lambda row: row.text("driver")),
        "status": Field("text", lambda row: row.text("status")),
        "size": Field("size", _total),
        "free": Field("size", lambda row: _total(row) - int(row.body.get("used") or 0) if is_pool(row) else -1),
        "full": Field("number", lambda row: 100 * share(row)),
        "used": Field("number", lambda row: len(row.used_by)),
        "description": Field("text", lambda row: row.text("description")),
    },
    name=lambda row: str(row.name),
    text=lambda row: " ".join((row.name, row.host, _kind(row), row.text("driver"), row.text("description"))),
    config=lambda row: row.config,
)

COLUMNS = (
    Column("name", "STORAGE", lambda r, _: r.name, 16, grow=3, most=40, sort=lambda r: natural(r.name)),
    Column("host", "HOST", lambda r, _: r.host, 10, grow=2, most=22, sort=lambda r: natural(r.host)),
    seen_column(),
    project_column(),
    Column("kind", "KIND", lambda r, _: _kind(r), 6, grow=1, most=18, sort=_kind),
    Column("driver", "DRIVER", lambda r, _: r.text("driver"), 6, drop=3, sort=lambda r: r.text("driver") or None),
    Column("usage", "FULL", _usage, 11, drop=2, style=_usage_style, sort=lambda r: share(r) if share(r) >= 0 else None,
           downwards=True),
    Column("size", "SIZE", lambda r, _: text.size(_total(r)) if _total(r) else "", 5, right=True, drop=1,
           sort=lambda r: _total(r) or None, downwards=True),
    Column("used", "USED BY", lambda r, _: str(len(r.used_by)), 7, right=True, drop=4,
           sort=lambda r: len(r.used_by), downwards=True),
    Column("status", "STATUS", lambda r, _: r.text("status"), 8, drop=6, sort=lambda r: r.text("status") or None),
    Column("description", "DESCRIPTION", lambda r, _: r.text("description"), 14, grow=3, most=60, drop=7),
)  # fmt: skip


def detail(row: Thing, look: Look) -> Iterable[Line]:
    """Everything known of one pool or volume."""
    yield from stale_note(row.host, look)
    yield heading(row.name)
    yield Line("about", row.text("description"))
    yield Line("kind", _kind(row))
    yield Line("host", row.host)
    yield Line("project", row.project)
    if is_pool(row):
        yield Line("driver", row.text("driver"))
        yield Line("status", row.text("status"))
    else:
        yield Line("pool", row.text("pool"))
    if share(row) >= 0:
        used, total = text.long_size(int(row.body["used"])), text.long_size(_total(row))
        yield Line("used", f"{used} of {total} ({text.percent(share(row))})", _usage_style(row, look))
    elif _total(row):
        yield Line("size", text.long_size(_total(row)))
    yield from pairs("config", row.config)
    yield from used_by({row.host: row})
