"""A real LXD cluster behind the gateway, beside an independent host: each thing once, under the members' names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.manager import Manager
from tests.fleet.fleets import all_read, until
from tests.fleet.test_cluster import PATIENCE, entry
from tests.gateway.client import Client
from tests.lab.lab import Lab
from tests.managing import managing, where


@pytest.fixture
async def mixed(clean_cluster: Lab, clean_lab: Lab, tmp_path: Path) -> AsyncIterator[tuple[Manager, Client]]:
    """prod/h1 and prod/h2 of the cluster, and h1 that stands alone."""
    hosts = [entry(clean_cluster), *clean_lab.hosts_config({"h1": "unix"})]
    socket = tmp_path / "fleet.socket"
    async with managing(clean_lab, tmp_path, hosts) as manager, Gateway.serve(manager, socket):
        client = Client(socket)
        try:
            yield manager, client
        finally:
            await client.close()


def member(name: str) -> str:
    return quote(f"prod/{name}", safe="")


async def test_each_thing_once(mixed: tuple[Manager, Client]) -> None:
    manager, client = mixed
    for name, target in (("c1", member("h1")), ("c2", member("h2")), ("c3", "h1")):
        await all_read(manager.fleet)
        await client.create(name, target)
    rows = await client.get("/1.0/instances?recursion=1")
    assert [(row["name"], row["location"]) for row in rows] == [("c1", "prod/h1"), ("c2", "prod/h2"), ("c3", "h1")]
    assert len(await client.get("/1.0/images")) == 1
    assert len(await client.get("/1.0/profiles")) == 1
    names = [row["server_name"] for row in await client.get("/1.0/cluster/members?recursion=1")]
    assert sorted(names) == ["h1", "prod/h1", "prod/h2"]
    await all_read(manager.fleet)  # its cluster calls a member offline when a heartbeat was lost
    assert (await client.get(f"/1.0/cluster/members/{member('h2')}"))["status"] == "Online"
    assert (await client.get(f"/1.0?target={member('h2')}"))["environment"]["server_name"] == "prod/h2"
    volumes = await client.get("/1.0/storage-pools/default/volumes?recursion=1")
    assert sorted(row["name"] for row in volumes if row["type"] == "container") == ["c1", "c2", "c3"]
    operations = await client.get("/1.0/operations?recursion=1")
    ids = [each["id"] for rows in operations.values() for each in rows]
    assert len(ids) == len(set(ids))


async def test_what_is_done_to_a_member(mixed: tuple[Manager, Client]) -> None:
    manager, client = mixed
    await all_read(manager.fleet)
    await client.create("c2", member("h2"), start=True)
    await until(
        manager.fleet, lambda: manager.inventory.find_instances("default", "c2")[0].status == "Running", PATIENCE
    )
    assert where(manager, "c2") == ["prod/h2"]
    ran = await client.execute("c2", "hostname")
    assert (ran.code, ran.out["1"]) == (0, b"c2\n")
    metrics = (await client.ask("GET", "/1.0/metrics")).body.decode()
    assert 'location="prod/h2"' in metrics
    await client.done("PUT", "/1.0/instances/c2/state", {"action": "stop", "force": True})
    await client.done("DELETE", "/1.0/instances/c2")
    await until(manager.fleet, lambda: not where(manager, "c2"), PATIENCE)
    await client.done("POST", "/1.0/profiles", {"name": "small"})
    assert [len(rows) for rows in manager.inventory.profiles.values()] == [2, 2, 2]
    await client.done("DELETE", "/1.0/profiles/small")
