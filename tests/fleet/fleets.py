"""What the tests of the fleet share: a watched fleet, waiting for what it learns, and a daemon that plays a script."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from aiohttp import web

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.fleet.fleet import Fleet
from lxdpm_tui.fleet.inventory import ChangeSet, HostRecord, HostStatus, Instance, Key
from lxdpm_tui.hosts.identity import ClientIdentity
from tests.lab.lab import Lab

T = TypeVar("T")
API = "/1.0"
PAUSE = 0.005  # seconds between two looks, in which the daemons that are waited for get the processor


@contextlib.asynccontextmanager
async def watched(
    hosts: Iterable[HostConfig],
    identity: ClientIdentity | None = None,
    *,
    read: bool = True,
    down: Collection[str] = (),
) -> AsyncIterator[Fleet]:
    """A running fleet. read: every host was read; those in `down` have said why they cannot be."""
    fleet = Fleet(hosts, identity)
    try:
        await fleet.start()
        if read:
            await all_read(fleet, down)
        yield fleet
    finally:
        await fleet.close()


@contextlib.asynccontextmanager
async def on_lab(lab: Lab, transports: Mapping[str, str] | None = None) -> AsyncIterator[Fleet]:
    """The lab, watched; by its default transports: h1 unix, h2 https, h3 ssh, i1 https."""
    async with watched(lab.hosts_config(transports), lab.client_identity) as fleet:
        yield fleet


async def until(fleet: Fleet, holds: Callable[[], T], timeout: float = 60.0) -> T:
    """Wait for something to become true of the inventory, looked at after each of its changes; gives its value."""
    changed = asyncio.Event()
    undo = fleet.inventory.subscribe(lambda _: changed.set())
    try:
        async with asyncio.timeout(timeout):
            while not (value := holds()):
                changed.clear()
                await changed.wait()
            return value
    except TimeoutError:
        raise AssertionError(f"not within {timeout} s; hosts: {shown(fleet)}") from None
    finally:
        undo()


def shown(fleet: Fleet) -> list[tuple[str, str, str]]:
    """How the hosts are, for a failure."""
    return [(record.name, str(record.status), record.reason) for record in fleet.inventory.hosts.values()]


async def turns(holds: Callable[[], object], timeout: float = 60.0, pause: float = 0.0) -> None:
    """Wait for what nothing tells of, by letting the event loop turn. pause: seconds between two looks."""
    async with asyncio.timeout(timeout):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(pause)


async def settled(fleet: Fleet, name: str) -> None:
    """Wait until all that the host's events named was read."""
    await turns(lambda: fleet.watch(name).settled or not fleet.inventory.hosts[name].usable, pause=PAUSE)


async def all_read(fleet: Fleet, down: Collection[str] = ()) -> None:
    """Wait until every host was read, with all that its events named; those in `down` have said why they cannot be.

    A session that fails because the machine stalls is no end: the next one is waited for.
    """

    def read(record: HostRecord) -> bool:
        if record.name in down:
            return record.status != HostStatus.CONNECTING
        return bool(record.usable and record.memory_total and fleet.watch(record.name).settled)

    try:
        await turns(lambda: all(read(record) for record in fleet.inventory.hosts.values()), pause=PAUSE)
    except TimeoutError:
        raise AssertionError(f"not all were read: {shown(fleet)}") from None


def instance(fleet: Fleet, host: str, name: str, project: str = "default") -> Instance | None:
    return fleet.inventory.instances[host].get(Key(host, project, name))


@contextlib.contextmanager
def changes(fleet: Fleet) -> Any:
    """All change sets while the block runs, as a list that grows."""
    seen: list[ChangeSet] = []
    undo = fleet.inventory.subscribe(seen.append)
    try:
        yield seen
    finally:
        undo()


# -- a daemon that plays a script

SERVER = {
    "api_extensions": ["projects", "event_lifecycle"],
    "auth": "trusted",
    "environment": {
        "server": "lxd",
        "server_name": "script",
        "server_version": "5.0.2",
        "driver": "lxc",
        "architectures": ["x86_64"],
    },
}
OWNING = {"features.images": "true", "features.profiles": "true"}


class Script:
    """A daemon on a unix socket that answers what it is told to.

    answers: path -> metadata, or a coroutine function of the request that gives it (or a whole response).
    projects: name -> config.  silent: event streams are not closed politely.  asked: "GET /1.0/instances?..." in order.
    send(event): on all event streams.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[str] = []
        self.projects: dict[str, dict[str, str]] = {"default": dict(OWNING)}
        self.answers: dict[str, Any] = {
            API: SERVER,
            f"{API}/projects": self._projects,
            f"{API}/profiles": [],
            f"{API}/instances": [],
            f"{API}/images": [],
            f"{API}/networks": [],
            f"{API}/storage-pools": [],
            f"{API}/resources": {"cpu": {"total": 2}, "memory": {"total": 1 << 30, "used": 1 << 20}},
        }
        self.silent = False
        self._sockets: list[web.WebSocketResponse] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path_qs}")
        if request.path == f"{API}/events":
            return await self._events(request)
        if request.path not in self.answers:
            text = {"type": "error", "error": "not found", "error_code": 404}
            return web.json_response(text, status=404)
        answer = self.answers[request.path]
        metadata = await answer(request) if callable(answer) else answer
        if isinstance(metadata, web.StreamResponse):
            return metadata
        return web.json_response({"type": "sync", "status": "Success", "status_code": 200, "metadata": metadata})

    async def _projects(self, request: web.Request) -> Any:
        if request.query.get("recursion") == "1":
            return [{"name": name, "config": config} for name, config in self.projects.items()]
        return [f"{API}/projects/{quote(name)}" for name in self.projects]

    async def _events(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoclose=False, timeout=0.1)
        await socket.prepare(request)
        self._sockets.append(socket)
        async for _ in socket:
            pass
        if self.silent:
            await asyncio.Event().wait()
        await socket.close()
        return socket

    async def send(self, event: Mapping[str, Any]) -> None:
        for socket in self._sockets:
            with contextlib.suppress(ConnectionError):  # of a session that has ended
                await socket.send_json(event)

    async def lifecycle(self, action: str, source: str, **context: str) -> None:
        await self.send({"type": "lifecycle", "metadata": {"action": action, "source": source, "context": context}})


@contextlib.asynccontextmanager
async def script() -> AsyncIterator[Script]:
    with tempfile.TemporaryDirectory() as directory:
        daemon = Script(Path(directory) / "s")
        server = web.Server(daemon.handle, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(daemon.path)).start()
        try:
            yield daemon
        finally:
            for connection in server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await runner.cleanup()


def host_of(daemon: Script, name: str = "s1") -> HostConfig:
    return HostConfig(name, UnixAddress(str(daemon.path)))


def error(code: int, text: str) -> web.Response:
    return web.json_response({"type": "error", "error": text, "error_code": code}, status=code)
