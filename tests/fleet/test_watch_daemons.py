"""A watcher on real LXD and Incus daemons: what it learns, also of what happens behind the manager's back."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from lxdpm_tui.fleet.fleet import Fleet
from lxdpm_tui.fleet.inventory import Key
from tests.fleet.fleets import changes, instance, on_lab, until
from tests.lab.host import LabHost
from tests.lab.lab import Lab

ALL = ["h1", "h2", "h3", "i1"]
BEHIND = 1.0  # seconds in which a change behind the manager's back has to be known, unless the machine stalls
PATIENCE = 20.0  # seconds after which no event told of it; far less than until all is read again


@pytest.fixture
async def fleet(clean_lab: Lab) -> AsyncIterator[Fleet]:
    async with on_lab(clean_lab) as fleet:
        yield fleet


def container(name: str = "c1", **more: Any) -> dict[str, Any]:
    return {"name": name, "source": {"type": "image", "alias": "busybox"}, **more}


async def make(host: LabHost, name: str = "c1", project: str = "default", start: bool = False) -> None:
    await api(host, "POST", f"/1.0/instances?project={project}", container(name))
    if start:
        await api(host, "PUT", f"/1.0/instances/{name}/state?project={project}", {"action": "start"})


async def api(host: LabHost, method: str, path: str, body: object = None) -> Any:
    """A change behind the manager's back, without holding up the event loop."""
    return await asyncio.to_thread(host.api, method, path, body)


# -- what is learned


async def test_all_hosts_over_all_transports(fleet: Fleet, clean_lab: Lab) -> None:
    for name, record in fleet.inventory.hosts.items():
        host = clean_lab.hosts[name]
        server = await api(host, "GET", "/1.0")
        resources = await api(host, "GET", "/1.0/resources")
        assert record.usable
        assert record.kind == host.kind.name
        assert record.version == server["environment"]["server_version"]
        assert record.server_name == name
        assert record.extensions == frozenset(server["api_extensions"])
        assert record.architectures[0] == server["environment"]["architectures"][0]
        assert "container" in record.instance_types
        assert record.memory_total == resources["memory"]["total"]
        assert 0 < record.memory_used < record.memory_total
        assert record.cpus == resources["cpu"]["total"]
        assert {pool.name: pool.driver for pool in record.pools.values()} == {"default": "dir", "fast": "btrfs"}
        assert 0 < record.pools["fast"].used < record.pools["fast"].total
        assert host.kind.bridge in record.networks
        assert record.projects == ("default",)
        assert record.labels["kind"] == host.kind.name
        assert 0 < record.round_trip < 10
        [image] = fleet.inventory.images[name].values()
        assert (image.fingerprint, image.aliases) == (clean_lab.image_fingerprint, ("busybox",))
        assert image.size == clean_lab.image.stat().st_size
        profile = fleet.inventory.profiles[name][Key(name, "default", "default")]
        assert profile.devices["root"]["pool"] == "default"
    assert [r.transport for r in fleet.inventory.hosts.values()] == ["unix", "https", "ssh", "https"]


# -- behind the manager's back


@pytest.mark.parametrize("name", ALL)
async def test_changes_behind_the_back_are_known_within_a_second(fleet: Fleet, clean_lab: Lab, name: str) -> None:
    host = clean_lab.hosts[name]
    record = fleet.inventory.hosts[name]
    took: dict[str, float] = {}

    async def known(what: str, holds: Callable[[], object]) -> None:
        began = time.monotonic()
        await until(fleet, holds, PATIENCE)
        took[what] = time.monotonic() - began

    def row(named: str = "c1", project: str = "default") -> Any:
        return instance(fleet, name, named, project)

    def profile(named: str, project: str = "default") -> Any:
        return fleet.inventory.profiles[name].get(Key(name, project, named))

    await make(host)
    await known("create", row)
    assert (record.instances, record.running) == (1, 0)
    await api(host, "PUT", "/1.0/instances/c1/state", {"action": "start"})
    await known("start", lambda: row().status == "Running" and record.running == 1)
    await api(host, "PUT", "/1.0/instances/c1/state", {"action": "freeze"})
    await known("freeze", lambda: row().status == "Frozen")
    await api(host, "PUT", "/1.0/instances/c1/state", {"action": "unfreeze"})
    await known("unfreeze", lambda: row().status == "Running")
    await api(host, "PUT", "/1.0/instances/c1/state", {"action": "stop", "force": True})
    await known("stop", lambda: row().status == "Stopped" and record.running == 0)
    await api(host, "PATCH", "/1.0/instances/c1", {"config": {"limits.memory": "64MiB"}})
    await known("limit", lambda: row().memory_limit == 64 << 20 and record.memory_promised == 64 << 20)
    await api(host, "POST", "/1.0/instances/c1/snapshots", {"name": "s0"})
    await api(host, "POST", "/1.0/instances/c1/snapshots/s0", {"name": "s1"})
    await api(host, "DELETE", "/1.0/instances/c1/snapshots/s1")
    await api(host, "POST", "/1.0/instances/c1", {"name": "c2"})
    await known("rename", lambda: row("c2") and not row("c1"))

    await api(host, "POST", "/1.0/profiles", {"name": "web", "config": {"limits.memory": "32MiB"}})
    await known("profile", lambda: profile("web"))
    await api(host, "PATCH", "/1.0/instances/c2", {"profiles": ["default", "web"]})
    await known("profiles", lambda: row("c2").profiles == ("default", "web"))
    await api(host, "PATCH", "/1.0/profiles/web", {"config": {"limits.memory": "32MiB", "user.x": "1"}})
    await known("profile edit", lambda: profile("web").config.get("user.x") == "1")
    await api(host, "POST", "/1.0/profiles/web", {"name": "www"})
    await known("profile rename", lambda: profile("www") and row("c2").profiles == ("default", "www"))

    await api(host, "DELETE", "/1.0/instances/c2")
    await known("delete", lambda: not row("c2") and record.instances == 0)
    await api(host, "DELETE", "/1.0/profiles/www")
    await known("profile delete", lambda: not profile("www"))

    fingerprint = clean_lab.image_fingerprint
    root = {"root": {"type": "disk", "path": "/", "pool": "fast"}}  # what this unpacks makes the image slow to delete
    source = {"type": "image", "fingerprint": fingerprint}
    await api(host, "POST", "/1.0/instances", {"name": "c3", "source": source, "devices": root})
    await api(host, "DELETE", "/1.0/instances/c3")
    images = fleet.inventory.images[name]
    await api(host, "POST", "/1.0/images/aliases", {"name": "box", "target": fingerprint})
    await known("alias", lambda: fleet.inventory.images[name][Key(name, "default", fingerprint)].aliases[0] == "box")
    await api(host, "DELETE", "/1.0/images/aliases/box")
    await api(host, "DELETE", f"/1.0/images/{fingerprint}")
    await known("image delete", lambda: not fleet.inventory.images[name])
    del images

    await api(host, "POST", "/1.0/storage-pools", {"name": "extra", "driver": "dir"})
    await known("pool", lambda: "extra" in record.pools)
    third = f"10.{200 + clean_lab.layout.number}.{host.octet + 100}"
    config = {"ipv4.address": f"{third}.1/24", "ipv6.address": "none"}
    await api(host, "POST", "/1.0/networks", {"name": "extra0", "type": "bridge", "config": config})
    await known("network", lambda: "extra0" in record.networks)
    print({what: f"{seconds * 1000:.0f} ms" for what, seconds in took.items()})
    assert statistics.median(took.values()) < BEHIND, took


