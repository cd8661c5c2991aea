"""Faults of simulated daemons, and that data outlives them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from lxdpm_tui.demo.server import SimDaemon
from lxdpm_tui.demo.state import State
from lxdpm_tui.demo.variants import LXD_4_0, LXD_5_21
from tests.demo.conftest import connected
from tests.demo.daemon import Daemon

Pair = tuple[Daemon, SimDaemon]
IMAGELESS = {"type": "image", "fingerprint": "00"}
SOON = 0.2  # seconds in which a daemon that answers would have answered


async def test_a_hanging_daemon_accepts_and_is_silent(sim: Pair) -> None:
    daemon, server = sim
    server.hang()
    reader, writer = await asyncio.open_unix_connection(daemon.socket)
    writer.write(b"GET /1.0 HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), SOON)
    server.resume()
    assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


async def test_events_and_operations_wait_while_it_hangs(sim: Pair) -> None:
    daemon, server = sim
    async with daemon.listening() as recording:
        server.state.pace = 20  # it is not over before the daemon hangs
        started = await daemon.call("POST", "/1.0/instances", {"name": "c1", "source": {"type": "none"}})
        server.hang()
        waiting = asyncio.create_task(daemon.end(started))
        done, _ = await asyncio.wait({waiting}, timeout=SOON)
        assert not done
        assert "Success" not in str(recording.operations())
        server.resume()
        assert await waiting == ("Success", "")
        await recording.until(lambda: recording.operations()[0][1][-1:] == ["Success"])


async def test_a_stopped_daemon_refuses_and_keeps_its_data(sim: Pair) -> None:
    daemon, server = sim
    await daemon.make("c1", start=True)
    running = await daemon.call("POST", "/1.0/instances/c1/exec", {"command": ["sleep", "60"]})
    async with daemon.listening() as recording:
        await server.stop()
        await server.stop()
        with pytest.raises(aiohttp.ClientConnectorError):
            await daemon.call("GET", "/1.0")
        assert recording.lifecycle() == []
    await server.start()
    await server.start()
    assert (await daemon.get("/1.0/instances/c1"))["status"] == "Running"
    assert (await daemon.call("GET", running.json["operation"])).error == (404, "Operation not found")


async def test_the_socket_can_be_gone(sim: Pair) -> None:
    _, server = sim
    await server.stop(gone=True)
    assert not server.path.exists()


async def test_failing_requests(sim: Pair) -> None:
    daemon, server = sim
    server.fail_next("POST", "^/1.0/images$", 503, "LXD daemon setup in progress", count=2)
    assert (await daemon.call("GET", "/1.0/images")).status == 200
    for _ in range(2):
        assert (await daemon.call("POST", "/1.0/images", {})).error == (503, "LXD daemon setup in progress")
    assert (await daemon.call("POST", "/1.0/images", {})).error == (500, "Invalid images JSON")


async def test_delay(sim: Pair) -> None:
    daemon, server = sim
    server.delay(SOON)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await daemon.get("/1.0/instances")
    assert loop.time() - began >= SOON
    server.heal()


async def test_finished_operations_are_forgotten(sim: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is kept for longer than the machine may stall, the other as good as not."""
    daemon, server = sim
    monkeypatch.setattr("lxdpm_tui.demo.operations.KEPT", 60.0)
    kept = await daemon.call("POST", "/1.0/instances", {"name": "c1", "source": {"type": "none"}})
    assert await daemon.end(kept) == ("Success", "")
    monkeypatch.setattr("lxdpm_tui.demo.operations.KEPT", 0.1)
    answer = await daemon.call("POST", "/1.0/instances", {"name": "c2", "source": {"type": "none"}})
    async with asyncio.timeout(60):
        while (await daemon.call("GET", answer.json["operation"])).status == 200:
            pass
    assert (await daemon.call("GET", kept.json["operation"])).status == 200
    assert list(server.state.operations.by_id) == [kept.metadata["id"]]


async def test_warnings_are_acknowledged_and_deleted(sim: Pair) -> None:
    daemon, server = sim
    server.state.warnings["0-1"] = {"uuid": "0-1", "status": "new", "type": "t"}
    await daemon.call("PUT", "/1.0/warnings/0-1", {"status": "acknowledged"})
    assert (await daemon.get("/1.0/warnings/0-1"))["status"] == "acknowledged"
    wrong = await daemon.call("PUT", "/1.0/warnings/0-1", {"status": "x"})
    assert wrong.error == (400, 'Invalid warning type "x"')
    await daemon.call("DELETE", "/1.0/warnings/0-1")
    assert (await daemon.call("DELETE", "/1.0/warnings/0-1")).error == (404, "Warning not found")


async def test_old_and_new_lxd(tmp_path: Path) -> None:
    """What LXD 4.0 lacks and 5.21 does in another way."""
    old, new = (SimDaemon(State("x", v), tmp_path / v.version) for v in (LXD_4_0, LXD_5_21))
    await old.start()
    await new.start()
    try:
        async with connected("lxd", str(old.path)) as daemon:
            for path in ("metrics", "warnings", "network-acls"):
                assert (await daemon.call("GET", f"/1.0/{path}")).error == (404, "not found")
            await daemon.do("POST", "/1.0/instances", {"name": "c1", "source": {"type": "none"}})
            assert (await daemon.get("/1.0/instances/c1"))["location"] == ""
        async with connected("lxd", str(new.path)) as daemon:
            answer = await daemon.call("POST", "/1.0/instances", {"name": "c1", "source": IMAGELESS})
            waited = await daemon.call("GET", f"{answer.json['operation']}/wait")
            assert (waited.status, waited.json["type"]) == (200, "error")
    finally:
        await old.stop()
        await new.stop()
