from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from lxdpm_tui.scheduler.ledger import TTL, Ledger, tally
from lxdpm_tui.scheduler.model import UNLIMITED_ESTIMATE, Held, Reservation
from lxdpm_tui.store import Store, StoreError
from tests.scheduler.world import GIB, Clock, Shelf


async def held(ledger: Ledger, name: str = "c1", host: str = "h1", memory: int = GIB) -> Reservation:
    reservation = ledger.hold(host, "default", name, memory)
    await ledger.persist(reservation)
    return reservation


async def stored(store: Store | Shelf) -> set[str]:
    return {row["instance"] for row in await store.list_reservations()}


def test_tally_estimates_those_without_a_limit() -> None:
    rows = [
        Reservation(str(n), host, "default", f"c{n}", m, 0, 9)
        for n, (host, m) in enumerate([("a", 5), ("a", 0), ("b", 7)])
    ]
    assert tally(rows) == {"a": Held(2, 5, 5 + UNLIMITED_ESTIMATE), "b": Held(1, 7, 7)}


async def test_a_hold_counts_at_once_and_is_stored(store: Store) -> None:
    clock = Clock()
    ledger = Ledger(store, clock=clock)
    reservation = ledger.hold("h1", "default", "c1", GIB)
    assert ledger.active() == (reservation,)
    assert (reservation.created, reservation.expires) == (clock.now, clock.now + TTL)
    assert await stored(store) == set()
    await ledger.persist(reservation)
    assert await stored(store) == {"c1"}


async def test_release_forgets_it_everywhere_and_may_be_repeated(store: Store) -> None:
    ledger = Ledger(store, clock=Clock())
    reservation = await held(ledger)
    await ledger.release(reservation)
    await ledger.release(reservation)
    assert ledger.active() == ()
    assert await stored(store) == set()


async def test_expired_ones_never_count_and_leave_the_store_with_the_next_write(store: Store) -> None:
    clock = Clock()
    ledger = Ledger(store, clock=clock)
    old = await held(ledger, "old")
    clock.now += TTL
    assert ledger.active() == ()
    assert await ledger.renew(old) is None
    await held(ledger, "new")
    assert await stored(store) == {"new"}


async def test_renewing_prolongs_it_here_and_in_the_store(store: Store) -> None:
    clock = Clock()
    ledger = Ledger(store, clock=clock)
    reservation = await held(ledger)
    clock.now += TTL - 1
    renewed = await ledger.renew(reservation)
    assert renewed is not None
    assert renewed.expires == clock.now + TTL
    assert [row["expires"] for row in await store.list_reservations()] == [renewed.expires]
    clock.now += TTL - 1
    assert ledger.active() == (renewed,)


async def test_seen_drops_exactly_its_own(store: Store) -> None:
    ledger = Ledger(store, clock=Clock())
    await held(ledger, "c1", "h1")
    twin = await held(ledger, "c1", "h2")
    other = await held(ledger, "c2", "h1")
    assert not ledger.seen("h1", "lab", "c1")
    assert ledger.seen("h1", "default", "c1")
    assert not ledger.seen("h1", "default", "c1")
    assert ledger.active() == (twin, other)
    await ledger.flush()
    assert [(row["host"], row["instance"]) for row in await store.list_reservations()] == [("h2", "c1"), ("h1", "c2")]


async def test_seen_before_it_was_written_leaves_no_row(store: Store) -> None:
    ledger = Ledger(store, clock=Clock())
    reservation = ledger.hold("h1", "default", "c1", 0)
    ledger.seen("h1", "default", "c1")
    await ledger.persist(reservation)
    assert await ledger.renew(reservation) is None
    assert await stored(store) == set()


async def test_a_restart_keeps_what_has_not_expired(tmp_path: Path) -> None:
    clock = Clock()
    first = Store(tmp_path / "db")
    await first.open()
    ledger = Ledger(first, clock=clock)
    await held(ledger, "old")
    clock.now += 60
    kept = await held(ledger, "kept")
    await first.close()

    clock.now += TTL - 60
    second = Store(tmp_path / "db")
    await second.open()
    again = Ledger(second, clock=clock)
    await again.load()
    assert again.active() == (kept,)
    assert await stored(second) == {"kept"}
    await second.close()


async def test_a_clock_set_back_does_not_make_a_reservation_last(store: Store) -> None:
    clock = Clock()
    await held(Ledger(store, clock=clock))
    clock.now -= 86_400
    again = Ledger(store, clock=clock)
    await again.load()
    clock.now += TTL
    assert again.active() == ()


async def test_what_cannot_be_stored_is_given_up(tmp_path: Path) -> None:
    ledger = Ledger(Store(tmp_path / "db"), clock=Clock())  # never opened
    reservation = ledger.hold("h1", "default", "c1", GIB)
    with pytest.raises(StoreError, match="not open"):
        await ledger.persist(reservation)
    assert ledger.active() == ()


async def test_ending_and_renewing_go_on_without_a_store(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    ledger = Ledger(store, clock=clock)
    first, second = await held(ledger, "c1"), await held(ledger, "c2")
    await store.close()
    with caplog.at_level(logging.WARNING):
        await ledger.release(first)
        clock.now += 1
        renewed = await ledger.renew(second)
    assert ledger.active() == (renewed,)
    assert "could not be removed from the store" in caplog.text
    assert "could not be stored" in caplog.text
    await store.open()
    await ledger.flush()
    assert await stored(store) == {"c2"}


class Gate(Shelf):
    """A store whose writes wait until the gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def add_reservation(self, reservation: Reservation, /) -> None:
        self.reached.set()
        await self.open.wait()
        await super().add_reservation(reservation)


async def test_a_cancelled_write_gives_the_room_back() -> None:
    gate = Gate()
    ledger = Ledger(gate, clock=Clock())
    task = asyncio.create_task(ledger.persist(ledger.hold("h1", "default", "c1", GIB)))
    await gate.reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ledger.active() == ()


async def test_released_while_being_written_leaves_no_row() -> None:
    gate = Gate()
    ledger = Ledger(gate, clock=Clock())
    reservation = ledger.hold("h1", "default", "c1", GIB)
    writing = asyncio.create_task(ledger.persist(reservation))
    await gate.reached.wait()
    releasing = asyncio.create_task(ledger.release(reservation))
    gate.open.set()
    await asyncio.gather(writing, releasing)
    assert gate.rows == {}
