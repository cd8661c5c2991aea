"""Simulated hosts that are far away and share no processor with anybody: answers are ready, and come a time later.

    python -m benchmarks.distant_hosts FOLDER COUNT SECONDS

Real hosts work at the same time, each with processors of its own. Here all would stand in line for two: what a daemon
needs for its answer is therefore done once and kept, and what it would have needed, with the way there and back, is
waited for. Requests other than plain reading go to the simulated daemon (lxdpm_tui/demo) behind, as bytes.
Sockets: FOLDER/NAME.far. Prints "ready"; ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from pathlib import Path

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.demo import cast
from lxdpm_tui.demo.fleet import DemoFleet

MANY, FEW = 50, 5  # instances of the first host and of each other
SEED = 1
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)
_UPGRADE = re.compile(rb"^upgrade:", re.IGNORECASE | re.MULTILINE)


class Distant:
    """One host. seconds: from a question until its answer."""

    def __init__(self, near: Path, seconds: float) -> None:
        self.near = near
        self.seconds = seconds
        self._answers: dict[str, asyncio.Task[bytes]] = {}

    async def listen(self) -> asyncio.Server:
        path = str(self.near.with_suffix(".far"))
        return await asyncio.get_running_loop().create_unix_server(lambda: _Connection(self), path)

    def answer(self, target: str) -> asyncio.Task[bytes]:
        """Head and body of what the daemon answers to a GET of it, always the same."""
        if target not in self._answers:
            self._answers[target] = asyncio.create_task(self._ask(target))
        return self._answers[target]

    async def _ask(self, target: str) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(self.near), limit=1 << 20)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        writer.close()
        return head + body


class _Connection(asyncio.Protocol):
    def __init__(self, host: Distant) -> None:
        self._host = host
        self._held = b""
        self._behind: asyncio.Queue[bytes] | None = None  # what goes to the daemon itself, b"" at the end
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._behind is not None:
            self._behind.put_nowait(data)
            return
        self._held += data
        while (end := self._held.find(b"\r\n\r\n") + 4) > 3 and self._behind is None:
            method, target, _ = self._held.split(b" ", 2)
            if method != b"GET" or _UPGRADE.search(self._held, 0, end):
                self._behind = asyncio.Queue()
                self._behind.put_nowait(self._held)
                self._begin(self._through(self._behind))
                return
            self._held = self._held[end:]
            self._begin(self._reply(target.decode(), asyncio.get_running_loop().time() + self._host.seconds))

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self._tasks:
            task.cancel()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, target: str, due: float) -> None:
        answer = await asyncio.shield(self._host.answer(target))
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        self._transport.write(answer)

    async def _through(self, sent: asyncio.Queue[bytes]) -> None:
        reader, writer = await asyncio.open_unix_connection(str(self._host.near))

        async def back() -> None:
            while data := await reader.read(1 << 16):
                self._transport.write(data)
            self._transport.close()

        answering = asyncio.create_task(back())
        try:
            while True:
                writer.write(await sent.get())
        finally:
            answering.cancel()
            writer.close()


@contextlib.asynccontextmanager
async def distant(folder: Path, count: int, seconds: float) -> AsyncIterator[list[HostConfig]]:
    """Such hosts in a process of their own, with sockets in `folder`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.distant_hosts", str(folder), str(count), str(seconds),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise RuntimeError("the simulated hosts did not start")
        yield [HostConfig(plan.name, UnixAddress(str(folder / f"{plan.name}.far"))) for plan in _plans(count)]
    finally:
        process.stdin.close()
        await process.wait()


def _plans(count: int) -> list[cast.HostPlan]:
    first, *others = cast.plan(count, (FEW, FEW), SEED)
    return [replace(first, instances=MANY), *others]


async def main(folder: Path, count: int, seconds: float) -> None:
    plans = _plans(count)
    async with DemoFleet(plans=plans, activity=False, directory=folder) as fleet, contextlib.AsyncExitStack() as stack:
        for plan in plans:
            near = fleet.daemons[plan.name].path
            await stack.enter_async_context(await Distant(near, seconds).listen())
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__" and sys.argv[1:]:  # as a child of proxied_get.py; alone it has nothing to measure
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
