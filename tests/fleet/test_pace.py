from __future__ import annotations

import asyncio
import time

import pytest

from lxdpm_tui.fleet import pace as module
from lxdpm_tui.fleet.pace import OPENINGS, Pace, pace


async def test_pieces_have_a_turn_of_the_loop_each() -> None:
    """Between two of them everything else that is ready is done once."""
    mine, order = Pace(), []

    async def piece(name: str) -> None:
        async with mine.piece():
            order.append(name)

    async def other() -> None:
        for _ in range(6):
            order.append("-")
            await asyncio.sleep(0)

    await asyncio.gather(piece("a"), piece("b"), piece("c"), other())
    assert [name for name in order if name != "-"] == ["a", "b", "c"]
    assert "ab" not in "".join(order)
    assert "bc" not in "".join(order)


async def test_a_key_goes_first_but_keys_without_end_do_not_stop_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.1)
    mine = Pace()
    began = time.monotonic()
    mine.key()
    async with mine.piece():
        assert time.monotonic() - began >= module.KEY * 0.9

    async def keys() -> None:
        while True:
            mine.key()
            await asyncio.sleep(module.KEY / 3)

    typing = asyncio.create_task(keys())
    async with asyncio.timeout(60), mine.piece():
        pass
    typing.cancel()


async def test_so_many_sessions_begin_at_once_and_a_hung_one_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 1.0)
    mine, begun, hung = Pace(), [], asyncio.Event()

    async def session(number: int) -> None:
        async with mine.opening():
            begun.append(number)
            await hung.wait()

    sessions = [asyncio.create_task(session(number)) for number in range(OPENINGS + 1)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(begun) == OPENINGS
    async with asyncio.timeout(60):
        while len(begun) <= OPENINGS:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    hung.set()
    await asyncio.gather(*sessions)
    async with asyncio.timeout(60), mine.opening():
        assert mine._openings._value == OPENINGS - 1, "every place was given back once"


async def test_there_is_one_for_each_loop() -> None:
    assert pace() is pace()
    other = await asyncio.to_thread(lambda: asyncio.run(_of_this_loop()))
    assert other is not pace()


async def _of_this_loop() -> Pace:
    return pace()
