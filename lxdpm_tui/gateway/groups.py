"""Cluster groups: the hosts' labels. A label with a value is the group NAME=VALUE; "default" is all hosts."""

from __future__ import annotations

from collections.abc import Iterable

from lxdpm_tui.fleet.inventory import HostRecord

DEFAULT = "default"


def groups_of(record: HostRecord) -> list[str]:
    return [DEFAULT, *(f"{name}={value}" if value else name for name, value in record.labels.items())]


def members(records: Iterable[HostRecord]) -> dict[str, list[str]]:
    """Group -> the names of its hosts; "default" is always there."""
    found: dict[str, list[str]] = {DEFAULT: []}
    for record in records:
        for group in groups_of(record):
            found.setdefault(group, []).append(record.name)
    return found
