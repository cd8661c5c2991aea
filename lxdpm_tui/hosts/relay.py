"""The rest of an answer's body, from a host's connection straight into a client's: no queue, no copy in between.

Large files and images pass the gateway this way. Through aiohttp's parser and stream reader the same bytes cost twice
the time; over TLS most of that is a fresh buffer for each record of 16 KiB, which a BufferedProtocol does without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from lxdpm_tui.hosts.transport import ConnectionLost, TimedOut

BUFFER = 1 << 18  # bytes read at once
AHEAD = 1 << 19  # bytes that may wait for the client before the host is not read any more


class Relay(asyncio.BufferedProtocol):
    """Takes a host's connection over in the middle of a body. before: the protocol that had it, told of its end."""

    def __init__(
        self, back: asyncio.Transport, front: asyncio.Transport, before: asyncio.BaseProtocol, left: int
    ) -> None:
        """left: bytes of the body that are to come. Nothing is read until `run`."""
        self._back = back
        self._front = front
        self._before = before
        self._left = left
        self._space = memoryview(bytearray(min(BUFFER, left)))
        self._keeps = (
            front.get_extra_info("sslcontext") is None
        )  # TLS has used up what it is given, sockets may keep it
        self._moved = False
        self._full = False
        self._lost: BaseException | None = None
        self._woken = asyncio.Event()

    async def run(self, drain: Callable[[], Awaitable[None]], paused: Callable[[], bool], idle: float) -> None:
        """Until all of it is written. drain: waits until the client has taken enough; paused: whether it has not.

        Raises TimedOut when the host is silent for `idle` seconds, ConnectionLost when it ends too early, what drain
        raises when the client does. The host's connection is of no more use, but not closed.
        """
        self._paused = paused
        self._front.set_write_buffer_limits(high=AHEAD)
        self._back.set_protocol(self)
        self._back.resume_reading()
        while self._left and self._lost is None:
            try:
                async with asyncio.timeout(idle):
                    await self._woken.wait()
            except TimeoutError:
                if not self._moved:
                    raise TimedOut("it stayed silent for too long") from None
            self._woken.clear()
            self._moved = False
            if self._full:
                await drain()
                self._full = False
                if not self._back.is_closing():
                    self._back.resume_reading()
        self._front.set_write_buffer_limits()
        if self._left:
            raise ConnectionLost("the connection broke in the middle of the body") from self._lost

    # -- asyncio.BufferedProtocol

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        self._pass_on(bytes(self._space[:nbytes]) if self._keeps else self._space[:nbytes])

    def data_received(self, data: bytes) -> None:
        """For transports of our own (SSH), which know no buffered protocols."""
        self._pass_on(data)

    def eof_received(self) -> None:
        self._end(ConnectionResetError("end of the stream"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)
        self._end(exc or ConnectionResetError("closed"))

    def _pass_on(self, data: bytes | memoryview) -> None:
        data = data[: self._left]  # what comes after the body is nobody's
        self._left -= len(data)
        self._moved = True
        if not self._front.is_closing():
            self._front.write(data)
        if not self._left:
            self._back.pause_reading()
            self._woken.set()
        elif self._paused():
            self._full = True
            self._back.pause_reading()
            self._woken.set()

    def _end(self, error: BaseException) -> None:
        self._lost = self._lost or error
        self._woken.set()
