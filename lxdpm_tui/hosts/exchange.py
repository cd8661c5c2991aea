"""A request with a short body or none, and its answer, on a connection that is kept: what nearly every call is.

aiohttp's parser and stream reader take the answer in; its session is left out, which costs three times what they do:
a list of the fleet is a request to every host. Private touches (aiohttp 3.14.5): ResponseHandler.set_response_params
makes it ready for an answer; `read_timeout` is the limit of silence while a body comes, `start_timeout` begins it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
from aiohttp.client_proto import ResponseHandler

from lxdpm_tui.hosts.last_words import unread
from lxdpm_tui.hosts.transport import ConnectionLost, Deadlines, TimedOut

LIMIT = 1 << 20  # bytes of a header line or field: LXD takes as much
KEEP_ALIVE = 15.0  # seconds: LXD from 6.8 and Incus 7 close idle connections at 30 s
READ_BUFFER = 1 << 18
FRESH = 60.0  # seconds for which the quickest answer says how far the daemon is
_FAREWELL = 1.0  # seconds that close() waits for its connections to be gone
_SWITCHING = 101


class Handler(ResponseHandler):
    """Closing drops what is unsent: asyncio's own close waits for a hung daemon to read it, maybe for ever.

    What the daemon said before it closed is read even if our own writing has found that out.
    """

    __slots__ = ()

    def close(self) -> None:
        self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        for data in unread(self.transport, exc):
            self.data_received(data)
        super().connection_lost(exc)


class Answer:
    """An answer of which the head is there. release() must be called; the body can be read until then.

    status: HTTP status.  headers: case-insensitive.  content: the body as it comes.  protocol: of the connection, None
    once it was given back.
    """

    __slots__ = ("_release", "content", "headers", "protocol", "status")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        content: aiohttp.StreamReader,
        protocol: ResponseHandler | None,
        release: Callable[[], object],
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self.protocol = protocol
        self._release = release

    async def read(self) -> bytes:
        """The whole body."""
        return await self.content.read()

    def release(self) -> None:
        """Give the connection back: for the next request if the body was read to its end, else it is closed.

        Idempotent: the connection may be another request's by then.
        """
        self.protocol = None
        release, self._release = self._release, _released
        release()


class Exchanges:
    """The kept connections to one daemon. Belongs to the event loop that uses it first.

    dial: makes a connection within seconds, or raises a HostError.  round_trip: seconds that the quickest answer of
    late took to begin, without the time to connect; 0.0 before the first.
    """

    def __init__(self, dial: Callable[[Callable[[], Handler], float], Awaitable[Handler]]) -> None:
        self._dial = dial
        self._idle: list[tuple[float, Handler]] = []  # since when; the one used last is the last
        self._busy: set[Handler] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closings = 0
        self.round_trip = 0.0
        self._measured = -math.inf

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str], data: bytes | None, deadlines: Deadlines
    ) -> Answer:
        """Send and await the head of the answer. target: path and query, percent-encoded as on the wire.

        Raises TimedOut, ConnectionLost when closed meanwhile, what dial raises, and aiohttp's errors.
        """
        request = _request(method, target, headers, data)
        loop = asyncio.get_running_loop()
        again = data is None and method in ("GET", "HEAD")
        closings = self._closings
        kept = self._kept(loop.time())
        while True:
            try:
                return await self._ask(loop, kept, method, request, data is not None, deadlines)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
                if not again or closings != self._closings:
                    raise
                again, kept = False, None

    async def _ask(
        self,
        loop: asyncio.AbstractEventLoop,
        handler: Handler | None,
        method: str,
        request: bytes,
        has_body: bool,
        deadlines: Deadlines,
    ) -> Answer:
        if handler is None:
            closings = self._closings
            handler = await self._dial(lambda: Handler(loop), deadlines.connect)
            if closings != self._closings:
                handler.close()
                raise ConnectionLost("the connection was closed")
        self._busy.add(handler)
        # A body is not watched byte by byte: one limit for all of it, the answer's head included.
        limit = deadlines.first_byte + (deadlines.connect + deadlines.idle if has_body else 0)
        try:
            handler.set_response_params(
                skip_payload=method == "HEAD",
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=READ_BUFFER,
                timeout_ceil_threshold=math.inf,  # aiohttp would round limits above 5 s up to whole seconds
                max_line_size=LIMIT,
                max_field_size=LIMIT,
            )
            if handler.transport is None:
                raise aiohttp.ServerDisconnectedError
            started = loop.time()
            handler.transport.write(request)
            timer = loop.call_at(started + limit, handler.set_exception, aiohttp.SocketTimeoutError())
            try:
                message, content = await handler.read()
                while message.code < 200 and message.code != _SWITCHING:
                    message, content = await handler.read()
            finally:
                timer.cancel()
        except BaseException as error:
            self._busy.discard(handler)
            handler.close()
            if isinstance(error, TimeoutError):
                raise TimedOut(silence(deadlines.first_byte)) from error
            raise
        self._measure(started, loop.time())
        if not content.is_eof():
            handler.read_timeout = deadlines.idle
            handler.start_timeout()
        used = handler
        return Answer(message.code, message.headers, content, used, lambda: self._give_back(used, content))

    def _measure(self, started: float, now: float) -> None:
        if now - started <= self.round_trip or now - self._measured > FRESH:
            self.round_trip, self._measured = now - started, now

    def _kept(self, now: float) -> Handler | None:
        """A connection that waits for use, if there is one."""
        while self._idle:
            since, handler = self._idle.pop()
            if since >= now - KEEP_ALIVE and handler.is_connected() and not handler.should_close:
                return handler
            handler.close()
        return None

    def _give_back(self, handler: Handler, content: aiohttp.StreamReader) -> None:
        if handler not in self._busy:  # closed
            return
        self._busy.discard(handler)
        if not content.is_eof() or handler.should_close or not handler.is_connected():
            handler.close()
            return
        loop = asyncio.get_running_loop()
        self._idle.append((loop.time(), handler))
        if self._sweep is None:
            self._sweep = loop.call_later(KEEP_ALIVE, self._drop_old)

    def _drop_old(self) -> None:
        """Close what nobody used for long; look again when the oldest that is left will be."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - KEEP_ALIVE
        for since, handler in self._idle:
            if since <= oldest:
                handler.close()
        self._idle = [(since, handler) for since, handler in self._idle if since > oldest]
        self._sweep = loop.call_at(self._idle[0][0] + KEEP_ALIVE, self._drop_old) if self._idle else None

    async def close(self) -> None:
        """Drop every connection; what is under way breaks. Idempotent; a later request dials anew."""
        self._closings += 1
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        ending = [handler for _, handler in self._idle] + list(self._busy)
        self._idle.clear()
        self._busy.clear()
        gone = []
        for handler in ending:
            if (closed := handler.closed) is not None:
                gone.append(closed)
            if handler.transport is not None:
                handler.transport.abort()  # and not close(): that would forget whoever reads a body
        if gone:
            for done in (await asyncio.wait(gone, timeout=_FAREWELL))[0]:
                done.exception()  # how it ended is for those who used it


def _released() -> None:
    """Nothing is left to be given back."""


def silence(seconds: float) -> str:
    return f"connected, but no answer within {seconds:g} s"


def _request(method: str, target: str, headers: Mapping[str, str], data: bytes | None) -> bytes:
    """The bytes of a request. Raises ValueError for a line that would be two."""
    lines = [f"{method} {target} HTTP/1.1", "Host: lxd", *(f"{name}: {value}" for name, value in headers.items())]
    if data is not None or method not in ("GET", "HEAD"):
        lines = [line for line in lines if not line.lower().startswith("content-length:")]
        lines.append(f"Content-Length: {len(data or b'')}")
    head = "\r\n".join((*lines, "", ""))
    if head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1:
        raise ValueError("a line break in a request's head")
    return head.encode("utf-8", "surrogateescape") + (data or b"")
