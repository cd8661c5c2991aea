"""The front end of tests/gateway/web, which does the calls of lxd-webgui, in a real Chromium.

Collected only where there is one (conftest.py); test_browser.py says the same in raw HTTP everywhere. The browser's own
way to choose a client certificate would need a system-wide policy, so a byte pump beside it brings the certificate.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lxdpm_tui.hosts.https import client_context
from tests.gateway.client import Client
from tests.gateway.serving import Serving, serving
from tests.hosts.daemons import settled
from tests.lab.lab import Lab

WEB = Path(__file__).parent / "web"
PROGRAM = "chromium"
PATIENCE = 60.0  # seconds


@asynccontextmanager
async def with_certificate(served: Serving, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """A port of plain HTTP whose bytes go to the gateway by HTTPS, as a client with a certificate."""
    port = int(served.https.rpartition(":")[2])
    pumps: set[asyncio.Task[None]] = set()
    ends: set[asyncio.StreamWriter] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the browser left
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        ends.update({writer, back_writer})
        pumps.update({asyncio.create_task(pump(reader, back_writer)), asyncio.create_task(pump(back_reader, writer))})

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for end in ends:
            end.transport.abort()
        await settled()


class Tab:
    """A page of the browser, by the DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        self._socket = socket
        self._number = 0
        self.seen: list[dict[str, Any]] = []  # events on the way

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            found: dict[str, Any] = await self._socket.receive_json(timeout=PATIENCE)
            if found.get("id") == self._number:
                assert "error" not in found, found
                result: dict[str, Any] = found["result"]
                return result
            self.seen.append(found)

    async def visit(self, url: str) -> None:
        self.seen.clear()
        assert "errorText" not in await self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.seen):
            self.seen.append(await self._socket.receive_json(timeout=PATIENCE))

    async def run(self, expression: str) -> Any:
        """The value of a script, awaited."""
        found = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"]["value"]


async def first_page(session: aiohttp.ClientSession, address: str) -> str:
    """The URL of its debugger; the browser answers before it has one."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with session.get(f"http://{address}/json/list") as response:
                pages = [each for each in json.loads(await response.read()) if each["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    program = shutil.which(PROGRAM)
    assert program
    process = await asyncio.create_subprocess_exec(
        program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
        "--remote-debugging-port=0", f"--user-data-dir={tmp_path / 'chromium'}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert process.stderr is not None
    drained: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(PATIENCE):
            line = b""
            while not (found := re.search(rb"ws://([\d.:]+)/", line)):
                line = await process.stderr.readline()
                assert line, "it ended"
        drained = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession() as session:
            page = await first_page(session, found[1].decode())
            async with session.ws_connect(page, max_msg_size=0) as socket:
                tab = Tab(socket)
                await tab.call("Page.enable")
                yield tab
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        if drained is not None:
            await drained


async def test_a_whole_round_and_a_page_from_elsewhere(clean_lab: Lab, tmp_path: Path, tab: Tab) -> None:
    words = ("--listen", "127.0.0.1:0", "--ui", str(WEB))
    async with serving(clean_lab, tmp_path, *words) as served:
        client = Client(served.socket)
        lines = clean_lab.client_cert.read_text().splitlines()
        der = "".join(line for line in lines if not line.startswith("-"))
        await client.done("POST", "/1.0/certificates", {"name": "browser", "type": "client", "certificate": der})
        async with with_certificate(served, client_context(clean_lab.client_identity)) as port:
            await tab.visit(f"http://127.0.0.1:{port}/")
            assert await tab.run("location.pathname") == "/ui/"
            for host in ("h2", "i1"):
                await tab.visit(f"http://127.0.0.1:{port}/ui/project/default/instances/{host}")  # its own route
                found = await tab.run(f"round('web-{host}', '{host}')")
                assert (found["auth"], found["operations"], found["left"]) == ("trusted", True, 0)
                assert found["created"].partition("?")[0].endswith(f"/web-{host}")
                assert found["running"] == [[f"web-{host}", "Running", host]]
                assert f"web-{host} Running {host}" in found["text"]
                assert "42-root" in found["seen"]
            await tab.visit(f"http://localhost:{port}/ui/")  # the same front end, for the browser another site
            found = await tab.run(f"foreign('http://127.0.0.1:{port}')")
            assert found == {"cors": "refused", "change": "refused", "form": "opaque", "socket": "refused"}
        assert await client.get("/1.0/instances") == []
        assert await client.get("/1.0/planner") == "random"
        await client.close()
        _, errors = await served.stop()
        assert "Traceback" not in errors
