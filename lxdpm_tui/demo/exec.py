"""exec and console: a command on an instance, over websockets or on its own."""

from __future__ import annotations

import asyncio
import json
import secrets
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

from lxdpm_tui.demo.instances import resources, tell
from lxdpm_tui.demo.operations import Operation
from lxdpm_tui.demo.shell import CommandNotFoundError, Process, terminal
from lxdpm_tui.demo.state import Instance, State
from lxdpm_tui.demo.variants import JSON, Problem

PATIENCE = 5.0  # seconds for all sockets to be there
_LINGER = 30.0  # seconds a terminal waits for its client to close
_UNUSABLE = {126: "Command not executable", 127: "Command not found"}  # exit codes that LXD takes for these

_ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "USER": "root",
}


class Session:
    """The sockets of one operation. A socket is taken over by attach() until the session is over."""

    def __init__(self, state: State, names: list[str], optional: str = "control") -> None:
        self.state = state
        self.fds = {name: secrets.token_hex(32) for name in names}
        self._needed = {name for name in names if name != optional}
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._complete = asyncio.Event()
        self._over = asyncio.Event()
        self._left = asyncio.Event()  # the client closed its standard input
        self.input: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.controls: asyncio.Queue[JSON] = asyncio.Queue()

    async def attach(self, secret: str, request: web.BaseRequest) -> web.StreamResponse:
        """Turn the request into the socket that the secret stands for."""
        name = next((name for name, known in self.fds.items() if known == secret), None)
        if name is None or name in self._sockets:
            raise self.state.variant.problem("socket-secret")
        socket = web.WebSocketResponse(autoclose=False, autoping=True, max_msg_size=0, compress=False)
        await socket.prepare(request)
        self._sockets[name] = socket
        if self._needed <= self._sockets.keys():
            self._complete.set()
        reader = asyncio.create_task(self._read(name, socket))
        try:
            await self._over.wait()
        finally:
            reader.cancel()
            if request.transport is not None:
                request.transport.close()  # without a closing handshake, as LXD does
        return socket

    async def _read(self, name: str, socket: web.WebSocketResponse) -> None:
        while True:
            message = await socket.receive()
            if message.type == WSMsgType.BINARY and name == "0":
                self.input.put_nowait(message.data)
            elif message.type == WSMsgType.TEXT and name == "0" and not message.data:
                self.input.put_nowait(None)
            elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY) and name == "control":
                self.controls.put_nowait(json.loads(message.data))
            elif message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                if name == "0":
                    self.input.put_nowait(None)
                    self._left.set()
                return

    async def ready(self) -> None:
        """Wait until the needed sockets are there. Raises Problem after five seconds."""
        try:
            await asyncio.wait_for(self._complete.wait(), PATIENCE)
        except TimeoutError:
            raise Problem(500, "Timed out waiting for websockets to connect") from None

    async def write(self, number: int, data: bytes) -> None:
        await self.state.awake.wait()
        socket = self._sockets.get("0" if len(self.fds) == 2 else str(number))
        if socket is not None and not socket.closed:
            try:
                await socket.send_bytes(data)
            except ConnectionError:  # the client went away: the command does not care
                self._sockets.pop("0" if len(self.fds) == 2 else str(number), None)

    async def finish(self) -> None:
        """Say the end on every output, and let the sockets go. A terminal's client is waited for: it closes first."""
        for name in ("0",) if len(self.fds) == 2 else ("1", "2"):
            if name in self._sockets and not self._sockets[name].closed:
                try:
                    await self._sockets[name].send_str("")
                except ConnectionError:
                    continue
        task = asyncio.current_task()
        killed = task is not None and task.cancelling()  # a daemon that dies waits for nobody
        if len(self.fds) == 2 and "0" in self._sockets and not killed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), _LINGER)
        self._over.set()


