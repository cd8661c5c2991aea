"""A daemon's socket on a remote machine: one SSH connection a host, one channel an HTTP connection.

The channels go straight to the socket (direct-streamlocal): no remote command, no shell, no forwarded port here.

sshd leaves Nagle's algorithm on for connections that run no command, so the second of two small packets waits for the
acknowledgement of the first, which Linux delays by 40 ms. The known cure is a remote command (`true`); here the
acknowledgement is sent at once instead (TCP_QUICKACK after each packet). Measured on the lab (OpenSSH 9.2), 200 answers
in two pieces of 300 bytes: 44 ms each without a cure, 2.7 ms with either. The first request of a fresh connection,
handshake included: 83 ms without, 40 ms with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import asyncssh

from lxdpm_tui.config import SOCKET_PLACES, SshAddress
from lxdpm_tui.hosts.backoff import backoff
from lxdpm_tui.hosts.channel import ChannelSession, ChannelTransport, acknowledge_now
from lxdpm_tui.hosts.limit import limit
from lxdpm_tui.hosts.transport import ConnectionLost, HostError, IdentityChanged, P, TimedOut, Unreachable, Untrusted

KEEP_ALIVE = 3.0  # seconds; two unanswered ones end the connection
CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"  # 1.08 s/GiB of CPU; asyncssh's default takes 1.84
HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)

_PLACES = tuple(path for _, path in SOCKET_PLACES)


class SshTransport:
    """Dials channels over a shared SSH connection, made at the first dial and again after it was lost.

    After a failed connect, dials fail at once with the same error until a back-off with jitter is over, or retry().
    """

    scheme = "ssh"

    def __init__(
        self,
        address: SshAddress,
        *,
        identity_file: str | None = None,
        known_hosts: str | None = None,
        places: Iterable[str] = _PLACES,
        connect_timeout: float = 5.0,
    ) -> None:
        """places: sockets to try, in this order, when the address names none.  connect_timeout: seconds for TCP and
        the SSH handshake; identity_file, known_hosts: None = as ~/.ssh/config and the usual files say."""
        self._address = address
        self._identity_file = identity_file
        self._known_hosts = known_hosts
        self._places = [address.socket] if address.socket else list(places)
        self._connect_timeout = connect_timeout
        self._connection: asyncssh.SSHClientConnection | None = None
        self._connecting: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._opening: set[asyncio.Future[Any]] = set()  # channels whose callers were cancelled
        self._failure: HostError | None = None
        self._not_before = 0.0
        self._waits = backoff()

    async def dial(self, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        """See Transport. Raises Unreachable, TimedOut, Untrusted or IdentityChanged."""
        for last_try in (False, True):
            connection = await self.connect()
            for place in tuple(self._places):
                try:
                    channel = await self._open(connection, place, factory)
                except asyncssh.ChannelOpenError:
                    continue
                except (OSError, asyncssh.Error) as error:
                    raise Unreachable(f"ssh: {error}") from error
                self._places.remove(place)
                self._places.insert(0, place)  # it answered: the first to be tried from now on
                return channel, channel.made
            if self._connection is connection or last_try:
                break  # else the connection broke in between: once more with a fresh one
        raise Unreachable(
            f"nothing answers at {', '.join(self._places)} (daemon down, user without permission, or sshd forbids it)"
        )

    async def connect(self) -> asyncssh.SSHClientConnection:
        """The shared connection, made now if need be. Callers share one attempt; cancelling one does not end it.

        Raises ConnectionLost when the transport is closed meanwhile, and as dial does.
        """
        if self._connection is not None:
            return self._connection
        if self._connecting is None:
            loop = asyncio.get_running_loop()
            if self._failure is not None and loop.time() < self._not_before:
                raise type(self._failure)(self._failure.reason)
            self._connecting = loop.create_task(self._connect())
            self._connecting.add_done_callback(self._connected)
        connecting = self._connecting
        await asyncio.wait([connecting])
        if connecting.cancelled():
            raise ConnectionLost("the connection was closed")
        try:
            return connecting.result()
        except HostError as error:  # shared by all who waited: each raises its own
            raise type(error)(error.reason) from error

    def retry(self) -> None:
        """See Transport."""
        self._not_before = 0.0

    async def close(self) -> None:
        """See Transport."""
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
            await asyncio.wait([connecting])
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            await connection.wait_closed()

    # -- the connection

    async def _connect(self) -> asyncssh.SSHClientConnection:
        watcher = _Watcher(self._lost)
        address = self._address
        try:
            async with limit(self._connect_timeout):
                options = await asyncssh.SSHClientConnectionOptions.construct(
                    config=(),  # ~/.ssh/config
                    host=address.host,
                    port=address.port or (),
                    username=address.user or (),
                    client_keys=[self._identity_file] if self._identity_file else (),
                    known_hosts=self._known_hosts or (),
                    client_factory=lambda: watcher,
                    encryption_algs=CIPHERS,
                    compression_algs=None,
                    keepalive_interval=KEEP_ALIVE,
                    keepalive_count_max=2,
                )
                if options.known_hosts is None:
                    raise Untrusted("~/.ssh/config turns the check of its host key off (UserKnownHostsFile none)")
                watcher.known_hosts = options.known_hosts or str(Path("~/.ssh/known_hosts").expanduser())
                return await asyncssh.connect(
                    address.host, address.port or (), options=options, server_host_key_algs=watcher.key_kinds(options)
                )
        except TimeoutError as error:
            raise TimedOut(f"no ssh connection within {self._connect_timeout:g} s") from error
        except (OSError, asyncssh.Error, ValueError) as error:
            raise self._meaning(error, watcher) from error

    def _connected(self, task: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
        if self._connecting is task:  # else it was closed, and another attempt is under way
            self._connecting = None
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            connection = task.result()
            self._connection = None if connection.is_closed() else connection
            self._failure, self._waits = None, backoff()
        elif isinstance(error, HostError):
            self._failure = error
            self._not_before = asyncio.get_running_loop().time() + next(self._waits)

    def _lost(self) -> None:
        self._connection = None

    def _meaning(self, error: Exception, watcher: _Watcher) -> HostError:
        """What a failed connect means for the host."""
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            return watcher.verdict(self._address) or Untrusted(f"its host key is not accepted: {error}")
        if isinstance(error, asyncssh.PermissionDenied):
            return Untrusted(f"sshd accepts none of our keys ({error.reason})")
        if isinstance(error, asyncssh.KeyExchangeFailed):
            return Unreachable(f"ssh: no common algorithm ({error.reason})")
        if isinstance(error, asyncssh.Error):
            return Unreachable(f"ssh: {error.reason}")
        if isinstance(error, asyncssh.KeyEncryptionError | asyncssh.KeyImportError):
            return Untrusted(f"{self._identity_file or 'our ssh key'}: {error} (an ssh agent can hold it)")
        if isinstance(error, OSError) and error.filename:
            return Untrusted(f"{error.filename}: {error.strerror}")
        if isinstance(error, OSError):
            return Unreachable(f"ssh to {self._address.host}: {error.strerror or error}")
        return Unreachable(f"ssh: {error}")

    # -- the channels

    async def _open(
        self, connection: asyncssh.SSHClientConnection, place: str, factory: Callable[[], P]
    ) -> ChannelTransport[P]:
        transport = ChannelTransport(factory)
        opening = asyncio.ensure_future(
            connection.create_unix_connection(lambda: ChannelSession(transport, connection), place)
        )
        # After the request went out (the task's first step), sshd's last packet of the login must not wait:
        asyncio.get_running_loop().call_soon(acknowledge_now, connection)
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            # asyncssh forgets a channel whose opening is cancelled, and it stays open: close it once it is there.
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)
            opening.add_done_callback(lambda done: None if done.exception() else transport.abort())
            raise
        return transport


class _Watcher(asyncssh.SSHClient):
    """Hears of the end of the connection, and of a host key that known_hosts does not have."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self._lost = lost
        self.known_hosts: Any = ()
        self.refused: tuple[str, str, int | None, asyncssh.SSHKey] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.refused = (host, addr, port if port != 22 else None, key)
        return False

    def key_kinds(self, options: asyncssh.SSHClientConnectionOptions) -> list[str] | tuple[()]:
        """The kinds of host keys to ask for: those known for the host first, then all others.

        asyncssh would ask for the known ones only; a host that has none of them any more then just hangs up, and that
        its identity changed stays unseen. (): leave it to asyncssh (nothing is known, or certificates are).
        """
        host, port = options.host_key_alias or options.host, options.port
        with contextlib.suppress(OSError, ValueError):
            keys, authorities = asyncssh.match_known_hosts(self.known_hosts, host, "", port if port != 22 else None)[:2]
            if keys and not authorities:
                known = [kind.decode() for key in keys for kind in key.sig_algorithms]
                return list(dict.fromkeys((*known, *HOST_KEYS)))
        return ()

    def verdict(self, address: SshAddress) -> HostError | None:
        """What the refused key means: IdentityChanged if another one is known for the host, else Untrusted."""
        if self.refused is None:
            return None
        host, addr, port, key = self.refused
        shown = f"{key.get_algorithm()} {key.get_fingerprint()}"
        with contextlib.suppress(OSError):
            if any(asyncssh.match_known_hosts(self.known_hosts, host, addr, port)[:2]):
                return IdentityChanged(f"its ssh host key is now {shown}, not the one in known_hosts")
        target = f"{address.user}@{address.host}" if address.user else address.host
        option = f" -p {address.port}" if address.port else ""
        return Untrusted(f"its ssh host key {shown} is unknown: check it by `ssh{option} {target}` once")
