"""Commands that are asked for by hundreds: a few are opened at a time, and nobody waits for who does not connect."""

from __future__ import annotations

import asyncio

import pytest

from lxdpm_tui.gateway import openings
from lxdpm_tui.gateway.openings import Openings


async def waiting(turns: Openings) -> asyncio.Task[None]:
    """One that waits for its turn."""
    task = asyncio.create_task(turns.turn())
    await asyncio.sleep(0)
    assert not task.done()
    return task


@pytest.fixture
async def full(monkeypatch: pytest.MonkeyPatch) -> Openings:
    """Two are being opened, and there is room for no more, however long the machine stalls."""
    monkeypatch.setattr(openings, "AT_ONCE", 2)
    monkeypatch.setattr(openings, "STILL", 3600.0)
    monkeypatch.setattr(openings, "WINDOW", 3600.0)
    turns = Openings()
    for name in ("a", "b"):
        await turns.turn()
        turns.begun(name, 2)
    return turns


async def test_the_next_has_its_turn_when_all_sockets_of_one_are_connected(full: Openings) -> None:
    first, second = await waiting(full), await waiting(full)
    full.connected("a")
    await asyncio.sleep(0)
    assert not first.done()
    full.connected("a")
    await asyncio.wait_for(first, 60)
    assert not second.done()
    full.give_back()  # the first one's host refused it
    await asyncio.wait_for(second, 60)


async def test_sockets_of_others_do_not_count(full: Openings) -> None:
    for _ in range(4):
        full.connected("somebody else's")
    (await waiting(full)).cancel()


async def test_nobody_waits_long_for_clients_that_do_not_connect(
    full: Openings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openings, "STILL", 0.05)
    await asyncio.wait_for(asyncio.gather(*(full.turn() for _ in range(5))), 60)


async def test_a_turn_ends_when_it_is_too_late_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openings, "AT_ONCE", 1)
    monkeypatch.setattr(openings, "WINDOW", 0.05)
    monkeypatch.setattr(openings, "STILL", 100.0)
    turns = Openings()
    await turns.turn()
    turns.begun("a", 4)
    await asyncio.wait_for(turns.turn(), 60)


async def test_who_leaves_while_waiting_takes_nobodys_turn(full: Openings) -> None:
    gone, second = await waiting(full), await waiting(full)
    gone.cancel()
    await asyncio.wait({gone})
    full.give_back()
    await asyncio.wait_for(second, 60)
    third = await waiting(full)
    full.give_back()
    await asyncio.wait_for(third, 60)


async def test_who_leaves_at_the_moment_of_its_turn_gives_it_back(full: Openings) -> None:
    gone, second = await waiting(full), await waiting(full)
    full.give_back()
    gone.cancel()
    await asyncio.wait_for(second, 60)
