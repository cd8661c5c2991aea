"""What every way of reaching a daemon offers, and the errors that come out of it.

A transport only *dials*: it opens one byte connection to the daemon's HTTP server. Everything above
(HTTP, websockets, tunnels) is the same code for unix sockets, HTTPS and SSH.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

P = TypeVar("P", bound=asyncio.BaseProtocol)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Limits of one call on a host, in seconds.

    connect: until a byte connection, TLS or SSH handshake included, is there.
    first_byte: from the sent request until the head of the answer.
    idle: the longest silence while a body streams, either way.
    """

    connect: float = 5.0
    first_byte: float = 30.0
    idle: float = 60.0


class Transport(Protocol):
    """One way to one daemon. Safe to share between tasks of one event loop."""

    scheme: str  # "unix", "https" or "ssh"

    async def dial(self, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """Open a fresh byte connection to the daemon's HTTP server.

        The caller bounds it in time. Cancelling it leaves nothing open.
        Raises a HostError without a host name; Host adds the name.
        """
        ...

    def retry(self) -> None:
        """Forget the back-off of failed dials (ssh): the next dial tries at once."""
        ...

    async def close(self) -> None:
        """Close what is shared by connections (the SSH connection). Idempotent; a later dial opens it anew."""
        ...


class HostError(Exception):
    """The host could not be asked. Never means that a thing does not exist.

    host: name in the fleet, "" until Host fills it in.  reason: one line for people.
    """

    host: str
    reason: str

    def __init__(self, reason: str, host: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.host = host

    def __str__(self) -> str:
        return f"{self.host}: {self.reason}" if self.host else self.reason


class Unreachable(HostError):
    """No connection: refused, no route, name not found, socket missing, ssh gone."""


class TimedOut(HostError):
    """A deadline passed: the connect, the first byte, or silence in a stream."""


class ConnectionLost(HostError):
    """The connection broke in the middle. Whether the call took effect is unknown."""


class Untrusted(HostError):
    """The host does not accept our key or certificate (SSH authentication, TLS, 403)."""


class IdentityChanged(HostError):
    """The host showed another certificate or host key than the one pinned. An alarm, never retried blindly."""


class ApiError(Exception):
    """The daemon answered with an error (LXD's error envelope).

    host: name in the fleet.  code: HTTP status.  text: the daemon's own words, verbatim.
    """

    def __init__(self, host: str, code: int, text: str) -> None:
        super().__init__(text)
        self.host = host
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"{self.host}: {self.text}" if self.host else self.text
