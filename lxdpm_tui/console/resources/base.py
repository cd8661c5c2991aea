"""What the resources share: how a detail is told, and the words for freshness and states."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look, Style
from lxdpm_tui.fleet.fields import Row
from lxdpm_tui.fleet.happenings import subject_of
from lxdpm_tui.fleet.lookup import Thing


class Line(NamedTuple):
    """One line of a detail: a label and its value, a heading (value ""), or free text (label "")."""

    label: str = ""
    value: str = ""
    style: Style = ""


def heading(title: str) -> Line:
    return Line(title, "", "accent")


def when(moment: float, now: float) -> str:
    """`2026-11-22 14:03:10 (3 h ago)`, or "never"."""
    if not moment:
        return "never"
    stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
    if moment > now:
        return f"{stamp} (in {text.span(moment - now)})"
    return f"{stamp} ({text.span(now - moment)} ago)"


def pairs(title: str, mapping: Mapping[str, object]) -> Iterable[Line]:
    """A heading and a mapping under it; nothing when it is empty."""
    if mapping:
        yield Line()
        yield heading(title)
        for key, value in sorted(mapping.items()):
            for number, part in enumerate(str(value).splitlines() or [""]):
                yield Line(key if number == 0 else " ", part)


def devices(title: str, mapping: Mapping[str, Mapping[str, str]]) -> Iterable[Line]:
    """Devices, one a line: name and its settings, the type first."""
    if mapping:
        yield Line()
        yield heading(title)
        for name, settings in sorted(mapping.items()):
            rest = ", ".join(f"{key}={value}" for key, value in sorted(settings.items()) if key != "type")
            yield Line(name, f"{settings.get('type', '')}  {rest}".strip())


def freshness(host: str, seen: float, look: Look) -> str:
    """Empty for a row that is kept true; else how old it is."""
    if not look.inventory.is_stale(host):
        return ""
    return f"{text.span(look.now - seen)} old" if seen else "never seen"


def on_hosts(names: Sequence[str], look: Look) -> str:
    """`everywhere`, `3 of 8`, or the name of the only one."""
    total = len(look.inventory.hosts)
    if len(names) == total:
        return "everywhere"
    return names[0] if len(names) == 1 else f"{len(names)} of {total}"


def seen_column(seen: str = "seen") -> Column:
    """The column of ages; it is there only while some host cannot be asked."""

    def value(row: Row, look: Look) -> str:
        return freshness(row.host, getattr(row, seen), look)

    return Column(
        "seen",
        "SEEN",
        value,
        10,
        style=lambda row, look: "stale",
        sort=lambda row: row.seen,
        when=lambda look: look.outage,
    )


def stale_note(host: str, look: Look) -> Sequence[Line]:
    """Said at the top of a detail whose host cannot be asked."""
    record = look.inventory.hosts.get(host)
    if record is None or not look.inventory.is_stale(host):
        return ()
    return (Line("", f"Last known: {host} is {record.status}. {record.reason}", "warn"), Line())


def project_column() -> Column:
    """The column of projects; it is there only while there is more than one."""
    return Column(
        "project",
        "PROJECT",
        lambda row, look: row.project,
        8,
        grow=1,
        most=14,
        drop=4,
        sort=lambda row: row.project,
        when=lambda look: look.projects,
    )


USERS_SHOWN = 200


def used_by(copies: Mapping[str, Thing]) -> Iterable[Line]:
    """What uses a thing, host by host."""
    if not any(copy.used_by for copy in copies.values()):
        return
    yield Line()
    yield heading("used by")
    shown = 0
    for host, copy in sorted(copies.items()):
        for number, url in enumerate(copy.used_by):
            if shown == USERS_SHOWN:
                yield Line(" ", "…", "dim")
                return
            shown += 1
            kind, name, project = subject_of(url)
            where = "" if project == "default" else f" ({project})"
            yield Line(host if number == 0 else " ", f"{kind.removesuffix('s')} {name}{where}")
