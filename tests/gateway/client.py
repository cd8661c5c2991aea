"""A plain HTTP client for the gateway's unix socket, and what the gateway's tests share."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from lxdpm_tui.manager import Manager
from tests.lab.lab import Lab

SHELL = {"wait-for-websocket": True, "record-output": False, "interactive": False, "environment": {}}
STAYS = ["sh", "-c", '"$@"; code=$?; sleep 0.2; exit $code', "sh"]  # before a command: it ends a moment after it spoke
LATE = "nothing recent is known of it"  # the reason against a host whose heartbeat is late, which passes


@dataclass
class Answer:
    """A whole answer. `json` is the envelope, `metadata` what is in it, `error` LXD's text."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def metadata(self) -> Any:
        return self.json["metadata"]

    @property
    def error(self) -> str:
        return str(self.json.get("error", ""))


@dataclass
class Executed:
    """What a command left: bytes per descriptor ("1", "2", or "0" for a terminal) and its exit code."""

    code: int
    out: dict[str, bytes] = field(default_factory=dict)


class Client:
    """Asks the gateway as curl would: the path goes out exactly as given."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(socket), limit=0), timeout=aiohttp.ClientTimeout(total=120)
        )

    async def close(self) -> None:
        await self.session.close()

    def url(self, path: str) -> URL:
        return URL("http://x" + path, encoded=True)

    async def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        """body: bytes or an async iterator as they are, anything else as JSON."""
        sent = dict(headers or {})
        if isinstance(body, bytes) or hasattr(body, "__aiter__"):
            sent.setdefault("Content-Type", "application/octet-stream")
            body = io.BytesIO(body) if isinstance(body, bytes) and body else body
        elif body is not None:
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method, self.url(path), data=body, headers=sent, skip_auto_headers=("Content-Type",)
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **headers: str) -> Any:
        """Metadata of a GET that must work."""
        answer = await self.ask("GET", path, headers=headers)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.metadata

    async def done(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """A change that must work, followed to its end; gives the operation, or the metadata of a synchronous one."""
        return await self._followed(method, path, await self.ask(method, path, body, headers))

    async def _followed(self, method: str, path: str, answer: Answer) -> dict[str, Any]:
        assert answer.status in (200, 201, 202), (method, path, answer.status, answer.body)
        if answer.json["type"] != "async":
            return answer.metadata or {}
        found = await self.wait(answer)
        assert found.json["type"] == "sync", found.body
        operation: dict[str, Any] = found.metadata
        assert operation["status"] == "Success", operation
        return operation

    async def wait(self, answer: Answer) -> Answer:
        """What /wait says of the operation that an answer started."""
        return await self.ask("GET", f"{answer.json['operation']}/wait")

    async def create(self, name: str, host: str = "", *, start: bool = False, **more: Any) -> dict[str, Any]:
        """An instance of the image busybox, on that host or where the planner says; gives the operation.

        Refused because heartbeats are late, it is asked for again: hosts that a loaded machine stalls catch up.
        """
        body = {"name": name, "source": {"type": "image", "alias": "busybox"}, **more}
        path = f"/1.0/instances?target={host}" if host else "/1.0/instances"
        patience = time.monotonic() + 60
        answer = await self.ask("POST", path, body)
        while _came_too_early(answer) and time.monotonic() < patience:
            await asyncio.sleep(0.1)
            answer = await self.ask("POST", path, body)
        operation = await self._followed("POST", path, answer)
        if start:
            await self.done("PUT", f"/1.0/instances/{name}/state", {"action": "start"})
        return operation

    async def execute(
        self, name: str, *command: str, stdin: bytes = b"", interactive: bool = False, stays: bool = True
    ) -> Executed:
        """Run a command as LXD's clients do: a websocket a descriptor; an empty text frame ends the input.

        LXD 5.0 may lose what is said right before the end: a command without a terminal stays a moment after it, unless
        it is said not to.
        """
        run = [*STAYS, *command] if stays and not interactive else list(command)
        body = {**SHELL, "command": run, "interactive": interactive, "width": 80, "height": 25}
        answer = await self.ask("POST", f"/1.0/instances/{quote(name)}/exec", body)
        assert answer.status == 202, answer.body
        url = answer.json["operation"]
        secrets: dict[str, str] = answer.metadata["metadata"]["fds"]
        done = Executed(-1)
        sockets = {  # no answers to pings: aiohttp drops what it has not read when one finds the socket closed
            fd: await self.session.ws_connect(self.url(f"{url}/websocket?secret={secret}"), autoping=False)
            for fd, secret in sorted(secrets.items(), reverse=True)  # control first, as lxc does
        }

        async def read(fd: str) -> None:
            parts = []
            async for message in sockets[fd]:
                if message.type is aiohttp.WSMsgType.TEXT and message.data == "" and not interactive:
                    break
                if message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                    parts.append(message.data if isinstance(message.data, bytes) else message.data.encode())
            done.out[fd] = b"".join(parts)

        async def write() -> None:
            socket = sockets["0"]
            with suppress(ConnectionError):  # a command that has ended already reads no more
                for at in range(0, len(stdin), 1 << 16):
                    await socket.send_bytes(stdin[at : at + (1 << 16)])
                if not interactive:
                    await socket.send_str("")

        try:
            read_from = ["0"] if interactive else ["1", "2"]
            await asyncio.gather(write(), *(read(fd) for fd in read_from))
            found = await self.wait(answer)
        finally:
            await asyncio.gather(*(socket.close() for socket in sockets.values()))
        assert found.metadata is not None, found.body
        done.code = found.metadata["metadata"]["return"]
        return done

    @asynccontextmanager
    async def events(self, query: str = "") -> AsyncIterator[Events]:
        """The event stream; what happens once the block is entered is in it."""
        async with self.session.ws_connect(self.url(f"/1.0/events{query}")) as socket:
            yield Events(socket)


class Events:
    """Events as they come; `until` keeps those that it passes over in `seen`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self.socket = socket
        self.seen: list[dict[str, Any]] = []

    async def until(self, holds: Callable[[dict[str, Any]], bool], deadline: float = 60.0) -> dict[str, Any]:
        async with asyncio.timeout(deadline):
            while True:
                event: dict[str, Any] = await self.socket.receive_json()
                self.seen.append(event)
                if holds(event):
                    return event


async def until(manager: Manager, holds: Callable[[], bool], deadline: float = 60.0) -> None:
    """Wait for a state of the inventory, as its changes tell. TimeoutError after `deadline` seconds."""
    changed = asyncio.Event()
    undo = manager.inventory.subscribe(lambda _: changed.set())
    try:
        async with asyncio.timeout(deadline):
            while not holds():
                changed.clear()
                await changed.wait()
    finally:
        undo()


def _came_too_early(answer: Answer) -> bool:
    """Whether a create was refused, before anything was made, for what passes by itself."""
    return answer.status == 503 and answer.error.startswith("No host can take it: ") and LATE in answer.error


def remove_images(lab: Lab) -> None:
    """The files that `new_image` made."""
    for image in (lab.base / "image").glob("new-*"):
        image.unlink()
