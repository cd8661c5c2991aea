"""Cluster groups: those that were made, and the hosts' labels. A label with a value is the group NAME=VALUE; "default"
is all hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxdpm_tui.fleet.inventory import HostRecord

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

DEFAULT = "default"


def by_label(record: HostRecord) -> list[str]:
    """Those that nobody can take the host out of but by other labels."""
    return [DEFAULT, *(f"{name}={value}" if value else name for name, value in record.labels.items())]


def groups_of(manager: Manager, record: HostRecord) -> list[str]:
    return list(dict.fromkeys([*by_label(record), *manager.membership.of(record.name).groups]))


def members(manager: Manager) -> dict[str, list[str]]:
    """Group -> the names of its hosts; "default" is always there, and those that were made though they are empty."""
    found: dict[str, list[str]] = {DEFAULT: [], **{name: [] for name in manager.membership.groups}}
    for record in manager.inventory.hosts.values():
        for group in groups_of(manager, record):
            found.setdefault(group, []).append(record.name)
    return found
