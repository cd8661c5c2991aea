"""A daemon's socket with a witness: every byte that comes for the daemon is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def recorded(daemon: Path, socket: Path) -> AsyncIterator[bytearray]:
    """Serves on `socket` what `daemon` serves; gives what was sent to it so far."""
    sent = bytearray()
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: bytearray | None) -> None:
        try:
            while data := await reader.read(1 << 16):
                if kept is not None:
                    kept += data
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except OSError:
            writer.transport.abort()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_unix_connection(str(daemon))
        both = [
            asyncio.create_task(pump(reader, back_writer, sent)),
            asyncio.create_task(pump(back_reader, writer, None)),
        ]
        pumps.update(both)
        await asyncio.wait(both)
        for end in (writer, back_writer):
            end.transport.abort()

    server = await asyncio.start_unix_server(accept, str(socket))
    try:
        yield sent
    finally:
        server.close()
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
