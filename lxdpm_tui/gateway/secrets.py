"""Secrets by which somebody who is not trusted may fetch one private image, or send one: single use, as on a host.

To the hosts the gateway is trusted, so that they look at no secret it passes on: it is checked here.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

UPLOAD_LIFE = 3600.0  # seconds
GRACE = 5.0  # seconds after the first use: a client asks for the image and then for its files


@dataclass(slots=True)
class _Secret:
    host: str
    operation: str
    used: float = 0.0


class ImageSecrets:
    """Those given out by this gateway."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], _Secret] = {}

    def add(self, project: str, fingerprint: str, secret: str, host: str, operation: str) -> None:
        now = time.monotonic()
        self._known = {key: row for key, row in self._known.items() if not row.used or now - row.used < GRACE}
        self._known[project, fingerprint, secret] = _Secret(host, operation)

    def use(self, project: str, fingerprint: str, secret: str) -> tuple[str, str] | None:
        """(host, operation) of a secret that is good for this image; operation "" when it had been used already.

        None when it is not good, or not any more. fingerprint: may be the beginning.
        """
        now = time.monotonic()
        for (of_project, whole, text), row in self._known.items():
            if text == secret and of_project == project and whole.startswith(fingerprint) and len(fingerprint) >= 12:
                if row.used and now - row.used >= GRACE:
                    return None
                first, row.used = not row.used, row.used or now
                return row.host, row.operation if first else ""
        return None


class UploadSecrets:
    """Those by which another server may send the image that a client here has asked it for."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], float] = {}

    def make(self, project: str, fingerprint: str) -> str:
        now = time.monotonic()
        self._known = {key: made for key, made in self._known.items() if now - made < UPLOAD_LIFE}
        secret = secrets.token_hex(32)
        self._known[project, fingerprint, secret] = now
        return secret

    def take(self, project: str, fingerprint: str, secret: str) -> bool:
        """Whether it is good for this image; it is used up then."""
        made = self._known.pop((project, fingerprint, secret), None)
        return made is not None and time.monotonic() - made < UPLOAD_LIFE
