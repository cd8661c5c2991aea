"""Commands that many run at once: what goes in comes out, byte for byte.

A daemon closes a command's sockets right after its last output, and a client that answers a ping too late then loses
what it has not read (asyncio drops it with the connection). So a command here ends only when its output has been seen;
benchmarks/exec_sessions.py also counts, without answers to pings, those that end at once.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Literal

import aiohttp

from tests.gateway.client import SHELL, Answer, Client, Executed

WINDOW = 4.0  # seconds from its beginning until a daemon may have given a command up: the machine stalled
OPENING = 4  # sessions that are opened at a time

SCRIPT = "head -c {size}; echo {number} >&2; read -r _; exit {code}"


def payload(number: int) -> bytes:
    return os.urandom(20_000 + number * 997)


async def all_at_once(clients: Callable[[int], Client], names: Callable[[int], str], count: int) -> list[int]:
    """Exit codes of `count` sessions: all are open before the first byte flows, then all flow at the same time.

    Daemons wait 5 s for all sockets of a command, so few are opened at a time. Raises as `acknowledged`.
    """
    opening, opened = asyncio.Semaphore(OPENING), asyncio.Barrier(count)
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(acknowledged(clients(number), names(number), number, opening, opened))
            for number in range(count)
        ]
    return [session.result().code for session in running]


async def acknowledged(
    client: Client,
    name: str,
    number: int,
    opening: AbstractAsyncContextManager[object] | None = None,
    opened: asyncio.Barrier | None = None,
) -> Executed:
    """Send bytes through a command of the instance and have them back, then let it end with `number` modulo 100.

    AssertionError for a byte too few, too many or of somebody else.
    """
    async with opening or nullcontext():
        for last in (False, False, True):
            began = time.monotonic()
            try:
                answer, sockets, data = await _open(client, name, number)
            except aiohttp.WSServerHandshakeError:
                if last or time.monotonic() - began < WINDOW:
                    raise
            else:
                if last or time.monotonic() - began < WINDOW:
                    break
                await asyncio.gather(*(socket.close() for socket in sockets.values()))
    if opened is not None:
        await opened.wait()

    async def write() -> None:
        for at in range(0, len(data), 1 << 13):
            await sockets["0"].send_bytes(data[at : at + (1 << 13)])

    async def read(fd: str, wanted: bytes) -> None:
        found = bytearray()
        while len(found) < len(wanted):
            message = await sockets[fd].receive(timeout=120)
            assert message.type is aiohttp.WSMsgType.BINARY, (name, number, fd, message, len(found), len(wanted))
            found += message.data
        assert bytes(found) == wanted, (name, number, fd)

    try:
        await asyncio.gather(write(), read("1", data), read("2", b"%d\n" % number))
        await sockets["0"].send_bytes(b"\n")
        ended = await client.wait(answer)
        assert ended.json["type"] == "sync", ended.body
    finally:
        await asyncio.gather(*(socket.close() for socket in sockets.values()))
    return Executed(ended.metadata["metadata"]["return"])


async def _open(
    client: Client, name: str, number: int
) -> tuple[Answer, dict[str, aiohttp.ClientWebSocketResponse[Literal[True]]], bytes]:
    data = payload(number)
    command = ["sh", "-c", SCRIPT.format(size=len(data), number=number, code=number % 100)]  # 126 and 127 are errors
    answer = await client.ask("POST", f"/1.0/instances/{name}/exec", {**SHELL, "command": command})
    assert answer.status == 202, answer.body
    url = f"{answer.json['operation']}/websocket?secret="
    secrets: dict[str, str] = answer.metadata["metadata"]["fds"]
    sockets = {
        fd: await client.session.ws_connect(client.url(url + secret))
        for fd, secret in sorted(secrets.items(), reverse=True)  # control first, as lxc does
    }
    return answer, sockets, data
