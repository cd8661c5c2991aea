"""HTTP over any Transport: one aiohttp session whose connections are dialled by the transport.

Every touch of what aiohttp does not call public is in this module; all of it was read in aiohttp 3.14.5, and
pyproject.toml keeps to 3.14:
- BaseConnector._create_connection is where its own connectors (TCP, unix) make a connection; ResponseHandler is the
  protocol that the session expects on it, and its read_timeout the limit of silence while a body is read.
- ResponseHandler._drop_timeout ends that limit, when the connection is taken over in the middle of a body (relay.py).
- ClientSession._retry_connection: aiohttp sends PUT and DELETE again when a kept-alive connection turns out dead; on a
  daemon the second DELETE of a thing answers 404. Only GET and HEAD are sent again, here.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from lxdpm_tui.hosts.kernel_relay import is_plain, splice
from lxdpm_tui.hosts.relay import Relay
from lxdpm_tui.hosts.transport import ConnectionLost, Deadlines, HostError, P, TimedOut, Transport

Body = bytes | AsyncIterable[bytes] | None

LIMIT = 1 << 20  # bytes of a header line or field: LXD takes as much
KEEP_ALIVE = 15.0  # seconds: LXD from 6.8 and Incus 7 close idle connections at 30 s
BASE = "http://lxd"  # only the Host header; the transport knows where to dial
_READ_BUFFER = 1 << 18
_WHOLE = 1 << 18  # bytes of a body that is sent in one piece
_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError)


class HttpClient:
    """Requests, websockets and raw connections to one daemon. Belongs to the event loop that uses it first.

    Raises the HostError family without a host name. An HTTP status is an answer here, never an error.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, target: str, headers: Mapping[str, str] | None, data: Body, deadlines: Deadlines
    ) -> aiohttp.ClientResponse:
        """Send a request and await the head of its answer. target: path and query, percent-encoded as on the wire.

        The answer's body is then read within deadlines.idle per silence. The caller must release() the response.
        """
        session = self._opened()
        again = data is None and method in ("GET", "HEAD")
        while True:
            try:
                return await self._send(session, method, target, headers, data, deadlines)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                if not again or session.closed:
                    raise fault(error) from error
                again = False
            except _BROKEN as error:
                raise fault(error) from error

    async def _send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        target: str,
        headers: Mapping[str, str] | None,
        data: Body,
        deadlines: Deadlines,
    ) -> aiohttp.ClientResponse:
        if isinstance(data, bytes) and len(data) > _WHOLE:
            headers = CIMultiDict(headers or {})
            headers["Content-Length"] = str(len(data))
            data = _slices(data)
        # A short body is not watched chunk by chunk: one limit for all of it, the answer's head included.
        whole = deadlines.connect + deadlines.idle + deadlines.first_byte
        upload = None
        try:
            async with asyncio.timeout(whole) as limit:
                if data is not None and not isinstance(data, bytes):
                    upload = _Upload(data, limit, deadlines)
                response = await session.request(
                    method,
                    URL(BASE + target, encoded=True),
                    headers=headers,
                    data=data if upload is None else upload.chunks(),
                    allow_redirects=False,
                    timeout=_client_timeout(deadlines.connect, deadlines.first_byte),
                )
        except TimeoutError as error:
            raise TimedOut(_silence(deadlines.first_byte)) from error
        except aiohttp.ClientError:
            if upload is not None and upload.failure is not None:
                raise upload.failure from None
            raise
        finally:
            if upload is not None:
                upload.limit = None
        if (connection := response.connection) is not None and (protocol := connection.protocol) is not None:
            protocol.read_timeout = deadlines.idle
            protocol.start_timeout()
        return response

    @contextlib.asynccontextmanager
    async def websocket(
        self, target: str, deadlines: Deadlines, heartbeat: float | None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse[bool]]:
        """A websocket of the daemon, text frames as bytes. heartbeat: seconds of silence until a ping; half of it more
        without an answer ends it with TimedOut."""
        try:
            async with asyncio.timeout(deadlines.connect + deadlines.first_byte):
                socket = await self._opened().ws_connect(
                    BASE + target,
                    heartbeat=heartbeat,
                    max_msg_size=0,
                    compress=0,
                    decode_text=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
        except TimeoutError as error:
            raise TimedOut(_silence(deadlines.first_byte)) from error
        except _BROKEN as error:
            raise fault(error) from error
        try:
            yield socket
        finally:
            await socket.close()

    async def relay(
        self,
        response: aiohttp.ClientResponse,
        front: asyncio.Transport,
        drain: Callable[[], Awaitable[None]],
        paused: Callable[[], bool],
        idle: float,
    ) -> None:
        """The rest of a body of known length to `front`. What had come of it must have been read. See Relay.run.

        The connection is of no use afterwards; release() of the response closes it.
        """
        connection = response.connection
        if connection is None or (protocol := connection.protocol) is None or (back := connection.transport) is None:
            raise ConnectionLost("the connection broke in the middle of the body")
        protocol.read_timeout = None
        protocol._drop_timeout()
        left = int(response.headers["Content-Length"]) - response.content.total_bytes
        if is_plain(back) and is_plain(front):
            back.pause_reading()
            front.set_write_buffer_limits(high=0)
            await drain()
            await splice(back, front, left, idle)
            front.set_write_buffer_limits()
        else:
            await Relay(back, front, protocol, left).run(drain, paused, idle)

    async def open(self, factory: Callable[[], P], deadlines: Deadlines) -> tuple[asyncio.Transport, P]:
        """A fresh raw connection within deadlines.connect."""
        return await _dial(self._transport, factory, deadlines.connect)

    async def close(self) -> None:
        """Drop every connection and the transport. Idempotent; a later request opens anew."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        await self._transport.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(self._transport),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                timeout=_client_timeout(Deadlines().connect, None),
                read_bufsize=_READ_BUFFER,
                max_line_size=LIMIT,
                max_field_size=LIMIT,
            )
            self._session._retry_connection = False
        return self._session


class _Handler(ResponseHandler):
    """Closing drops what is unsent: asyncio's own close waits for a hung daemon to read it, maybe for ever."""

    __slots__ = ()

    def close(self) -> None:
        self.abort()


class _Connector(aiohttp.BaseConnector):
    """Connections come from the transport. No limit of their number: tunnels and waits hold theirs for long."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(keepalive_timeout=KEEP_ALIVE, limit=0)
        self._dialled = transport

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        _, handler = await _dial(self._dialled, lambda: _Handler(self._loop), timeout.sock_connect)
        return handler


class _Upload:
    """Passes a body on and limits the daemon's silence, not the caller's: the time a chunk waits to be taken."""

    def __init__(self, source: AsyncIterable[bytes], limit: asyncio.Timeout, deadlines: Deadlines) -> None:
        self._source = source
        self._deadlines = deadlines
        self.limit: asyncio.Timeout | None = limit
        self.failure: Exception | None = None  # the caller's own, while it made the next chunk

    async def chunks(self) -> AsyncIterator[bytes]:
        self._allow(None)
        # aiohttp keeps the head back until the first chunk, and LXD's unix socket accepts nobody else in the meantime
        # (it waits for a first byte inside accept, seen in 5.0.2): a client that dawdles would shut out all others.
        yield b""
        try:
            async for chunk in self._source:
                self._allow(self._deadlines.idle)
                yield chunk
                self._allow(None)
        except Exception as error:
            self.failure = error
            raise
        self._allow(self._deadlines.idle + self._deadlines.first_byte)

    def _allow(self, seconds: float | None) -> None:
        if self.limit is not None and not self.limit.expired():
            self.limit.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)


def fault(error: BaseException) -> HostError:
    """What an aiohttp error means for the host."""
    if isinstance(error, TimeoutError):
        return TimedOut("it stayed silent for too long")
    if isinstance(error, HttpProcessingError | aiohttp.ClientResponseError):
        return ConnectionLost(f"its answer is not HTTP: {error.message}")
    return ConnectionLost(f"the connection broke ({str(error) or type(error).__name__})")


async def _slices(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _WHOLE):
        yield data[start : start + _WHOLE]


async def _dial(transport: Transport, factory: Callable[[], P], seconds: float | None) -> tuple[asyncio.Transport, P]:
    try:
        async with asyncio.timeout(seconds):
            return await transport.dial(factory)
    except TimeoutError as error:
        raise TimedOut(f"no connection within {seconds:g} s") from error


def _silence(seconds: float) -> str:
    return f"connected, but no answer within {seconds:g} s"


def _client_timeout(connect: float, first_byte: float | None) -> aiohttp.ClientTimeout:
    # ceil_threshold: aiohttp would round limits above 5 s up to whole seconds.
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=first_byte, ceil_threshold=math.inf)
