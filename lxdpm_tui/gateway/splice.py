"""Byte tunnels: after the handshake of a websocket or of `Upgrade: sftp` nothing is parsed any more.

Back-pressure and half-close go both ways. The server connection is taken away from aiohttp by setting another protocol
on its transport: the private touches (`_message_tail`) were read in aiohttp 3.14.5, to which pyproject.toml keeps.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.last_words import unread

_DROPPED = frozenset(
    {
        "host",
        "user-agent",
        "origin",
        "cookie",
        "referer",
        "authorization",
        "x-lxd-authenticated",
        "transfer-encoding",
        "content-length",
    }
)


class Splice(asyncio.Protocol):
    """One end of a tunnel. `peer` is the other end's transport, `other` its protocol."""

    def __init__(self) -> None:
        self.peer: asyncio.Transport | None = None
        self.other: Splice | None = None
        self.ended = False  # this side will send nothing more
        self.half_open = True  # whether this side can still be written to after it ended; not so with TLS
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._early: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.half_open = transport.get_extra_info("sslcontext") is None

    def join(self, peer: asyncio.Transport, other: Splice) -> None:
        """From now on bytes go to that transport; those that came before go first."""
        self.peer, self.other = peer, other
        for data in self._early:
            peer.write(data)
        self._early.clear()
        if self.ended:
            self.eof_received()

    def data_received(self, data: bytes) -> None:
        if self.peer is None:
            self._early.append(data)
        elif not self.peer.is_closing():
            self.peer.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self.peer is None or self.other is None:
            return self.half_open
        if self.peer.can_write_eof() and not self.other.ended:
            if not self.peer.is_closing():
                self.peer.write_eof()
            return self.half_open
        self.peer.close()  # flushes first; nothing will come from there either, or it cannot be half-closed
        return False

    def pause_writing(self) -> None:
        if self.peer is not None and not self.peer.is_closing():
            self.peer.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and not self.peer.is_closing():
            self.peer.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        for data in unread(self._transport, exc):
            self.data_received(data)
        self._transport = None
        if self.peer is not None and not self.peer.is_closing():
            self.peer.close()
        if not self.closed.done():
            self.closed.set_result(None)


class Hijacked(web.StreamResponse):
    """What the handler returns for a connection that is no longer HTTP: nothing is written any more."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes | bytearray | memoryview = b"") -> None:
        return None

    @property
    def keep_alive(self) -> bool:
        return False


def is_upgrade(request: web.BaseRequest) -> bool:
    return "upgrade" in request.headers.get("Connection", "").lower() and "Upgrade" in request.headers


async def tunnel(request: web.BaseRequest, host: Host, target: str) -> web.StreamResponse:
    """Pass the request's head on to the host and then bytes both ways until one side ends.

    target: path and query for the host, encoded. Raises the HostError family before anything was answered.
    """
    front_transport = request.transport
    if front_transport is None:
        return Hijacked()
    host.allow(request.method, target)
    back_transport, back = await host.open(Splice)
    front = Splice()
    head = [f"{request.method} {target} HTTP/1.1", "Host: lxd", "User-Agent: lxdpm-tui"]
    head += [
        f"{name.decode('latin-1')}: {value.decode('latin-1')}"
        for name, value in request.raw_headers
        if not _is_dropped(name.decode("latin-1").lower())
    ]
    protocol = request.protocol
    tail, protocol._message_tail = protocol._message_tail, b""
    try:
        back_transport.write("\r\n".join([*head, "", ""]).encode("latin-1") + tail)
        front.connection_made(front_transport)
        front_transport.set_protocol(front)
        front.join(back_transport, back)
        back.join(front_transport, front)
        if not front_transport.is_closing():
            front_transport.resume_reading()
        await asyncio.wait({front.closed, back.closed}, return_when=asyncio.FIRST_COMPLETED)
        if back.closed.done() and not front.closed.done():
            front_transport.close()  # flushes first
            await front.closed
    finally:
        back_transport.close()
        if not front.closed.done():
            front_transport.abort()
        protocol.connection_lost(None)
    return Hijacked()


def _is_dropped(name: str) -> bool:
    return name in _DROPPED or name.startswith(("sec-fetch-", "sec-ch-", "x-lxd-forwarded-", "x-incus-forwarded-"))
