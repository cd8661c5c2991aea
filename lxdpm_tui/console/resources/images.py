"""The table and the detail of images: a row for each image on each host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look
from lxdpm_tui.console.resources.base import Line, heading, seen_column, stale_note, when
from lxdpm_tui.fleet.fields import epoch
from lxdpm_tui.fleet.inventory import Image
from lxdpm_tui.fleet.view import natural


def title(row: Image) -> str:
    """What people call it: an alias, else its description."""
    return ", ".join(row.aliases) or row.description or "(no alias)"


def holders(row: Image, look: Look) -> tuple[str, ...]:
    """The hosts that hold the same image."""

    def work() -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for image in look.inventory.all_images():
            found.setdefault(image.fingerprint, []).append(image.host)
        return found

    return tuple(dict.fromkeys(look.once("holders", work).get(row.fingerprint, ())))


def _age(row: Image, look: Look) -> str:
    moment = epoch(row.uploaded_at)
    return text.span(look.now - moment) if moment else ""


COLUMNS = (
    Column("alias", "IMAGE", lambda r, _: title(r), 18, grow=3, most=44, sort=lambda r: natural(title(r))),
    Column("host", "HOST", lambda r, _: r.host, 10, grow=2, most=22, sort=lambda r: natural(r.host)),
    seen_column(),
    Column(
        "held",
        "HELD BY",
        lambda r, look: f"{len(holders(r, look))} of {len(look.inventory.hosts)}",
        8,
        right=True,
        drop=3,
    ),
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


def detail(row: Image, look: Look) -> Iterable[Line]:
    """Everything known of one image."""
    yield from stale_note(row.host, look)
    yield heading(title(row))
    if row.description:
        yield Line("about", row.description)
    yield Line("fingerprint", row.fingerprint)
    yield Line("aliases", ", ".join(row.aliases))
    yield Line("type", f"{row.type}, {row.architecture}")
    yield Line("size", text.long_size(row.size))
    yield Line("host", row.host)
    yield Line("project", row.project)
    yield Line("uploaded", when(epoch(row.uploaded_at), look.now))
    yield Line("public", "yes" if row.public else "no")
    yield Line("cached", "yes, by a launch" if row.cached else "no")
    yield Line("auto-update", "yes" if row.auto_update else "no")
    yield Line()
    held = holders(row, look)
    yield heading(f"held by {len(held)} of {text.count(len(look.inventory.hosts), 'host')}")
    for name in held:
        yield Line("", name)
    missing = [name for name in look.inventory.hosts if name not in held]
    if missing:
        yield Line()
        yield heading("not on")
        yield Line("", ", ".join(missing), "dim")
