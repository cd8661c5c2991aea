"""TLS that asks for a client certificate and accepts any; who it belongs to is looked up afterwards, as LXD does.

Python's own ssl cannot: with CERT_OPTIONAL it refuses an unknown self-signed certificate in the handshake, so that no
client could ever enrol. pyOpenSSL can, by a verify callback; that the client has the key is still proven by the
handshake. asyncio insists on an ssl.SSLContext, hence the subclass whose `wrap_bio` gives an adapter around a
pyOpenSSL connection over memory buffers.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL

CHUNK = 1 << 18
VALID = timedelta(days=3650)
# As Go's servers choose; OpenSSL's clients would begin with the 256 bit one, which costs a quarter more.
CIPHERS = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
PARTIAL_WRITE = 1  # OpenSSL's SSL_MODE_ENABLE_PARTIAL_WRITE, set by pyOpenSSL


class ServerContext(ssl.SSLContext):
    """For `ssl=` of asyncio servers. cert, key: PEM files; reloaded only by making another context."""

    _inner: SSL.Context

    def __new__(cls, cert: Path, key: Path) -> ServerContext:
        self: ServerContext = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.use_certificate_chain_file(str(cert))
        context.use_privatekey_file(str(key))
        context.check_privatekey()
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        context.set_session_id(b"lxdpm-tui")
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET | SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_tls13_ciphersuites(CIPHERS)
        context.clear_mode(PARTIAL_WRITE)  # else each call writes one record of 16 KiB
        self._inner = context
        return self

    def __init__(self, cert: Path, key: Path) -> None:
        """All is done in __new__, where ssl.SSLContext does it too."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> Any:
        return _Connection(self, self._inner, incoming, outgoing)


class _Connection:
    """What asyncio uses of ssl.SSLObject, over pyOpenSSL."""

    def __init__(
        self, context: ServerContext, inner: SSL.Context, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        self.context = context
        self.server_side = True
        self.server_hostname = None
        self._tls = SSL.Connection(inner, None)
        self._tls.set_accept_state()
        self._incoming = incoming
        self._outgoing = outgoing
        self._peer: bytes | None = None  # its certificate, DER

    def do_handshake(self) -> None:
        self._run(self._tls.do_handshake)

    def read(self, length: int = CHUNK, buffer: bytearray | None = None) -> bytes | int:
        try:
            data: bytes = self._run(lambda: self._tls.recv(length))
        except ssl.SSLZeroReturnError:
            data = b""
        if buffer is None:
            return data
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        # All of it in this call, or asyncio copies the rest for each piece; in pieces that the memory buffer is emptied
        # after, or emptying it takes time quadratic in its size.
        view = memoryview(data)
        sent = 0
        while sent < len(view):
            piece = view[sent : sent + CHUNK]
            sent += self._run(lambda piece=piece: self._tls.send(piece))
        return sent

    def unwrap(self) -> None:
        if not self._run(self._tls.shutdown):
            raise ssl.SSLWantReadError

    def pending(self) -> int:
        # Bytes that were moved inside already count, or an event loop that looks here would wait for ever.
        return self._tls.pending() or self._incoming.pending

    def getpeercert(self, binary_form: bool = False) -> bytes | dict[str, Any] | None:
        if self._peer is None:  # every request of the connection asks
            certificate = self._tls.get_peer_certificate(as_cryptography=True)
            if certificate is None:
                return None
            self._peer = certificate.public_bytes(serialization.Encoding.DER)
        return self._peer if binary_form else {}

    def cipher(self) -> tuple[str, str, int] | None:
        name, bits = self._tls.get_cipher_name(), self._tls.get_cipher_bits()
        return (name, self._tls.get_protocol_version_name(), bits or 0) if name else None

    def version(self) -> str:
        return self._tls.get_protocol_version_name()

    def compression(self) -> None:
        return None

    def selected_alpn_protocol(self) -> None:
        return None

    def _run(self, call: Any) -> Any:
        """Move what came in, call, move what goes out; pyOpenSSL's errors as ssl's."""
        while data := self._incoming.read(CHUNK):
            self._tls.bio_write(data)
        if self._incoming.eof:
            self._tls.bio_shutdown()
        try:
            return call()
        except SSL.WantReadError:
            raise ssl.SSLWantReadError from None
        except SSL.WantWriteError:
            raise ssl.SSLWantWriteError from None
        except SSL.ZeroReturnError:
            raise ssl.SSLZeroReturnError from None
        except SSL.SysCallError as error:
            raise ssl.SSLEOFError(*error.args) from None
        except SSL.Error as error:
            raise ssl.SSLError(1, str(error)) from None
        finally:
            self._flush()

    def _flush(self) -> None:
        while True:
            try:
                self._outgoing.write(self._tls.bio_read(CHUNK))
            except SSL.WantReadError:
                return


def ensure_certificate(state_dir: Path, names: tuple[str, ...] = ()) -> tuple[Path, Path]:
    """(certificate, key) files of the gateway, made at first start; put your own in their place if you like.

    EC P-384, self-signed. The first DNS name is what Go clients take as the server's name of a pinned certificate.
    """
    cert, key = state_dir / "server.crt", state_dir / "server.key"
    if cert.exists() and key.exists():
        return cert, key
    private = ec.generate_private_key(ec.SECP384R1())
    host = socket.gethostname() or "lxdpm-tui"
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "lxdpm-tui"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"root@{host}"[:64]),
        ]
    )
    alternatives: list[x509.GeneralName] = [x509.DNSName(host), x509.DNSName("localhost")]
    addresses = ("127.0.0.1", "::1", *names)
    for name in dict.fromkeys(addresses):
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            alternatives.append(x509.DNSName(name))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA384())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return cert, key
