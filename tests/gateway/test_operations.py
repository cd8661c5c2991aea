"""Operations and events of all hosts as one: found by id, waited for, lost with their host, told to every client."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lxdpm_tui.demo.fleet import DemoFleet
from lxdpm_tui.fleet import decode
from lxdpm_tui.gateway import operations
from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.manager import Manager
from tests.gateway.client import SHELL, Answer, Client, Events, until
from tests.lab import rest
from tests.lab.lab import Lab

ALL = ("h1", "h2", "h3", "i1")
UNKNOWN = "/1.0/operations/00000000-0000-4000-8000-000000000000"


async def sleeping(client: Client, host: str, seconds: int = 60) -> Answer:
    """A command that takes long, in an instance c-HOST made for it: an operation of the host."""
    await client.create(f"c-{host}", host, start=True)
    body = {"command": ["sleep", str(seconds)], "wait-for-websocket": False, "interactive": False}
    answer = await client.ask("POST", f"/1.0/instances/c-{host}/exec", body)
    assert (answer.status, answer.metadata["status"]) == (202, "Running")
    return answer


@pytest.mark.parametrize("host", ["h1", "i1"])
async def test_backups_are_told_so_that_every_client_finds_them(client: Client, clean_lab: Lab, host: str) -> None:
    await client.create("c1", host)
    answer = await client.ask("POST", "/1.0/instances/c1/backups", {"name": "b0"})
    assert answer.metadata["resources"]["backups"] == ["/1.0/backups/b0"]
    assert answer.metadata["resources"]["instances"] == ["/1.0/instances/c1"]
    ended = await client.get(f"/1.0/operations/{answer.metadata['id']}/wait")
    assert (ended["status"], ended["resources"]["backups"]) == ("Success", ["/1.0/backups/b0"])


async def test_unknown(client: Client, manager: Manager, clean_lab: Lab) -> None:
    for path in (UNKNOWN, f"{UNKNOWN}/wait", f"{UNKNOWN}/websocket?secret=x"):
        answer = await client.ask("GET", path)
        assert (answer.status, answer.error) == (404, "Operation not found")
    assert (await client.ask("DELETE", UNKNOWN)).status == 404
    await asyncio.to_thread(clean_lab.hosts["h3"].kill)
    await until(manager, lambda: not manager.inventory.hosts["h3"].usable)
    answer = await client.ask("GET", UNKNOWN[:-1] + "1")
    assert (answer.status, "h3" in answer.error) == (503, True)


async def test_wait_with_a_timeout(client: Client) -> None:
    """As current daemons do: status 200 at once, then an error in the body."""
    answer = await sleeping(client, "h2")
    path = f"{answer.json['operation']}/wait"
    for timeout in ("0", "1"):
        waited = await client.ask("GET", f"{path}?timeout={timeout}")
        assert (waited.status, waited.json["type"], waited.json["metadata"]) == (200, "error", None)
    assert (await client.get(answer.json["operation"]))["status"] == "Running"
    wrong = await client.ask("GET", f"{path}?timeout=soon")
    assert (wrong.status, wrong.json["error_code"]) == (400, 400)


@pytest.mark.parametrize("host", ALL)
async def test_an_operation_of_a_host_by_its_own_id(client: Client, host: str) -> None:
    answer = await sleeping(client, host, 5)
    assert answer.metadata["location"] == host
    assert answer.metadata["id"] in answer.json["operation"]
    ended = await client.wait(answer)
    assert (ended.json["type"], ended.metadata["status"], ended.metadata["location"]) == ("sync", "Success", host)
    assert ended.metadata["metadata"]["return"] == 0


async def test_one_that_was_started_behind_the_back(client: Client, clean_lab: Lab) -> None:
    await client.create("c1", "h3", start=True)
    body = {"command": ["sleep", "60"], "wait-for-websocket": False, "interactive": False}

    def start() -> str:
        operation = rest.envelope(clean_lab.hosts["h3"].socket, "POST", "/1.0/instances/c1/exec", body)
        return str(operation["metadata"]["id"])

    id = await asyncio.to_thread(start)
    found = await client.get(f"/1.0/operations/{id}")
    while found["status"] == "Pending":  # the event that tells of its beginning is on its way
        found = await client.get(f"/1.0/operations/{id}")
    assert (found["location"], found["status"]) == ("h3", "Running")
    listed = await client.get("/1.0/operations")
    assert f"/1.0/operations/{id}" in listed["running"]
    rows = (await client.get("/1.0/operations?recursion=1"))["running"]
    assert [row["location"] for row in rows if row["id"] == id] == ["h3"]


@pytest.mark.parametrize("host", ["h2", "i1"])
async def test_failure_of_a_host(client: Client, host: str) -> None:
    await client.create("c1", host)
    answer = await client.ask("PUT", "/1.0/instances/c1/state", {"action": "stop"})
    assert answer.status == 202
    ended = await client.wait(answer)
    assert (ended.status, ended.json["type"], ended.json["error_code"]) == (200, "error", 400)
    assert "already stopped" in ended.error
    kept = await client.get(answer.json["operation"])
    assert (kept["status"], kept["status_code"], kept["err"]) == ("Failure", 400, ended.error)


async def test_failure_of_a_task(client: Client) -> None:
    body = {"name": "c1", "source": {"type": "image", "alias": "busybox"}, "config": {"no.such.key": "1"}}
    answer = await client.ask("POST", "/1.0/instances?target=i1", body)
    assert answer.status == 202
    ended = await client.wait(answer)
    assert (ended.status, ended.json["type"]) == (200, "error")
    assert "no.such.key" in ended.error
    kept = await client.get(answer.json["operation"])
    assert (kept["status"], kept["err"]) == ("Failure", ended.error)
    assert await client.get("/1.0/instances") == []


async def test_cancel(client: Client) -> None:
    answer = await sleeping(client, "h1")
    refused = await client.ask("DELETE", answer.json["operation"])
    assert (refused.status, "can't be cancelled" in refused.error) == (400, True)
    done = await client.create("c1", "h2")
    refused = await client.ask("DELETE", f"/1.0/operations/{done['id']}")
    assert (refused.status, refused.error) == (400, "This operation can't be cancelled")


@pytest.mark.parametrize("host", ALL)
async def test_a_daemon_that_dies_in_the_middle(client: Client, manager: Manager, clean_lab: Lab, host: str) -> None:
    """Nobody waits for ever: those who wait by /wait and those who wait by events are told."""
    answer = await sleeping(client, host)
    id = answer.metadata["id"]
    async with client.events("?type=operation") as events:
        waiting = asyncio.create_task(client.wait(answer))
        told = asyncio.create_task(
            events.until(lambda event: event["metadata"]["id"] == id and event["metadata"]["status_code"] >= 200, 60)
        )
        await asyncio.to_thread(clean_lab.hosts[host].kill)
        await asyncio.to_thread(clean_lab.hosts[host].start)
        manager.fleet.watch(host).retry_now()
        back = time.monotonic()
        ended, event = await asyncio.gather(waiting, told)
        assert time.monotonic() - back < 30
    assert (ended.status, ended.json["type"]) == (200, "error")
    assert ended.error == f"host {host} lost the operation"
    assert (event["location"], event["metadata"]["status"], event["metadata"]["err"]) == (host, "Failure", ended.error)
    assert (await client.get(answer.json["operation"]))["status"] == "Failure"


# -- events


async def test_a_host_that_leaves_the_fleet(
    asker: Client, simulated: Gateway, demo: DemoFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its operations end here: nobody waits for ever, and no name stays claimed by one."""
    monkeypatch.setattr(operations, "LEFT", 0.05)
    host = next(iter(demo.daemons))
    rows = simulated.manager.inventory.instances[host].values()
    name = next(row.name for row in rows if row.status == "Running" and row.project == "default")
    answer = await asker.ask("POST", f"/1.0/instances/{name}/exec", {**SHELL, "command": ["sleep", "9"]})
    assert answer.status == 202, answer.body
    waiting = asyncio.create_task(asker.wait(answer))
    await simulated.manager.fleet.remove(host)
    ended = await asyncio.wait_for(waiting, 20)
    assert (ended.json["type"], ended.error) == ("error", f"host {host} lost the operation")


