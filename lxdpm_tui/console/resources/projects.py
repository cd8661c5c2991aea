"""The table and the detail of projects: a row for each project, whoever has it."""

from __future__ import annotations

from collections.abc import Iterable

from lxdpm_tui.console.columns import Column, Look
from lxdpm_tui.console.resources.base import Line, freshness, heading, on_hosts, pairs, seen_column, stale_note
from lxdpm_tui.fleet.groups import Copies
from lxdpm_tui.fleet.query import Field, Schema
from lxdpm_tui.fleet.view import natural


def _instances(row: Copies, look: Look) -> int:
    counts: dict[str, int] = look.once("instances by project", lambda: _by_project(look))
    return counts.get(row.name, 0)


def _by_project(look: Look) -> dict[str, int]:
    counts: dict[str, int] = {}
    for rows in look.inventory.instances.values():
        for key in rows:
            counts[key.project] = counts.get(key.project, 0) + 1
    return counts


def _features(row: Copies) -> str:
    """What it has of its own."""
    names = [key.removeprefix("features.") for key, value in sorted(row.config.items())
             if key.startswith("features.") and value == "true"]  # fmt: skip
    return " ".join(names)


def _limits(row: Copies) -> str:
    return " ".join(f"{key.removeprefix('limits.')}={value}" for key, value in sorted(row.config.items())
                    if key.startswith("limits."))  # fmt: skip


def _used(row: Copies) -> int:
    return sum(len(copy.used_by) for copy in row.copies.values())


SCHEMA = Schema(
    fields={
        "name": Field("text", lambda row: row.name),
        "host": Field("text", lambda row: row.hosts),
        "description": Field("text", lambda row: row.text("description")),
        "used": Field("number", _used),
    },
    name=lambda row: str(row.name),
    text=lambda row: " ".join((row.name, row.text("description"), *row.hosts)),
    config=lambda row: row.config,
)

COLUMNS = (
    Column("name", "PROJECT", lambda r, _: r.name, 16, grow=2, most=30, sort=lambda r: natural(r.name)),
    seen_column(),
    Column("hosts", "ON HOSTS", lambda r, look: on_hosts(r.hosts, look), 10, grow=1, most=16, drop=1,
           sort=lambda r: len(r.hosts), downwards=True),
    Column("instances", "INSTANCES", lambda r, look: str(_instances(r, look)), 9, right=True, drop=2),
    Column("used", "USED BY", lambda r, _: str(_used(r)), 7, right=True, drop=3, sort=_used, downwards=True),
    Column("features", "OF ITS OWN", lambda r, _: _features(r), 14, grow=3, most=60, drop=4),
    Column("limits", "LIMITS", lambda r, _: _limits(r), 8, grow=2, most=40, drop=5),
    Column("description", "DESCRIPTION", lambda r, _: r.text("description"), 14, grow=3, most=60, drop=6),
)  # fmt: skip


def detail(row: Copies, look: Look) -> Iterable[Line]:
    """Everything known of one project."""
    yield from stale_note(row.host, look)
    yield heading(row.name)
    yield Line("about", row.text("description"))
    yield Line("instances", str(_instances(row, look)))
    yield Line("used by", f"{_used(row)} in all")
    yield from pairs(f"config  (of {row.host})", row.config)
    yield Line()
    yield heading("on hosts")
    for host, copy in sorted(row.copies.items()):
        differs = copy.config != row.config
        words = [freshness(host, copy.seen, look), "differs" if differs else "", f"used by {len(copy.used_by)}"]
        yield Line(host, ", ".join(filter(None, words)), "stale" if words[0] else "warn" if differs else "")
    for host in sorted(look.inventory.hosts.keys() - row.copies.keys()):
        yield Line(host, "does not have it", "dim")
