"""The rest of a body from one plain socket to another inside the kernel: splice(2) through a pipe, nothing is copied.

Only between plain sockets, that is for a client and a host that are both reached by a unix socket, and on Linux. LXD
itself sends a file by sendfile(2) there, which no copy through a process can follow.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator

from lxdpm_tui.hosts.limit import limit
from lxdpm_tui.hosts.transport import ConnectionLost, TimedOut

_PIPE = 1 << 20  # bytes in flight


def is_plain(transport: asyncio.Transport) -> bool:
    """Whether the transport is a socket and nothing else: no TLS, no channel of something."""
    return hasattr(os, "splice") and type(transport).__name__ == "_SelectorSocketTransport"


async def splice(back: asyncio.Transport, front: asyncio.Transport, left: int, idle: float) -> None:
    """Pass `left` bytes on. Nothing may wait in either transport's buffers, and the host's must be paused.

    Raises TimedOut when the host is silent for `idle` seconds, ConnectionLost when it ends too early, ConnectionError
    when the client does. A client that takes nothing waits for ever: its own connection's end is what ends it.
    """
    with _pipe() as (outlet, inlet), _dup(back) as source, _dup(front) as sink:
        held = 0
        while left or held:
            if left and not held:
                held = await _move(source, inlet, min(left, _PIPE), idle)
                left -= held
            held -= await _move(outlet, sink, held, None)
            await asyncio.sleep(0)  # two quick ends would leave nobody else a turn


async def _move(source: int, sink: int, count: int, idle: float | None) -> int:
    """Bytes moved, at least one. idle: seconds that `source`, a socket, may be silent; None: `sink` is the socket."""
    while True:
        try:
            moved = os.splice(source, sink, count)
        except BlockingIOError:
            try:
                async with limit(idle):
                    await _ready(sink if idle is None else source, idle is None)
            except TimeoutError:
                raise TimedOut("it stayed silent for too long") from None
        except OSError as error:
            if idle is None:
                raise ConnectionResetError(str(error)) from error
            raise ConnectionLost(f"the connection broke in the middle of the body ({error.strerror})") from error
        else:
            if not moved:
                raise ConnectionLost("the connection ended in the middle of the body")
            return moved


async def _ready(descriptor: int, to_write: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    (loop.add_writer if to_write else loop.add_reader)(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        (loop.remove_writer if to_write else loop.remove_reader)(descriptor)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    outlet, inlet = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        with contextlib.suppress(OSError):  # over the user's limit: as large as it is
            fcntl.fcntl(inlet, fcntl.F_SETPIPE_SZ, _PIPE)
        yield outlet, inlet
    finally:
        os.close(outlet)
        os.close(inlet)


@contextlib.contextmanager
def _dup(transport: asyncio.Transport) -> Iterator[int]:
    """A descriptor of our own: the event loop lets nobody else watch a transport's."""
    descriptor = os.dup(transport.get_extra_info("socket").fileno())
    try:
        yield descriptor
    finally:
        os.close(descriptor)
