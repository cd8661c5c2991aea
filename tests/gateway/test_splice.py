"""Byte tunnels between real sockets: what goes in comes out, ends one way at a time, and never piles up."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.gateway.splice import Splice, tunnel
from lxdpm_tui.hosts.host import Host

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
UPGRADE = b"GET /1.0/x?secret=a%2Fb HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


async def half(ours: socket.socket) -> tuple[asyncio.Transport, Splice]:
    transport, protocol = await asyncio.get_running_loop().create_connection(Splice, sock=ours)
    return transport, protocol


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Streams, Streams, Splice, Splice]]:
    """Two clients with a tunnel between them."""
    client_a, a = socket.socketpair()
    client_b, b = socket.socketpair()
    one, front = await half(a)
    two, back = await half(b)
    left, right = await asyncio.open_connection(sock=client_a), await asyncio.open_connection(sock=client_b)
    front.join(two, back)
    back.join(one, front)
    try:
        yield left, right, front, back
    finally:
        for writer in (left[1], right[1]):
            writer.close()
        one.abort()
        two.abort()
        await asyncio.gather(front.closed, back.closed)


async def test_both_ways() -> None:
    async with joined() as ((left_in, left_out), (right_in, right_out), _, _):
        left_out.write(b"ping")
        assert await right_in.readexactly(4) == b"ping"
        right_out.write(b"pong")
        assert await left_in.readexactly(4) == b"pong"


async def test_half_close_leaves_the_other_way_open() -> None:
    async with joined() as ((left_in, left_out), (right_in, right_out), front, back):
        left_out.write(b"last")
        left_out.write_eof()
        assert await right_in.read() == b"last"
        right_out.write(b"still here")
        assert await left_in.readexactly(10) == b"still here"
        right_out.write_eof()
        assert await left_in.read() == b""
        await asyncio.wait_for(asyncio.gather(front.closed, back.closed), 60)


async def test_a_broken_end_breaks_the_other() -> None:
    async with joined() as ((left_in, left_out), (_, right_out), front, back):
        right_out.transport.abort()
        assert await asyncio.wait_for(left_in.read(), 60) == b""
        left_out.close()
        await asyncio.wait_for(asyncio.gather(front.closed, back.closed), 60)


async def test_output_is_not_lost_when_the_other_side_writes_after_the_end() -> None:
    """A daemon says the last of a command and closes; the client's answer to a ping is on its way at that moment."""
    client, a = socket.socketpair()
    daemon, b = socket.socketpair()
    one, front = await half(a)
    two, back = await half(b)
    front.join(two, back)
    back.join(one, front)
    output = os.urandom(60_000)
    client.sendall(b"pong")  # seen first
    daemon.sendall(output)
    daemon.close()
    reader, writer = await asyncio.open_connection(sock=client)
    assert await asyncio.wait_for(reader.read(), 60) == output
    writer.close()
    await asyncio.wait_for(asyncio.gather(front.closed, back.closed), 60)


async def test_a_reader_that_does_not_read_stops_the_writer() -> None:
    """Back-pressure: what waits in between is bounded, and nothing is lost once the reader reads."""
    async with joined() as ((_, left_out), (right_in, right_out), front, _):
        right_out.transport.pause_reading()  # type: ignore[attr-defined]
        data = os.urandom(32 << 20)
        left_out.write(data)
        sending = asyncio.create_task(left_out.drain())
        done, _ = await asyncio.wait({sending}, timeout=0.5)
        assert not done
        assert front.peer is not None
        assert front.peer.get_write_buffer_size() < 1 << 20
        right_out.transport.resume_reading()  # type: ignore[attr-defined]
        assert await right_in.readexactly(len(data)) == data
        await sending


