"""Field names and JSON types: a simulated daemon answers like the real one of its kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.demo.variants import INCUS_6_0, LXD_5_0
from tests.demo.conftest import connected, simulated
from tests.demo.daemon import Daemon, shape
from tests.lab.lab import Lab


@pytest.fixture(params=["lxd", "incus"])
async def both(request: pytest.FixtureRequest, clean_lab: Lab, tmp_path: Path) -> AsyncIterator[tuple[Daemon, Daemon]]:
    """(simulated, real) of one kind."""
    host = clean_lab.hosts["h1" if request.param == "lxd" else "i1"]
    variant = LXD_5_0 if request.param == "lxd" else INCUS_6_0
    async with simulated(tmp_path, variant) as (sim, _), connected(request.param, str(host.socket)) as real:
        yield sim, real


async def fill(daemon: Daemon) -> None:
    """One of everything."""
    await daemon.make("run", start=True, config={"limits.memory": "128MiB", "user.a": "b"})
    await daemon.do("POST", "/1.0/instances/run/snapshots", {"name": "s0"})
    await daemon.do("POST", "/1.0/instances", {"name": "idle", "source": {"type": "none"}})
    await daemon.call("POST", "/1.0/profiles", {"name": "p1", "config": {"limits.cpu": "1"}})
    await daemon.call("POST", "/1.0/projects", {"name": "prj"})
    await daemon.call("POST", "/1.0/storage-pools/default/volumes/custom", {"name": "v1", "config": {}})
    bridge = daemon.of("lxdbr0", "incusbr0")

    async def leased() -> bool:
        state = await daemon.get("/1.0/instances/run/state")
        leases = await daemon.get(f"/1.0/networks/{bridge}/leases")
        found = any(address["family"] == "inet" for address in state["network"]["eth0"]["addresses"])
        return found and len(leases) > 1

    async with asyncio.timeout(60):  # until DHCP has answered
        while True:
            if await leased():
                return
            await asyncio.sleep(0.05)


def blank(value: Any) -> Any:
    """A shape without what depends on the machine: config keys that come and go, features of the kernel."""
    if isinstance(value, list):
        return [blank(one) for one in value]
    if not isinstance(value, dict):
        return value
    free = {"config", "expanded_config", "kernel_features", "lxc_features", "properties"}
    return {key: "free" if key in free else blank(one) for key, one in value.items()}


PATHS = [
    "/1.0",
    "/1.0/instances",
    "/1.0/instances?recursion=1",
    "/1.0/instances?recursion=2",
    "/1.0/instances/run",
    "/1.0/instances/run?recursion=1",
    "/1.0/instances/run/state",
    "/1.0/instances/idle/state",
    "/1.0/instances/run/snapshots?recursion=1",
    "/1.0/instances/run/snapshots/s0",
    "/1.0/instances/run/logs",
    "/1.0/images",
    "/1.0/images?recursion=1",
    "/1.0/images/aliases?recursion=1",
    "/1.0/profiles",
    "/1.0/profiles?recursion=1",
    "/1.0/profiles/default",
    "/1.0/projects",
    "/1.0/projects?recursion=1",
    "/1.0/projects/default",
    "/1.0/projects/default/state",
    "/1.0/networks",
    "/1.0/networks/BRIDGE",
    "/1.0/networks/BRIDGE/state",
    "/1.0/networks/BRIDGE/leases",
    "/1.0/networks/lo",
    "/1.0/storage-pools",
    "/1.0/storage-pools?recursion=1",
    "/1.0/storage-pools/default",
    "/1.0/storage-pools/fast",
    "/1.0/storage-pools/default/resources",
    "/1.0/storage-pools/default/volumes",
    "/1.0/storage-pools/default/volumes?recursion=1",
    "/1.0/storage-pools/default/volumes/custom/v1",
    "/1.0/cluster",
]
# Volatile and image keys that an instance has while it runs or not, on either kind.
RUNNING = {"volatile.last_state.power", "volatile.eth0.host_name", "volatile.eth0.hwaddr", "volatile.uuid"}


async def test_objects(both: tuple[Daemon, Daemon]) -> None:
    sim, _ = both
    for daemon in both:
        await fill(daemon)
    different = {}
    bridge = sim.of("lxdbr0", "incusbr0")
    for path in PATHS:
        path = path.replace("BRIDGE", bridge)
        answers = [await daemon.call("GET", path) for daemon in both]
        shapes = [blank(shape(answer.metadata)) for answer in answers]
        assert answers[0].status == answers[1].status == 200, path
        tags = ["Etag" in answer.headers for answer in answers]
        if shapes[0] != shapes[1] or tags[0] != tags[1]:
            different[path] = json.dumps([tags, *shapes], indent=1)
    assert not different, "\n".join(f"{path}: {text}" for path, text in different.items())
    sets = [set((await daemon.get("/1.0/instances/run"))["config"]) for daemon in both]
    assert sets[0] & sets[1] >= RUNNING
    assert {key for key in sets[0] if not key.startswith("image.")} <= sets[1] | {"volatile.idmap.current"}


async def test_resources(both: tuple[Daemon, Daemon]) -> None:
    """What placement and tables read; the rest depends on the machine."""
    kept = []
    for daemon in both:
        found = await daemon.get("/1.0/resources")
        assert found["cpu"]["total"] > 0
        assert 0 < found["memory"]["used"] < found["memory"]["total"]
        parts = {key: found[key] for key in ("cpu", "memory", "usb", "system") if key in found}
        parts["cpu"]["sockets"][0]["cache"] = []
        parts["keys"] = dict.fromkeys(found, "there")
        kept.append(shape(parts))
    assert kept[0] == kept[1]


async def test_metrics(both: tuple[Daemon, Daemon]) -> None:
    sim, _ = both
    families = []
    for daemon in both:
        await daemon.make("c1", start=True)
        async with asyncio.timeout(60):  # a real daemon keeps its last answer for eight seconds
            while True:
                answer = await daemon.call("GET", "/1.0/metrics", headers={"Accept-Encoding": "identity"})
                if b'name="c1"' in answer.body:
                    break
                await asyncio.sleep(0.1)
        text = answer.body.decode()
        assert text.endswith("\n# EOF\n")
        assert answer.headers["Content-Type"] == "text/plain"
        found = {}
        for line in text.splitlines():
            if 'name="c1"' in line:
                name, _, labels = line.partition("{")
                found[name] = sorted(label.split("=")[0] for label in labels.split("}")[0].split(","))
        families.append({name: labels for name, labels in found.items() if "_filesystem_" not in name})
        await daemon.stop("c1")
    assert families[0] == families[1]
    assert all(name.startswith(f"{sim.kind}_") for name in families[0])


async def test_api_extensions(both: tuple[Daemon, Daemon]) -> None:
    lists = [(await daemon.get("/1.0"))["api_extensions"] for daemon in both]
    assert set(lists[0]) == set(lists[1])
