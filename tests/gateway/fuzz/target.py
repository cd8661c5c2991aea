"""A gateway in a thread of its own, for tests that send it nonsense from plain sockets; what it logs is kept."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import json
import logging
import re
import socket
import ssl
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxdpm_tui.config import HostConfig, Paths
from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.hosts.identity import ensure_identity
from lxdpm_tui.manager import Manager
from tests.fleet.fleets import all_read

PATIENCE = 20.0  # seconds without an answer that count as a hang

Hosts = Callable[[], AbstractAsyncContextManager[Sequence[HostConfig]]]


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: its status and body."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def text(self) -> str:
        return self.body[:400].decode("latin-1")

    def complaints(self, method: str) -> list[str]:
        """What is wrong with it, whatever was asked. A 500 with a host's own words is the host's: LXD has many."""
        if self.status < 400:
            return []
        if method == "HEAD":
            return ["500"] if self.status == 500 else []
        try:
            envelope = json.loads(self.body)
        except ValueError:
            return [f"{self.status} without an envelope"]
        found = []
        text = envelope.get("error") or ""
        if (envelope.get("type"), envelope.get("error_code")) != ("error", self.status) or not text:
            found.append("a wrong envelope")
        of_host = "X-LXDPM-Host" in self.headers or re.match(r"(The following|[\w-]+: )", text)
        if "internal error" in text or "Traceback" in text or (self.status == 500 and not of_host):
            found.append("500")
        return found


class Target:
    """The gateway and its two doors. errors: log records of ERROR and above, and what the event loop complained of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "fuzz.socket"
        self.gateway: Gateway | None = None
        self.errors: list[str] = []
        self._identity = ensure_identity(folder)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._connections: dict[str, http.client.HTTPConnection] = {}

    # -- life

    @contextmanager
    def running(self, hosts: Hosts) -> Iterator[Target]:
        ready = threading.Event()
        failed: list[BaseException] = []

        async def serve() -> None:
            self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
            self._loop.set_exception_handler(lambda _, context: self.errors.append(f"event loop: {context}"))
            paths = Paths(self.folder / "hosts.toml", self.folder / "state")
            async with (
                hosts() as configured,
                Manager.open(paths, configured) as manager,
                Gateway.serve(manager, self.socket, ("127.0.0.1", 0)) as self.gateway,
            ):
                await all_read(manager.fleet)
                der = ssl.PEM_cert_to_DER_cert(self._identity.cert_path.read_text())
                await self.gateway.trust.add(der, "fuzz")
                ready.set()
                await self._ended.wait()

        def main() -> None:
            try:
                asyncio.run(serve())
            except BaseException as error:
                failed.append(error)
            finally:
                ready.set()

        gc.collect()  # what earlier tests left is not complained of in this one
        handler = _Keeping(self.errors)
        logging.getLogger().addHandler(handler)
        thread = self._thread = threading.Thread(target=main, name="gateway", daemon=True)
        thread.start()
        try:
            ready.wait(120)
            if failed:
                raise failed[0]
            yield self
        finally:
            for connection in self._connections.values():
                connection.close()
            if self._loop is not None and self._ended is not None and thread.is_alive():
                self._loop.call_soon_threadsafe(self._ended.set)
            thread.join(90)
            logging.getLogger().removeHandler(handler)
        assert not thread.is_alive(), self._where()
        assert not failed

    # -- asking

    def connect(self, door: str) -> socket.socket:
        """A raw connection to "unix" or "https"."""
        if door == "unix":
            plain = socket.socket(socket.AF_UNIX)
            plain.settimeout(PATIENCE)
            plain.connect(str(self.socket))
            return plain
        assert self.gateway is not None
        host, _, port = self.gateway.addresses[0].rpartition(":")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(self._identity.cert_path, self._identity.key_path)
        return context.wrap_socket(socket.create_connection((host, int(port)), PATIENCE))

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        door: str = "unix",
    ) -> Said:
        """One request on a connection that is kept. TimeoutError when the gateway hangs."""
        for again in (True, False):
            connection = self._connections.get(door) or self._open(door)
            try:
                connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
                for name, value in {"Host": "x", **(headers or {})}.items():
                    connection.putheader(name, value)
                if body is not None:
                    connection.putheader("Content-Length", str(len(body)))
                connection.endheaders(body)
                answer = connection.getresponse()
                return Said(answer.status, answer.read(), dict(answer.getheaders()))
            except TimeoutError:
                raise AssertionError(f"no answer to {method} {target} {body!r:.300}; {self._where()}") from None
            except (http.client.HTTPException, OSError):
                connection.close()
                del self._connections[door]
                if not again:
                    raise
        raise AssertionError

    def _open(self, door: str) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("x")
        connection.sock = self.connect(door)
        self._connections[door] = connection
        return connection

    def _where(self) -> str:
        """Where the gateway's thread is: in something that blocks it, or just waiting."""
        frame = sys._current_frames().get(self._thread.ident or 0) if self._thread else None
        if frame is None or self._loop is None:
            return "the gateway has ended"
        tasks = [str(task)[:300] for task in asyncio.all_tasks(self._loop)]
        return "\n".join(["".join(traceback.format_stack(frame)[-8:]), *tasks])

    def get(self, path: str) -> Any:
        """Metadata of a GET that must work."""
        said = self.ask("GET", path)
        assert said.status == 200, (path, said.text)
        return json.loads(said.body)["metadata"]

    def raw(self, data: bytes, door: str = "unix", *, half_close: bool = False, patience: float = 2.0) -> bytes:
        """Send bytes on a connection of their own; all that comes back until the gateway closes or falls silent."""
        with self.connect(door) as connection:
            with contextlib.suppress(ConnectionError, ssl.SSLError):  # it may have hung up before all was sent
                connection.sendall(data)
            if half_close and door == "unix":
                connection.shutdown(socket.SHUT_WR)
            return read_answer(connection, patience=patience)

    def check(self) -> None:
        """Nothing went wrong inside, and it still answers at both doors."""
        errors = list(self.errors)
        self.errors.clear()  # they are not those of the next test
        assert not errors, "\n".join(errors)
        for door in ("unix", "https"):
            assert self.ask("GET", "/1.0", door=door).status == 200


def read_answer(connection: socket.socket, quiet: float = 0.2, patience: float = 2.0, answers: int = 1) -> bytes:
    """What comes until the other side closes, or `quiet` seconds pass once so many answers came, or `patience` before
    that."""
    found = bytearray()
    connection.settimeout(patience)
    with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
        while chunk := connection.recv(1 << 16):
            found += chunk
            whole = found.count(b"HTTP/1.") >= answers and _is_whole(found)
            connection.settimeout(quiet if whole else patience)
    return bytes(found)


def _is_whole(answers: bytearray) -> bool:
    """Whether the last answer has all of its body, as far as it tells the length."""
    head, end, body = answers[answers.rfind(b"HTTP/1.") :].partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
    return bool(end) and (length is None or len(body) >= int(length[1]))


class _Keeping(logging.Handler):
    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(logging.Formatter("%(name)s %(message)s").format(record))


@contextlib.asynccontextmanager
async def simulated(count: int = 2) -> AsyncIterator[Sequence[HostConfig]]:
    from lxdpm_tui.demo.fleet import DemoFleet

    async with DemoFleet(count=count, instances_per_host=(3, 3), seed=5, activity=False, pace=0.01) as demo:
        yield demo.hosts