async def test_one_that_ended_before_the_events_came(
    simulated: Gateway, demo: DemoFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's answer was under way when its event stream opened: no event tells of the end, yet nobody waits."""
    monkeypatch.setattr(operations, "UNDER_WAY", 0.2)
    manager = simulated.manager
    host = next(iter(demo.daemons))
    rows = manager.inventory.instances[host].values()
    name = next(row.name for row in rows if row.status == "Running" and row.project == "default")
    table = operations.Operations(manager, lambda operation: None)  # which no event fills
    try:
        body = {"command": ["true"], "wait-for-websocket": False, "interactive": False}
        begun = await manager.fleet.hosts[host].request("POST", f"/1.0/instances/{name}/exec", json=body)
        raw = decode.row_of(begun.body)
        id = json.loads(bytes(raw))["id"]
        await manager.fleet.hosts[host].request("GET", f"/1.0/operations/{id}/wait")
        manager.inventory.update_host(host, event_stream=False)
        manager.inventory.update_host(host, event_stream=True)
        for _ in range(3):
            await asyncio.sleep(0)  # what is asked for at once when the stream opens is asked for
        found = table.seen(host, raw)
        assert not found.final
        await asyncio.wait_for(found.ended.wait(), 60)
        assert found.code == 200
    finally:
        table.close()


async def test_a_late_word_that_it_waits_does_not_undo_that_it_runs(simulated: Gateway, demo: DemoFleet) -> None:
    """LXD's events may come out of order."""
    table = operations.Operations(simulated.manager, lambda operation: None)
    host = next(iter(demo.daemons))
    try:
        told = [
            table.seen(host, json.dumps({"id": "one", "status_code": code}).encode(), project)
            for code, project in ((105, ""), (103, ""), (105, "web"), (200, ""))
        ]
        assert all(operation is told[0] for operation in told)
        assert (told[0].code, told[0].project) == (200, "web")
        late = table.seen(host, json.dumps({"id": "two", "status_code": 103}).encode())
        table.seen(host, json.dumps({"id": "two", "status_code": 105}).encode())
        assert late.code == 103
    finally:
        table.close()


async def test_events_of_all_hosts(client: Client) -> None:
    async with client.events("?type=operation,lifecycle") as events:
        for host in ALL:
            await client.create(f"c-{host}", host)
            await events.until(lambda e, h=host: told(e, "instance-created", f"c-{h}"))
            assert events.seen[-1]["location"] == host
            answer = await client.ask("PUT", f"/1.0/instances/c-{host}/state", {"action": "start"})
            id = answer.metadata["id"]
            final = await events.until(lambda e, i=id: e["type"] == "operation" and done(e, i))
            assert (final["location"], final["metadata"]["location"], final["project"]) == (host, host, "default")
    assert {event["type"] for event in events.seen} == {"operation", "lifecycle"}


def told(event: dict[str, Any], action: str, name: str) -> bool:
    metadata = event["metadata"]
    if event["type"] != "lifecycle" or metadata["action"] != action:
        return False
    return str(metadata["source"]).partition("?")[0].endswith(f"/{name}")


def done(event: dict[str, Any], id: str) -> bool:
    return bool(event["metadata"]["id"] == id and event["metadata"]["status_code"] == 200)


def kinds(events: Events) -> set[tuple[str, str]]:
    """Type and project of all that were told, but for a host's work for itself: it is of no project, and unasked."""
    seen = {(event["type"], event.get("project", "")) for event in events.seen}
    return seen - {("operation", ""), ("lifecycle", "")}


async def test_events_by_type_and_project(client: Client, gateway: Gateway, clean_lab: Lab) -> None:
    for name in ("h1", "h2"):
        project = {"name": "other", "config": {"features.images": "false", "features.profiles": "false"}}
        await asyncio.to_thread(clean_lab.hosts[name].api, "POST", "/1.0/projects", project)

    async def make(host: str, name: str, project: str) -> None:
        body = {"name": name, "source": {"type": "image", "alias": "busybox"}}
        api = clean_lab.hosts[host].api
        await asyncio.to_thread(api, "POST", f"/1.0/instances?project={project}", body)

    async with (
        client.events("?type=lifecycle") as lifecycle,
        client.events("?type=operation&project=other") as other,
        client.events("?all-projects=true") as everything,
    ):
        await make("h1", "c1", "other")
        await make("h2", "c2", "default")
        await make("h2", "c3", "other")
        await lifecycle.until(lambda e: told(e, "instance-created", "c2"))
        await everything.until(lambda e: told(e, "instance-created", "c3"))
        final = await other.until(
            lambda e: (e["location"], e["project"], e["metadata"]["status_code"]) == ("h2", "other", 200)
        )
        assert "/1.0/instances/c3" in final["metadata"]["resources"]["instances"]
    known = await gateway.hub.operations.find(final["metadata"]["id"])
    assert known is not None
    assert known.project == "other"
    assert kinds(lifecycle) == {("lifecycle", "default")}
    assert kinds(other) == {("operation", "other")}
    assert {(kind, project) for kind, project in kinds(everything) if kind != "logging"} == {
        (kind, project) for kind in ("operation", "lifecycle") for project in ("default", "other")
    }


async def test_wrong_event_type(client: Client) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await client.session.ws_connect(client.url("/1.0/events?type=nothing"))
    assert error.value.status == 400


async def test_event_clients_are_closed_when_the_gateway_ends(manager: Manager, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Gateway.serve(manager, tmp_path / "other.socket"))
        client = Client(tmp_path / "other.socket")
        try:
            async with client.events("?type=operation") as events:
                await stack.aclose()
                message = await asyncio.wait_for(events.socket.receive(), 60)
                assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        finally:
            await client.close()


async def test_the_hub_may_be_closed_twice(gateway: Gateway) -> None:
    gateway.hub.close()
    gateway.hub.close()
