"""Lifecycle events tell who asked the gateway: its hosts see only the gateway itself."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lxdpm_tui.gateway.operations import with_caller
from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.journal import Journal
from lxdpm_tui.tasks.task import Task
from tests.actions.images import paths_of
from tests.fleet.fleets import all_read
from tests.gateway import direct
from tests.gateway.client import Client
from tests.gateway.direct import ALL
from tests.gateway.restricted.https import HttpsClient, fingerprint_of
from tests.lab.lab import Lab

UNIX = {"username": getpass.getuser(), "protocol": "unix", "address": "@"}


@pytest.fixture
async def gateway(clean_lab: Lab, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with (
        Manager.open(paths_of(clean_lab, tmp_path), clean_lab.hosts_config()) as manager,
        Gateway.serve(manager, tmp_path / "fleet.socket", ("127.0.0.1", 0)) as gateway,
    ):
        await all_read(manager.fleet)
        yield gateway


@pytest.fixture
async def remote(gateway: Gateway, tmp_path: Path) -> AsyncIterator[HttpsClient]:
    client = HttpsClient(gateway.addresses[0], tmp_path / "remote")
    await gateway.trust.add(client.certificate, "remote")
    yield client
    await client.close()


def is_about(event: dict[str, Any], name: str, host: str) -> str:
    """What happened, if it happened to that thing there, else ""."""
    there = event["type"] == "lifecycle" and event["location"] == host and name in event["metadata"]["source"]
    return str(event["metadata"]["action"]) if there else ""


async def test_callers_of_both_kinds_on_hosts_of_all_kinds(client: Client, remote: HttpsClient) -> None:
    fingerprint = fingerprint_of(remote)
    async with client.events("?type=lifecycle") as events:
        for caller, host in ((remote, "h1"), (client, "h2"), (remote, "i1"), (client, "h3")):
            name = f"c-{host}"
            await caller.create(name, host, start=True)
            await caller.done("POST", f"/1.0/instances/{name}/snapshots", {"name": "s"})
            await caller.done("PUT", f"/1.0/instances/{name}/state", {"action": "stop", "force": True})
            await caller.done("PATCH", f"/1.0/instances/{name}", {"config": {"user.a": "b"}})
            await caller.done("DELETE", f"/1.0/instances/{name}")
            await events.until(lambda event: is_about(event, name, host) == "instance-deleted", 60)  # noqa: B023
            found = {is_about(event, name, host): event["metadata"].get("requestor") for event in events.seen}
            # Of creations and snapshots LXD 5.0 tells nobody.
            named = {action: who for action, who in found.items() if action and who}
            assert named.keys() >= {"instance-started", "instance-stopped"}, found
            for action, who in named.items():
                if caller is client:
                    assert who == UNIX, (action, host)
                else:
                    assert (who["username"], who["protocol"]) == (fingerprint, "tls"), (action, host)
                    assert who["address"].startswith("127.0.0.1:"), (action, host)


async def test_what_is_changed_on_all_hosts(client: Client, remote: HttpsClient) -> None:
    async with client.events("?type=lifecycle") as events:
        await remote.done("POST", "/1.0/profiles", {"name": "small"})
        for _ in ALL:
            event = await events.until(lambda event: event["metadata"]["action"] == "profile-created")
            assert event["metadata"]["requestor"]["username"] == fingerprint_of(remote)
    await remote.done("DELETE", "/1.0/profiles/small")


async def test_who_works_on_a_host_itself_is_told_as_the_host_tells_it(client: Client, clean_lab: Lab) -> None:
    async with client.events("?type=lifecycle") as events:
        for host in ("h1", "h2"):
            await direct.ask(clean_lab, host, "POST", "/1.0/profiles", {"name": "theirs"})
            event = await events.until(lambda event: bool(is_about(event, "theirs", host)), 60)  # noqa: B023
            assert event["metadata"]["requestor"] == {**UNIX, "username": "root"}


async def test_changes_of_the_gateway_itself(client: Client, remote: HttpsClient) -> None:
    async with client.events("?type=lifecycle") as events:
        for method, path, body, action, source in (
            ("POST", "/1.0/cluster/groups", {"name": "g"}, "cluster-group-created", "/1.0/cluster/groups/g"),
            ("PUT", "/1.0/cluster/groups/g", {}, "cluster-group-updated", "/1.0/cluster/groups/g"),
            ("POST", "/1.0/cluster/groups/g", {"name": "k"}, "cluster-group-renamed", "/1.0/cluster/groups/k"),
            ("DELETE", "/1.0/cluster/groups/k", None, "cluster-group-deleted", "/1.0/cluster/groups/k"),
            ("PATCH", "/1.0/cluster/members/h1", {"description": "x"}, "cluster-member-updated", "/members/h1"),
            ("PATCH", "/1.0", {"config": {"user.x": "1"}}, "config-updated", "/1.0"),
        ):
            await remote.done(method, path, body)
            event = await events.until(lambda event: event["metadata"]["action"] == action)  # noqa: B023
            assert event["metadata"]["source"].endswith(source), event
            assert event["metadata"]["requestor"]["username"] == fingerprint_of(remote), event


def test_operations_of_daemons_that_tell_who_began_them() -> None:
    shown = {"id": msgspec.Raw(b'"x"'), "requestor": msgspec.Raw(b'{"username":"us"}')}
    assert msgspec.json.decode(with_caller(shown, UNIX)["requestor"]) == UNIX
    assert with_caller(shown, None) == shown
    assert "requestor" not in with_caller({"id": msgspec.Raw(b'"x"')}, UNIX)


async def test_who_only_looks_at_a_task_has_not_asked_for_it(asker: Client, simulated: Gateway) -> None:
    """One that goes on after a restart, or that ended long ago, is seen first by whoever lists operations."""
    manager, operations = simulated.manager, simulated.hub.operations
    begun, go = asyncio.Event(), asyncio.Event()

    async def run(task: Task, journal: Journal) -> None:
        begun.set()
        await go.wait()

    task = await manager.tasks.start(Task("start", "", resources={"instances": ["/1.0/instances/c"]}), run)
    await asyncio.wait_for(begun.wait(), 60)
    operations._table.clear()
    assert f"/1.0/operations/{task.id}" in (await asker.get("/1.0/operations"))["running"]
    assert operations.by("h1", "/1.0/instances/c", "default") is None
    go.set()
    await task.wait(60)
