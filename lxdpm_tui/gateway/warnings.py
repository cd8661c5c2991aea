"""The gateway's own warnings: hosts that are down, twin names, profiles and pools that differ between hosts.

They are read off the inventory when somebody asks. What was acknowledged or deleted is kept in the store for as long
as the warning says the same.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from lxdpm_tui.fleet.inventory import Inventory, Profile
from lxdpm_tui.store import Store
from lxdpm_tui.tasks.task import text_of

SETTING = "gateway.warnings"
ACKNOWLEDGED, NEW, DELETED = "acknowledged", "new", "deleted"
_OURS = uuid.UUID("4b1d06a0-6a3c-5e0c-9f5e-2f4b8f0d7c11")


@dataclass(frozen=True, slots=True)
class Problem:
    """since: seconds since the epoch, 0 = since it was first looked at."""

    type: str
    message: str
    entity: str
    severity: str = "low"
    location: str = ""
    project: str = ""
    since: float = 0.0

    @property
    def uuid(self) -> str:
        return str(uuid.uuid5(_OURS, f"{self.type}|{self.entity}"))


@dataclass(slots=True)
class _Known:
    message: str
    status: str
    first: float


class OwnWarnings:
    """All methods may raise StoreError."""

    def __init__(self, inventory: Inventory, store: Store) -> None:
        self._inventory = inventory
        self._store = store
        self._known: dict[str, _Known] | None = None

    async def all(self) -> list[dict[str, Any]]:
        """LXD's warning objects."""
        known, now = await self._load(), time.time()
        found = {problem.uuid: problem for problem in problems(self._inventory)}
        changed = False
        for id in [id for id in known if id not in found]:
            del known[id]
            changed = True
        for id, problem in found.items():
            if id not in known or known[id].message != problem.message:
                first = known[id].first if id in known else problem.since or now
                known[id] = _Known(problem.message, NEW, first)
                changed = True
        if changed:
            await self._save(known)
        return [_shown(problem, known[id], now) for id, problem in found.items() if known[id].status != DELETED]

    async def get(self, id: str) -> dict[str, Any] | None:
        return next((row for row in await self.all() if row["uuid"] == id), None)

    async def set_status(self, id: str, status: str) -> None:
        """Raises KeyError for an unknown one."""
        known = await self._load()
        known[id].status = status
        await self._save(known)

    async def _load(self) -> dict[str, _Known]:
        if self._known is None:
            stored = json.loads(await self._store.get_setting(SETTING) or "{}")
            self._known = {id: _Known(**row) for id, row in stored.items()}
        return self._known

    async def _save(self, known: dict[str, _Known]) -> None:
        await self._store.set_setting(SETTING, json.dumps({id: asdict(row) for id, row in known.items()}))


def _shown(problem: Problem, known: _Known, now: float) -> dict[str, Any]:
    return {
        "uuid": problem.uuid,
        "location": problem.location,
        "project": problem.project,
        "type": problem.type,
        "count": 1,
        "first_seen_at": text_of(known.first),
        "last_seen_at": text_of(now),
        "last_message": problem.message,
        "severity": problem.severity,
        "entity_url": problem.entity,
        "status": known.status,
    }


def problems(inventory: Inventory) -> Iterator[Problem]:
    """What is wrong with the fleet as it is known now."""
    yield from _hosts(inventory)
    yield from _twins(inventory)
    yield from _profiles(inventory)
    yield from _pools(inventory)


def _hosts(inventory: Inventory) -> Iterator[Problem]:
    for record in inventory.hosts.values():
        if not record.usable and record.since:
            yield Problem(
                "Host cannot be asked",
                f"{record.status}: {record.reason}" if record.reason else str(record.status),
                f"/1.0/cluster/members/{quote(record.name, safe='')}",
                severity="high",
                location=record.name,
                since=record.since,
            )


def _twins(inventory: Inventory) -> Iterator[Problem]:
    hosts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in inventory.all_instances():
        hosts[row.project, row.name].append(row.host)
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


def _profiles(inventory: Inventory) -> Iterator[Problem]:
    copies: dict[tuple[str, str], list[Profile]] = defaultdict(list)
    for row in inventory.all_profiles():
        copies[row.project, row.name].append(row)
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
