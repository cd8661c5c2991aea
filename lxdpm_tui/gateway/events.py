"""The hosts' event streams merged into one, for any number of clients.

`lxc` and `incus` follow every write by events, so an event that does not come is a client that hangs: events are passed
on in arrival order, with the owner in `location`, and final ones of operations that a host lost are made up here.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from lxdpm_tui.fleet import decode
from lxdpm_tui.gateway.access import without_secrets
from lxdpm_tui.gateway.operations import Operation, Operations, shown_of

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

log = logging.getLogger(__name__)

TYPES = frozenset({"operation", "lifecycle", "logging", "network-acl", "ovn"})
QUEUE = 4096  # events a client may lag behind before it is dropped
KEEP_ALIVE = 10.0  # seconds between pings to a client, as LXD does

_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Subscriber:
    """One client. project None: all of them.

    restricted: it gets nothing of the server itself, which belongs to no project.  read_only: nor any secrets.
    """

    def __init__(
        self, types: frozenset[str], project: str | None, *, restricted: bool = False, read_only: bool = False
    ) -> None:
        self.types = types
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
        self._clients: set[Subscriber] = set()
        self._undo = manager.fleet.subscribe_events(self._from_host)

    def close(self) -> None:
        """Idempotent."""
        undo, self._undo = self._undo, lambda: None
        undo()
        self.operations.close()
        for client in self._clients:
            client.end()

    def _from_host(self, host: str, message: bytes, event: decode.EventWire) -> None:
        if event.type == "operation":
            self.operations.seen(host, event.metadata, event.project)
        if not any(client.wants(event.type, event.project) for client in self._clients):
            return
        shown = _raw.decode(message)
        shown["location"] = msgspec.Raw(msgspec.json.encode(host))
        if event.type == "operation":
            shown["metadata"] = msgspec.Raw(msgspec.json.encode(shown_of(host, event.metadata)))
        self._send(event.type, event.project, msgspec.json.encode(shown))

    def _announce(self, operation: Operation) -> None:
        if self._clients:
            event = {
                "type": "operation",
                "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
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
            self._clients.discard(client)
        return socket


def _veiled(message: bytes) -> bytes:
    """An operation event without what lets somebody connect to the operation."""
    event = _raw.decode(message)
    shown = without_secrets(msgspec.json.decode(event["metadata"]))
    return msgspec.json.encode({**event, "metadata": shown})


async def _drain(socket: web.WebSocketResponse, client: Subscriber) -> None:
    """Read what the client sends (pings, its close) until it leaves."""
    async for _ in socket:
        pass
    client.end()
