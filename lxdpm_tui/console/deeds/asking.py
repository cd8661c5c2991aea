"""The words with which a deed asks: which instances, where, and what becomes of them. No widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lxdpm_tui.console import text
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.fleet.inventory import Instance

FORCE = ("force", "let it shut down", "force: end it at once")
FORCIBLE = ("stop", "restart")
FORCE_DELETE = ("force", "not while it runs", "force: end it first")


def value_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={text}" for key, text in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def by_project(rows: Sequence[Instance]) -> dict[str, list[Instance]]:
    groups: dict[str, list[Instance]] = {}
    for row in rows:
        groups.setdefault(row.project, []).append(row)
    return groups


def subject(rows: Sequence[Instance]) -> str:
    """`web-1 on lyon (project default)`, or `3 instances on 2 hosts`."""
    if len(rows) == 1:
        return f"{rows[0].name} on {rows[0].host} (project {rows[0].project})"
    return f"{len(rows)} instances on {text.count(len({row.host for row in rows}), 'host')}"


def about(rows: Sequence[Instance]) -> list[Line]:
    """Every instance with its host, project and state."""
    width = max((len(row.name) for row in rows), default=0)
    return [Line("", f"{row.name:<{width}}  {row.host}, project {row.project}, {row.status}") for row in rows]
