"""HTTP over any Transport: short requests by exchange.py; uploads and websockets by an aiohttp session whose
connections are dialled by the transport.

Every touch of what aiohttp does not call public is in these two modules; all of it was read in aiohttp 3.14.5, and
pyproject.toml keeps to 3.14:
- BaseConnector._create_connection is where its own connectors (TCP, unix) make a connection; ResponseHandler is the
  protocol that the session expects on it, and its read_timeout the limit of silence while a body is read.
- ResponseHandler._drop_timeout ends that limit, when the connection is taken over in the middle of a body (relay.py).
- ClientSession._retry_connection: aiohttp sends PUT and DELETE again when a kept-alive connection turns out dead; on a
  daemon the second DELETE of a thing answers 404. Only GET and HEAD are sent again, in exchange.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from lxdpm_tui.hosts.exchange import KEEP_ALIVE, LIMIT, READ_BUFFER, Answer, Exchanges, Handler, silence
from lxdpm_tui.hosts.kernel_relay import is_plain, splice
from lxdpm_tui.hosts.limit import limit
from lxdpm_tui.hosts.relay import Relay
from lxdpm_tui.hosts.transport import ConnectionLost, Deadlines, HostError, P, TimedOut, Transport

Body = bytes | AsyncIterable[bytes] | None

BASE = "http://lxd"  # only the Host header; the transport knows where to dial
_WHOLE = 1 << 18  # bytes of a body that is sent in one piece
_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError)


class HttpClient:
    """Requests, websockets and raw connections to one daemon. Belongs to the event loop that uses it first.

    Raises the HostError family without a host name. An HTTP status is an answer here, never an error.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._session: aiohttp.ClientSession | None = None
        self._exchanges = Exchanges(self._connect)

    @property
    def round_trip(self) -> float:
        """See Exchanges."""
        return self._exchanges.round_trip

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], data: Body, deadlines: Deadlines
    ) -> Answer:
        """Send a request and await the head of its answer. target: path and query, percent-encoded as on the wire.

        The answer's body is then read within deadlines.idle per silence. The caller must release() the answer.
        """
        try:
            if data is None or (isinstance(data, bytes) and len(data) <= _WHOLE):
                return await self._exchanges.ask(method, target, headers, data, deadlines)
            if isinstance(data, bytes):
                headers = CIMultiDict(headers)
                headers["Content-Length"] = str(len(data))
                data = _slices(data)
            return await self._upload(method, target, headers, data, deadlines)
        except _BROKEN as error:
            raise fault(error) from error

    async def _upload(
        self, method: str, target: str, headers: Mapping[str, str], data: AsyncIterable[bytes], deadlines: Deadlines
    ) -> Answer:
        upload = None
        try:
            async with asyncio.timeout(deadlines.connect + deadlines.idle + deadlines.first_byte) as ending:
                upload = _Upload(data, ending, deadlines)
                response = await self._opened().request(
                    method,
                    URL(BASE + target, encoded=True),
                    headers=headers,
                    data=upload.chunks(),
                    allow_redirects=False,
                    timeout=_client_timeout(deadlines.connect, deadlines.first_byte),
                )
        except TimeoutError as error:
            raise TimedOut(silence(deadlines.first_byte)) from error
        except aiohttp.ClientError:
            if upload is not None and upload.failure is not None:
                raise upload.failure from None
            raise
        finally:
            if upload is not None:
                upload.ending = None
        protocol = response.connection.protocol if response.connection is not None else None
        if protocol is not None:
            protocol.read_timeout = deadlines.idle
            protocol.start_timeout()
        return Answer(response.status, response.headers, response.content, protocol, response.release)

    @contextlib.asynccontextmanager
    async def websocket(
        self, target: str, deadlines: Deadlines, heartbeat: float | None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse[bool]]:
        """A websocket of the daemon, text frames as bytes. heartbeat: seconds of silence until a ping; half of it more
        without an answer ends it with TimedOut."""
        try:
            async with limit(deadlines.connect + deadlines.first_byte):
                socket = await self._opened().ws_connect(
                    BASE + target,
                    heartbeat=heartbeat,
                    max_msg_size=0,
                    compress=0,
                    decode_text=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                )
        except TimeoutError as error:
            raise TimedOut(silence(deadlines.first_byte)) from error
        except _BROKEN as error:
            raise fault(error) from error
        try:
            yield socket
        finally:
            await socket.close()

    async def relay(
        self,
        answer: Answer,
        front: asyncio.Transport,
        drain: Callable[[], Awaitable[None]],
        paused: Callable[[], bool],
        idle: float,
    ) -> None:
        """The rest of a body of known length to `front`. What had come of it must have been read. See Relay.run.

        The connection is of no use afterwards; release() of the answer closes it.
        """
        if (protocol := answer.protocol) is None or (back := protocol.transport) is None:
            raise ConnectionLost("the connection broke in the middle of the body")
        protocol.read_timeout = None
        protocol._drop_timeout()
        left = int(answer.headers["Content-Length"]) - answer.content.total_bytes
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
        await self._exchanges.close()
        await self._transport.close()

    async def _connect(self, factory: Callable[[], Handler], seconds: float) -> Handler:
        return (await _dial(self._transport, factory, seconds))[1]

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(self._transport),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                timeout=_client_timeout(Deadlines().connect, None),
                read_bufsize=READ_BUFFER,
                max_line_size=LIMIT,
                max_field_size=LIMIT,
            )
            self._session._retry_connection = False
        return self._session


class _Connector(aiohttp.BaseConnector):
    """Connections come from the transport. No limit of their number: tunnels and waits hold theirs for long."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(keepalive_timeout=KEEP_ALIVE, limit=0)
        self._dialled = transport

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> Handler:
        _, handler = await _dial(self._dialled, lambda: Handler(self._loop), timeout.sock_connect)
        return handler


class _Upload:
    """Passes a body on and limits the daemon's silence, not the caller's: the time a chunk waits to be taken."""

    def __init__(self, source: AsyncIterable[bytes], ending: asyncio.Timeout, deadlines: Deadlines) -> None:
        self._source = source
        self._deadlines = deadlines
        self.ending: asyncio.Timeout | None = ending
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
        if self.ending is not None and not self.ending.expired():
            self.ending.reschedule(None if seconds is None else asyncio.get_running_loop().time() + seconds)


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
        async with limit(seconds):
            return await transport.dial(factory)
    except TimeoutError as error:
        raise TimedOut(f"no connection within {seconds:g} s") from error


def _client_timeout(connect: float, first_byte: float | None) -> aiohttp.ClientTimeout:
    # ceil_threshold: aiohttp would round limits above 5 s up to whole seconds.
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=first_byte, ceil_threshold=math.inf)
