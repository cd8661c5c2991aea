"""Who may use the gateway over HTTPS: tokens that enrol a client, and the certificates that are let in.

Secrets are kept nowhere: of a token the store has the SHA-256, of the trust password an scrypt hash.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import ssl
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.store import Store, TokenRow, TrustRow

TOKEN_LIFE = 86400.0  # seconds
PASSWORD = "trust.password"  # setting  # noqa: S105
WRONG_PASSWORD_PAUSE = 1.0  # seconds between two tries of anybody


class Trust:
    """The trust store, kept in memory as well: it is asked at every request. `await load()` first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows: dict[str, TrustRow] = {}
        self._last_wrong = 0.0

    async def load(self) -> None:
        self._rows = {row.fingerprint: row for row in await self._store.list_trusted()}

    def get(self, fingerprint: str) -> TrustRow | None:
        return self._rows.get(fingerprint)

    def all(self) -> list[TrustRow]:
        return list(self._rows.values())

    def find(self, prefix: str) -> TrustRow:
        """By fingerprint or its beginning. Raises ActionError 404, 400 when several fit."""
        found = [row for fingerprint, row in self._rows.items() if prefix and fingerprint.startswith(prefix.lower())]
        if not found:
            raise ActionError("Certificate not found", 404)
        if len(found) > 1:
            raise ActionError(f"{prefix!r} is the beginning of {len(found)} fingerprints; give more of it")
        return found[0]

    async def add(
        self,
        der: bytes,
        name: str,
        *,
        restricted: bool = False,
        projects: Sequence[str] = (),
        read_only: bool = False,
    ) -> TrustRow:
        """Let a certificate in. Raises ActionError 409 when it is let in already, 400 when it is none."""
        try:
            pem = ssl.DER_cert_to_PEM_cert(der)
            from cryptography import x509

            x509.load_der_x509_certificate(der)
        except ValueError as error:
            raise ActionError(f"Invalid certificate: {error}") from error
        fingerprint = hashlib.sha256(der).hexdigest()
        row = TrustRow(fingerprint, name or fingerprint[:12], pem, restricted, tuple(projects), time.time(), read_only)
        if not await self._store.add_trusted(row):
            raise ActionError("Certificate already in trust store", 409)
        self._rows[fingerprint] = row
        return row

    async def update(self, row: TrustRow) -> None:
        """Its name and what it may do."""
        await self._store.update_trusted(row)
        await self.load()

    async def renew(self, row: TrustRow, der: bytes) -> TrustRow:
        """Let another certificate in, in the place and with the rights of one. Raises ActionError as add does."""
        new = await self.add(der, row.name, restricted=row.restricted, projects=row.projects, read_only=row.read_only)
        await self.remove(row.fingerprint)
        return new

    async def remove(self, fingerprint: str) -> None:
        await self._store.remove_trusted(fingerprint)
        self._rows.pop(fingerprint, None)

    # -- tokens

    async def make_token(
        self,
        name: str,
        *,
        restricted: bool = False,
        projects: Sequence[str] = (),
        read_only: bool = False,
        life: float = TOKEN_LIFE,
    ) -> tuple[TokenRow, str]:
        """(what is kept, the secret)."""
        secret = secrets.token_hex(32)
        now = time.time()
        row = TokenRow(
            str(uuid.uuid4()), name, _digest(secret), restricted, tuple(projects), now, now + life, read_only
        )
        await self._store.add_token(row)
        return row, secret

    async def tokens(self) -> list[TokenRow]:
        return await self._store.list_tokens(time.time())

    async def revoke(self, id: str) -> None:
        await self._store.remove_token(id)

    async def enrol(self, der: bytes, secret: str, name: str = "") -> TrustRow:
        """A client shows a token's secret, or the trust password. Raises ActionError 403, 409."""
        token = await self._store.take_token(_digest(_secret_of(secret)), time.time())
        if token is not None:
            return await self.add(
                der,
                name or token.name,
                restricted=token.restricted,
                projects=token.projects,
                read_only=token.read_only,
            )
        if await self._password_fits(secret):
            return await self.add(der, name)
        raise ActionError("not authorized", 403)

    # -- the password for older clients, off unless set

    async def set_password(self, password: str | None) -> None:
        """None turns it off."""
        if password is None:
            await self._store.set_setting(PASSWORD, "")
            return
        salt = os.urandom(16)
        await self._store.set_setting(PASSWORD, f"{salt.hex()}:{_scrypt(password, salt).hex()}")

    async def _password_fits(self, password: str) -> bool:
        kept = await self._store.get_setting(PASSWORD)
        now = time.monotonic()
        if not kept or not password or now - self._last_wrong < WRONG_PASSWORD_PAUSE:
            return False
        salt, _, digest = kept.partition(":")
        if hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)).hex(), digest):
            return True
        self._last_wrong = now
        return False


def join_token(row: TokenRow, secret: str, fingerprint: str, addresses: Sequence[str]) -> str:
    """What `lxc remote add NAME TOKEN` takes: base64 of JSON. addresses: "host:port" of the gateway."""
    token = {
        "client_name": row.name,
        "fingerprint": fingerprint,
        "addresses": list(addresses),
        "secret": secret,
        "expires_at": datetime.fromtimestamp(row.expires, UTC).isoformat().replace("+00:00", "Z"),
    }
    return base64.b64encode(json.dumps(token).encode()).decode()


def _secret_of(text: str) -> str:
    """Clients send either the secret or the whole token."""
    try:
        return str(json.loads(base64.b64decode(text, validate=True))["secret"])
    except (ValueError, KeyError, TypeError):
        return text


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << 14, r=8, p=1)
