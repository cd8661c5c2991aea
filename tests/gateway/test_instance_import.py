"""Backups of any host come in on a host that takes them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from lxdpm_tui.fleet.inventory import HostRecord, Inventory
from lxdpm_tui.gateway.backup_index import Backup
from lxdpm_tui.gateway.routes.instance_import import preferred
from lxdpm_tui.scheduler.model import Request
from tests.gateway.client import Client
from tests.lab.lab import Lab


async def test_a_backup_without_the_snapshots_that_there_are(client: Client, clean_lab: Lab) -> None:
    """As LXD 5.0 exports it, Incus would refuse it; it is placed by chance among the others."""
    await client.create("c1", "h1")
    await client.done("POST", "/1.0/instances/c1/snapshots", {"name": "s0"})
    await client.done("POST", "/1.0/instances/c1/backups", {"name": "b0", "instance_only": True})
    exported = await client.ask("GET", "/1.0/instances/c1/backups/b0/export")
    assert exported.status == 200
    kinds = set()
    for number in range(8):
        await client.done("POST", "/1.0/instances", exported.body, {"X-LXD-name": f"p{number}"})
        kinds.add((await client.get(f"/1.0/instances/p{number}"))["location"][0])
    assert kinds == {"h"}


async def test_a_backup_with_its_snapshots(client: Client, clean_lab: Lab) -> None:
    await client.create("c1", "h1")
    await client.done("POST", "/1.0/instances/c1/snapshots", {"name": "s0"})
    await client.done("POST", "/1.0/instances/c1/backups", {"name": "b0"})
    exported = await client.ask("GET", "/1.0/instances/c1/backups/b0/export")
    await client.done("POST", "/1.0/instances?target=i1", exported.body, {"X-LXD-name": "p0"})
    found = await client.get("/1.0/instances/p0?recursion=1")
    assert (found["location"], [s["name"] for s in found["snapshots"]]) == ("i1", ["s0"])


def test_hosts_that_are_to_be_named_are_not_preferred() -> None:
    """Nobody asked for a group: a host that is for those who do must not get the backup."""
    inventory = Inventory()
    for name, kind in (("h1", "lxd"), ("h2", "lxd"), ("h3", "lxd"), ("i1", "incus")):
        inventory.add_host(HostRecord(name=name, kind=kind))
    placement = {"h2": "group", "h3": "manual"}
    membership = SimpleNamespace(placement=lambda host: placement.get(host, "all"))
    call: Any = SimpleNamespace(manager=SimpleNamespace(inventory=inventory, membership=membership))
    backup: Any = Backup("c", "", "container", "name: c\n", None)  # type: ignore[arg-type]
    asked = Request(instance="c")
    assert preferred(call, asked, backup) == Request(instance="c", targets=frozenset({"h1"}))
    placement["h1"] = "manual"
    assert preferred(call, asked, backup) == asked