def execute(state: State, found: Instance, body: JSON) -> Operation:
    """POST /exec. Raises Problem when the instance does not run."""
    if not found.running:
        raise Problem(400, "Instance is not running")
    if found.status == "Frozen":
        raise Problem(400, "Instance is frozen")
    command = [str(word) for word in body.get("command") or []]
    own = {key.removeprefix("environment."): value for key, value in found.config.items() if "environment." in key}
    environment = _ENVIRONMENT | own | (body.get("environment") or {})
    touched = resources(state, (found.name, found.project))
    interactive = bool(body.get("interactive"))

    def process(write: Any, stdin: asyncio.Queue[bytes | None]) -> Process:
        return Process(
            instance=found,
            write=write,
            environment=environment,
            directory=body.get("cwd") or "/root",
            user=int(body.get("user") or 0),
            stdin=stdin,
            columns=int(body.get("width") or 80),
            rows=int(body.get("height") or 24),
        )

    if not body.get("wait-for-websocket"):
        return _recorded(state, found, body, command, process, touched)

    session = Session(state, ["0", "control"] if interactive else ["0", "1", "2", "control"])
    metadata = {"command": command, "environment": environment, "fds": session.fds, "interactive": interactive}

    async def work(operation: Operation) -> None:
        try:
            await session.ready()
            running = process(session.write, session.input)
            tell(state, found, "exec", {"command": command})
            status = await _controlled(session, running, command, interactive)
            operation.metadata = metadata | {"return": status}
        finally:
            await session.finish()

    return state.operations.start(
        "Executing command",
        found.project,
        work,
        kind="websocket",
        resources=touched,
        metadata=metadata,
        connect=session.attach,
    )


async def _controlled(session: Session, process: Process, command: list[str], interactive: bool) -> int:
    """Run the command while obeying the control socket: window sizes and signals."""
    main = asyncio.create_task(terminal(process, command) if interactive else process.run(command))
    signals: list[int] = []

    async def obey() -> None:
        while True:
            control = await session.controls.get()
            if control.get("command") == "signal":
                signals.append(int(control.get("signal", 15)))
                main.cancel()
            elif control.get("command") == "window-resize":
                arguments = control.get("args") or {}
                process.columns = int(arguments.get("width", process.columns))
                process.rows = int(arguments.get("height", process.rows))

    obeying = asyncio.create_task(obey())
    try:
        return _checked(await main)
    except CommandNotFoundError:
        raise Problem(400, _UNUSABLE[127]) from None
    except asyncio.CancelledError:
        if not signals:
            raise
        return 128 + signals[0]
    finally:
        main.cancel()
        obeying.cancel()


def _checked(status: int) -> int:
    if status in _UNUSABLE:
        raise Problem(400, _UNUSABLE[status])
    return status


def _recorded(
    state: State, found: Instance, body: JSON, command: list[str], process: Any, touched: dict[str, list[str]]
) -> Operation:
    async def work(operation: Operation) -> None:
        if not command:
            raise Problem(500, "Failed to retrieve PID of executing child process")
        outputs = {1: bytearray(), 2: bytearray()}

        async def write(number: int, data: bytes) -> None:
            outputs[number] += data

        stdin: asyncio.Queue[bytes | None] = asyncio.Queue()
        stdin.put_nowait(None)
        tell(state, found, "exec", {"command": command})
        try:
            status = _checked(await process(write, stdin).run(command))
        except CommandNotFoundError:
            raise Problem(400, _UNUSABLE[127]) from None
        metadata: JSON = {"return": status}
        if body.get("record-output"):
            directory = "logs/exec-output" if state.variant.incus else "logs"
            metadata["output"] = {}
            for number, stream in ((1, "stdout"), (2, "stderr")):
                name = f"exec_{operation.id}.{stream}"
                found.logs[name] = bytes(outputs[number])
                metadata["output"][str(number)] = f"/1.0/instances/{found.name}/{directory}/{name}"
        operation.metadata = metadata

    return state.operations.start("Executing command", found.project, work, resources=touched)


def console(state: State, found: Instance, body: JSON) -> Operation:
    """POST /console: a login prompt that takes no password."""
    if body.get("type") == "vga" and found.type == "container":
        raise Problem(400, "VGA console is only supported by virtual machines")
    if not found.running:
        raise Problem(400, "Instance is not running")
    session = Session(state, ["0", "control"])

    async def work(_: Operation) -> None:
        try:
            await session.ready()
            await session.write(1, f"\r\n{found.name} login: root (simulated)\r\n".encode())
            await terminal(Process(instance=found, write=session.write, stdin=session.input), ["sh"])
        finally:
            await session.finish()

    return state.operations.start(
        "Showing console",
        found.project,
        work,
        kind="websocket",
        resources=resources(state, (found.name, found.project)),
        metadata={"fds": session.fds},
        may_cancel=state.variant.incus,
        connect=session.attach,
    )
