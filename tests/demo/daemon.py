"""A plain HTTP client for one daemon, simulated or real, with nothing of our own client code in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
from yarl import URL

PATIENCE = 60.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value

    @property
    def metadata(self) -> Any:
        return self.json["metadata"]

    @property
    def error(self) -> tuple[int, str]:
        """(status, text) of an error answer, which must say the status twice."""
        value = self.json
        assert value["type"] == "error", value
        assert value["error_code"] == self.status
        assert value["metadata"] is None
        return self.status, value["error"]


class Recording:
    """Events as they came, parsed. began: when it was asked for."""

    def __init__(self) -> None:
        self.began = datetime.now(UTC)
        self.events: list[dict[str, Any]] = []
        self.news = asyncio.Event()

    def lifecycle(self) -> list[tuple[str, str]]:
        """(action, source) in the order of their timestamps."""
        found = [event for event in self.events if event["type"] == "lifecycle"]
        found.sort(key=lambda event: event["timestamp"])
        return [(event["metadata"]["action"], event["metadata"]["source"]) for event in found]

    def operations(self, new: bool = False) -> list[tuple[str, list[str]]]:
        """(description, statuses without repeats) of each operation. new: made since it began.

        What LXD says of one comes in any order: its "Running" may be sent after its "Success", and its "Success" after
        who waited for its end was told.
        """
        found: dict[str, tuple[str, list[str]]] = {}
        for event in sorted(self.events, key=lambda event: event["timestamp"]):
            if event["type"] == "operation":
                operation = event["metadata"]
                if new and datetime.fromisoformat(operation["created_at"]) < self.began:
                    continue
                _, statuses = found.setdefault(operation["id"], (operation["description"], []))
                if operation["status"] not in statuses:
                    statuses.append(operation["status"])
        return list(found.values())

    async def until(self, ready: Any) -> None:
        """Wait until ready() is true of what has come. Fails with what has come."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not ready():
                    self.news.clear()
                    await self.news.wait()
        except TimeoutError:
            raise AssertionError(f"only these events came: {self.lifecycle()} {self.operations()}") from None


class Daemon:
    """kind: "lxd" or "incus". image: alias of an image that it has. real: whether it is not a simulated one."""

    def __init__(self, kind: str, socket: str, session: aiohttp.ClientSession) -> None:
        self.kind = kind
        self.socket = socket
        self.real = False
        self.image = "busybox"
        self._session = session

    def of(self, lxd: Any, incus: Any) -> Any:
        """What this kind is expected to give."""
        return incus if self.kind == "incus" else lxd

    @property
    def header(self) -> str:
        """Prefix of its own headers, for requests."""
        return str(self.of("X-LXD-", "X-Incus-"))

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        if body is not None:
            data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | dict(headers or {})
        url = URL(f"http://daemon{path}", encoded=True)
        async with self._session.request(method, url, data=data, headers=headers) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.read())

    async def get(self, path: str) -> Any:
        """Metadata of a sync answer."""
        answer = await self.call("GET", path)
        assert answer.status == 200, answer.body
        return answer.metadata

    async def end(self, answer: Answer) -> tuple[str, str]:
        """("Success", "") or ("Failure", text) of the operation that an answer announced, by either shape of /wait."""
        assert answer.status == 202, answer.body
        waited = await self.call("GET", f"{answer.json['operation']}/wait")
        assert waited.status == 200
        if waited.json["type"] == "error":
            assert self.kind == "incus"
            return "Failure", waited.json["error"]
        return waited.metadata["status"], waited.metadata["err"]

    async def do(self, method: str, path: str, body: Any = None, **more: Any) -> None:
        """An asynchronous request that must succeed."""
        ended = await self.end(await self.call(method, path, body, **more))
        assert ended == ("Success", ""), (method, path, ended)

    async def make(self, name: str, *, start: bool = False, **more: Any) -> None:
        source = {"type": "image", "alias": self.image}
        await self.do("POST", "/1.0/instances", {"name": name, "source": source} | more)
        if start:
            await self.do("PUT", f"/1.0/instances/{name}/state", {"action": "start"})

    async def stop(self, name: str) -> None:
        await self.do("PUT", f"/1.0/instances/{name}/state", {"action": "stop", "force": True, "timeout": 10})

    @asynccontextmanager
    async def listening(
        self, query: str = "type=operation,lifecycle", project: str = "default"
    ) -> AsyncIterator[Recording]:
        """All events of these types from now on, but for project-updated."""
        recording = Recording()
        async with self._session.ws_connect(f"http://daemon/1.0/events?{query}", max_msg_size=0) as socket:
            heard = asyncio.Event()

            async def read() -> None:
                async for message in socket:
                    event = json.loads(message.data)
                    if event["metadata"].get("action") == "project-updated":
                        heard.set()
                    else:
                        recording.events.append(event)
                        recording.news.set()

            reader = asyncio.create_task(read())
            try:
                # LXD answers the handshake a little before it has added the listener.
                async with asyncio.timeout(PATIENCE):
                    while not heard.is_set():
                        await self.call("PATCH", f"/1.0/projects/{project}", {})
                        with suppress(TimeoutError):
                            await asyncio.wait_for(heard.wait(), 0.2)
                yield recording
            finally:
                reader.cancel()

    @asynccontextmanager
    async def socket_of(self, operation: str, secret: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        url = f"http://daemon{operation}/websocket?secret={secret}"
        async with self._session.ws_connect(url, max_msg_size=0, autoclose=False) as socket:
            yield socket


def shape(value: Any) -> Any:
    """Keys and JSON types of a value, without its contents: for a list, all shapes in it, joined."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in sorted(value.items())}
    if isinstance(value, list):
        return [joined(shape(one) for one in value)]
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "null" if value is None else "string"


def joined(shapes: Any) -> Any:
    """One shape that covers all: the keys of all objects together."""
    together: Any = "nothing"
    for one in shapes:
        if isinstance(one, dict) and isinstance(together, dict):
            both = {key: joined([together[key], one[key]]) for key in one.keys() & together.keys()}
            together = together | one | both
        elif together in ("nothing", "null"):
            together = one
    return together
