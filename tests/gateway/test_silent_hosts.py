"""Lists of hosts that are busy, not down: who answers late is late, and nothing of it is missing or out of order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lxdpm_tui.config import Paths
from lxdpm_tui.gateway.gather import GRACE
from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.manager import Manager
from tests.fleet.fleets import Script, error, host_of, script, settled
from tests.gateway.client import Client

NAMES = ("s1", "s2", "s3")
BUSY = 4 * GRACE  # seconds in which a host of these tests says nothing at all
INSTANCES = "/1.0/instances"
VOLUMES = "/1.0/storage-pools/p/volumes"
NETWORK = {"name": "br0", "type": "bridge", "managed": True, "status": "Created", "config": {}, "used_by": []}


@pytest.fixture
async def scripts() -> AsyncIterator[dict[str, Script]]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(script()) for name in NAMES}


@pytest.fixture
async def client(scripts: dict[str, Script], tmp_path: Path) -> AsyncIterator[Client]:
    """Of a gateway over three hosts: a twin on s1 and s3, an instance of its own and a volume on s2."""
    for name, daemon in scripts.items():
        daemon.answers["/"] = ["/1.0"]
        owned = "only" if name == "s2" else "twin"
        daemon.answers[INSTANCES] = instances(owned)
        daemon.answers["/1.0/storage-pools"] = pools
        daemon.answers[VOLUMES] = [volume("v")] if name == "s2" else []
    hosts = [host_of(daemon, name) for name, daemon in scripts.items()]
    (tmp_path / "state").mkdir(mode=0o700)
    async with (
        Manager.open(Paths(tmp_path / "hosts.toml", tmp_path / "state"), hosts) as manager,
        Gateway.serve(manager, tmp_path / "fleet.socket"),
    ):
        assert await manager.fleet.until_known(60) == []
        for name in NAMES:
            await settled(manager.fleet, name)
        client = Client(tmp_path / "fleet.socket")
        yield client
        await client.close()


def instances(name: str) -> Callable[[web.Request], Awaitable[Any]]:
    row = {"name": name, "status": "Stopped", "type": "container", "project": "default", "location": "none"}
    full = {**row, "state": {"pid": 0}, "snapshots": [{"name": "s0"}], "backups": []}

    async def answered(request: web.Request) -> Any:
        return [full if request.query["recursion"] == "2" else row]

    return answered


def volume(name: str) -> dict[str, Any]:
    return {"name": name, "type": "custom", "config": {}, "content_type": "filesystem", "location": "none"}


async def pools(request: web.Request) -> Any:
    name = {"name": "p", "driver": "dir", "config": {}, "status": "Created"}
    return [name] if request.query.get("recursion") == "1" else ["/1.0/storage-pools/p"]


def late(answer: Any, seconds: float = BUSY) -> Callable[[web.Request], Awaitable[Any]]:
    async def answered(request: web.Request) -> Any:
        await asyncio.sleep(seconds)
        return await answer(request) if callable(answer) else answer

    return answered


def make_busy(daemon: Script, path: str) -> None:
    """It is silent for a while on that path, and on the question whether it is there at all."""
    daemon.answers[path] = late(daemon.answers[path])
    daemon.answers["/"] = late(daemon.answers["/"])


async def test_twins_come_in_the_order_of_their_hosts_whoever_answers_first(
    client: Client, scripts: dict[str, Script]
) -> None:
    scripts["s1"].answers[INSTANCES] = late(scripts["s1"].answers[INSTANCES], GRACE)
    rows = await client.get(f"{INSTANCES}?recursion=1")
    assert [(row["name"], row["location"]) for row in rows] == [("only", "s2"), ("twin", "s1"), ("twin", "s3")]


async def test_state_and_snapshots_of_a_busy_host_are_not_left_out(
    client: Client, scripts: dict[str, Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lxdpm_tui.gateway.routes.instances.LONG_GRACE", 8.0)  # the machine may stall
    make_busy(scripts["s2"], INSTANCES)
    rows = {row["location"]: row for row in await client.get(f"{INSTANCES}?recursion=2")}
    assert (rows["s2"]["snapshots"], rows["s2"]["state"]) == ([{"name": "s0"}], {"pid": 0})


@pytest.mark.parametrize("path", [VOLUMES, "/1.0/storage-volumes", "/1.0/storage-volumes?all-projects=true"])
async def test_volumes_of_a_busy_host_are_not_left_out(client: Client, scripts: dict[str, Script], path: str) -> None:
    make_busy(scripts["s2"], VOLUMES)
    assert await client.get(path) == [f"{VOLUMES}/custom/v"]


async def test_volumes_of_a_host_that_is_down_are_the_last_known(client: Client, scripts: dict[str, Script]) -> None:
    before = await client.get(f"{VOLUMES}?recursion=1")
    assert [(row["name"], row["location"]) for row in before] == [("v", "s2")]

    async def broken(request: web.Request) -> Any:
        assert request.transport is not None
        request.transport.abort()
        return []

    scripts["s2"].answers[VOLUMES] = broken
    answer = await client.ask("GET", f"{VOLUMES}?recursion=1")
    assert (answer.metadata, "s2=" in answer.headers["X-LXDPM-Stale"]) == (before, True)


async def test_pools_of_a_busy_host_are_not_left_out(client: Client, scripts: dict[str, Script]) -> None:
    make_busy(scripts["s2"], "/1.0/storage-pools")
    [row] = await client.get("/1.0/storage-pools?recursion=1")
    assert row["locations"] == list(NAMES)


async def test_one_thing_of_a_busy_host_is_not_left_out(client: Client, scripts: dict[str, Script]) -> None:
    """What is shown of several copies, and whether they differ, is told of all of them."""
    path = "/1.0/networks/br0"
    for name, daemon in scripts.items():
        daemon.answers[path] = {**NETWORK, "description": "other" if name == "s2" else ""}
    make_busy(scripts["s2"], path)
    answer = await client.ask("GET", path)
    assert answer.metadata["locations"] == list(NAMES)
    assert answer.headers["X-LXDPM-Drift"] == "s2"


async def test_what_is_added_up_is_added_up_of_busy_hosts_too(client: Client, scripts: dict[str, Script]) -> None:
    path = "/1.0/storage-pools/p/resources"
    for daemon in scripts.values():
        daemon.answers[path] = {"space": {"used": 1, "total": 10}, "inodes": {"used": 2, "total": 20}}
    make_busy(scripts["s2"], path)
    found = await client.get(path)
    assert found == {"space": {"used": 3, "total": 30}, "inodes": {"used": 6, "total": 60}}


async def test_operations_of_a_busy_host_are_those_that_its_events_told(
    client: Client, scripts: dict[str, Script]
) -> None:
    """Nobody waits for it, and nothing is left out."""
    operation = {"id": "6c1b2f34-4d52-4f4e-8f2e-0d6a2f2f9f01", "class": "task", "status": "Running", "status_code": 103,
                 "resources": None, "metadata": None}  # fmt: skip
    end = asyncio.Event()

    async def silent(_: web.Request) -> Any:
        await end.wait()
        return {}

    for daemon in scripts.values():
        daemon.answers["/1.0/operations"] = {}
    async with client.events("?type=operation") as events:
        await scripts["s2"].send({"type": "operation", "project": "default", "metadata": operation})
        await events.until(lambda event: event["metadata"]["id"] == operation["id"])
    scripts["s2"].answers.update({"/1.0/operations": silent, "/": silent})
    try:
        listed = await client.get("/1.0/operations?recursion=1")
        assert [(row["id"], row["location"]) for row in listed["running"]] == [(operation["id"], "s2")]
        assert "running" not in await client.get("/1.0/operations?project=other")
    finally:
        end.set()


async def test_profiles_that_two_hosts_have_either_way_are_shown_the_same_every_time(
    client: Client, scripts: dict[str, Script]
) -> None:
    """Two against two, or one against one: who answers first does not decide, else an ETag would not hold."""
    path = "/1.0/profiles/odd"

    async def missing(request: web.Request) -> web.Response:
        return error(404, "Profile not found")

    for name, daemon in scripts.items():
        profile = {"name": "odd", "description": name, "config": {}, "devices": {}, "used_by": []}
        daemon.answers[path] = missing if name == "s2" else profile
        daemon.answers["/1.0/profiles"] = [] if name == "s2" else [profile]
    first = await client.ask("GET", path)
    scripts["s1"].answers[path] = late(scripts["s1"].answers[path], GRACE)
    scripts["s1"].answers["/1.0/profiles"] = late(scripts["s1"].answers["/1.0/profiles"], GRACE)
    assert (await client.ask("GET", path)).headers["ETag"] == first.headers["ETag"]
    assert [row["description"] for row in await client.get("/1.0/profiles?recursion=1")] == ["s1"]
