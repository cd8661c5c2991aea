"""A create that fails for reasons of the host's goes to the next-best one; one that is itself wrong does not; and
whatever a broken one left on its host is removed, so that no name is there twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lxdpm_tui.fleet import watch
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status, Task
from tests.actions.images import new_image
from tests.fleet.fleets import all_read
from tests.gateway import direct
from tests.gateway.client import Client, until
from tests.lab.lab import Lab

ALL = ("h1", "h2", "h3", "i1")
BACK = 90.0  # seconds until a host is usable again


@pytest.fixture(autouse=True)
def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host is passed over because the machine has stalled: its heartbeats are never late."""
    monkeypatch.setattr(watch, "SLOW_AFTER", 30.0)


async def prefer(client: Client, host: str) -> None:
    """Make that host the planner's choice: it gathers where most instances are."""
    await client.done("PUT", "/1.0/planner", {"state": "gather"})
    for number in range(3):
        await client.create(f"there{number}", host)


async def where(lab: Lab, name: str) -> list[str]:
    """The hosts that have an instance of that name, as they say themselves."""
    return await direct.having(lab, f"/1.0/instances/{name}")


async def test_a_host_whose_pool_is_broken(client: Client, clean_lab: Lab) -> None:
    await prefer(client, "h2")
    pool = clean_lab.hosts["h2"].state_dir / "storage-pools" / "default" / "containers"
    away = pool.with_name("containers.away")
    pool.rename(away)
    try:
        operation = await client.create("c1")
    finally:
        away.rename(pool)
    (placement,) = operation["metadata"]["placement"]
    (retry,) = operation["metadata"]["retries"]
    assert placement["hosts"][0]["host"] == "h2"  # what was decided at first
    reasons = {verdict["host"]: verdict["reason"] for verdict in retry["hosts"]}
    assert reasons["h2"].startswith("tried already: Failed creating instance")
    assert retry["chosen"] == placement["chosen"] != "h2"
    assert operation["metadata"]["hosts"]["h2"]["status"] == "failed"
    assert await where(clean_lab, "c1") == [placement["chosen"]]


async def test_a_wrong_request_is_not_tried_elsewhere(client: Client, manager: Manager, clean_lab: Lab) -> None:
    for number, extra in enumerate(
        (
            {"config": {"no.such.key": "1"}},
            {"config": {"limits.cpu": "many"}},
            {"devices": {"x": {"type": "magic"}}},
            {"devices": {"eth9": {"type": "nic", "nictype": "nothing"}}},
        )
    ):
        body = {"name": f"c{number}", "source": {"type": "image", "alias": "busybox"}, **extra}
        answer = await client.ask("POST", "/1.0/instances", body)
        assert answer.status == 202, answer.body
        ended = await client.wait(answer)
        assert (ended.json["type"], bool(ended.error)) == ("error", True)
        metadata = (await client.get(answer.json["operation"]))["metadata"]
        assert "retries" not in metadata, (extra, ended.error)
        assert len(metadata["hosts"]) == 1
    assert await client.get("/1.0/instances") == []
    held = await manager.store.list_reservations()
    assert held == []


def half_made(manager: Manager) -> asyncio.Future[Task]:
    """The task that removes what a broken create left, once it ended."""
    found: asyncio.Future[Task] = asyncio.get_running_loop().create_future()

    def look(task: Task) -> None:
        if task.kind == "remove-half-made" and task.status.final and not found.done():
            found.set_result(task)

    manager.tasks.subscribe(look)
    return found


@pytest.mark.parametrize(("host", "fault"), [("h2", "hang"), ("h1", "kill"), ("h3", "cut")])
async def test_a_host_that_fails_in_the_middle(
    client: Client, manager: Manager, clean_lab: Lab, host: str, fault: str
) -> None:
    """The host has begun to create it when it goes: another one makes it, and when the host is back it has none."""
    path, fingerprint = new_image(clean_lab, "slow", 32 << 20)  # unpacking takes a moment
    await client.done("POST", "/1.0/images", path.read_bytes())
    await prefer(client, host)
    removed = half_made(manager)

    def creating(event: dict[str, Any]) -> bool:
        resources = event["metadata"].get("resources") or {}
        return event["location"] == host and f"/1.0/instances/{name}" in (resources.get("instances") or [])

    for name in ("c1", "c2", "c3"):
        async with client.events("?type=operation") as events:
            body = {"name": name, "source": {"type": "image", "fingerprint": fingerprint}}
            answer = await client.ask("POST", "/1.0/instances", body)
            assert answer.headers["X-LXDPM-Host"] == host
            await events.until(creating)
            getattr(clean_lab.hosts[host], fault)()
        ended = await client.wait(answer)
        assert ended.json["type"] == "sync", ended.body
        chosen = ended.metadata["metadata"]["placement"][0]["chosen"]
        if chosen != host:
            break
        # The machine stalled, and the host had made it before it went: once more, under another name.
        await asyncio.to_thread(clean_lab.undo_faults)
        await until(manager, lambda: manager.inventory.hosts[host].usable, BACK)
        await all_read(manager.fleet)
    assert chosen != host
    assert ended.metadata["metadata"]["retries"][0]["chosen"] == chosen
    assert (await client.get(f"/1.0/instances/{name}"))["location"] == chosen

    await asyncio.to_thread(clean_lab.undo_faults)
    await until(manager, lambda: manager.inventory.hosts[host].usable, BACK)
    task = await asyncio.wait_for(removed, BACK)
    assert task.status is Status.SUCCESS, task.error
    assert await where(clean_lab, name) == [chosen]
    assert (await client.get(f"/1.0/instances/{name}"))["location"] == chosen
