from __future__ import annotations

import asyncio
import time

import pytest

from lxdpm_tui.hosts.limit import limit


async def test_in_time() -> None:
    async with limit(60):
        await asyncio.sleep(0)


async def test_none_is_no_limit() -> None:
    async with limit(None):
        await asyncio.sleep(0.01)


async def test_over() -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with limit(0.2):
            await asyncio.Event().wait()
    assert time.monotonic() - started >= 0.2


async def test_what_came_during_a_stall_of_our_own_is_in_time() -> None:
    """asyncio.timeout ends it: its timer is due in the turn in which the bytes are read."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"said\n")
        asyncio.get_running_loop().call_soon(time.sleep, 1.0)
        async with limit(0.8):
            assert await reader.readline() == b"said\n"
        writer.close()
        await writer.wait_closed()


async def test_a_cancel_from_elsewhere_is_none_of_ours() -> None:
    async def work() -> None:
        async with limit(60):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
