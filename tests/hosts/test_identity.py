from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from lxdpm_tui.hosts.identity import ensure_identity


def test_it_is_made_once(tmp_path: Path) -> None:
    identity = ensure_identity(tmp_path / "state")
    assert identity.key_path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    certificate = x509.load_pem_x509_certificate(identity.cert_path.read_bytes())
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp384r1"
    assert certificate.subject == certificate.issuer
    pem = identity.cert_path.read_bytes(), identity.key_path.read_bytes()
    assert ensure_identity(tmp_path / "state") == identity
    assert (identity.cert_path.read_bytes(), identity.key_path.read_bytes()) == pem
    assert identity.fingerprint() == hashlib.sha256(identity.der()).hexdigest()
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(identity.cert_path, identity.key_path)


@pytest.mark.parametrize("lost", ["client.crt", "client.key"])
def test_half_of_it_is_never_overwritten(tmp_path: Path, lost: str) -> None:
    ensure_identity(tmp_path)
    (tmp_path / lost).unlink()
    with pytest.raises(FileExistsError, match="only one of"):
        ensure_identity(tmp_path)
    assert not (tmp_path / lost).exists()
