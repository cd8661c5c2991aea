"""What is wrong with the fleet as it is known: hosts that are down, twin names, profiles and pools that differ.

Read off the inventory, no I/O. The gateway shows it as warnings, the console in its table of warnings.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from lxdpm_tui.fleet.inventory import HostStatus, Inventory, Profile

_OURS = uuid.UUID("4b1d06a0-6a3c-5e0c-9f5e-2f4b8f0d7c11")


@dataclass(frozen=True, slots=True)
class Problem:
    """since: seconds since the epoch, 0 = since it was first looked at.  kind: what of it may change without its being
    another problem is not in here; "" = nothing may."""

    type: str
    message: str
    entity: str
    severity: str = "low"
    location: str = ""
    project: str = ""
    since: float = 0.0
    kind: str = ""

    @property
    def uuid(self) -> str:
        return str(uuid.uuid5(_OURS, f"{self.type}|{self.entity}"))


def problems(inventory: Inventory) -> Iterator[Problem]:
    """What is wrong with the fleet as it is known now."""
    for problem in problem_steps(inventory):
        if problem is not None:
            yield problem


def problem_steps(inventory: Inventory) -> Iterator[Problem | None]:
    """The same in small steps, for who must not be held up by a large fleet: None after each host's rows."""
    yield from _hosts(inventory)
    yield from _twins(inventory)
    yield from _profiles(inventory)
    yield from _pools(inventory)


def _hosts(inventory: Inventory) -> Iterator[Problem]:
    for record in list(inventory.hosts.values()):
        if not record.usable and record.since:
            yield Problem(
                "Host cannot be asked",
                f"{record.status}: {record.reason}" if record.reason else str(record.status),
                f"/1.0/cluster/members/{quote(record.name, safe='')}",
                severity="high",
                location=record.name,
                since=record.since,
                kind="down" if record.status in (HostStatus.CONNECTING, HostStatus.UNREACHABLE) else record.status,
            )


def _twins(inventory: Inventory) -> Iterator[Problem | None]:
    hosts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for instances in list(inventory.instances.values()):
        for row in instances.values():
            hosts[row.project, row.name].append(row.host)
        yield None
    for (project, name), where in sorted(hosts.items()):
        if len(where) > 1:
            message = f"on {', '.join(sorted(where))}: rename one (lxc rename with --target, or HOST:NAME)"
            yield Problem(
                "Instances of one name",
                message,
                f"/1.0/instances/{quote(name, safe='')}?project={quote(project, safe='')}",
                severity="moderate",
                project=project,
            )


def _profiles(inventory: Inventory) -> Iterator[Problem | None]:
    copies: dict[tuple[str, str], list[Profile]] = defaultdict(list)
    for profiles in list(inventory.profiles.values()):
        for row in profiles.values():
            copies[row.project, row.name].append(row)
        yield None
    for (project, name), rows in sorted(copies.items()):
        kinds: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            kinds[json.dumps([row.config, row.devices], sort_keys=True, default=dict)].append(row.host)
        if len(kinds) > 1:
            alike = sorted(kinds.values(), key=lambda hosts: (-len(hosts), hosts))
            message = "; ".join(", ".join(hosts) for hosts in alike) + " have different content"
            yield Problem(
                "Profile differs between hosts",
                message,
                f"/1.0/profiles/{quote(name, safe='')}?project={quote(project, safe='')}",
                project=project,
            )


def _pools(inventory: Inventory) -> Iterator[Problem]:
    drivers: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for record in inventory.hosts.values():
        for pool in record.pools.values():
            drivers[pool.name][pool.driver].append(record.name)
    for name, by_driver in sorted(drivers.items()):
        if len(by_driver) > 1:
            message = "; ".join(f"{driver} on {', '.join(hosts)}" for driver, hosts in sorted(by_driver.items()))
            yield Problem("Storage pool has several drivers", message, f"/1.0/storage-pools/{quote(name, safe='')}")