@pytest.mark.parametrize("name", ["h1", "i1"])
async def test_other_projects(fleet: Fleet, clean_lab: Lab, name: str) -> None:
    """LXD 5.0.2 is asked project by project for images and profiles, Incus for all at once: the rows are the same."""
    host = clean_lab.hosts[name]
    inventory = fleet.inventory

    def profiles() -> set[tuple[str, str]]:
        return {(key.project, key.name) for key in inventory.profiles[name]}

    def images() -> set[str]:
        return {key.project for key in inventory.images[name]}

    for project, own in (("own", "true"), ("borrows", "false")):
        config = {"features.images": own, "features.profiles": own}
        await api(host, "POST", "/1.0/projects", {"name": project, "config": config})
    await until(fleet, lambda: len(inventory.hosts[name].projects) == 3, PATIENCE)
    await until(fleet, lambda: ("own", "default") in profiles() and ("borrows", "default") in profiles(), PATIENCE)
    await until(fleet, lambda: images() == {"default", "borrows"}, PATIENCE)
    await make(host, "c1", "borrows")
    await make(host, "c1")
    await until(fleet, lambda: len(inventory.instances[name]) == 2, PATIENCE)
    assert inventory.find_instances("borrows", "c1")[0].project == "borrows"
    await api(host, "POST", "/1.0/profiles?project=borrows", {"name": "web"})
    await until(fleet, lambda: {("default", "web"), ("borrows", "web")} <= profiles(), PATIENCE)
    assert ("own", "web") not in profiles()
    await api(host, "PATCH", "/1.0/projects/own", {"description": "ours"})
    await api(host, "DELETE", "/1.0/projects/own")
    await until(fleet, lambda: "own" not in inventory.hosts[name].projects, PATIENCE)
    await until(fleet, lambda: not any(project == "own" for project, _ in profiles()), PATIENCE)
    assert inventory.hosts[name].usable


async def test_addresses_and_figures_of_a_started_container(fleet: Fleet, clean_lab: Lab) -> None:
    """DHCP tells no event; /1.0/metrics is asked only because somebody looks."""
    names = ["h1", "i1"]
    await asyncio.gather(*(make(clean_lab.hosts[name], start=True) for name in names))
    with changes(fleet):
        await until(fleet, lambda: all((r := instance(fleet, n, "c1")) and r.addresses for n in names))
    for name in names:
        row = instance(fleet, name, "c1")
        assert row is not None
        third = f"10.{200 + clean_lab.layout.number}.{clean_lab.hosts[name].octet}."
        assert row.addresses[0].startswith(third)
        assert (row.memory, row.cpu) == (-1, -1.0)
    fleet.want_figures(True)
    await until(fleet, lambda: all(instance(fleet, n, "c1").memory > 0 for n in names))  # type: ignore[union-attr]
    await until(fleet, lambda: all(instance(fleet, n, "c1").cpu >= 0 for n in names))  # type: ignore[union-attr]
    for name in names:
        row = instance(fleet, name, "c1")
        assert row is not None
        assert 0 < row.memory < fleet.inventory.hosts[name].memory_total
        assert row.cpu < 100
