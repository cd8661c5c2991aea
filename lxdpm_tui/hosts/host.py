"""One daemon of the fleet: the single asynchronous way to ask it anything, over any transport."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec

from lxdpm_tui.config import HostConfig, HttpsAddress, UnixAddress
from lxdpm_tui.hosts.backoff import backoff
from lxdpm_tui.hosts.client import Body, HttpClient, fault
from lxdpm_tui.hosts.dialect import LXD, Dialect, dialect_for
from lxdpm_tui.hosts.exchange import Answer
from lxdpm_tui.hosts.identity import ClientIdentity
from lxdpm_tui.hosts.requestor import Changes
from lxdpm_tui.hosts.transport import (
    ApiError,
    ConnectionLost,
    Deadlines,
    HostError,
    IdentityChanged,
    P,
    TimedOut,
    Transport,
    Untrusted,
)

__all__ = ["Envelope", "Host", "Reply", "backoff", "make_transport"]

READING = frozenset({"GET", "HEAD", "OPTIONS"})
USER_AGENT = "lxdpm-tui"
WAIT_ROUND = 20.0  # seconds that one /wait call may stay silent; then it is asked again


class Envelope(msgspec.Struct):
    """LXD's answer. metadata stays raw JSON: null, missing and [] mean different things."""

    type: str = ""
    status_code: int = 0
    operation: str | None = ""
    error_code: int = 0
    error: str | None = ""
    metadata: msgspec.Raw = msgspec.Raw(b"null")


_ENVELOPE = msgspec.json.Decoder(Envelope)


