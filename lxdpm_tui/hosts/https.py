"""A daemon's HTTPS listener: our client certificate, and its own certificate pinned by fingerprint."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import socket
import ssl
from collections.abc import Callable

from lxdpm_tui.config import HttpsAddress
from lxdpm_tui.hosts.identity import ClientIdentity
from lxdpm_tui.hosts.transport import IdentityChanged, P, Unreachable, Untrusted

_NEXT_ADDRESS = 0.25  # seconds until a name's next address is tried beside the first
_SHUTDOWN = 1.0  # seconds that a closing TLS connection waits for the peer's farewell


class HttpsTransport:
    """Dials TLS connections. No authority is asked: the certificate is the pinned one, or not a byte is sent."""

    scheme = "https"

    def __init__(self, address: HttpsAddress, identity: ClientIdentity | None, fingerprint: str | None) -> None:
        """fingerprint: SHA-256 of the server certificate, 64 hex digits; without it dials raise Untrusted."""
        self._address = address
        self._identity = identity
        self._fingerprint = fingerprint
        self._context: ssl.SSLContext | None = None

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
        """See Transport. Nothing is shared."""

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = client_context(self._identity)
        return self._context


def client_context(identity: ClientIdentity | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, showing our certificate, verifying nothing: the caller compares the fingerprint.

    Raises Untrusted when our certificate cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
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
    # asyncio's race between addresses leaks a connected socket when it is cancelled (seen in 3.11): only where there
    # can be several addresses.
    race = None if _is_literal(address.host) else _NEXT_ADDRESS
    try:
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol,
            address.host,
            address.port,
            ssl=context,
            ssl_shutdown_timeout=_SHUTDOWN,
            happy_eyeballs_delay=race,
        )
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


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def server_fingerprint(transport: asyncio.Transport) -> str:
    """SHA-256 of the certificate that the server showed, 64 hex digits."""
    return hashlib.sha256(server_certificate(transport)).hexdigest()


def server_certificate(transport: asyncio.Transport) -> bytes:
    """The certificate that the server showed, DER."""
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    return tls.getpeercert(binary_form=True) or b""
