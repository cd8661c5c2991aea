"""Warnings of real daemons and of the fleet itself: acknowledged, new again, deleted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from lxdpm_tui.actions.own_warnings import OwnWarnings
from lxdpm_tui.fleet.inventory import HostRecord, HostStatus, Inventory
from lxdpm_tui.manager import Manager
from lxdpm_tui.store import Store
from tests.fleet.fleets import until
from tests.lab.lab import Lab
from tests.managing import api, done, managing, refused

UNKNOWN = "45363c51-e544-4a2b-a128-000000000000"


async def of(lab: Lab, host: str) -> dict[str, dict[str, Any]]:
    """By id."""
    return {row["uuid"]: row for row in await api(lab, host, "GET", "/1.0/warnings?recursion=1")}


async def drift(manager: Manager) -> dict[str, Any] | None:
    rows = await manager.fleet_warnings()
    return next((row for row in rows if row["type"] == "Profile differs between hosts"), None)


async def made(lab: Lab, host: str, code: int = 0) -> str:
    """A new warning of an LXD, by its own door for tests; its id. Those it has by itself are left to other tests."""
    before = await of(lab, host)
    body = {"location": "none", "project": "default", "type_code": code, "entity_type_code": -1, "entity_id": -1}
    await api(lab, host, "POST", "/internal/testing/warnings", {**body, "message": "made"})
    [id] = (await of(lab, host)).keys() - before.keys()
    return id


async def test_the_daemons_own(clean_lab: Lab, tmp_path: Path) -> None:
    ids = {"h1": await made(clean_lab, "h1"), "h2": await made(clean_lab, "h2")}
    ids["i1"] = next(iter(await of(clean_lab, "i1")))
    async with managing(clean_lab, tmp_path) as manager:
        refs = [f"h1:{ids['h1']}", ids["h2"], ids["i1"][:20]]
        task = await done(manager, "warning-ack", warnings=refs)
        assert {state["status"] for state in task.hosts.values()} == {"done"}
        for host, id in ids.items():
            assert (await of(clean_lab, host))[id]["status"] == "acknowledged"
        await done(manager, "warning-ack", warnings=refs, again=True)
        for host, id in ids.items():
            assert (await of(clean_lab, host))[id]["status"] == "new"
        before = await of(clean_lab, "h1")
        await done(manager, "warning-delete", warnings=[f"h1:{ids['h1']}", ids["h2"]])
        assert (await of(clean_lab, "h1")).keys() == before.keys() - {ids["h1"]}
        assert ids["h2"] not in await of(clean_lab, "h2")
        await refused(manager, "warning-delete", 404, "Warning not found", warnings=[f"h1:{ids['h1']}"])
        await refused(manager, "warning-ack", 404, "there is no host 'h9'", warnings=[f"h9:{ids['h2']}"])
        await refused(manager, "warning-ack", 404, "Warning not found", warnings=[UNKNOWN])
        await refused(manager, "warning-ack", 404, "Warning not found", warnings=["h2:"])


async def test_the_beginning_of_an_id_may_mean_several(clean_lab: Lab, tmp_path: Path) -> None:
    many = [await made(clean_lab, "h1", code) for code in range(17)]  # of sixteen digits one is there twice
    async with managing(clean_lab, tmp_path) as manager:
        begin = next(id[0] for id in many if sum(other[0] == id[0] for other in many) > 1)
        await refused(manager, "warning-ack", 409, "give more of it", warnings=[f"h1:{begin}"])
        task = await done(manager, "warning-delete", warnings=[*many, many[0]])
        assert len(task.resources["warnings"]) == len(many)
        assert not set(many) & (await of(clean_lab, "h1")).keys()


async def test_the_fleets_own(clean_lab: Lab, tmp_path: Path) -> None:
    async with managing(clean_lab, tmp_path) as manager:
        found = await drift(manager)
        assert found is not None
        assert found["status"] == "new"
        await done(manager, "warning-ack", warnings=[found["uuid"]])
        kept = OwnWarnings(manager.inventory, manager.store)  # as the next start reads it
        assert (await kept.get(found["uuid"]) or {})["status"] == "acknowledged"
        await done(manager, "warning-delete", warnings=[f"fleet:{found['uuid']}"])
        assert await drift(manager) is None
        await refused(manager, "warning-delete", 404, "Warning not found", warnings=[f"fleet:{found['uuid']}"])


async def test_a_host_that_cannot_be_asked_may_have_it(clean_lab: Lab, tmp_path: Path) -> None:
    id = next(iter(await of(clean_lab, "h3")))
    async with managing(clean_lab, tmp_path) as manager:
        await asyncio.to_thread(clean_lab.hosts["h3"].kill)
        await until(manager.fleet, lambda: not manager.inventory.hosts["h3"].usable)
        for ref in (id, f"h3:{id}"):
            await refused(manager, "warning-ack", 503, "could not ask h3", warnings=[ref])
        [down] = [row for row in await manager.fleet_warnings() if row["type"] == "Host cannot be asked"]
        await done(manager, "warning-ack", warnings=[down["uuid"]])
        [again] = [row for row in await manager.fleet_warnings() if row["type"] == "Host cannot be asked"]
        assert again["status"] == "acknowledged"


async def test_why_a_host_is_down_may_change_an_alarm_is_told_anew(tmp_path: Path) -> None:
    inventory = Inventory()
    down = HostRecord(name="h1", address="", status=HostStatus.UNREACHABLE, reason="connection lost", since=1.0)
    inventory.add_host(down)
    store = Store(tmp_path / "state" / "manager.db")
    await store.open()
    try:
        warnings = OwnWarnings(inventory, store)
        [row] = await warnings.all()
        await warnings.set_status(row["uuid"], "acknowledged")
        inventory.update_host("h1", reason="nothing listens")
        [row] = await warnings.all()
        assert (row["status"], row["last_message"]) == ("acknowledged", "unreachable: nothing listens")
        inventory.update_host("h1", status=HostStatus.IDENTITY_CHANGED, reason="another certificate")
        [row] = await warnings.all()
        assert row["status"] == "new"
    finally:
        await store.close()
