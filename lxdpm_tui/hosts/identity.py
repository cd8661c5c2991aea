"""The manager's own client certificate: what HTTPS hosts trust. Made at the first start."""

from __future__ import annotations

import hashlib
import os
import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A certificate and its private key, PEM files."""

    cert_path: Path
    key_path: Path

    def der(self) -> bytes:
        """The certificate. Raises OSError, ValueError (not PEM)."""
        return ssl.PEM_cert_to_DER_cert(self.cert_path.read_text(encoding="ascii").strip())

    def fingerprint(self) -> str:
        """SHA-256 of the certificate, 64 hex digits, as LXD shows it."""
        return hashlib.sha256(self.der()).hexdigest()


def ensure_identity(state_dir: Path) -> ClientIdentity:
    """The identity kept in the directory; made there if absent: EC P-384, self-signed, 10 years, key mode 0600.

    A key without its certificate, or the other way round, is never overwritten: FileExistsError.
    """
    identity = ClientIdentity(state_dir / "client.crt", state_dir / "client.key")
    there = [path.exists() for path in (identity.cert_path, identity.key_path)]
    if all(there):
        return identity
    if any(there):
        raise FileExistsError(f"{state_dir} has only one of client.crt and client.key: restore or remove it")
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificate, key = _make()
    _write(identity.key_path, key)
    _write(identity.cert_path, certificate)
    return identity


def _make() -> tuple[bytes, bytes]:
    """(certificate, key) as PEM."""
    import datetime
    import socket

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "lxdpm-tui"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"lxdpm-tui@{socket.gethostname()}"[:64]),
        ]
    )
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # hosts' clocks may be behind
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(key, hashes.SHA384())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _write(path: Path, content: bytes) -> None:
    """A new file, readable by its owner only; never over an existing one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
