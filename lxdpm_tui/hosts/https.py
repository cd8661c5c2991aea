"""A daemon's HTTPS listener: our client certificate, and its own certificate pinned by fingerprint."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import ssl
from collections.abc import Callable

import aiohappyeyeballs

from lxdpm_tui.config import HttpsAddress
from lxdpm_tui.hosts.identity import ClientIdentity
from lxdpm_tui.hosts.transport import IdentityChanged, P, Unreachable, Untrusted

_NEXT_ADDRESS = 0.25  # seconds until a name's next address is tried beside the first
_given_up: set[asyncio.Task[tuple[asyncio.Transport, asyncio.Protocol]]] = set()  # handshakes that nobody waits for
_SHUTDOWN = 1.0  # seconds that a closing TLS connection waits for the peer's farewell


class HttpsTransport:
    """Dials TLS connections. No authority is asked: the certificate is the pinned one, or not a byte is sent."""

    scheme = "https"

    def __init__(self, address: HttpsAddress, identity: ClientIdentity | None, fingerprint: str | None) -> None:
        """fingerprint: SHA-256 of the server certificate, 64 hex digits; without it dials raise Untrusted."""
        self._address = address
        self._identity = identity
        self._fingerprint = fingerprint
        self._context: _Resuming | None = None

    async def dial(self, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """See Transport. Raises Unreachable, Untrusted, or IdentityChanged for another certificate than pinned."""
        if self._fingerprint is None:
            raise Untrusted("no certificate fingerprint is pinned for it: pair with it by lxdpm-tui host add")
        transport = await connect_tls(self._address, self._tls())
        found = server_fingerprint(transport)
        if not hmac.compare_digest(found, self._fingerprint):
            transport.abort()
            raise IdentityChanged(f"it shows the certificate {found}, but {self._fingerprint} is pinned")
        protocol = factory()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        return transport, protocol

    def retry(self) -> None:
        """See Transport. Every dial is a fresh try here."""

    async def close(self) -> None:
        """See Transport. Handshakes that were given up have ended then: their sockets would outlive the loop."""
        if left := [task for task in _given_up if task.get_loop() is asyncio.get_running_loop()]:
            await asyncio.wait(left)

    def _tls(self) -> _Resuming:
        if self._context is None:
            self._context = client_context(self._identity)
        return self._context


class _Resuming(ssl.SSLContext):
    """For one server: connections take up the TLS session of an earlier one, if the server is willing.

    A full handshake with certificates on both sides costs about 3 ms of CPU at either end, and every tunnel is a
    connection: a hundred commands at once are four hundred, which daemons wait for no longer than 5 s. A resumed
    session stands for the certificate that was shown in the full one, and that is what the caller then compares.
    """

    _latest: ssl.SSLObject | None = None
    _session: ssl.SSLSession | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        # Tickets come after the handshake, with the first answer: so they are looked for only now; and only after a
        # full handshake, since Python copies a session by writing it out.
        latest = self._latest
        ended = latest is not None and latest.version() is not None  # else OpenSSL fails to write the session out
        if latest is not None and ended and not latest.session_reused:
            found = latest.session
            if found is not None and found.has_ticket:
                self._session = found
        self._latest = super().wrap_bio(incoming, outgoing, server_side, server_hostname, self._session)
        return self._latest


def client_context(identity: ClientIdentity | None) -> _Resuming:
    """TLS 1.2 or newer, showing our certificate, verifying nothing: the caller compares the fingerprint.

    Raises Untrusted when our certificate cannot be read.
    """
    context = _Resuming(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if identity is not None:
        try:
            context.load_cert_chain(identity.cert_path, identity.key_path)
        except OSError as error:  # ssl.SSLError is one
            raise Untrusted(f"our client certificate {identity.cert_path} cannot be used: {error}") from error
    return context


async def connect_tls(address: HttpsAddress, context: ssl.SSLContext) -> asyncio.Transport:
    """A TLS connection on which nothing was sent yet, with a protocol that ignores all. Raises Unreachable."""
    try:
        connected = await _connect(address)
        transport = await _handshake(address, context, connected)
    except ssl.SSLError as error:
        raise Unreachable(f"TLS with {address.host}:{address.port} failed: {error.reason or error}") from error
    except socket.gaierror as error:
        raise Unreachable(f"the name {address.host} is not found ({error.strerror})") from error
    except ConnectionRefusedError as error:
        raise Unreachable(f"nobody listens on {address.host}:{address.port}") from error
    except OSError as error:
        why = error.strerror or str(error) or "it closed the connection during the TLS handshake"
        raise Unreachable(f"{address.host}:{address.port}: {why}") from error
    return transport


async def _connect(address: HttpsAddress) -> socket.socket:
    """A TCP connection to the first of the addresses that answers."""
    stream = socket.SOCK_STREAM
    try:  # what is no name needs no thread that looks it up
        found = socket.getaddrinfo(address.host, address.port, type=stream, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=stream)
    # asyncio's own race between a name's addresses leaves a connected socket behind when it is cancelled (3.11).
    return await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS)


async def _handshake(address: HttpsAddress, context: ssl.SSLContext, connected: socket.socket) -> asyncio.Transport:
    """TLS on a connection, which is closed when that fails or is cancelled."""
    loop = asyncio.get_running_loop()
    taken = False

    async def make() -> tuple[asyncio.Transport, asyncio.Protocol]:
        nonlocal taken
        taken = True
        return await loop.create_connection(
            asyncio.Protocol,
            sock=connected,
            ssl=context,
            server_hostname=address.host,
            ssl_shutdown_timeout=_SHUTDOWN,
        )

    making = loop.create_task(make())
    making.add_done_callback(lambda _: None if taken else connected.close())  # the loop ended before its first turn
    try:
        transport, _ = await asyncio.shield(making)
    except asyncio.CancelledError:
        # asyncio loses the socket when it is cancelled before the new transport has told its protocol, two turns from
        # now at the latest (3.11).
        _given_up.add(making)
        making.add_done_callback(_given_up.discard)
        making.add_done_callback(_drop)
        loop.call_soon(lambda: loop.call_soon(making.cancel))
        raise
    return transport


def _drop(made: asyncio.Task[tuple[asyncio.Transport, asyncio.Protocol]]) -> None:
    if not made.cancelled() and made.exception() is None:
        made.result()[0].abort()


def server_fingerprint(transport: asyncio.Transport) -> str:
    """SHA-256 of the certificate that the server showed, 64 hex digits."""
    return hashlib.sha256(server_certificate(transport)).hexdigest()


def server_certificate(transport: asyncio.Transport) -> bytes:
    """The certificate that the server showed, DER."""
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    return tls.getpeercert(binary_form=True) or b""
