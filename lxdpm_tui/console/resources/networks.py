"""The table and the detail of networks: a row for each network, whoever has it."""

from __future__ import annotations

from collections.abc import Iterable

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look, Style
from lxdpm_tui.console.resources.base import (
    Line,
    freshness,
    heading,
    on_hosts,
    pairs,
    project_column,
    seen_column,
    stale_note,
    used_by,
)
from lxdpm_tui.fleet.groups import Copies
from lxdpm_tui.fleet.lookup import Thing
from lxdpm_tui.fleet.query import Field, Schema
from lxdpm_tui.fleet.view import natural

_NETS = ("ipv4.address", "ipv6.address")

SCHEMA = Schema(
    fields={
        "name": Field("text", lambda row: row.name),
        "host": Field("text", lambda row: row.hosts),
        "project": Field("text", lambda row: row.project),
        "type": Field("text", lambda row: row.text("type")),
        "status": Field("text", lambda row: _status(row)),
        "managed": Field("text", lambda row: "yes" if row.body.get("managed") else "no"),
        "address": Field("text", lambda row: [_address(copy, net) for copy in row.copies.values() for net in _NETS]),
        "used": Field("number", lambda row: _used(row)),
        "description": Field("text", lambda row: row.text("description")),
    },
    name=lambda row: str(row.name),
    text=lambda row: " ".join((row.name, row.text("type"), row.text("description"), *row.hosts)),
    config=lambda row: row.config,
)  # fmt: skip


def _address(thing: Thing, key: str) -> str:
    found = thing.config.get(key, "")
    return "" if found == "none" else found


def _addresses(row: Copies, key: str) -> str:
    """The address, or how many there are: each host has its own."""
    found = {address for copy in row.copies.values() if (address := _address(copy, key))}
    return next(iter(found)) if len(found) == 1 else f"{len(found)} different" if found else ""


def _used(row: Copies) -> int:
    return sum(len(copy.used_by) for copy in row.copies.values())


def _status(row: Copies) -> str:
    """What most say; unmanaged ones say nothing."""
    if not row.body.get("managed"):
        return "unmanaged"
    states = {copy.text("status") for copy in row.copies.values()} - {""}
    return ", ".join(sorted(states)) if states else "Created"


def _status_style(row: Copies, look: Look) -> Style:
    state = _status(row)
    return "dim" if state == "unmanaged" else "good" if state == "Created" else "warn"


COLUMNS = (
    Column("name", "NETWORK", lambda r, _: r.name, 14, grow=2, most=30, sort=lambda r: natural(r.name)),
    seen_column(),
    project_column(),
    Column("type", "TYPE", lambda r, _: r.text("type"), 9, grow=1, most=12, sort=lambda r: r.text("type")),
    Column("status", "STATUS", lambda r, _: _status(r), 9, grow=1, most=14, drop=3, style=_status_style, sort=_status),
    Column("ipv4", "IPV4", lambda r, _: _addresses(r, "ipv4.address"), 16, grow=1, most=20, drop=2),
    Column("ipv6", "IPV6", lambda r, _: _addresses(r, "ipv6.address"), 16, grow=1, most=28, drop=6),
    Column("hosts", "ON HOSTS", lambda r, look: on_hosts(r.hosts, look), 10, grow=1, most=16, drop=1,
           sort=lambda r: len(r.hosts), downwards=True),
    Column("used", "USED BY", lambda r, _: str(_used(r)), 7, right=True, drop=4, sort=_used, downwards=True),
    Column("description", "DESCRIPTION", lambda r, _: r.text("description"), 14, grow=3, most=60, drop=5),
)  # fmt: skip


def detail(row: Copies, look: Look) -> Iterable[Line]:
    """Everything known of one network, and each host's own part of it."""
    yield from stale_note(row.host, look)
    yield heading(row.name)
    yield Line("about", row.text("description"))
    yield Line("type", row.text("type"))
    yield Line("status", _status(row), _status_style(row, look))
    yield Line("project", row.project)
    yield Line("used by", f"{_used(row)} in all")
    yield from pairs(f"config  (of {row.host})", row.config)
    yield Line()
    yield heading("on hosts")
    for host, copy in sorted(row.copies.items()):
        words = [freshness(host, copy.seen, look), *(_address(copy, net) for net in _NETS)]
        words.append(f"used by {len(copy.used_by)}")
        yield Line(host, ", ".join(filter(None, words)), "stale" if words[0] else "")
    missing = sorted(look.inventory.hosts.keys() - row.copies.keys())
    if missing:
        yield Line("not on", text.names(missing, 8), "dim")
    yield from used_by(row.copies)
