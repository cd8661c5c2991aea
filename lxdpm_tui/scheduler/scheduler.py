"""Filter, score, reserve, explain: decides on an immutable snapshot and holds the room until the launch is through."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from operator import attrgetter
from typing import Protocol

from lxdpm_tui.scheduler import filters, strategies
from lxdpm_tui.scheduler.ledger import TTL, Ledger, ReservationStore, tally
from lxdpm_tui.scheduler.model import (
    Decision,
    Held,
    HostFacts,
    Needs,
    Request,
    Reservation,
    Snapshot,
    Strategy,
    Verdict,
)

log = logging.getLogger(__name__)

SETTING = "planner.strategy"
_NOTHING = Held()
_by_name = attrgetter("host")
_by_score = attrgetter("score")


class SchedulerStore(ReservationStore, Protocol):
    """Reservations, and the chosen strategy among the settings."""

    async def get_setting(self, key: str, /) -> str | None: ...

    async def set_setting(self, key: str, value: str, /) -> None: ...


def needs_on(request: Request, host: str) -> Needs:
    """What the request comes to on that host: its own line of per_host, else the plain fields."""
    needs = request.per_host.get(host)
    return Needs(request.memory, request.pools, request.networks) if needs is None else needs


def decide(snapshot: Snapshot, request: Request, strategy: Strategy, rng: random.Random) -> Decision:
    """Where the request goes and why. No I/O, nothing is changed but the state of rng."""
    plain = Needs(request.memory, request.pools, request.networks)
    held_by = tally(snapshot.reservations)
    candidates: list[Verdict] = []
    scores: list[float] = []
    rest: list[Verdict] = []
    for host in snapshot.hosts:
        held = held_by.get(host.name, _NOTHING)
        free = max(0, host.memory_free - held.expected)
        deployed = max(1, host.instances + held.instances)
        cpus = max(1, host.cpus)
        reason = filters.left_out(host, request, request.per_host.get(host.name, plain), held)
        if reason is None:
            value = strategies.score(free, deployed, cpus)
            scores.append(value)
            candidates.append(Verdict(host.name, value, "", free, deployed, cpus))
        else:
            rest.append(Verdict(host.name, None, reason, free, deployed, cpus))
    rest.sort(key=_by_name)
    if not candidates:
        return Decision(strategy, None, tuple(rest))
    chosen = candidates[strategies.choose(strategy, scores, rng)]
    candidates.sort(key=_by_name)
    if strategy is not Strategy.RANDOM:
        candidates.sort(key=_by_score, reverse=strategy is Strategy.SCATTER)  # keeps the names in order among equals
    candidates.remove(chosen)
    return Decision(strategy, chosen.host, (chosen, *candidates, *rest))


class Scheduler:
    """Places launches so that those under way count, and keeps the chosen strategy.

    snapshot: gives the facts of all hosts as the inventory has them now; must not wait.  clock: seconds since the
    epoch.  ttl: seconds that a reservation lasts unless renewed.  One event loop owns it.

    The life of a reservation, and why nothing counts twice: place() holds it; the launch renews it while it works
    (at least once per ttl); a launch that failed calls release(), one that succeeded confirm(), and from then on it
    counts until the inventory shows the instance.  The listener of the inventory calls seen() for every instance row
    that appears, in the same turn of the event loop in which the row was put in: as decisions do not wait between
    reading the inventory and the ledger, each of them sees either the reservation or the row, never both or none.
    """

    def __init__(
        self,
        snapshot: Callable[[], tuple[HostFacts, ...]],
        store: SchedulerStore,
        *,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.time,
        ttl: float = TTL,
    ) -> None:
        self._facts = snapshot
        self._store = store
        self._rng = rng or random.Random()
        self._ledger = Ledger(store, clock=clock, ttl=ttl)
        self._strategy = strategies.INITIAL

    async def load(self) -> None:
        """Take over the stored strategy and the reservations that have not expired. Call it before the first scan."""
        stored = await self._store.get_setting(SETTING)
        if stored is not None:
            try:
                self._strategy = strategies.parse_strategy(stored)
            except ValueError as error:
                log.warning("setting %s: %s; using %s", SETTING, error, self._strategy)
        await self._ledger.load()

    @property
    def strategy(self) -> Strategy:
        """The one used where a request names none."""
        return self._strategy

    async def set_strategy(self, strategy: Strategy | str) -> Strategy:
        """Choose the default and store it. Raises ValueError for an unknown name, and what the store raises."""
        chosen = strategies.parse_strategy(strategy)
        await self._store.set_setting(SETTING, str(chosen))
        self._strategy = chosen
        return chosen

    @property
    def reservations(self) -> tuple[Reservation, ...]:
        """Those that count now, oldest first."""
        return self._ledger.active()

    def snapshot(self) -> Snapshot:
        """All that a decision taken now stands on."""
        return Snapshot(self._facts(), self._ledger.active())

    def plan(self, request: Request, strategy: Strategy | str | None = None) -> Decision:
        """What place() would decide now (ties and random are drawn anew each time). Holds nothing.

        Raises ValueError for an unknown strategy.
        """
        return decide(self.snapshot(), request, self._named(strategy), self._rng)

    def plan_all(self, requests: Iterable[Request], strategy: Strategy | str | None = None) -> list[Decision]:
        """What placing these one after the other would decide, each counting those before it. Holds nothing."""
        named = self._named(strategy)
        snapshot = self.snapshot()
        decisions = []
        for request in requests:
            decision = decide(snapshot, request, named, self._rng)
            decisions.append(decision)
            if decision.chosen is not None:
                memory = needs_on(request, decision.chosen).memory
                pretended = Reservation("", decision.chosen, request.project, request.instance, memory, 0.0, 0.0)
                snapshot = replace(snapshot, reservations=(*snapshot.reservations, pretended))
        return decisions

    async def place(
        self, request: Request, strategy: Strategy | str | None = None
    ) -> tuple[Decision, Reservation | None]:
        """Decide and hold the room. No reservation when no host passed (the decision says why).

        Name the instance in the request: seen() goes by the name.  To try the next-best host after a failure, release
        the reservation and place again with the failed host in `exclude`.  Raises ValueError for an unknown strategy,
        and what the store raises when it cannot write (nothing is held then).
        """
        decision = self.plan(request, strategy)
        if decision.chosen is None:
            return decision, None
        # No await up to here: whoever decides next counts this one.
        memory = needs_on(request, decision.chosen).memory
        reservation = self._ledger.hold(decision.chosen, request.project, request.instance, memory)
        await self._ledger.persist(reservation)
        return decision, reservation

    async def renew(self, reservation: Reservation) -> Reservation | None:
        """The launch is still at work: let it count for another ttl. None when it is over already."""
        return await self._ledger.renew(reservation)

    async def release(self, reservation: Reservation) -> None:
        """The launch failed or was given up: the room is free again. Harmless when it is over already."""
        await self._ledger.release(reservation)

    async def confirm(self, reservation: Reservation) -> None:
        """The instance was created: keep counting it until the inventory shows it, for one more ttl at most."""
        await self._ledger.renew(reservation)

    def seen(self, host: str, project: str, instance: str) -> bool:
        """The inventory has that instance now: what was held for it is over. Whether there was anything.

        Does not wait.  See the class for the order in which it must be called.
        """
        return self._ledger.seen(host, project, instance)

    async def close(self) -> None:
        """Bring the store up to date with what was seen since the last write."""
        await self._ledger.flush()

    def _named(self, strategy: Strategy | str | None) -> Strategy:
        return self._strategy if strategy is None else strategies.parse_strategy(strategy)
