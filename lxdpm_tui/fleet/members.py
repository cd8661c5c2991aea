"""The members of one cluster as hosts of the inventory: their names, and how each of them is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from lxdpm_tui.fleet.inventory import HostRecord, HostStatus, Inventory
from lxdpm_tui.fleet.member import MemberHost, SharedLists
from lxdpm_tui.hosts.host import Host

OURS = "fleet_planner"  # the extension that only our own gateway has
NO_PLACEMENT = "manual"  # scheduler.instance: LXD places nothing there by itself; what runs goes on

Joined = Callable[[MemberHost, HostRecord], None]
_WAY = (
    "event_stream",
    "retry_at",
    "round_trip",
    "scanned",
    "projects",
    "extensions",
    "drivers",
    "config",
    "environment",
)
_OWN_WORDS = {str(status): status for status in HostStatus}


_AGE = re.compile(r" for [0-9.hmsµn]+ \(.*\)$")  # "No heartbeat for 13.8s (2026-...)": another text at each look


class Shape(NamedTuple):
    """What the fleet does for a cluster. name_of: a member's name in the fleet."""

    name_of: Callable[[str], str]
    joined: Joined
    left: Callable[[str], None]


class Members:
    """The members as hosts of the inventory. way: what is known of the entry itself, which is no host any more."""

    def __init__(self, entry: Host, inventory: Inventory, shape: Shape) -> None:
        placeholder = inventory.hosts[entry.name]
        self.way = msgspec.structs.replace(placeholder)
        self.hosts: dict[str, MemberHost] = {}  # by the cluster's own names
        self._entry = entry
        self._inventory = inventory
        self._shape = shape
        self._lists = SharedLists(entry)
        self._said: dict[str, tuple[HostStatus, str, bool]] = {}  # what the cluster says: status, reason, maintenance
        self.introduced: set[str] = set()  # names of those that have said what they are since they can be asked

    @property
    def ours(self) -> bool:
        return OURS in self.way.extensions

    def update(self, **fields: object) -> None:
        for name, value in fields.items():
            setattr(self.way, name, value)
        if not self.hosts:
            self._inventory.update_host(self._entry.name, **fields)
        for member in self.hosts:
            self._show(member)

    def name(self, member: str) -> str:
        """The host that a `location` means; what is on no member of its own counts to the first."""
        found = self.hosts.get(member) or next(iter(self.hosts.values()), None)
        return found.name if found is not None else self._entry.name

    def member(self, host: str) -> str:
        """The cluster's own name of a host. Raises KeyError."""
        return {known.name: member for member, known in self.hosts.items()}[host]

    def names(self) -> list[str]:
        return [host.name for host in self.hosts.values()]

    def usable(self) -> list[MemberHost]:
        records = self._inventory.hosts
        return [host for host in self.hosts.values() if (record := records.get(host.name)) and record.usable]

    def tell(self, rows: list[dict[str, Any]], own_words: dict[str, dict[str, Any]]) -> list[MemberHost]:
        """What /1.0/cluster/members says, and /1.0/fleet of a gateway of ours. Gives the members that can be asked
        and have not said yet what they are."""
        listed = {str(row["server_name"]): row for row in rows}
        for member, row in listed.items():
            self._said[member] = _own_status(own_words[member]) if member in own_words else _status(row)
            if member not in self.hosts:
                self._join(member, row)
        if listed and self._entry.name in self._inventory.hosts and self._entry.name not in self.names():
            self._shape.left(self._entry.name)
        for member in [member for member in self.hosts if member not in listed]:
            self._said.pop(member, None)
            gone = self.hosts.pop(member).name
            self.introduced.discard(gone)
            self._shape.left(gone)
        for member in self.hosts:
            self._show(member)
        return [host for host in self.usable() if host.name not in self.introduced]

    def _join(self, member: str, row: dict[str, Any]) -> None:
        host = MemberHost(self._entry, self._shape.name_of(member), member, self._lists)
        self.hosts[member] = host
        labels = {
            key.removeprefix("user.label."): str(value)
            for key, value in (row.get("config") or {}).items()
            if key.startswith("user.label.")
        }
        record = HostRecord(
            name=host.name,
            address=f"{self._entry.config.address} ({member})",
            transport=self.way.transport,
            labels={**self.way.labels, **labels},
            cluster=self._entry.name,
            read_only=self.way.read_only,
            kind=self.way.kind,
            version=self.way.version,
            server_name=member,
            architectures=(row["architecture"],) if row.get("architecture") else self.way.architectures,
            instance_types=self.way.instance_types,
        )
        self._shape.joined(host, record)

    def _show(self, member: str) -> None:
        """One member in the inventory: as the way to the cluster is, and within it as the cluster says."""
        name = self.hosts[member].name
        record = self._inventory.hosts[name]
        status, reason, maintenance = self._said[member]
        if not self.way.usable or (status is HostStatus.ONLINE and self.way.status is not HostStatus.ONLINE):
            status, reason = self.way.status, self.way.reason
        fields: dict[str, object] = {field: getattr(self.way, field) for field in _WAY}
        fields |= {"status": status, "reason": reason, "maintenance": maintenance, "overdue": self.way.overdue}
        if status != record.status:
            fields["since"] = time.time()
        if status in (HostStatus.ONLINE, HostStatus.SLOW):
            fields["reached"] = self.way.reached
        else:
            self.introduced.discard(name)  # it may come back as another
        self._inventory.update_host(name, **fields)


def _status(row: dict[str, Any]) -> tuple[HostStatus, str, bool]:
    """A member as LXD or Incus sees it."""
    said, message = str(row.get("status", "")), _AGE.sub("", str(row.get("message", "")))
    manual = (row.get("config") or {}).get("scheduler.instance") == NO_PLACEMENT
    if said in ("Online", "Evacuated"):
        reason = "" if said == "Online" else "evacuated"
        return HostStatus.ONLINE, reason, manual or said == "Evacuated"
    return HostStatus.UNREACHABLE, f"the cluster says {said}: {message}".rstrip(": "), manual


def _own_status(row: dict[str, Any]) -> tuple[HostStatus, str, bool]:
    """A host as another manager of ours sees it."""
    status = _OWN_WORDS.get(str(row["status"]), HostStatus.ONLINE)
    return status, str(row.get("reason", "")), row["status"] == "maintenance"
