"""A gateway that ends in the middle, killed or not, and the next one: what hosts were doing goes on and is found."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.gateway.client import Answer, Client
from tests.gateway.serving import serving
from tests.lab.lab import Lab

ALL = ("h1", "h2", "h3", "i1")
LONG = 40  # seconds that commands take: in that time a gateway ends, and the next one is asked for them


async def sleeping(client: Client, host: str, seconds: int) -> Answer:
    body = {"command": ["sleep", str(seconds)], "wait-for-websocket": False, "interactive": False}
    answer = await client.ask("POST", f"/1.0/instances/c-{host}/exec", body)
    assert (answer.status, answer.metadata["status"]) == (202, "Running")
    return answer


async def broken(socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
    """That the connection has ended; what came before is passed over."""
    async with asyncio.timeout(60):
        try:
            while not socket.closed:
                await socket.receive()
        except aiohttp.ClientConnectionResetError:
            pass
        finally:
            await socket.close()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """One that outlives the gateway, and connects anew to the next at the same socket."""
    client = Client(tmp_path / "serve.socket")
    yield client
    await client.close()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_operations_of_hosts_are_found_again(
    client: Client, clean_lab: Lab, tmp_path: Path, end: signal.Signals
) -> None:
    """By clients that know nothing but the id: read, in the list, waited for; on LXD and on Incus."""
    async with serving(clean_lab, tmp_path) as served:
        await asyncio.gather(*(client.create(f"c-{host}", host, start=True) for host in ALL))
        began = time.monotonic()
        started = {host: await sleeping(client, host, LONG) for host in ALL}
        waiting = [asyncio.create_task(client.wait(answer)) for answer in started.values()]
        async with client.events("?type=operation") as events:
            await served.stop(end)
            await broken(events.socket)
        for outcome in await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 60):
            assert isinstance(outcome, aiohttp.ClientError), outcome
    async with serving(clean_lab, tmp_path):
        running = (await client.get("/1.0/operations"))["running"]
        for host, answer in started.items():
            path = answer.json["operation"]
            assert path in running
            found = await client.get(path)
            assert (found["status"], found["location"], found["id"]) == ("Running", host, answer.metadata["id"])
        for host in ALL:
            assert (await client.wait(started[host])).metadata["metadata"]["return"] == 0
        assert LONG <= time.monotonic() - began < LONG + 60
        assert (await client.execute("c-i1", "echo", "alive")).out["1"] == b"alive\n"


async def test_a_command_whose_gateway_is_killed(client: Client, clean_lab: Lab, tmp_path: Path) -> None:
    """Its streams end with the gateway; the host tells the next one how it ended."""
    async with serving(clean_lab, tmp_path) as served:
        await asyncio.gather(*(client.create(f"c-{host}", host, start=True) for host in ALL))
        started = {}
        sockets: list[aiohttp.ClientWebSocketResponse[bool]] = []
        for host in ALL:
            body = {"command": ["cat"], "wait-for-websocket": True, "interactive": False}
            answer = started[host] = await client.ask("POST", f"/1.0/instances/c-{host}/exec", body)
            secrets = answer.metadata["metadata"]["fds"]
            url = f"{answer.json['operation']}/websocket?secret="
            sockets += [await client.session.ws_connect(client.url(url + secret)) for secret in secrets.values()]
        await served.stop(signal.SIGKILL)
        for socket in sockets:
            await broken(socket)
    async with serving(clean_lab, tmp_path):
        for answer in started.values():
            ended = await asyncio.wait_for(client.ask("GET", f"{answer.json['operation']}/wait?timeout=60"), 90)
            # `cat` met the end of its input, and the host forgets it 5 s after that; a daemon that wrote to the broken
            # connection calls that a failure, in its own words
            if ended.status != 404:
                assert ended.status == 200, ended.body
                if ended.json["type"] == "sync":
                    assert ended.metadata["status"] == "Success", ended.body
                else:
                    assert ended.json["error_code"] == 400, ended.body
                    assert ended.error, ended.body
                    assert "lost the operation" not in ended.error, ended.body
        for host in ALL:
            assert (await client.execute(f"c-{host}", "echo", "alive")).out["1"] == b"alive\n"
