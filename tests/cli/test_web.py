"""`--web`: a real process with a demo fleet, asked as a browser asks, by raw HTTP and the console's websocket."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from lxdpm_tui.cli.run import Failure
from lxdpm_tui.cli.web import address_of

READY = re.compile(r"ready unix:\S+ (http://127\.0\.0\.1:\d+)(/\?key=\S+)")


@asynccontextmanager
async def web(folder: Path, free_port: Callable[[], int]) -> AsyncIterator[tuple[str, str]]:
    """The origin, and the path with the secret. A port that somebody took before we did is left to him."""
    errors = folder / "errors"
    while True:
        async with _web(folder, free_port(), errors) as line:
            if found := READY.match(line):
                yield found[1], found[2]
                return
        assert "cannot listen on" in errors.read_text(), (line, errors.read_text())


@asynccontextmanager
async def _web(folder: Path, port: int, errors: Path) -> AsyncIterator[str]:
    """The process on that port; what it says first, "" when it ended without a word."""
    command = [sys.executable, "-m", "lxdpm_tui", "--demo", "2", "--state", str(folder), "--web", str(port)]
    with errors.open("w") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(90):
            line = await process.stdout.readline()
        yield line.decode()
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(60):
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def shown(socket: aiohttp.ClientWebSocketResponse, words: str) -> None:
    """Returns once the console has written the words."""
    got = ""
    async with asyncio.timeout(90):
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                got += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", message.data.decode(errors="replace"))
                if words in got:
                    return
    raise AssertionError(f"it ended without {words!r}: {got[-500:]}")


async def test_the_console_in_a_browser(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> None:
    async with web(tmp_path, unused_tcp_port_factory) as (origin, path):
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(origin, cookie_jar=jar) as stranger:
            for headers in ({}, {"Cookie": "lxdpm-web=guess"}):
                assert (await stranger.get("/", headers=headers)).status == 403
                assert (await stranger.get("/ws", headers=headers)).status == 403
            assert (await stranger.get(path, headers={"Origin": "http://other.example"})).status == 403
            assert (await stranger.get(path, headers={"Host": "other.example"})).status == 403
        async with aiohttp.ClientSession(origin, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            page = await browser.get(path)
            assert (page.status, str(page.url)) == (200, f"{origin}/")  # the secret is no longer in the address
            assert "lxdpm-tui" in await page.text()
            foreign = await browser.get("/ws", headers={"Origin": "http://other.example"})
            assert foreign.status == 403
            async with browser.ws_connect("/ws?width=100&height=30", headers={"Origin": origin}) as socket:
                await shown(socket, "Running")  # a row is there to press a key on
                await socket.send_str(json.dumps(["stdin", "t"]))
                await shown(socket, "read-only")


@pytest.mark.parametrize(
    ("text", "address"),
    [("", ("127.0.0.1", 8444)), ("9000", ("127.0.0.1", 9000)), ("127.0.0.2:81", ("127.0.0.2", 81)),
     ("[::1]:82", ("::1", 82))],
)  # fmt: skip
def test_where_it_listens(text: str, address: tuple[str, int]) -> None:
    assert address_of(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [("0.0.0.0:80", "ssh -L 80"), ("example.org:80", "this machine only"), ("x", "PORT"), ("99999", "PORT")],
)
def test_where_it_does_not(text: str, why: str) -> None:
    with pytest.raises(Failure, match=why):
        address_of(text)