async def test_what_comes_before_the_other_end_is_there_is_kept() -> None:
    client_a, a = socket.socketpair()
    client_b, b = socket.socketpair()
    one, front = await half(a)
    _, writer = await asyncio.open_connection(sock=client_a)
    writer.write(b"early")
    writer.write_eof()
    async with asyncio.timeout(60):
        while not front.ended:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)
    two, back = await half(b)
    reader, other = await asyncio.open_connection(sock=client_b)
    front.join(two, back)
    back.join(one, front)
    assert await asyncio.wait_for(reader.read(), 60) == b"early"
    for each in (writer, other):
        each.close()
    one.abort()
    two.abort()
    await asyncio.gather(front.closed, back.closed)


# -- from an aiohttp request to a host


@asynccontextmanager
async def tunnelled(
    folder: Path, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncIterator[Streams]:
    """A connection to a gateway-like server that tunnels every request to a host whose connections `serve` gets."""
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await serve(reader, writer)

    daemon = await asyncio.start_unix_server(accept, folder / "host")
    host = Host(HostConfig("s1", UnixAddress(str(folder / "host"))))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await tunnel(request, host, request.raw_path)

    runner = web.ServerRunner(web.Server(handle, handler_cancellation=True), shutdown_timeout=1)
    await runner.setup()
    await web.UnixSite(runner, folder / "front").start()
    reader, writer = await asyncio.open_unix_connection(folder / "front")
    try:
        yield reader, writer
    finally:
        writer.close()
        for each in writers:
            each.close()
        daemon.close()
        await host.close()
        await runner.cleanup()


async def test_the_head_is_passed_on_without_what_is_the_clients_own(tmp_path: Path) -> None:
    heads: asyncio.Queue[str] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heads.put((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(SWITCHED)

    private = (
        b"User-Agent: Mozilla\r\nCookie: a=b\r\nOrigin: http://evil\r\nAuthorization: x\r\nSec-Fetch-Mode: cors\r\n"
    )
    forged = b"X-LXD-forwarded-protocol: tls\r\nX-Incus-forwarded-username: root\r\nX-LXD-authenticated: yes\r\n"
    async with tunnelled(tmp_path, serve) as (reader, writer):
        writer.write(UPGRADE + private + forged + b"Sec-WebSocket-Key: abc\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == SWITCHED
        line, *headers = (await heads.get()).strip().split("\r\n")
    assert line == "GET /1.0/x?secret=a%2Fb HTTP/1.1"
    assert headers == [
        "Host: lxd",
        "User-Agent: lxdpm-tui",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: abc",
    ]


async def test_bytes_right_behind_the_head(tmp_path: Path) -> None:
    """Both sides may send before the other has answered; zero bytes and all others mean nothing to the tunnel."""
    data = bytes(range(256)) * 64

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED + data)
        writer.write(await reader.readexactly(len(data)))
        assert await reader.read() == b""
        writer.write(b"end")
        writer.close()

    async with tunnelled(tmp_path, serve) as (reader, writer):
        writer.write(UPGRADE + b"\r\n" + data)
        assert await reader.readexactly(len(SWITCHED)) == SWITCHED
        assert await reader.readexactly(2 * len(data)) == data + data
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 60) == b"end"


async def test_a_large_stream(tmp_path: Path) -> None:
    data = os.urandom(16 << 20)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED)
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
        writer.close()

    async with tunnelled(tmp_path, serve) as (reader, writer):
        writer.write(UPGRADE + b"\r\n" + data)
        writer.write_eof()
        assert await reader.readexactly(len(SWITCHED)) == SWITCHED
        assert await asyncio.wait_for(reader.read(), 60) == data


async def test_a_refusal_is_an_answer(tmp_path: Path) -> None:
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        writer.close()

    async with tunnelled(tmp_path, serve) as (reader, writer):
        writer.write(UPGRADE + b"\r\n")
        assert await asyncio.wait_for(reader.read(), 60) == refusal


async def test_a_client_that_leaves(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED)
        assert await reader.read() == b""
        left.set()

    async with tunnelled(tmp_path, serve) as (reader, writer):
        writer.write(UPGRADE + b"\r\n")
        await reader.readexactly(len(SWITCHED))
        writer.transport.abort()
        await asyncio.wait_for(left.wait(), 60)
