"""Commands and consoles of one instance: the operation that the daemon starts, and its websockets.

The protocol is LXD's: the answer to the POST names a secret for each stream. With a terminal there are "0" (both ways)
and "control"; without one "0", "1", "2" and "control". The end of a stream is an empty text message.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp

from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, ConnectionLost, HostError, TimedOut

HEARTBEAT = 10.0  # seconds between pings on the control socket; half of it more without an answer is the end
SETTLE = 5.0  # seconds that the daemon gets to say how a command ended, after its streams did
PARTING = 0.25  # seconds for the closing handshakes
SHELL = ("/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash -l; exec /bin/sh -l")
_UNUSABLE = {"not found": 127, "not executable": 126}  # what newer daemons answer as an error, shells as an exit code


def instance_path(name: str, *more: str) -> str:
    """`/1.0/instances/NAME/...`, percent-encoded."""
    return "/".join(("/1.0/instances", quote(name, safe=""), *more))


Socket = aiohttp.ClientWebSocketResponse[bool]


class Session:
    """A command that runs, or a console that is open. Its streams are there for as long as the `async with` lasts.

    outputs: the names of the streams that receive() takes.
    """

    def __init__(
        self, host: Host, operation: str, sockets: Mapping[str, aiohttp.ClientWebSocketResponse[bool]]
    ) -> None:
        self._host = host
        self._sockets = sockets
        self.outputs = tuple(name for name in ("1", "2") if name in sockets) or ("0",)
        self._failure: HostError | None = None
        self._controls = asyncio.create_task(self._control(), name="control of a session")
        self._waiting = asyncio.create_task(host.wait(operation), name="end of a session")
        self._waiting.add_done_callback(lambda done: None if done.cancelled() else done.exception())

    async def _control(self) -> None:
        """Read what never comes, for the pings: a host that died without a word is found by them."""
        socket = self._sockets.get("control")
        while socket is not None:
            try:
                message = await socket.receive()
            except (aiohttp.ClientError, OSError):
                continue  # as in receive()
            if message.type is aiohttp.WSMsgType.ERROR and isinstance(message.data, TimeoutError):
                self._failure = TimedOut("it fell silent", self._host.name)
                await self.drop()
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return

    async def send(self, data: bytes) -> None:
        """Standard input; waits while the daemon does not take it. Raises ConnectionLost."""
        await self._send(self._sockets["0"].send_bytes(data))

    async def send_end(self) -> None:
        """The end of standard input; not for a terminal, which wants ctrl-d. A command that has ended needs none."""
        with contextlib.suppress(ConnectionLost):
            await self._send(self._sockets["0"].send_str(""))

    async def _send(self, sending: Any) -> None:
        try:
            await sending
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionLost("the connection broke", self._host.name) from error

    async def receive(self, name: str = "0") -> bytes:
        """The next output, b"" at its end. Raises TimedOut when the host fell silent."""
        while True:
            try:
                message = await self._sockets[name].receive()
            except (aiohttp.ClientError, OSError):
                continue  # it answered a ping of a daemon that has closed already; output may still wait behind that
            if message.type is aiohttp.WSMsgType.BINARY:
                if message.data:
                    return bytes(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT and message.data:
                return bytes(message.data)
            elif self._failure is not None:
                raise self._failure
            else:
                return b""

    async def resize(self, columns: int, rows: int) -> None:
        """Tell the terminal's size in cells."""
        await self._say({"command": "window-resize", "args": {"width": str(columns), "height": str(rows)}})

    async def signal(self, number: int) -> None:
        """Send a signal to the command."""
        await self._say({"command": "signal", "signal": number})

    async def _say(self, message: Mapping[str, Any]) -> None:
        socket = self._sockets.get("control")
        if socket is not None and not socket.closed:
            await self._send(socket.send_str(json.dumps(message)))

    async def ended(self, patience: float | None = SETTLE) -> int:
        """The exit code, once the command ended; 0 of a console.

        patience: seconds until TimedOut. Raises ApiError when it could not be run, the HostError family else.
        """
        if self._failure is not None:
            raise self._failure
        try:
            async with asyncio.timeout(patience):
                found = await asyncio.shield(self._waiting)
        except TimeoutError:
            raise TimedOut("it does not say how the command ended", self._host.name) from None
        except ApiError as error:
            for words, code in _UNUSABLE.items():
                if f"Command {words}" in error.text:
                    return code
            raise
        return int((found.get("metadata") or {}).get("return") or 0)

    async def drop(self) -> None:
        """Close all streams now; a host that does not answer is not waited for. A terminal's end needs this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PARTING):
                await asyncio.gather(*(socket.close() for socket in self._sockets.values()))

    def _stop(self) -> None:
        self._controls.cancel()
        self._waiting.cancel()


@contextlib.asynccontextmanager
async def execute(
    host: Host,
    instance: str,
    words: Sequence[str],
    *,
    project: str = "default",
    size: tuple[int, int] | None = None,
    environment: Mapping[str, str] | None = None,
    user: int | None = None,
    group: int | None = None,
    cwd: str = "",
) -> AsyncIterator[Session]:
    """Run a command in an instance. size: columns and rows of its terminal; None = no terminal, separate streams.

    Leaving the block closes the streams, and the daemon ends a command that still runs on a terminal.
    Raises ApiError (it is not running), the HostError family.
    """
    body: dict[str, Any] = {
        "command": list(words),
        "environment": dict(environment or ()),
        "interactive": size is not None,
        "wait-for-websocket": True,
    }
    if size is not None:
        body |= {"width": size[0], "height": size[1]}
    body |= {key: value for key, value in (("user", user), ("group", group)) if value is not None}
    if cwd:
        body["cwd"] = cwd
    async with _open(host, instance_path(instance, "exec"), project, body) as session:
        yield session


@contextlib.asynccontextmanager
async def attach_console(
    host: Host, instance: str, *, project: str = "default", size: tuple[int, int], force: bool = False
) -> AsyncIterator[Session]:
    """The text console of an instance. force: take it from whoever holds it (where the daemon can).

    Raises ApiError (not running, in use), the HostError family.
    """
    body: dict[str, Any] = {"type": "console", "width": size[0], "height": size[1]}
    if force:
        body["force"] = True
    async with _open(host, instance_path(instance, "console"), project, body) as session:
        yield session


@contextlib.asynccontextmanager
async def _open(host: Host, path: str, project: str, body: Mapping[str, Any]) -> AsyncIterator[Session]:
    reply = await host.request("POST", path, params={"project": project}, json=dict(body))
    secrets: Mapping[str, str] = (reply.metadata.get("metadata") or {}).get("fds") or {}
    operation = reply.operation
    base, _, query = operation.partition("?")
    more = f"&{query}" if query else ""
    async with contextlib.AsyncExitStack() as stack:
        names = list(secrets)
        opening = [
            host.websocket(f"{base}/websocket?secret={quote(secrets[name], safe='')}{more}", _beat(name))
            for name in names
        ]
        # All at once: over a slow link each is two round trips and more.
        results = await asyncio.gather(*(one.__aenter__() for one in opening), return_exceptions=True)
        sockets: dict[str, Socket] = {}
        failure: BaseException | None = None
        for name, one, result in zip(names, opening, results, strict=True):
            if isinstance(result, HostError) and name == "control":
                continue  # the command begins without it, and has ended already
            if isinstance(result, BaseException):
                failure = failure or result
            else:
                stack.push_async_exit(one)
                sockets[name] = result
        if failure is not None:
            if isinstance(failure, HostError):
                with contextlib.suppress(ApiError, HostError):
                    await host.wait(operation, 1.0)  # an error of the command itself says more
            raise failure
        session = Session(host, operation, sockets)
        stack.push_async_callback(session.drop)
        stack.callback(session._stop)
        yield session


def _beat(name: str) -> float | None:
    """Only the control socket is pinged: on the others an answer may wait behind output that nobody takes yet."""
    return HEARTBEAT if name == "control" else None
