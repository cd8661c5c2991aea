"""Servers that misbehave in one exact way, on a unix socket; real sockets, real time limits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.hosts.host import Host

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """A whole HTTP answer. length: what it claims instead of its true length."""
    size = f"Content-Length: {len(body) if length is None else length}"
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", size, *headers, "", ""]).encode() + body


async def read_head(reader: asyncio.StreamReader) -> str:
    """The head of the next request; "" when the client has gone."""
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return ""


@contextlib.asynccontextmanager
async def listening(path: Path, serve: Serve) -> AsyncIterator[None]:
    """A unix socket whose connections are each served by `serve`; what is open at the end is closed."""
    writers: set[asyncio.StreamWriter] = set()
    tasks: set[asyncio.Task[None]] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        with contextlib.suppress(ConnectionError):
            await serve(reader, writer)

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(connection(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_unix_server(accepted, path, limit=1 << 22)
    try:
        yield
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        path.unlink()
        await settled()


@contextlib.asynccontextmanager
async def daemon(serve: Serve) -> AsyncIterator[Host]:
    """A host that is one such socket."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "s"
        async with listening(path, serve):
            host = Host(HostConfig("d1", UnixAddress(str(path))))
            try:
                yield host
            finally:
                await host.close()


async def settled() -> None:
    """Let callbacks that are due run (closing a socket takes a few turns of the loop)."""
    for _ in range(10):
        await asyncio.sleep(0)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextlib.contextmanager
def memory_peak() -> Iterator[Callable[[], int]]:
    """Gives a function: by how many bytes the process grew beyond what it had at the start, at most."""

    def field(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
    before = field("VmRSS:")
    yield lambda: field("VmHWM:") - before
