"""What the scheduler is asked and what it answers: immutable values, no I/O.

Memory is in bytes. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

UNLIMITED_ESTIMATE = 128 * 1024**2
"""Bytes that a launch without a memory limit is expected to use until it is running and can be measured."""


class Strategy(StrEnum):
    RANDOM = "random"
    SCATTER = "scatter"
    GATHER = "gather"


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host as the scheduler sees it.

    fresh: whether what is said here was confirmed recently enough to decide on.  overdue: whether an answer is late, so
    that it may be hung; one that answers, if slowly, is just busy.
    memory_free: total less used, page cache counting as free.  memory_promised: the sum of the instances' memory
    limits.  instances: how many are deployed there.  profiles: names per project.  pools, networks: names.
    placement: who may have something placed there, as Membership.placement says it.
    """

    name: str
    online: bool
    fresh: bool
    maintenance: bool = False
    read_only: bool = False
    reason: str = ""
    architectures: tuple[str, ...] = ()
    instance_types: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    cpus: int = 1
    memory_total: int = 0
    memory_free: int = 0
    memory_promised: int = 0
    instances: int = 0
    pools: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    profiles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    projects: frozenset[str] = frozenset()
    placement: str = "all"
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room held for a launch that is under way. Counts as one instance and `memory` bytes until released or expired."""

    id: str
    host: str
    project: str
    instance: str
    memory: int
    created: float
    expires: float


class Held(NamedTuple):
    """What the reservations of one host come to.

    memory: the limits promised to them.  expected: the same with UNLIMITED_ESTIMATE for each without a limit.
    """

    instances: int = 0
    memory: int = 0
    expected: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one decision stands on."""

    hosts: tuple[HostFacts, ...]
    reservations: tuple[Reservation, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be placed.

    architecture "": any.  memory: bytes asked for, 0 = no limit, so nothing to promise.  Since profiles may differ
    between hosts, what only the expanded profiles tell is given per host in `per_host`; a host missing there uses
    the plain fields.  targets: names of the hosts allowed, empty = all.  by_group: whether a group was named, and the
    targets are its hosts.  exclude: host name -> why it is out (tried and failed).
    """

    project: str = "default"
    instance: str = ""
    type: str = "container"
    architecture: str = ""
    profiles: tuple[str, ...] = ("default",)
    memory: int = 0
    pools: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    extensions: frozenset[str] = frozenset()
    targets: frozenset[str] = frozenset()
    by_group: bool = False
    exclude: Mapping[str, str] = field(default_factory=dict)
    per_host: Mapping[str, Needs] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Needs:
    """What the request comes to on one host, its own copy of the profiles expanded.

    problem: why it cannot work there at all, whatever room there is ("" = nothing known against it).
    """

    memory: int = 0
    pools: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    problem: str = ""


class Verdict(NamedTuple):
    """One host in one decision: its score, or why it was left out (reason is "" for candidates).

    memory_free, instances and cpus are the x, y and z of the score: reservations counted, y and z at least 1.
    """

    host: str
    score: float | None
    reason: str = ""
    memory_free: int = 0
    instances: int = 0
    cpus: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Where it goes and why. `chosen` is None when no host passed the filters.

    verdicts: every host; candidates first, best first (the chosen one leads its equals), then those left out by name.
    """

    strategy: Strategy
    chosen: str | None
    verdicts: tuple[Verdict, ...]

    def to_dict(self) -> dict[str, object]:
        """JSON-ready: {strategy, chosen, hosts: [{host, score, reason, memory_free, instances, cpus}]}."""
        return {
            "strategy": str(self.strategy),
            "chosen": self.chosen,
            "hosts": [
                {
                    "host": v.host,
                    "score": v.score,
                    "reason": v.reason,
                    "memory_free": v.memory_free,
                    "instances": v.instances,
                    "cpus": v.cpus,
                }
                for v in self.verdicts
            ],
        }
