"""Getting trusted by a daemon's HTTPS API.

pylxd speaks to the daemon here, in a thread: this is rare and sequential. Its own Client.authenticate() is not used,
because it sends the secret as `password` only, or as `trust_token` to daemons that have LXD's extension
explicit_trust_token: Incus wants `trust_token` without having it, and answers 403.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import socket
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lxdpm_tui.config import HostConfig, HttpsAddress
from lxdpm_tui.hosts.dialect import dialect_for
from lxdpm_tui.hosts.https import client_context, connect_tls, server_certificate
from lxdpm_tui.hosts.identity import ClientIdentity
from lxdpm_tui.hosts.limit import limit
from lxdpm_tui.hosts.transport import ApiError, HostError, IdentityChanged, TimedOut, Unreachable, Untrusted

if TYPE_CHECKING:
    import pylxd

T = TypeVar("T")

CONNECT = 5.0  # seconds
ANSWER = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What `lxc config trust add` prints. text: as it was given.  fingerprint: of the server's certificate."""

    text: str
    client_name: str
    fingerprint: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """What a server shows to anybody. fingerprint: SHA-256, 64 hex digits.  subject: "CN=root@h1,O=..."."""

    fingerprint: str
    subject: str
    pem: str


def parse_token(text: str) -> JoinToken:
    """Raises ValueError when the text is no join token."""
    try:
        token = json.loads(base64.b64decode("".join(text.split()), validate=True))
        return JoinToken(text.strip(), token["client_name"], token["fingerprint"].lower(), tuple(token["addresses"]))
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            "expected a join token, as `lxc config trust add` or `incus config trust add` prints it"
        ) from None


async def probe_fingerprint(address: HttpsAddress) -> ServerCertificate:
    """The certificate that the server shows, unverified: for a person to compare. Raises Unreachable, TimedOut."""
    from cryptography import x509

    try:
        async with limit(CONNECT):
            transport = await connect_tls(address, client_context(None))
    except TimeoutError:
        raise TimedOut(f"no TLS connection within {CONNECT:g} s") from None
    der = server_certificate(transport)
    transport.abort()
    subject = x509.load_der_x509_certificate(der).subject.rfc4514_string()
    return ServerCertificate(hashlib.sha256(der).hexdigest(), subject, ssl.DER_cert_to_PEM_cert(der))


async def pair(
    config: HostConfig,
    identity: ClientIdentity,
    *,
    token: str | None = None,
    password: str | None = None,
    client_name: str = "",
) -> HostConfig:
    """Make the daemon at an https address trust our identity; gives the config with its certificate pinned.

    The certificate must be known beforehand: from config.fingerprint (a person said yes to it), or from the token.
    password: LXD's core.trust_password; Incus has none. Nothing is sent when the daemon trusts us already.
    Raises ValueError (no https address, no token), IdentityChanged (another certificate), Untrusted (it refused),
    Unreachable, TimedOut, ApiError.
    """
    expected = config.fingerprint
    if token is not None:
        shown = parse_token(token).fingerprint
        if expected not in (None, shown):
            raise IdentityChanged(f"the token is for the certificate {shown}, but {expected} is pinned", config.name)
        expected = shown
    if expected is None:
        raise Untrusted("its certificate was confirmed by nobody: a token or a fingerprint is needed", config.name)

    def work(client: pylxd.Client) -> None:
        if client.trusted:
            return
        body: dict[str, Any] = {"type": "client", "name": client_name or default_client_name()}
        if token is not None:
            body |= dict.fromkeys(dialect_for(client.host_info).pairing_fields, token.strip())
        elif password is not None:
            body["password"] = password
        else:
            raise Untrusted("it does not trust our certificate: a token or a password is needed", config.name)
        client.api.certificates.post(json=body)

    return await _paired(replace(config, fingerprint=expected), identity, identity, work)


async def pair_with_identity(
    config: HostConfig, identity: ClientIdentity, known: ClientIdentity, client_name: str = ""
) -> HostConfig:
    """As pair(), but vouched for by another certificate that the daemon trusts already (that of an lxc or incus
    client whose remotes are imported). config.fingerprint must be set."""
    certificate = base64.b64encode(identity.der()).decode()

    def work(client: pylxd.Client) -> None:
        if not client.trusted:
            raise Untrusted(f"it does not trust {known.cert_path} either", config.name)
        certificates = client.api.certificates
        if not any(url.endswith(identity.fingerprint()) for url in certificates.get().json()["metadata"]):
            body = {"type": "client", "name": client_name or default_client_name(), "certificate": certificate}
            certificates.post(json=body)

    return await _paired(config, identity, known, work)


def client_identity_of(directory: Path) -> ClientIdentity:
    """The identity of the lxc or incus client whose configuration is in the directory. Raises FileNotFoundError."""
    identity = ClientIdentity(directory / "client.crt", directory / "client.key")
    for path in (identity.cert_path, identity.key_path):
        if not path.is_file():
            raise FileNotFoundError(f"there is no {path}")
    return identity


def default_client_name() -> str:
    """The name under which daemons list our certificate."""
    return f"lxdpm-tui@{socket.gethostname()}"


async def _paired(
    config: HostConfig, identity: ClientIdentity, speaker: ClientIdentity, work: Callable[[pylxd.Client], None]
) -> HostConfig:
    """Run `work` as the speaker, then see that the daemon trusts the identity."""
    if not isinstance(config.address, HttpsAddress):
        raise ValueError("only https hosts are paired with: a socket, and a way to it by ssh, is trust enough")
    try:
        certificate = await probe_fingerprint(config.address)
    except HostError as error:
        error.host = config.name
        raise
    if certificate.fingerprint != config.fingerprint:
        text = f"it shows the certificate {certificate.fingerprint}, but {config.fingerprint} is expected"
        raise IdentityChanged(text, config.name)
    with tempfile.NamedTemporaryFile("w", suffix=".crt", encoding="ascii") as pinned:
        pinned.write(certificate.pem)
        pinned.flush()
        await asyncio.to_thread(_as, speaker, config, pinned.name, work)

        def check(client: pylxd.Client) -> None:
            if not client.trusted:
                raise Untrusted("it took our certificate, but does not trust it", config.name)

        await asyncio.to_thread(_as, identity, config, pinned.name, check)
    return config


def _as(identity: ClientIdentity, config: HostConfig, certificate: str, work: Callable[[pylxd.Client], T]) -> T:
    """Run `work` with a pylxd client; pylxd's errors become ours. Blocks."""
    import pylxd
    import requests
    from pylxd.client import get_session_for_url
    from pylxd.exceptions import ClientConnectionFailed, LXDAPIException

    endpoint = str(config.address)
    cert = (str(identity.cert_path), str(identity.key_path))
    try:
        with get_session_for_url(endpoint, verify=certificate, cert=cert) as session:
            session.trust_env = False  # REQUESTS_CA_BUNDLE would replace the pinned certificate, and proxies see it
            return work(pylxd.Client(endpoint, session=session, cert=cert, timeout=(CONNECT, ANSWER)))
    except LXDAPIException as error:
        text, code = str(error), error.response.status_code
        if code == 403:
            raise Untrusted(f"it refused us: {text}", config.name) from error
        raise ApiError(config.name, code, text) from error
    except requests.Timeout as error:
        raise TimedOut(f"no answer within {ANSWER:g} s", config.name) from error
    except (ClientConnectionFailed, requests.RequestException, OSError) as error:
        raise Unreachable(str(error), config.name) from error
