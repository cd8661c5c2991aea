"""How a body is understood when the client says nothing, or something wrong, about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from lxdpm_tui.config import Paths
from lxdpm_tui.demo.fleet import DemoFleet
from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.manager import Manager

CURL = "application/x-www-form-urlencoded"  # what curl says of every body


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    paths = Paths(tmp_path / "hosts.toml", tmp_path / "state")
    socket = tmp_path / "fleet.socket"
    async with (
        DemoFleet(count=2, seed=3, activity=False, pace=0.1) as demo,
        Manager.open(paths, demo.hosts) as manager,
        Gateway.serve(manager, socket),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
    ):
        yield session


@pytest.mark.parametrize("kind", [None, CURL, "application/json", "application/json; charset=utf-8"])
async def test_a_create_needs_no_content_type(session: aiohttp.ClientSession, kind: str | None) -> None:
    body = b'{"name": "c1", "source": {"type": "none"}}'
    headers = {"Content-Type": kind} if kind else {}
    request = session.post(
        "http://x/1.0/containers", data=body, headers=headers, skip_auto_headers=[] if kind else ["Content-Type"]
    )
    async with request as response:
        found = await response.json()
    assert (response.status, found["type"], found["error"]) == (202, "async", "")


@pytest.mark.parametrize("kind", [None, CURL, "application/octet-stream"])
async def test_an_image_is_known_by_its_bytes(session: aiohttp.ClientSession, kind: str | None) -> None:
    headers = {"X-LXD-filename": "f.tar.gz", **({"Content-Type": kind} if kind else {})}
    request = session.post(
        "http://x/1.0/images",
        data=b"\x1f\x8b not really a tarball",
        headers=headers,
        skip_auto_headers=[] if kind else ["Content-Type"],
    )
    async with request as response:
        found = await response.json()
    assert (response.status, found["metadata"]["description"]) == (202, "Downloading image")


async def test_a_source_is_known_by_its_brace(session: aiohttp.ClientSession) -> None:
    body = b' {"source": {"type": "url"}}'
    async with session.post("http://x/1.0/images", data=body, headers={"Content-Type": CURL}) as response:
        found = await response.json()
    assert (response.status, found["error"]) == (400, "Missing URL")


async def test_no_word_of_a_body_is_one_of_ours(session: aiohttp.ClientSession) -> None:
    for path in ("plan", "actions/launch"):
        async with session.post(f"http://x/1.0/fleet/{path}", json={"image": "x", "self": 1}) as response:
            assert (response.status, "self" in (await response.json())["error"]) == (400, True), path
