"""From the inventory to what the scheduler decides on. What is costly to gather is kept per host until it changes."""

from __future__ import annotations

import time
from collections.abc import Callable

from lxdpm_tui.fleet.inventory import ChangeSet, HostRecord, Inventory
from lxdpm_tui.scheduler.membership import ALL
from lxdpm_tui.scheduler.model import HostFacts

FRESH_FOR = 20.0  # seconds since the host last answered for which its figures are decided on


class Facts:
    """Called, it gives the facts of all hosts as the inventory has them now.

    clock: seconds since the epoch.  placement: of a host, as Membership.placement.
    """

    def __init__(
        self,
        inventory: Inventory,
        clock: Callable[[], float] = time.time,
        placement: Callable[[str], str] = lambda host: ALL,
    ) -> None:
        self._inventory = inventory
        self._clock = clock
        self._placement = placement
        self._profiles: dict[str, dict[str, frozenset[str]]] = {}
        inventory.subscribe(self._forget)

    def __call__(self) -> tuple[HostFacts, ...]:
        now = self._clock()
        return tuple(self._one(record, now) for record in self._inventory.hosts.values())

    def _one(self, record: HostRecord, now: float) -> HostFacts:
        scanned = record.scanned > 0 and record.memory_total > 0
        fresh = scanned and record.event_stream and now - record.reached < FRESH_FOR
        reason = record.reason
        if record.overdue:
            reason = f"slow: {record.reason}"
        elif record.usable and not scanned:
            reason = "not read yet"
        return HostFacts(
            name=record.name,
            online=record.usable,
            fresh=fresh,
            overdue=record.overdue,
            maintenance=record.maintenance,
            read_only=record.read_only,
            reason=reason,
            architectures=record.architectures,
            instance_types=frozenset(record.instance_types),
            extensions=record.extensions,
            labels=record.labels,
            cpus=record.cpus or 1,
            memory_total=record.memory_total,
            memory_free=max(0, record.memory_total - record.memory_used),
            memory_promised=record.memory_promised,
            instances=record.instances,
            pools=frozenset(record.pools),
            networks=record.networks,
            profiles=self._profiles_of(record.name),
            projects=frozenset(record.projects),
            placement=self._placement(record.name),
        )

    def _profiles_of(self, host: str) -> dict[str, frozenset[str]]:
        known = self._profiles.get(host)
        if known is None:
            names: dict[str, set[str]] = {}
            for key in self._inventory.profiles.get(host, {}):
                names.setdefault(key.project, set()).add(key.name)
            known = self._profiles[host] = {project: frozenset(found) for project, found in names.items()}
        return known

    def _forget(self, change: ChangeSet) -> None:
        if change.kind == "profiles":
            self._profiles.pop(change.host, None)
