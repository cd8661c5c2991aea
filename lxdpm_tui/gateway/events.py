"""The hosts' event streams merged into one, for any number of clients.

`lxc` and `incus` follow every write by events, so an event that does not come is a client that hangs: events are passed
on in arrival order, with the owner in `location`, and final ones of operations that a host lost are made up here.
Hosts take all that is done through us for our own doing: the real caller is put in its place.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from lxdpm_tui.fleet import decode
from lxdpm_tui.gateway.access import without_secrets
from lxdpm_tui.gateway.on_demand import TYPES as ON_DEMAND
from lxdpm_tui.gateway.on_demand import OnDemand
from lxdpm_tui.gateway.operations import Operation, Operations, shown_of, with_caller
from lxdpm_tui.hosts.requestor import Requestor

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

log = logging.getLogger(__name__)

TYPES = frozenset({"operation", "lifecycle", *ON_DEMAND})
OF_PROJECTS = frozenset({"operation", "lifecycle"})  # all other types are for those who may see the whole server
QUEUE = 4096  # events a client may lag behind before it is dropped
KEEP_ALIVE = 10.0  # seconds between pings to a client, as LXD does
UNASKED = 1.0  # seconds until a client that names no types gets the logs too: most are gone by then

_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Subscriber:
    """One client. project None: all of them.

    restricted: it gets nothing of the server itself, which belongs to no project.  read_only: nor any secrets.
    named: whether it asked for the types by name.
    """

    def __init__(
        self,
        types: frozenset[str],
        project: str | None,
        *,
        restricted: bool = False,
        read_only: bool = False,
        named: bool = True,
    ) -> None:
        self.types = types
        self.named = named
        self.project = project
        self.restricted = restricted
        self.read_only = read_only
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE)
        self.ended = False

    def wants(self, kind: str, project: str) -> bool:
        if kind not in self.types:
            return False
        return self.project is None or project == self.project or (not project and not self.restricted)

    def put(self, message: bytes) -> None:
        if self.ended:
            return
        if self.queue.full():
            log.warning("an event client is %d events behind and is dropped", QUEUE)
            self.end()
        else:
            self.queue.put_nowait(message)

    def end(self) -> None:
        """Nothing more for it: what waits is thrown away."""
        self.ended = True
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


class Hub:
    """Merges, marks and hands out events; keeps the table of operations true on the way."""

    def __init__(self, manager: Manager) -> None:
        self.operations = Operations(manager, self._announce)
        self.on_demand = OnDemand(manager.fleet, self._from_host)
        self._manager = manager
        self._us = ""  # fingerprint of the certificate that hosts know us by
        self._clients: set[Subscriber] = set()
        self._undo = manager.fleet.subscribe_events(self._from_host)

    def close(self) -> None:
        """Idempotent."""
        undo, self._undo = self._undo, lambda: None
        undo()
        self.operations.close()
        self.on_demand.close()
        for client in self._clients:
            client.end()

    def _from_host(self, host: str, message: bytes, event: decode.EventWire) -> None:
        if event.type == "operation":
            found = self.operations.seen(host, event.metadata, event.project)
        if not any(client.wants(event.type, event.project) for client in self._clients):
            return
        shown = _raw.decode(message)
        shown["location"] = msgspec.Raw(msgspec.json.encode(host))
        if event.type == "operation":
            row = with_caller(shown_of(host, event.metadata), found.by)
            shown["metadata"] = msgspec.Raw(msgspec.json.encode(row))
        elif event.type == "lifecycle":
            shown["metadata"] = self._of_caller(host, event)
        self._send(event.type, event.project, msgspec.json.encode(shown))

    def _of_caller(self, host: str, event: decode.EventWire) -> msgspec.Raw:
        """A lifecycle event's metadata with the one who asked us for it, where the host says that it was us."""
        found = _raw.decode(event.metadata)
        said = msgspec.json.decode(found.get("requestor", msgspec.Raw(b"null")), type=dict[str, str] | None)
        if not said or not self._is_us(host, said):
            return event.metadata
        path = urlsplit(msgspec.json.decode(found.get("source", msgspec.Raw(b'""')), type=str)).path
        daemon = self._manager.fleet.hosts.get(host)
        sent = daemon.changes.by(path) if daemon is not None else None
        who = sent or self.operations.by(host, path, event.project)
        if who is None:
            return event.metadata
        found["requestor"] = msgspec.Raw(msgspec.json.encode(who))
        return msgspec.Raw(msgspec.json.encode(found))

    def _is_us(self, host: str, said: Requestor) -> bool:
        record, identity = self._manager.inventory.hosts.get(host), self._manager.fleet.identity
        if record is None or record.transport != "https":
            return said.get("protocol") == "unix"
        if not self._us and identity is not None:
            self._us = identity.fingerprint()
        return said.get("username") == self._us

    def tell(self, action: str, source: str, who: Requestor, context: dict[str, Any] | None = None) -> None:
        """A lifecycle event of the gateway itself. source: URL of what it is about."""
        metadata = {"action": action, "source": source, "requestor": who, **({"context": context} if context else {})}
        event = {"type": "lifecycle", "timestamp": _now(), "metadata": metadata, "location": "", "project": ""}
        self._send("lifecycle", "", msgspec.json.encode(event))

    def _announce(self, operation: Operation) -> None:
        if self._clients:
            event = {
                "type": "operation",
                "timestamp": _now(),
                "metadata": operation.shown,
                "location": operation.host,
                "project": operation.project,
            }
            self._send("operation", operation.project, msgspec.json.encode(event))

    def _send(self, kind: str, project: str, message: bytes) -> None:
        for client in self._clients:
            if client.wants(kind, project):
                client.put(_veiled(message) if client.read_only and kind == "operation" else message)

    async def serve(self, request: web.BaseRequest, client: Subscriber) -> web.StreamResponse:
        """A client's websocket until it leaves, lags too far behind, or the gateway stops."""
        socket = web.WebSocketResponse(heartbeat=KEEP_ALIVE, compress=False, max_msg_size=1 << 16)
        self._clients.add(client)  # before the answer: what happens from now on is told
        demand = _Demand(self.on_demand, client)
        try:
            await socket.prepare(request)
            reading = asyncio.create_task(_drain(socket, client))
            try:
                while (message := await client.queue.get()) is not None:
                    await socket.send_str(message.decode())
            except ConnectionError:
                pass  # the client left in the middle of a message
            finally:
                reading.cancel()
            await socket.close()
        finally:
            demand.over()
            self._clients.discard(client)
        return socket


class _Demand:
    """What one client wants of that which is followed on demand."""

    def __init__(self, streams: OnDemand, client: Subscriber) -> None:
        self._streams = streams
        self._held = False
        self._later: asyncio.TimerHandle | None = None
        if client.types.isdisjoint(ON_DEMAND):
            return
        if client.named:
            self._hold()
        else:
            self._later = asyncio.get_running_loop().call_later(UNASKED, self._hold)

    def _hold(self) -> None:
        self._held = True
        self._streams.hold()

    def over(self) -> None:
        if self._later is not None:
            self._later.cancel()
        if self._held:
            self._streams.release()


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _veiled(message: bytes) -> bytes:
    """An operation event without what lets somebody connect to the operation."""
    event = _raw.decode(message)
    shown = without_secrets(msgspec.json.decode(event["metadata"]))
    return msgspec.json.encode({**event, "metadata": shown})


async def _drain(socket: web.WebSocketResponse, client: Subscriber) -> None:
    """Read what the client sends (pings, its close) until it leaves."""
    try:
        async for _ in socket:
            pass
    except ConnectionError:
        pass  # it left before its ping was answered
    finally:
        client.end()
