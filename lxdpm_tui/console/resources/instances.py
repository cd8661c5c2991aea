"""The table and the detail of instances."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look, Style
from lxdpm_tui.console.resources.base import Line, devices, heading, pairs, seen_column, stale_note, when
from lxdpm_tui.fleet.fields import epoch
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.fleet.view import natural, record_name

STATE_STYLES: dict[str, Style] = {"Running": "good", "Stopped": "dim", "Frozen": "cold", "Error": "bad"}


def state(row: Instance, look: Look) -> str:
    return look.activity.of(row.key) or row.status


def state_style(row: Instance, look: Look) -> Style:
    if look.activity.of(row.key):
        return "busy"
    return STATE_STYLES.get(row.status, "warn")


def address(row: Instance) -> str:
    """The IPv4 address if there is one: it fits a cell."""
    return next((ip for ip in row.addresses if ":" not in ip), row.addresses[0] if row.addresses else "")


def _age(row: Instance, look: Look) -> str:
    born = epoch(row.created_at)
    return text.span(look.now - born) if born else ""


def _memory_style(row: Instance, look: Look) -> Style:
    return "warn" if row.memory_limit and row.memory > 0.9 * row.memory_limit else ""


COLUMNS = (
    Column("name", "NAME", lambda r, _: r.name, 16, grow=4, most=36, sort=record_name),
    Column("host", "HOST", lambda r, _: r.host, 10, grow=2, most=22, sort=lambda r: natural(r.host)),
    Column("state", "STATE", state, 9, grow=1, most=13, style=state_style, sort=lambda r: r.status),
    seen_column(),
    Column(
        "project",
        "PROJECT",
        lambda r, _: r.project,
        8,
        grow=1,
        most=14,
        drop=4,
        sort=lambda r: r.project,
        when=lambda look: look.projects,
    ),
    Column(
        "cpu",
        "CPU",
        lambda r, _: f"{r.cpu:.1f}%" if r.cpu >= 0 else "",
        6,
        right=True,
        drop=3,
        sort=lambda r: r.cpu if r.cpu >= 0 else None,
        downwards=True,
    ),
    Column(
        "memory",
        "MEM",
        lambda r, _: text.size(r.memory),
        5,
        right=True,
        drop=2,
        style=_memory_style,
        sort=lambda r: r.memory if r.memory >= 0 else None,
        downwards=True,
    ),
    Column(
        "limit",
        "LIMIT",
        lambda r, _: text.size(r.memory_limit) if r.memory_limit else "",
        5,
        right=True,
        drop=9,
        sort=lambda r: r.memory_limit or None,
        downwards=True,
    ),
    Column("ip", "ADDRESS", lambda r, _: address(r), 15, drop=5, sort=lambda r: address(r) or None),
    Column("image", "IMAGE", lambda r, _: r.image, 12, grow=2, most=34, drop=6, sort=lambda r: r.image or None),
    Column("profiles", "PROFILES", lambda r, _: ", ".join(r.profiles), 10, grow=2, most=30, drop=10),
    Column(
        "type", "TYPE", lambda r, _: "VM" if r.type == "virtual-machine" else "CT", 4, drop=8, sort=lambda r: r.type
    ),
    Column("age", "AGE", _age, 7, right=True, drop=7, sort=lambda r: -epoch(r.created_at) or None),
    Column(
        "snapshots",
        "SNAPS",
        lambda r, _: str(r.snapshots) if r.snapshots > 0 else "",
        5,
        right=True,
        drop=11,
        sort=lambda r: r.snapshots if r.snapshots >= 0 else None,
        downwards=True,
    ),
)


def whole(row: Instance) -> dict[str, Any]:
    """The host's own JSON of it; empty when it was never read or is broken."""
    try:
        found = msgspec.json.decode(row.raw) if row.raw else {}
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def detail(row: Instance, look: Look) -> Iterable[Line]:
    """Everything known of one instance."""
    yield from stale_note(row.host, look)
    yield heading(row.name)
    yield Line("state", state(row, look), state_style(row, look))
    yield Line("host", row.host)
    yield Line("project", row.project)
    yield Line("type", f"{row.type}, {row.architecture}" + (", ephemeral" if row.ephemeral else ""))
    if row.description:
        yield Line("about", row.description)
    yield Line("image", row.image)
    yield Line("profiles", ", ".join(row.profiles))
    yield Line("created", when(epoch(row.created_at), look.now))
    yield Line("last used", when(epoch(row.last_used_at), look.now))
    yield Line("row read", when(row.seen, look.now))
    yield Line()
    yield Line("cpu", f"{row.cpu:.1f} % of one CPU" if row.cpu >= 0 else "unknown")
    of = f" of {text.long_size(row.memory_limit)}" if row.memory_limit else ", no limit"
    yield Line("memory", text.long_size(row.memory) + of if row.memory >= 0 else "unknown" + of)
    for number, ip in enumerate(row.addresses):
        yield Line("addresses" if number == 0 else " ", ip)
    yield Line("networks", ", ".join(row.networks))
    yield Line("root pool", row.root_pool)
    if row.snapshots >= 0:
        yield Line("snapshots", str(row.snapshots))
    body = whole(row)
    own = {key: value for key, value in (body.get("config") or {}).items() if not key.startswith("volatile.")}
    yield from pairs("config", own)
    inherited = body.get("expanded_config") or {}
    rest = {k: v for k, v in inherited.items() if k not in own and not k.startswith(("volatile.", "image."))}
    yield from pairs("config from profiles", rest)
    yield from devices("devices", body.get("expanded_devices") or body.get("devices") or {})
