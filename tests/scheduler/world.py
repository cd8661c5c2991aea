"""Hosts, a clock and a store in memory for the scheduler's tests."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from lxdpm_tui.scheduler.ledger import TTL
from lxdpm_tui.scheduler.model import HostFacts, Request, Reservation, Strategy
from lxdpm_tui.scheduler.scheduler import Scheduler

MIB = 1024**2
GIB = 1024**3


def host(name: str = "h1", **changes: Any) -> HostFacts:
    """A host that takes every plain request: 8 GiB, 6 GiB free, 4 CPUs, 2 instances."""
    facts = HostFacts(
        name=name,
        online=True,
        fresh=True,
        architectures=("x86_64", "i686"),
        instance_types=frozenset({"container", "virtual-machine"}),
        extensions=frozenset({"projects"}),
        cpus=4,
        memory_total=8 * GIB,
        memory_free=6 * GIB,
        instances=2,
        pools=frozenset({"default", "fast"}),
        networks=frozenset({"lxdbr0", "eth0"}),
        profiles={"default": frozenset({"default", "web"})},
        projects=frozenset({"default", "lab"}),
    )
    return replace(facts, **changes)


class Clock:
    """Time that moves when told to, in seconds since the epoch."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Shelf:
    """The scheduler's store protocol in memory, for property tests that run thousands of writes."""

    def __init__(self) -> None:
        self.settings: dict[str, str] = {}
        self.rows: dict[str, dict[str, Any]] = {}

    async def add_reservation(self, reservation: Reservation, /) -> None:
        self.rows[reservation.id] = asdict(reservation)

    async def remove_reservation(self, reservation_id: str, /) -> None:
        self.rows.pop(reservation_id, None)

    async def list_reservations(self) -> list[Mapping[str, Any]]:
        return list(self.rows.values())

    async def get_setting(self, key: str, /) -> str | None:
        return self.settings.get(key)

    async def set_setting(self, key: str, value: str, /) -> None:
        self.settings[key] = value


class World:
    """Hosts that fill up as the inventory would see them, with a scheduler on top."""

    def __init__(self, hosts: Sequence[HostFacts], seed: int) -> None:
        self.hosts = {h.name: h for h in hosts}
        self.clock = Clock()
        self.rng = random.Random(seed)
        self.planner = Scheduler(lambda: tuple(self.hosts.values()), Shelf(), rng=random.Random(seed), clock=self.clock)
        self.held: list[Reservation] = []
        self.deployed: list[tuple[str, int]] = []
        self.names = 0

    async def place(self, memory: int, strategy: Strategy) -> None:
        self.names += 1
        _, reservation = await self.planner.place(Request(instance=f"c{self.names}", memory=memory), strategy)
        if reservation:
            self.held.append(reservation)

    async def step(self, verb: str, memory: int, strategy: Strategy) -> None:
        if verb == "place":
            await self.place(memory, strategy)
        elif verb == "burst":
            await asyncio.gather(*(self.place(memory, strategy) for _ in range(10)))
        elif verb == "expire":
            self.clock.now += TTL
            self.held.clear()
        elif verb == "delete" and self.deployed:
            name, freed = self.deployed.pop(self.rng.randrange(len(self.deployed)))
            self.count(name, -1, -freed)
        elif self.held:
            reservation = self.held.pop(self.rng.randrange(len(self.held)))
            if verb == "release":
                await self.planner.release(reservation)
            elif verb == "appear":
                if self.rng.random() < 0.5:
                    await self.planner.confirm(reservation)
                self.count(reservation.host, 1, reservation.memory)
                assert self.planner.seen(reservation.host, reservation.project, reservation.instance)
                self.deployed.append((reservation.host, reservation.memory))

    def count(self, name: str, instances: int, memory: int) -> None:
        h = self.hosts[name]
        self.hosts[name] = replace(h, instances=h.instances + instances, memory_promised=h.memory_promised + memory)
