"""The table and the detail of images: a row for each image, whoever holds it."""

from __future__ import annotations

from collections.abc import Iterable

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look
from lxdpm_tui.console.resources.base import Line, freshness, heading, on_hosts, seen_column, stale_note, when
from lxdpm_tui.fleet.fields import epoch
from lxdpm_tui.fleet.groups import Copies
from lxdpm_tui.fleet.view import natural


def title(row: Copies) -> str:
    """What people call it: an alias, else its description."""
    return ", ".join(row.aliases) or str(row.description) or "(no alias)"


def held(row: Copies, look: Look) -> str:
    """`all 8`, `3 of 8`, or the name of the only one."""
    return on_hosts(row.hosts, look)


def _age(row: Copies, look: Look) -> str:
    moment = epoch(row.uploaded_at)
    return text.span(look.now - moment) if moment else ""


COLUMNS = (
    Column("alias", "IMAGE", lambda r, _: title(r), 18, grow=3, most=44, sort=lambda r: natural(title(r))),
    seen_column(),
    Column("held", "HELD BY", held, 9, grow=1, most=16, sort=lambda r: len(r.hosts), downwards=True),
    Column(
        "size",
        "SIZE",
        lambda r, _: text.size(r.size),
        5,
        right=True,
        drop=1,
        sort=lambda r: r.size,
        downwards=True,
    ),
    Column("fingerprint", "FINGERPRINT", lambda r, _: r.fingerprint[:12], 12, drop=2, sort=lambda r: r.fingerprint),
    Column(
        "type", "TYPE", lambda r, _: "VM" if r.type == "virtual-machine" else "CT", 4, drop=5, sort=lambda r: r.type
    ),
    Column(
        "arch", "ARCH", lambda r, _: r.architecture, 7, drop=7, style=lambda r, _: "dim", sort=lambda r: r.architecture
    ),
    Column(
        "flags",
        "FLAGS",
        lambda r, _: " ".join(
            w for w, on in (("cached", r.cached), ("public", r.public), ("auto", r.auto_update)) if on
        ),
        8,
        grow=1,
        most=18,
        drop=8,
        style=lambda r, _: "dim",
    ),
    Column(
        "age",
        "UPLOADED",
        _age,
        8,
        right=True,
        drop=6,
        style=lambda r, _: "dim",
        sort=lambda r: -epoch(r.uploaded_at) or None,
    ),
    Column("project", "PROJECT", lambda r, _: r.project, 8, drop=4, when=lambda look: look.projects),
    Column("description", "DESCRIPTION", lambda r, _: r.description, 16, grow=3, most=60, drop=9),
)


def detail(row: Copies, look: Look) -> Iterable[Line]:
    """Everything known of one image, and who holds it."""
    yield from stale_note(row.host, look)
    yield heading(title(row))
    yield Line("about", row.description)
    yield Line("fingerprint", row.fingerprint)
    yield Line("aliases", ", ".join(row.aliases))
    yield Line("type", f"{row.type}, {row.architecture}")
    yield Line("size", text.long_size(row.size))
    yield Line("project", row.project)
    yield Line("uploaded", when(epoch(row.uploaded_at), look.now))
    yield Line("public", "yes" if row.public else "no")
    yield Line("cached", "yes, by a launch" if row.cached else "no")
    yield Line("auto-update", "yes" if row.auto_update else "no")
    yield Line()
    yield heading(f"held by {len(row.hosts)} of {text.count(len(look.inventory.hosts), 'host')}")
    for name, copy in sorted(row.copies.items()):
        aliases = "" if copy.aliases == row.aliases else f"as {', '.join(copy.aliases) or 'no alias'}"
        words = [freshness(name, copy.seen, look), aliases]
        yield Line(name, ", ".join(filter(None, words)) or "✓", "stale" if words[0] else "warn" if aliases else "good")
    for name in sorted(look.inventory.hosts.keys() - row.copies.keys()):
        yield Line(name, "does not have it", "dim")
