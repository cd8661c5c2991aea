"""The table and the detail of profiles: a row for each profile, whoever has it."""

from __future__ import annotations

from collections.abc import Iterable

from lxdpm_tui.console.columns import Column, Look
from lxdpm_tui.console.resources.base import (
    Line,
    devices,
    freshness,
    heading,
    on_hosts,
    pairs,
    seen_column,
    stale_note,
)
from lxdpm_tui.fleet.groups import Copies
from lxdpm_tui.fleet.view import natural


def same(row: Copies, look: Look) -> str:
    """Whether the hosts have it alike."""
    copies = list(row.copies.values())
    alike = all(copy.config == copies[0].config and copy.devices == copies[0].devices for copy in copies)
    return "" if alike else "differs"


def summary(row: Copies) -> str:
    """Its settings in one line."""
    words = [f"{key}={value}" for key, value in sorted(row.config.items())]
    words += [f"{name}:{settings.get('type', '')}" for name, settings in sorted(row.devices.items())]
    return "  ".join(words).replace("\n", " ")


def used(row: Copies) -> int:
    """How many use it, all hosts together."""
    return sum(copy.used_by for copy in row.copies.values())


COLUMNS = (
    Column("name", "PROFILE", lambda r, _: r.name, 16, grow=2, most=30, sort=lambda r: natural(r.name)),
    seen_column(),
    Column("project", "PROJECT", lambda r, _: r.project, 8, drop=4, when=lambda look: look.projects),
    Column("hosts", "ON HOSTS", lambda r, look: on_hosts(r.hosts, look), 10, grow=1, most=16, drop=1),
    Column("same", "ALIKE", same, 7, drop=3, style=lambda r, look: "warn"),
    Column("used", "USED BY", lambda r, _: str(used(r)), 7, right=True, drop=2, sort=used, downwards=True),
    Column("summary", "SETTINGS", lambda r, _: summary(r), 16, grow=5, most=120, drop=5),
    Column("description", "DESCRIPTION", lambda r, _: r.description, 16, grow=2, most=50, drop=6),
)


def detail(row: Copies, look: Look) -> Iterable[Line]:
    """Everything known of one profile, and how the hosts' copies compare."""
    yield from stale_note(row.host, look)
    yield heading(row.name)
    yield Line("about", row.description)
    yield Line("project", row.project)
    yield Line("used by", f"{used(row)} in all")
    if same(row, look):
        yield Line("", f"The hosts' copies differ; shown is the one of {row.host}.", "warn")
    yield from pairs("config", row.config)
    yield from devices("devices", row.devices)
    yield Line()
    yield heading("on hosts")
    for name, copy in sorted(row.copies.items()):
        differs = copy.config != row.config or copy.devices != row.devices
        words = [freshness(name, copy.seen, look), "differs" if differs else "", f"used by {copy.used_by}"]
        yield Line(name, ", ".join(filter(None, words)), "stale" if words[0] else "warn" if differs else "")
    for name in sorted(look.inventory.hosts.keys() - row.copies.keys()):
        yield Line(name, "does not have it", "dim")
