"""Logs of an instance as its daemon keeps them, followed at a gentle pace; and the output of a command, as it comes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import quote, urlencode

from lxdpm_tui.hosts.exec import execute, instance_path
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, HostError

FIRST = 256 << 10  # bytes from the end of a log that are read at first
EVERY = 2.0  # seconds between looks at a log file
CONSOLE_EVERY = 4.0  # and at the console's ring, which comes whole each time
_MATCH = 4096  # bytes by which the end of one look is found in the next
CONSOLE = "console"


async def names(host: Host, instance: str, project: str) -> list[str]:
    """The log files that the daemon has: lxc.log, qemu.log and others."""
    urls = await host.get(instance_path(instance, "logs"), project=project) or []
    return sorted({str(url).partition("?")[0].rpartition("/")[2] for url in urls})


async def follow_file(host: Host, instance: str, project: str, name: str) -> AsyncGenerator[bytes]:
    """What is in a log file, its last FIRST bytes at first; then what is added, for ever. b"" says that all there is
    has been given. Raises ApiError, the HostError family."""
    target = f"{instance_path(instance, 'logs', quote(name, safe=''))}?{urlencode({'project': project})}"
    offset = -1
    while True:
        # From one byte before: a range that begins at the end is refused, with an answer that is not whole.
        wanted = f"bytes=-{FIRST}" if offset < 0 else f"bytes={max(0, offset - 1)}-"
        async with host.stream("GET", target, headers={"Range": wanted}) as response:
            if response.status == 416:
                offset = 0 if offset > 1 else -1  # cut off or made anew since
            elif response.status >= 400:
                raise ApiError(host.name, response.status, f"{name}: HTTP status {response.status}")
            else:
                begin = _start(response.headers.get("Content-Range", ""))
                skip = max(0, offset - begin) if offset >= 0 else 0
                at = begin
                async for chunk in response.content.iter_chunked(1 << 16):
                    fresh = chunk[max(0, skip - (at - begin)) :]
                    at += len(chunk)
                    if fresh:
                        yield fresh
                offset = max(at, offset) if at > begin else offset
        yield b""
        await asyncio.sleep(EVERY)


async def follow_console(host: Host, instance: str, project: str) -> AsyncGenerator[bytes]:
    """What is in the console's ring of a container, then what is added. b"" as for follow_file.

    Daemons give the ring whole or not at all, so it is asked for seldom.
    """
    target = f"{instance_path(instance, 'console')}?{urlencode({'project': project})}"
    before = b""
    while True:
        async with host.stream("GET", target) as response:
            data = await response.read()
            if response.status >= 400:
                raise ApiError(host.name, response.status, "it has no console log yet")
        fresh = _added(before, data)
        before = data
        if fresh:
            yield fresh
        yield b""
        await asyncio.sleep(CONSOLE_EVERY)


async def follow_command(host: Host, instance: str, project: str, words: Sequence[str]) -> AsyncGenerator[bytes]:
    """The output of a command, errors too, until it ends; leaving ends the command."""
    async with execute(host, instance, words, project=project) as session:
        await session.send_end()
        arrived: asyncio.Queue[bytes] = asyncio.Queue(8)

        async def read(name: str) -> None:
            while data := await session.receive(name):
                await arrived.put(data)

        async def read_all() -> None:
            await asyncio.gather(*(read(name) for name in session.outputs))
            await arrived.put(b"")

        reading = asyncio.create_task(read_all())
        try:
            while True:
                getting = asyncio.ensure_future(arrived.get())
                try:
                    await asyncio.wait({getting, reading}, return_when=asyncio.FIRST_COMPLETED)
                    if not getting.done():
                        reading.result()
                    data = await getting
                finally:
                    getting.cancel()
                if not data:
                    break
                yield data
            code = await session.ended()
            yield f"[the command ended with {code}]\n".encode()
        finally:
            reading.cancel()
            with contextlib.suppress(HostError):
                await session.signal(15)


def _start(content_range: str) -> int:
    """Where a `bytes 5-10/11` begins; 0 for a whole answer."""
    first = content_range.removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdigit() else 0


def _added(before: bytes, now: bytes) -> bytes:
    """What a ring holds that it did not hold the last time."""
    if not before or not now:
        return now
    if now.startswith(before):
        return now[len(before) :]
    end = before[-_MATCH:]
    at = now.rfind(end)
    return now[at + len(end) :] if at >= 0 else now
