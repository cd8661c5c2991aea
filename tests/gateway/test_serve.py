"""`lxdpm-tui --serve`: ready, one manager a state directory, a clean end, and what survives it."""

from __future__ import annotations

import asyncio
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lxdpm_tui.gateway.server import START
from tests.gateway.client import Answer, Client
from tests.gateway.direct import ALL
from tests.gateway.serving import Serving, serving, start
from tests.lab.lab import Lab

IMAGE = {"type": "image", "alias": "busybox"}


@asynccontextmanager
async def asked(served: Serving) -> AsyncIterator[Client]:
    client = Client(served.socket)
    try:
        yield client
    finally:
        await client.close()


async def test_ready_and_a_clean_stop(clean_lab: Lab, tmp_path: Path) -> None:
    async with serving(clean_lab, tmp_path) as served:
        mode = served.socket.stat().st_mode
        assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o660)
        async with asked(served) as client:
            assert (await client.get("/1.0"))["environment"]["server_clustered"] is True
            waiting = asyncio.create_task(client.session.get(client.url("/1.0/events")))
            code, errors = await served.stop()
            await asyncio.gather(waiting, return_exceptions=True)
        assert code == 0
        assert "Traceback" not in errors
        assert not served.socket.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_other_signals(clean_lab: Lab, tmp_path: Path, number: signal.Signals) -> None:
    async with serving(clean_lab, tmp_path) as served:
        code, errors = await served.stop(number)
    assert (code, "Traceback" in errors) == (0, False)


async def test_a_second_one_is_told_of_the_first(clean_lab: Lab, tmp_path: Path) -> None:
    async with serving(clean_lab, tmp_path) as served:
        state = str(tmp_path / "state")
        process, errors = await start("--hosts", str(clean_lab.hosts_file), "--state", state, "--serve")
        out, _ = await asyncio.wait_for(asyncio.gather(process.stdout.read(), process.wait()), 60)  # type: ignore
        text = (await errors).decode()
        assert (process.returncode, out) == (1, b"")
        assert f"process {served.process.pid}" in text
        assert state in text
        assert "Traceback" not in text
        async with asked(served) as client:
            assert (await client.ask("GET", "/1.0")).status == 200  # the first one does not mind


async def first_list(served: Serving, client: Client, *up: str) -> Answer:
    """The first answer, of all the hosts that are up; a later one only where those were waited for in vain."""
    async with asyncio.timeout(60):
        while True:
            answer = await client.ask("GET", "/1.0/instances")
            stale = answer.headers.get("X-LXDPM-Stale", "").split(", ")
            if not any(f"{host}=never" in stale for host in up):
                return answer
            assert served.took >= START, stale
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_what_survives(clean_lab: Lab, tmp_path: Path, end: signal.Signals) -> None:
    """The strategy, and what tasks said; a socket file that was left behind is no obstacle. Each time the first answer
    is whole, and the first launch finds a host."""
    async with serving(clean_lab, tmp_path, read=False) as served, asked(served) as client:
        if served.took < START:  # else the machine stalled, and no host may have been read
            made = await client.done("POST", "/1.0/instances", {"name": "c1", "source": IMAGE})
        else:
            made = await client.create("c1")
        assert await client.get("/1.0/planner") == "random"
        await client.done("PUT", "/1.0/planner", {"state": "gather"})
        await served.stop(end)
    async with serving(clean_lab, tmp_path, read=False) as served, asked(served) as client:
        assert await client.get("/1.0/planner") == "gather"
        assert (await first_list(served, client, *ALL)).metadata == ["/1.0/instances/c1"]
        tasks = {task["id"]: task for task in await client.get("/1.0/fleet/tasks")}
        kept = tasks[made["id"]]
        assert (kept["status"], kept["metadata"]["placement"]) == ("Success", made["metadata"]["placement"])


async def test_a_host_that_is_down_at_the_start(clean_lab: Lab, tmp_path: Path) -> None:
    with clean_lab.hosts["h2"].hung():
        async with serving(clean_lab, tmp_path, read=False) as served, asked(served) as client:
            answer = await first_list(served, client, "h1", "h3", "i1")
            assert (answer.metadata, answer.headers["X-LXDPM-Stale"]) == ([], "h2=never")
            missing = await client.ask("GET", "/1.0/instances/c1")
            assert (missing.status, "h2" in missing.error) == (503, True)
            await client.create("c1")


async def test_no_hosts(tmp_path: Path) -> None:
    process, errors = await start("--hosts", str(tmp_path / "none.toml"), "--state", str(tmp_path), "--serve")
    assert process.stdout is not None
    out, _ = await asyncio.wait_for(asyncio.gather(process.stdout.read(), process.wait()), 60)
    text = (await errors).decode()
    assert (process.returncode, out, "none.toml" in text, "Traceback" in text) == (2, b"", True, False)
