"""A daemon on this machine, by its socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lxdpm_tui.config import UnixAddress
from lxdpm_tui.hosts.transport import P, Unreachable, Untrusted


class UnixTransport:
    """Dials a unix socket. Holds nothing between connections."""

    scheme = "unix"

    def __init__(self, address: UnixAddress) -> None:
        self._path = address.path

    async def dial(self, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """See Transport. Raises Unreachable (no socket, nobody listening) or Untrusted (not ours to open)."""
        try:
            return await asyncio.get_running_loop().create_unix_connection(factory, self._path)
        except FileNotFoundError:
            raise Unreachable(f"there is no socket {self._path}") from None
        except PermissionError:
            raise Untrusted(f"no permission to open {self._path} (its group, often lxd or incus-admin, may)") from None
        except ConnectionRefusedError:
            raise Unreachable(f"nobody listens on {self._path}: the daemon is not running") from None
        except OSError as error:
            raise Unreachable(f"{self._path}: {error.strerror or error}") from error

    def retry(self) -> None:
        """See Transport. Every dial is a fresh try here."""

    async def close(self) -> None:
        """See Transport. Nothing is shared."""
