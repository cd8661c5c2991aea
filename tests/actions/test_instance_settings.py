"""Copies, images of instances, settings and the expiry of snapshots, on real LXD and Incus daemons."""

from __future__ import annotations

import asyncio

import pytest

from lxdpm_tui.actions.plan import State, read
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status
from tests.fleet.fleets import until
from tests.lab.lab import Lab
from tests.managing import api, done, refused, status, where

ALL = ["h1", "h2", "h3", "i1"]


@pytest.mark.parametrize("host", ["h2", "i1"])
async def test_a_copy_is_made_on_the_same_host(manager: Manager, clean_lab: Lab, host: str) -> None:
    await done(manager, "launch", image="busybox", name="c1", target=host, config={"user.x": "1"}, no_start=True)
    await done(manager, "snapshot", instance="c1", name="s")
    await done(manager, "copy", instance="c1")
    await done(manager, "copy", instance="c1", new_name="c2", instance_only=True, start=True)
    assert (where(manager, "c1-copy"), where(manager, "c2")) == ([host], [host])
    assert (status(manager, "c1-copy"), status(manager, "c2")) == ("Stopped", "Running")
    assert (await api(clean_lab, host, "GET", "/1.0/instances/c2"))["config"]["user.x"] == "1"
    assert len(await api(clean_lab, host, "GET", "/1.0/instances/c1-copy/snapshots")) == 1
    assert not await api(clean_lab, host, "GET", "/1.0/instances/c2/snapshots")
    await refused(manager, "copy", 409, 'Instance "c2" already exists', instance="c1", new_name="c2")
    await refused(manager, "copy", 501, f"c1 is on {host}", instance="c1", new_name="c3", target="h3")
    assert not manager.claims


async def test_an_image_of_an_instance_is_on_all_hosts(manager: Manager, clean_lab: Lab) -> None:
    await done(manager, "launch", image="busybox", name="c1", target="h2", no_start=True)
    task = await done(manager, "publish", instance="c1", aliases=["from-{name}"], property={"os": "Busybox"})
    [item] = read(task.metadata["plan"]).items
    fingerprint = (item.result or {})["fingerprint"]
    for host in ALL:
        alias = await api(clean_lab, host, "GET", "/1.0/images/aliases/from-c1")
        assert alias["target"] == fingerprint
        assert (await api(clean_lab, host, "GET", f"/1.0/images/{fingerprint}"))["properties"]["os"] == "Busybox"
    await until(manager.fleet, lambda: any("from-c1" in image.aliases for image in manager.inventory.all_images()))
    await done(manager, "launch", image="from-c1", name="c2", target="i1", no_start=True)


async def test_what_was_made_of_an_image_is_not_made_twice(manager: Manager, clean_lab: Lab) -> None:
    """The alias is taken elsewhere: a retry goes on where it failed."""
    await done(manager, "launch", image="busybox", name="c1", target="h1", no_start=True)
    task = await done(manager, "publish", Status.FAILURE, instance="c1", aliases=["busybox"], hosts=["h3"])
    assert 'Alias "busybox" already exists' in task.error
    [item] = read(task.metadata["plan"]).items
    assert (item.state, item.sent) == (State.FAILED, 1)
    for host in ("h1", "h3"):
        await api(clean_lab, host, "DELETE", "/1.0/images/aliases/busybox")
    again = await manager.run("plan-retry", task=task.id)
    # The plan was made with nobody watching: on_error is still `continue`.
    assert await again.wait(60) is Status.SUCCESS, again.error
    assert len(await api(clean_lab, "h1", "GET", "/1.0/images")) == 2
    assert [len(await api(clean_lab, host, "GET", "/1.0/images")) for host in ALL] == [2, 1, 2, 1]


@pytest.mark.parametrize("host", ["h3", "i1"])
async def test_config_and_devices(manager: Manager, clean_lab: Lab, host: str) -> None:
    async def now() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        found = await api(clean_lab, host, "GET", "/1.0/instances/c1")
        return found["config"], found["devices"]

    await done(manager, "launch", image="busybox", name="c1", target=host, no_start=True)
    await done(manager, "config-set", instance="c1", settings=["user.a=1", "limits.memory=64MiB"])
    await done(manager, "device-add", instance="c1", name="t", settings=["type=disk", "source=/srv", "path=/mnt"])
    config, devices = await now()
    assert (config["user.a"], config["limits.memory"]) == ("1", "64MiB")
    assert devices["t"] == {"type": "disk", "source": "/srv", "path": "/mnt"}
    assert any(key.startswith("volatile.") for key in config), "what is the host's own stays"

    await done(manager, "config-unset", instance="c1", keys=["user.a"])
    task = await done(manager, "config-set", Status.FAILURE, instance="c1", settings=["limits.nothing=1"])
    assert task.error.startswith(f"{host}: ")
    await refused(manager, "device-remove", 404, "c1 has no device 'root' of its own; it has t", instance="c1",
                  names=["root"])  # fmt: skip
    await done(manager, "device-remove", instance="c1", names=["t"])
    config, devices = await now()
    assert ("user.a" in config, config["limits.memory"], devices) == (False, "64MiB", {})
    await refused(manager, "config-set", 400, "expected KEY=VALUE, not 'x'", instance="c1", settings=["x"])
    await refused(manager, "config-set", 400, "the host's own", instance="c1", settings=["volatile.uuid=1"])
    await refused(manager, "device-add", 400, "expected type=", instance="c1", name="t", settings=["path=/x"])


async def test_a_change_made_meanwhile_is_not_overwritten(manager: Manager, clean_lab: Lab) -> None:
    """Many small changes at once: each goes by what the instance has then, none is lost without a word."""
    await done(manager, "launch", image="busybox", name="c1", target="h2", no_start=True)
    tasks = [await manager.run("config-set", instance="c1", settings=[f"user.k{n}=1"]) for n in range(6)]
    ends = await asyncio.gather(*(task.wait(90) for task in tasks))
    config = (await api(clean_lab, "h2", "GET", "/1.0/instances/c1"))["config"]
    for number, (task, end) in enumerate(zip(tasks, ends, strict=True)):
        assert (f"user.k{number}" in config) is (end is Status.SUCCESS), task.error


@pytest.mark.parametrize("host", ["h1", "i1"])
async def test_when_a_snapshot_goes_may_be_changed(manager: Manager, clean_lab: Lab, host: str) -> None:
    async def expires() -> str:
        return str((await api(clean_lab, host, "GET", "/1.0/instances/c1/snapshots/s"))["expires_at"])

    await done(manager, "launch", image="busybox", name="c1", target=host, no_start=True)
    await done(manager, "snapshot", instance="c1", name="s", expires="2090-01-02")
    assert (await expires()).startswith("2090-01-02")
    await done(manager, "snapshot-expiry", instance="c1", snapshot="s", expires="2091-01-02T00:00:00Z")
    assert (await expires()).startswith("2091-01-02")
    await done(manager, "snapshot-expiry", instance="c1", snapshot="s", expires="never")
    assert (await expires()).startswith("0001-01-01")
    await refused(manager, "snapshot-expiry", 400, "is no time", instance="c1", snapshot="s", expires="soon")
