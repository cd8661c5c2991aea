"""A large body from a host's connection into a client's: inside the kernel between plain sockets, by hand to TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.gateway.proxy import relay
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.identity import ensure_identity
from lxdpm_tui.hosts.transport import ConnectionLost, Deadlines, HostError, TimedOut

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
DATA = os.urandom(20 << 20)
GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"


def head(length: int) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode()


class World:
    """A host, and a gateway-like server before it. failure: what the last relay raised."""

    def __init__(self, host: Host, connect: Callable[[], Awaitable[Streams]]) -> None:
        self.host = host
        self.connect = connect
        self.failure: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()


@asynccontextmanager
async def world(folder: Path, serve: Serve, tls: bool, idle: float = 60.0) -> AsyncIterator[World]:
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await serve(reader, writer)

    daemon = await asyncio.start_unix_server(accept, folder / "host")
    host = Host(HostConfig("s1", UnixAddress(str(folder / "host"))))
    host.deadlines = Deadlines(idle=idle)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        failure: BaseException | None = None
        try:
            async with host.stream("GET", request.raw_path) as response:
                out = web.StreamResponse()
                out.content_length = int(response.headers["Content-Length"])
                writer = await out.prepare(request)
                assert writer is not None
                await relay(request, host, response, out, writer)
                await out.write_eof()
                return out
        except (HostError, ConnectionError, asyncio.CancelledError) as error:
            failure = error
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        finally:
            if not made.failure.done():
                made.failure.set_result(failure)

    runner = web.ServerRunner(web.Server(handle, handler_cancellation=True), shutdown_timeout=1)
    await runner.setup()
    client: ssl.SSLContext | None = None
    if tls:
        identity = ensure_identity(folder / "server")
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(identity.cert_path, identity.key_path)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        site: web.BaseSite = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server)
    else:
        site = web.UnixSite(runner, folder / "front")
    await site.start()

    clients: list[asyncio.StreamWriter] = []

    async def connect() -> Streams:
        if client is None:
            streams = await asyncio.open_unix_connection(folder / "front", limit=1 << 20)
        else:
            streams = await asyncio.open_connection(*runner.addresses[0][:2], ssl=client, limit=1 << 20)
        clients.append(streams[1])
        return streams

    made = World(host, connect)
    try:
        yield made
    finally:
        for each in clients:
            each.close()
            with contextlib.suppress(OSError):
                await each.wait_closed()  # TLS takes some turns of the loop, which ends with the test
        for each in writers:
            each.close()
        daemon.close()
        await host.close()
        await runner.cleanup()


async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The body of one answer."""
    writer.write(GET)
    answer = await reader.readuntil(b"\r\n\r\n")
    assert f"Content-Length: {len(DATA)}".encode() in answer
    return await reader.readexactly(len(DATA))


@pytest.mark.parametrize("tls", [False, True])
async def test_every_byte_again_and_again_on_one_connection(tmp_path: Path, tls: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head(len(DATA)) + DATA[:100_000])
        await writer.drain()
        writer.write(DATA[100_000:])
        await writer.drain()

    async with world(tmp_path, serve, tls) as made:
        reader, writer = await made.connect()
        for _ in range(3):
            assert await whole(reader, writer) == DATA


@pytest.mark.parametrize("tls", [False, True])
async def test_a_client_that_takes_nothing_holds_the_host_back(tmp_path: Path, tls: bool) -> None:
    """Also for longer than a host may be silent: it is not the host who is."""
    written = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(head(len(DATA)))
        for start in range(0, len(DATA), 1 << 16):
            writer.write(DATA[start : start + (1 << 16)])
            await writer.drain()
            written += 1 << 16

    async with world(tmp_path, serve, tls, 1.0) as made:
        reader, writer = await made.connect()
        transport = writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        writer.write(GET)
        before = -1
        async with asyncio.timeout(60):
            while written == 0 or written != before:
                before = written
                await asyncio.sleep(2 * made.host.deadlines.idle)
        assert written < len(DATA) // 2
        transport.resume_reading()
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(DATA)) == DATA
        assert await made.failure is None


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("end", ["close", "abort", "silence"])
async def test_a_host_that_stops_in_the_middle(tmp_path: Path, tls: bool, end: str) -> None:
    """The client sees a broken answer, not a short one, and no sooner than all that came."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head(len(DATA)) + DATA[: 5 << 20])
        await writer.drain()
        if end == "close":
            writer.close()
        elif end == "abort":
            writer.transport.abort()
        else:
            await reader.read()

    async with world(tmp_path, serve, tls, 0.5 if end == "silence" else 60.0) as made:
        reader, writer = await made.connect()
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(len(DATA)), 60)
        failure = await asyncio.wait_for(made.failure, 60)
        assert isinstance(failure, TimedOut if end == "silence" else ConnectionLost)
        assert failure.host == "s1"


@pytest.mark.parametrize("tls", [False, True])
async def test_a_client_that_leaves_in_the_middle(tmp_path: Path, tls: bool) -> None:
    """The host is told at once: its connection ends."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(head(len(DATA)) + DATA)
            await writer.drain()
            await reader.readexactly(1)
        finally:
            ended.set()

    async with world(tmp_path, serve, tls) as made:
        reader, writer = await made.connect()
        writer.write(GET)
        await reader.readexactly(1 << 20)
        writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 60)
        assert isinstance(await made.failure, (ConnectionError, asyncio.CancelledError))
