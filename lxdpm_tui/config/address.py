"""The three forms of a host's address."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

DEFAULT_HTTPS_PORT = 8443

SOCKET_PLACES: tuple[tuple[str, str], ...] = (
    ("lxd", "/var/snap/lxd/common/lxd/unix.socket"),
    ("lxd", "/var/lib/lxd/unix.socket"),
    ("incus", "/var/lib/incus/unix.socket"),
    ("incus", "/run/incus/unix.socket"),
)
"""(kind, path) of the sockets that packages make, in the order in which they are tried."""

ADDRESS_FORMS = "unix:///path/to/unix.socket, https://host[:port] or ssh://[user@]host[:port][/path/to/socket]"

_AUTHORITY = re.compile(r"(?:(?P<user>[^@/\s]+)@)?(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:/@\[\]\s]+)(?::(?P<port>\d+))?")


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The daemon's socket on this machine."""

    path: str
    scheme: ClassVar[str] = "unix"

    def __str__(self) -> str:
        return f"unix://{self.path}"


@dataclass(frozen=True, slots=True)
class HttpsAddress:
    """The daemon's own HTTPS listener. host: name or IP address, without brackets."""

    host: str
    port: int = DEFAULT_HTTPS_PORT
    scheme: ClassVar[str] = "https"

    def __str__(self) -> str:
        return f"https://{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class SshAddress:
    """A socket behind an sshd. None: as ~/.ssh/config says (user, port), or the usual places (socket)."""

    host: str
    user: str | None = None
    port: int | None = None
    socket: str | None = None
    scheme: ClassVar[str] = "ssh"

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"ssh://{user}{_bracketed(self.host)}{port}{self.socket or ''}"


Address = UnixAddress | HttpsAddress | SshAddress


def parse_address(text: str) -> Address:
    """The address that the text names. Raises ValueError saying what was expected."""
    scheme, separator, rest = text.strip().partition("://")
    if scheme == "unix" and separator:
        if not rest.startswith("/") or rest.endswith("/"):
            raise ValueError("expected an absolute socket path after unix://, as in unix:///var/lib/incus/unix.socket")
        return UnixAddress(rest)
    if scheme not in ("https", "ssh") or not separator:
        raise ValueError(f"expected {ADDRESS_FORMS}")
    authority, slash, path = rest.partition("/")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise ValueError(f"expected {'[user@]' if scheme == 'ssh' else ''}host[:port] after {scheme}://")
    user, host, port = match["user"], match["host"].strip("[]"), int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError("expected a port from 1 to 65535")
    if scheme == "https":
        if user or path:
            raise ValueError("expected https://host[:port] with no user before it and no path after it")
        return HttpsAddress(host, port or DEFAULT_HTTPS_PORT)
    if user and ":" in user:
        raise ValueError("expected no password in an ssh address: it takes keys and agents only")
    if slash and (not path or path.endswith("/")):
        raise ValueError("expected the path of a socket after the host, or nothing")
    return SshAddress(host, user, port, f"/{path}" if path else None)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
