"""Reservations: room held for launches under way, in memory for decisions and stored for the next start.

One event loop owns a ledger.  Memory is the truth; the store follows it, one write at a time and in order.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from lxdpm_tui.scheduler.model import UNLIMITED_ESTIMATE, Held, Reservation

log = logging.getLogger(__name__)

TTL = 120.0
"""Seconds that a reservation counts unless it is renewed."""


class ReservationStore(Protocol):
    """Where reservations outlive the process: a row is a mapping of Reservation's own fields.

    Adding a known id replaces it; removing an unknown one does nothing.
    """

    async def add_reservation(self, reservation: Reservation, /) -> None: ...

    async def remove_reservation(self, reservation_id: str, /) -> None: ...

    async def list_reservations(self) -> Sequence[Mapping[str, Any]]: ...


def tally(reservations: Iterable[Reservation]) -> dict[str, Held]:
    """What is held on each host by name; hosts without reservations are not in it."""
    held: dict[str, Held] = {}
    for reservation in reservations:
        before = held.get(reservation.host, Held())
        held[reservation.host] = Held(
            before.instances + 1,
            before.memory + reservation.memory,
            before.expected + (reservation.memory or UNLIMITED_ESTIMATE),
        )
    return held


class Ledger:
    """The reservations that count now.  clock: seconds since the epoch; ttl: seconds."""

    def __init__(self, store: ReservationStore, *, clock: Callable[[], float], ttl: float = TTL) -> None:
        self._store = store
        self._clock = clock
        self._ttl = ttl
        self._held: dict[str, Reservation] = {}
        self._to_remove: set[str] = set()  # gone from memory, still in the store
        self._writing = asyncio.Lock()

    async def load(self) -> None:
        """Take over what an earlier process left, without the expired. Call before the first decision."""
        now = self._clock()
        for row in await self._store.list_reservations():
            reservation = Reservation(**row)
            if reservation.expires > now:
                # A clock that was set back must not make it last for hours.
                expires = min(reservation.expires, now + self._ttl)
                self._held[reservation.id] = replace(reservation, expires=expires)
            else:
                self._to_remove.add(reservation.id)
        await self.flush()

    def active(self) -> tuple[Reservation, ...]:
        """Those that count now, oldest first; expired ones never do."""
        now = self._clock()
        return tuple(r for r in self._held.values() if r.expires > now)

    def hold(self, host: str, project: str, instance: str, memory: int) -> Reservation:
        """Reserve at once, in memory only, without an await: the next decision sees it. Follow with persist()."""
        now = self._clock()
        for expired in [r.id for r in self._held.values() if r.expires <= now]:
            self._forget(expired)
        reservation = Reservation(str(uuid.uuid4()), host, project, instance, memory, now, now + self._ttl)
        self._held[reservation.id] = reservation
        return reservation

    async def persist(self, reservation: Reservation) -> None:
        """Write it to the store. If that fails or is cancelled it is given up, and the exception goes on."""
        try:
            await self._write(reservation.id)
        except BaseException:
            self._forget(reservation.id)
            raise

    async def renew(self, reservation: Reservation) -> Reservation | None:
        """Let it count for another ttl from now; None when it is over already (released, seen or expired).

        A store that fails is logged only: the stored copy expires sooner, this process still counts it.
        """
        now = self._clock()
        current = self._held.get(reservation.id)
        if current is None or current.expires <= now:
            return None
        renewed = self._held[reservation.id] = replace(current, expires=now + self._ttl)
        try:
            await self._write(renewed.id)
        except Exception:
            log.warning("renewed reservation %s could not be stored", renewed.id, exc_info=True)
        return renewed

    async def release(self, reservation: Reservation) -> None:
        """It counts no more. Does nothing when it is over already."""
        self._forget(reservation.id)
        await self.flush()

    def seen(self, host: str, project: str, instance: str) -> bool:
        """That instance is deployed and counted there: drop what was held for it. Whether there was anything.

        Does not wait, so that the inventory's listener may call it; the store follows with the next write.
        """
        matching = [
            r.id for r in self._held.values() if r.instance == instance and r.host == host and r.project == project
        ]
        for reservation_id in matching:
            self._forget(reservation_id)
        return bool(matching)

    async def flush(self) -> None:
        """Take what is gone out of the store. A store that fails is logged and tried again with the next write."""
        async with self._writing:
            await self._remove_gone()

    async def _write(self, reservation_id: str) -> None:
        async with self._writing:
            await self._remove_gone()
            reservation = self._held.get(reservation_id)  # seen or released while waiting: nothing to write
            if reservation is not None:
                await self._store.add_reservation(reservation)

    def _forget(self, reservation_id: str) -> None:
        if self._held.pop(reservation_id, None) is not None:
            self._to_remove.add(reservation_id)

    async def _remove_gone(self) -> None:
        for reservation_id in sorted(self._to_remove):
            try:
                await self._store.remove_reservation(reservation_id)
            except Exception:
                # A row too many expires by itself; the launch that ends here must not fail for it.
                log.warning("reservation %s could not be removed from the store", reservation_id, exc_info=True)
            else:
                self._to_remove.discard(reservation_id)
