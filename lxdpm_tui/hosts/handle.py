"""`lxdpm_tui.connect()`: a ready pylxd.Client for scripts, for the fleet's gateway or for one host.

https and ssh hosts are reached through a bridge: a unix socket in a directory of our own, whose connections a
background thread carries over the host's transport. For ssh there is no other way; for https it keeps the certificate
pinned for websockets too (exec, events), where pylxd itself verifies nothing.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from lxdpm_tui.config import HostConfig, Paths, UnixAddress, load_hosts, parse_address
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.identity import ClientIdentity, ensure_identity
from lxdpm_tui.hosts.transport import HostError, Unreachable

if TYPE_CHECKING:
    import pylxd


def connect(
    host: str | None = None,
    *,
    hosts: str | Path | None = None,
    state: str | Path | None = None,
    project: str | None = None,
) -> pylxd.Client:
    """A pylxd.Client, connected.

    host: None = the gateway of the running manager (`lxdpm-tui --serve`); else a name in hosts.toml, or an address
    ("ssh://root@h3"); an https address must be in hosts.toml, for its pinned certificate.
    hosts, state: as --hosts and --state of the command line.  project: that all calls are about.
    Raises LookupError (no such host), ConfigError, and the HostError family.
    """
    paths = Paths.default(Path(hosts) if hosts else None, Path(state) if state else None)
    if host is None:
        if not paths.socket.exists():
            raise Unreachable(f"no manager serves {paths.socket}: start one with `lxdpm-tui --serve`")
        return _client(paths.socket, project)
    config = _find(host, paths)
    if isinstance(config.address, UnixAddress):
        return _client(Path(config.address.path), project)
    identity = ensure_identity(paths.state_dir) if config.address.scheme == "https" else None
    bridge = Bridge(config, identity)
    try:
        client = _client(bridge.path, project)
    except BaseException:
        bridge.close()
        raise
    weakref.finalize(client, bridge.close)
    return client


def _client(path: Path, project: str | None) -> pylxd.Client:
    import pylxd

    try:
        return pylxd.Client(endpoint=f"http+unix://{quote(str(path), safe='')}", project=project)
    except pylxd.exceptions.ClientConnectionFailed as error:
        raise Unreachable(f"nothing answers at {path}") from error


def _find(host: str, paths: Paths) -> HostConfig:
    known = load_hosts(paths.hosts_file) if paths.hosts_file.exists() else []
    address = parse_address(host) if "://" in host else None
    for config in known:
        if host == config.name or address == config.address:
            return config
    if address is None:
        raise LookupError(f"there is no host {host} in {paths.hosts_file}")
    return HostConfig(host, address)


class Bridge:
    """A local unix socket that leads to the host, served by a thread until close() or the end of the process.

    path: the socket, in a directory that only this user may enter. Raises the HostError family when the host cannot be
    reached at the start.
    """

    def __init__(self, config: HostConfig, identity: ClientIdentity | None) -> None:
        self._directory = tempfile.mkdtemp(prefix="lxdpm-")  # mode 0700
        self.path = Path(self._directory) / "unix.socket"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(config, identity)),
            name=f"lxdpm bridge to {config.name}",
            daemon=True,
        )
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            self.close()
            raise self._failure

    def close(self) -> None:
        """Stop serving and remove the socket. Idempotent; blocks for a moment."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(5)
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _serve(self, config: HostConfig, identity: ClientIdentity | None) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        ends: set[_End] = set()
        host = Host(config, identity)
        try:
            await host.server()
            server = await self._loop.create_unix_server(lambda: _End(host, ends), self.path)
        except Exception as error:  # raised again in the thread that asked
            self._failure = error
            await host.close()
            return
        finally:
            self._started.set()
        await self._stop.wait()
        server.close()
        for end in tuple(ends):
            end.abort()
        await host.close()


class _End(asyncio.Protocol):
    """One end of a carried connection; each passes on bytes, pauses and half-closes.

    The near end dials the far one when its first bytes have come: LXD's unix socket (5.0.2) waits inside accept for the
    first byte of a connection, so one that stays silent would shut out everybody else.
    """

    def __init__(self, host: Host | None, ends: set[_End]) -> None:
        self._host = host
        self._ends = ends
        self._dialling: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._other: _End | None = None
        self._ended = False

    @property
    def _peer(self) -> asyncio.Transport | None:
        """The other end's transport, as long as it can be used."""
        transport = self._other._transport if self._other is not None else None
        return transport if transport is not None and not transport.is_closing() else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ends.add(self)

    async def _dial(self, host: Host, first: bytes) -> None:
        try:
            _, far = await host.open(lambda: _End(None, self._ends))
        except HostError:
            self.abort()
            return
        far._other, self._other = self, far
        if self._transport is None or self._transport.is_closing():
            far.abort()
        else:
            far.write(first)
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._other.write(data)
        elif self._host is not None and self._transport is not None:
            self._transport.pause_reading()
            self._dialling = asyncio.get_running_loop().create_task(self._dial(self._host, data))

    def eof_received(self) -> bool:
        self._ended = True
        peer = self._peer
        if peer is None or self._other is None:
            return False
        if self._other._ended or not peer.can_write_eof():  # TLS has no half-close
            peer.close()
            return False
        peer.write_eof()
        return self._transport is not None and self._transport.can_write_eof()  # else TLS: it closes whatever we say

    def pause_writing(self) -> None:
        if peer := self._peer:
            peer.pause_reading()

    def resume_writing(self) -> None:
        if peer := self._peer:
            peer.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._ends.discard(self)
        self._transport = None
        if self._dialling is not None:
            self._dialling.cancel()
        if peer := self._peer:
            peer.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