class Reply:
    """A whole answer. status: HTTP status.  headers: case-insensitive.  etag: as sent, quotes included."""

    __slots__ = ("_envelope", "body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._envelope: Envelope | None = None

    @property
    def etag(self) -> str | None:
        return self.headers.get("ETag")

    @property
    def envelope(self) -> Envelope:
        """Raises msgspec.DecodeError when the body is no envelope (a file, metrics)."""
        if self._envelope is None:
            self._envelope = _ENVELOPE.decode(self.body)
        return self._envelope

    def json(self) -> dict[str, Any]:
        """The whole envelope, decoded."""
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded

    @property
    def metadata(self) -> Any:
        """The envelope's metadata, decoded."""
        return msgspec.json.decode(self.envelope.metadata)

    @property
    def operation(self) -> str:
        """URL of the operation that the daemon started, "" for a synchronous answer."""
        return self.envelope.operation or ""


class Host:
    """One daemon. Every call is bounded in time, may be cancelled, and raises the HostError family with the host's
    name when the daemon could not be asked. Belongs to one event loop.

    dialect: how it speaks; a default until server() was called once.  changes: what was sent to it for whom.
    """

    def __init__(self, config: HostConfig, identity: ClientIdentity | None = None) -> None:
        self.config = config
        self.name = config.name
        self.dialect: Dialect = LXD
        self.deadlines = Deadlines()
        self.changes = Changes()
        self.transport: Transport = make_transport(config, identity)
        self._client = HttpClient(self.transport)

    @property
    def round_trip(self) -> float:
        """Seconds that the quickest answer of late took to begin; 0.0 before the first."""
        return self._client.round_trip

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: Body = None,
        headers: Mapping[str, str] | None = None,
        deadlines: Deadlines | None = None,
    ) -> Reply:
        """Ask and read the whole answer. path: "/1.0/instances", percent-encoded; params are encoded here.

        json: sent as the body.  data: the body itself, whole or in chunks.
        Raises ApiError when the daemon answers with an error, in whatever shape; the HostError family else.
        """
        sent = dict(headers or ())
        if json is not None:
            data = msgspec.json.encode(json)
            sent.setdefault("Content-Type", "application/json")
        answer = await self._send(method, _target(path, params), sent, data, deadlines)
        try:
            reply = Reply(answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken(error) from error
        finally:
            answer.release()
        return self._checked(reply)

    async def get(self, path: str, **params: Any) -> Any:
        """Decoded metadata of a GET. Parameters that are None are left out. Incus answers null for empty lists."""
        return (await self.request("GET", path, params=params)).metadata

    def allow(self, method: str, target: str) -> None:
        """Raises ApiError, 403, for a change of a host that the person wants to be looked at only."""
        if self.config.read_only and (method not in READING or target.partition("?")[0].endswith("/sftp")):
            raise ApiError(self.name, 403, "this host is only looked at (read_only in hosts.toml)")

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Body = None,
        deadlines: Deadlines | None = None,
    ) -> AsyncIterator[Answer]:
        """The answer as it comes, for any status. target: path and query exactly as they go on the wire.

        Reading the body raises the HostError family at the end of the block at the latest: an error of the response's
        own that leaves the block becomes one; other errors pass as they are.
        """
        answer = await self._send(method, target, headers or {}, data, deadlines)
        try:
            yield answer
        except (aiohttp.ClientError, OSError) as error:
            if error is not answer.content.exception():
                raise
            raise self._broken(error) from error
        finally:
            answer.release()

    async def _send(
        self, method: str, target: str, headers: Mapping[str, str], data: Body, deadlines: Deadlines | None
    ) -> Answer:
        target = self._aimed(method, target)
        self.allow(method, target)
        sent = {"User-Agent": USER_AGENT, **headers}
        try:
            with self.changes.under_way(target, reads=method in READING):
                return await self._client.send(method, target, sent, data, deadlines or self.deadlines)
        except HostError as error:
            error.host = self.name
            raise

    def _aimed(self, method: str, target: str) -> str:
        """Path and query as this host is asked."""
        return target

    def _broken(self, error: BaseException) -> HostError:
        failure = fault(error)
        failure.host = self.name
        return failure

    async def relay(
        self,
        response: Answer,
        front: asyncio.Transport,
        drain: Callable[[], Awaitable[None]],
        paused: Callable[[], bool],
    ) -> None:
        """Pass the rest of a streamed body, of known length, on to another connection. All that had come was read.

        drain, paused: see Relay.run. Raises ConnectionLost, TimedOut, what drain raises.
        """
        with self._named():
            await self._client.relay(response, front, drain, paused, self.deadlines.idle)

    async def open(self, factory: Callable[[], P], deadlines: Deadlines | None = None) -> tuple[asyncio.Transport, P]:
        """A raw byte connection to the daemon's HTTP server, for tunnels. The caller closes it.

        Write to it at once: LXD's unix socket (5.0.2) accepts nobody else until the first byte has come.
        """
        with self._named():
            return await self._client.open(factory, deadlines or self.deadlines)

    @contextlib.asynccontextmanager
    async def websocket(
        self, target: str, heartbeat: float | None = None
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse[bool]]:
        """A websocket of the daemon; texts come as bytes. target: path and query exactly as they go on the wire.

        heartbeat: seconds of silence until a ping; None = none. Raises the HostError family when it cannot be opened.
        """
        with self._named():
            async with self._client.websocket(target, self.deadlines, heartbeat) as socket:
                yield socket

    @contextlib.asynccontextmanager
    async def events(self, types: Iterable[str] = ("operation", "lifecycle")) -> AsyncIterator[AsyncIterator[bytes]]:
        """The daemon's event stream of all projects: raw JSON texts. Types that it does not know are left out.

        The iterator never ends quietly: ConnectionLost when the stream ends, TimedOut when the daemon stops answering.
        """
        known = [kind for kind in types if kind in self.dialect.event_types]
        target = f"/1.0/events?type={','.join(known)}&{self.dialect.all_projects}"
        with self._named():
            async with self._client.websocket(target, self.deadlines, self.dialect.heartbeat) as socket:
                yield self._messages(socket)

    async def _messages(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> AsyncIterator[bytes]:
        while True:
            try:
                message = await socket.receive()
            except (aiohttp.ClientError, OSError) as error:  # as it was about to answer a ping
                raise ConnectionLost("the event stream ended", self.name) from error
            if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                yield message.data
            elif message.type is aiohttp.WSMsgType.ERROR and isinstance(message.data, TimeoutError):
                raise TimedOut("the event stream fell silent", self.name)
            else:
                raise ConnectionLost("the event stream ended", self.name)

    async def wait(self, operation: str, timeout: float | None = None) -> dict[str, Any]:
        """Follow an operation to its end; gives the operation's JSON. operation: its URL or id.

        timeout: seconds, then TimedOut (the operation goes on); None = as long as it takes.
        Raises ApiError(code, text) when it failed or was cancelled, and with code 404 when the daemon does not know it
        any more (5 s after its end, or after a restart).
        """
        path = operation.partition("?")[0]
        path = path if path.startswith("/") else f"/1.0/operations/{path}"
        try:
            async with asyncio.timeout(timeout):
                while True:
                    found = await self._wait_round(path)
                    code = int(found.get("status_code", 0))
                    if code == 200:
                        return found
                    if code > 200:
                        text = found.get("err") or f"operation {found.get('status', 'failed').lower()}"
                        raise ApiError(self.name, int(found.get("err_code") or code), text)
        except TimeoutError:
            raise TimedOut(f"operation {path} goes on after {timeout:g} s", self.name) from None

    async def _wait_round(self, path: str) -> dict[str, Any]:
        """The operation after it ended, or after WAIT_ROUND seconds."""
        limits = Deadlines(self.deadlines.connect, WAIT_ROUND + 10, WAIT_ROUND + 10)
        try:
            reply = await self.request("GET", f"{path}/wait", params={"timeout": int(WAIT_ROUND)}, deadlines=limits)
            found: dict[str, Any] = reply.metadata
            return found
        except ApiError as failed:
            # Newer daemons answer an operation's failure, and their own time limit, as an error of /wait:
            # the operation itself, still there for 5 s, tells which.
            try:
                found = await self.get(path)
            except ApiError as gone:
                if gone.code != 404 or failed.code != 404:
                    raise failed from gone
                text = f"operation {path} is gone: it ended more than 5 s ago, or the daemon was restarted"
                raise ApiError(self.name, 404, text) from None
            return found

    async def server(self, deadlines: Deadlines | None = None) -> dict[str, Any]:
        """GET /1.0, and what follows from it: sets dialect.

        Raises Untrusted when the daemon does not know us, IdentityChanged when it has another certificate than pinned.
        """
        server: dict[str, Any] = (await self.request("GET", "/1.0", deadlines=deadlines)).metadata
        if server.get("auth") != "trusted":
            raise Untrusted("it does not trust our certificate: pair with it (lxdpm-tui host add)", self.name)
        self.dialect = dialect_for(server)
        shown = (server.get("environment") or {}).get("certificate_fingerprint")
        if self.config.fingerprint and shown and shown != self.config.fingerprint:
            raise IdentityChanged(f"its certificate is {shown}, but {self.config.fingerprint} is pinned", self.name)
        return server

    def retry(self) -> None:
        """Let the next call dial at once, also within the back-off time after a failed ssh connection."""
        self.transport.retry()

    async def close(self) -> None:
        """Drop all connections; what is under way fails with ConnectionLost. Idempotent."""
        await self._client.close()

    def _checked(self, reply: Reply) -> Reply:
        """The reply, or ApiError for an error: HTTP status >= 400, or 200 with type "error" (newer /wait)."""
        if reply.status < 400 and not reply.headers.get("Content-Type", "").startswith("application/json"):
            return reply
        try:
            envelope = reply.envelope
        except msgspec.DecodeError:
            if reply.status < 400:
                return reply
            text = reply.body[:200].decode(errors="replace").strip()
            raise ApiError(self.name, reply.status, text or f"HTTP status {reply.status}") from None
        if reply.status >= 400 or envelope.type == "error":
            code = reply.status if reply.status >= 400 else envelope.error_code or 500
            raise ApiError(self.name, code, envelope.error or f"HTTP status {reply.status}")
        return reply

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except HostError as error:
            error.host = self.name
            raise


def make_transport(config: HostConfig, identity: ClientIdentity | None) -> Transport:
    """The transport that the address asks for. Raises Untrusted: https without an identity to show."""
    address = config.address
    if isinstance(address, UnixAddress):
        from lxdpm_tui.hosts.unix import UnixTransport

        return UnixTransport(address)
    if isinstance(address, HttpsAddress):
        from lxdpm_tui.hosts.https import HttpsTransport

        return HttpsTransport(address, identity, config.fingerprint)
    from lxdpm_tui.hosts.ssh import SshTransport  # asyncssh is slow to import

    return SshTransport(address, identity_file=config.identity_file, known_hosts=config.known_hosts)


def _target(path: str, params: Mapping[str, Any] | None) -> str:
    if not params:
        return path
    given = tuple((key, _text(value)) for key, value in params.items() if value is not None)
    return f"{path}{'&' if '?' in path else '?'}{_encoded(given)}" if given else path


_encoded = functools.lru_cache(maxsize=256)(urlencode)  # a list of the fleet asks every host the same


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
