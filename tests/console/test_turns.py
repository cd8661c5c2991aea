"""The event loop of the console: what a person waits for goes first, and the fleet is never kept out."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections import deque
from collections.abc import Callable

import pytest

from lxdpm_tui.console import turns


def behind(work: Callable[[], object]) -> None:
    """Call it soon, in the background."""
    context = contextvars.copy_context()
    context.run(turns.BACKGROUND.set, True)
    asyncio.get_running_loop().call_soon(work, context=context)


def test_what_a_person_waits_for_overtakes_the_background() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        last = asyncio.Event()
        for number in range(100):
            behind(lambda number=number: seen.append(f"host {number}"))  # type: ignore[misc]
        behind(last.set)
        for _ in range(5):  # as many turns as a key may take
            await asyncio.sleep(0)
        seen.append("key")
        async with asyncio.timeout(20):
            await last.wait()
        return seen

    seen = turns.run(main())
    assert seen.index("key") <= turns.AT_ONCE
    assert [word for word in seen if word != "key"] == [f"host {number}" for number in range(100)], "in their order"


def test_the_background_is_never_kept_out() -> None:
    """Something that is always ready again, as a filter in slices is."""

    async def main() -> int:
        rounds, done = 0, asyncio.Event()
        left = 50

        def one() -> None:
            nonlocal left
            left -= 1
            if left:
                behind(one)
            else:
                done.set()

        behind(one)
        while not done.is_set():
            rounds += 1
            await asyncio.sleep(0)
        return rounds

    assert turns.run(main()) <= 50 * (turns.SHARE + 1)


def test_a_socket_that_waits_for_its_turn_is_read_once() -> None:
    """The selector names it anew each turn."""

    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        read = blocked = 0
        everything = asyncio.Event()

        def readable() -> None:
            nonlocal read, blocked
            try:
                read += len(os.read(ours, 10))
            except BlockingIOError:
                blocked += 1
            if read == 20:
                everything.set()

        context = contextvars.copy_context()
        context.run(turns.BACKGROUND.set, True)
        context.run(loop.add_reader, ours, readable)
        for _ in range(200):
            behind(lambda: None)
        os.write(theirs, b"x" * 10)
        for _ in range(30):
            await asyncio.sleep(0)
        os.write(theirs, b"x" * 10)
        async with asyncio.timeout(20):
            await everything.wait()
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)
        return read, blocked

    read, blocked = turns.run(main())
    assert (read, blocked) == (20, 0)


class Otherwise(deque[object]):
    """Callbacks as a Python to come may keep them."""


def test_an_event_loop_that_is_not_known_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("collections.deque", Otherwise)
        loop = turns.Loop()
    try:
        assert type(vars(loop)["_ready"]) is Otherwise
        assert loop.run_until_complete(asyncio.sleep(0, 7)) == 7
    finally:
        loop.close()


def test_it_is_an_event_loop_like_any_other() -> None:
    """Threads, timers, subprocesses, tasks in the background with their children."""

    async def child() -> bool:
        await asyncio.sleep(0.001)
        return turns.BACKGROUND.get()

    async def main() -> tuple[object, ...]:
        async def background() -> bool:
            turns.BACKGROUND.set(True)
            return await asyncio.create_task(child())

        process = await asyncio.create_subprocess_exec("true")
        return (
            await asyncio.create_task(background()),
            await child(),
            await asyncio.to_thread(lambda: 7),
            await process.wait(),
        )

    assert turns.run(main()) == (True, False, 7, 0)
