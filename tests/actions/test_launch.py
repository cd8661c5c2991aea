"""The action `launch`: what it asks the hosts for, and where."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest

from lxdpm_tui.actions.instances import launch_bodies, launch_device
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import HostStatus, Key
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status
from tests.fleet.fleets import until
from tests.lab.lab import Lab
from tests.managing import api, done, refused, status, where

ALL = ["h1", "h2", "h3", "i1"]


# -- launch: what it asks the hosts for


def bodies(**more: Any) -> list[dict[str, Any]]:
    fields: dict[str, Any] = {
        "image": "busybox", "name": "", "profiles": [], "config": {}, "devices": {}, "type": None, "count": 1,
        "ephemeral": False, "storage": None, "network": None,
    }  # fmt: skip
    return launch_bodies(**{**fields, **more})


def test_a_plain_launch() -> None:
    source = {"type": "image", "alias": "busybox"}
    assert bodies() == [{"source": source, "config": {}, "devices": {}, "name": ""}]


def test_everything_that_can_be_said() -> None:
    [body] = bodies(
        name="c1",
        profiles=["a", "b"],
        config={"limits.cpu": "2"},
        devices={"data": "type=disk,path=/data,source=/srv", "gpu": {"type": "gpu"}},
        type="virtual-machine",
        ephemeral=True,
        storage="fast",
        network="br0",
    )
    assert body == {
        "name": "c1",
        "source": {"type": "image", "alias": "busybox"},
        "profiles": ["a", "b"],
        "config": {"limits.cpu": "2"},
        "devices": {
            "data": {"type": "disk", "path": "/data", "source": "/srv"},
            "gpu": {"type": "gpu"},
            "root": {"type": "disk", "path": "/", "pool": "fast"},
            "eth0": {"type": "nic", "name": "eth0", "network": "br0"},
        },
        "type": "virtual-machine",
        "ephemeral": True,
    }


def test_a_device_of_ones_own_wins_over_the_short_word() -> None:
    [body] = bodies(devices={"root": "type=disk,path=/,pool=default,size=1GiB"}, storage="fast")
    assert body["devices"] == {"root": {"type": "disk", "path": "/", "pool": "default", "size": "1GiB"}}


def test_several() -> None:
    assert [body["name"] for body in bodies(name="c", count=3)] == ["c-1", "c-2", "c-3"]
    assert [body["name"] for body in bodies(count=2)] == ["", ""]
    for count in (0, -1, 1001):
        with pytest.raises(ActionError, match="count must be 1 to 1000"):
            bodies(count=count)


def test_devices_in_words() -> None:
    assert launch_device("d", "type=proxy,listen=tcp:0.0.0.0:80,connect=tcp:127.0.0.1:80") == {
        "type": "proxy",
        "listen": "tcp:0.0.0.0:80",
        "connect": "tcp:127.0.0.1:80",
    }
    for text in ("", "disk", "path=/"):
        with pytest.raises(ActionError, match="device d: expected type="):
            launch_device("d", text)


# -- launch on real hosts


async def test_launch_of_several(manager: Manager, clean_lab: Lab) -> None:
    task = await done(manager, "launch", image="busybox", name="c", count=8, strategy="scatter")
    placed = {each["instance"]: each["chosen"] for each in task.metadata["placement"]}
    assert set(placed) == {f"c-{n}" for n in range(1, 9)}
    # An empty host counts as one with an instance: so each has two before any has three, but one may be second first.
    assert Counter(placed.values()) == dict.fromkeys(ALL, 2)
    for name, host in placed.items():
        row = await api(clean_lab, host, "GET", f"/1.0/instances/{name}")
        assert row["status"] == "Running"
        assert where(manager, name) == [host]
    assert task.resources["instances"] == [f"/1.0/instances/c-{n}" for n in range(1, 9)]
    assert {task.hosts[host]["status"] for host in ALL} == {"done"}
    assert not manager.claims
    for explanation in task.metadata["placement"]:
        assert {host["host"] for host in explanation["hosts"]} == set(ALL)


async def test_hosts_make_theirs_side_by_side(manager: Manager) -> None:
    """Four on four hosts take much less than four times as long as one."""
    began = time.monotonic()
    await done(manager, "launch", image="busybox", name="one", target="h1")
    one = time.monotonic() - began
    seen: list[set[str]] = []
    task = await manager.run("launch", image="busybox", name="c", count=4, strategy="scatter")
    task.subscribe(lambda t: seen.append({h for h, s in t.hosts.items() if s["status"] in ("creating", "starting")}))
    began = time.monotonic()
    assert await task.wait(120) is Status.SUCCESS
    print(f"one: {one:.2f} s, four: {time.monotonic() - began:.2f} s")
    assert max(map(len, seen)) >= 3


async def test_launch_with_everything_that_can_be_said(manager: Manager, clean_lab: Lab) -> None:
    await done(
        manager, "launch", image=clean_lab.image_fingerprint[:12], name="c1", target="i1", profiles=["default"],
        config={"limits.memory": "64MiB", "user.x": "1"}, devices={"etc": "type=disk,source=/etc,path=/scratch"},
        storage="fast", ephemeral=True, no_start=True, type="container",
    )  # fmt: skip
    made = await api(clean_lab, "i1", "GET", "/1.0/instances/c1")
    assert (made["status"], made["ephemeral"], made["type"]) == ("Stopped", True, "container")
    assert made["config"]["limits.memory"] == "64MiB"
    assert made["expanded_devices"]["root"]["pool"] == "fast"
    assert made["devices"]["etc"] == {"type": "disk", "source": "/etc", "path": "/scratch"}


async def test_launches_that_are_refused(manager: Manager) -> None:
    await done(manager, "launch", image="busybox", name="c1", no_start=True)
    await refused(manager, "launch", 409, 'Instance "c1" already exists', image="busybox", name="c1")
    await refused(manager, "launch", 400, "Invalid instance name", image="busybox", name="c_1")
    await refused(manager, "launch", 404, "Image 'none' not found", image="none")
    await refused(manager, "launch", 404, "there is no host 'h9'", image="busybox", target="h9")
    await refused(manager, "launch", 503, "has no profile 'none'", image="busybox", profiles=["none"])
    await refused(manager, "launch", 503, "has no storage pool 'none'", image="busybox", storage="none")
    await refused(manager, "launch", 503, "has no network 'none'", image="busybox", network="none")
    await refused(manager, "launch", 404, "Image 'busybox' not found", image="busybox", project="none")
    await refused(
        manager, "launch", 503, "no instances of type virtual-machine", image="busybox", type="virtual-machine"
    )
    await refused(
        manager, "launch", 400, "limits.memory: 'lots' is not a size", image="busybox", config={"limits.memory": "lots"}
    )
    assert not manager.claims
    assert not [row for row in manager.inventory.all_instances() if row.name != "c1"]


async def test_a_request_that_is_wrong_is_tried_once(manager: Manager, clean_lab: Lab) -> None:
    task = await done(manager, "launch", Status.FAILURE, image="busybox", name="bad", config={"no.such.key": "1"})
    assert "no.such.key" in task.error
    assert "retries" not in task.metadata
    assert where(manager, "bad") == []
    assert not manager.claims
    await done(manager, "launch", image="busybox", name="bad", no_start=True)


async def test_one_that_does_not_start_stays(manager: Manager, clean_lab: Lab) -> None:
    task = await done(
        manager, "launch", Status.FAILURE, image="busybox", name="c", count=2, target="h1",
        devices={"x": "type=unix-char,source=/dev/nowhere,path=/dev/x,required=true"},
    )  # fmt: skip
    assert "2 of 2 failed" in task.error
    assert "was created, but it does not start" in task.error
    assert [status(manager, name) for name in ("c-1", "c-2")] == ["Stopped"] * 2


async def test_the_next_best_host_is_tried(manager: Manager, clean_lab: Lab) -> None:
    """h1 has hung since the decision: nothing was sent to it yet."""
    await manager.scheduler.set_strategy("gather")
    for name in ("h2", "i1"):
        await done(manager, "maintenance", host=name, on="on")
    await done(manager, "launch", image="busybox", name="weight", target="h3", no_start=True)
    await done(manager, "launch", image="busybox", name="weight2", target="h3", no_start=True)
    await until(manager.fleet, lambda: manager.inventory.hosts["h3"].status == HostStatus.ONLINE)
    with clean_lab.hosts["h3"].hung():
        task = await done(manager, "launch", image="busybox", name="c1")
    assert where(manager, "c1") == ["h1"]
    [placement] = task.metadata["placement"]
    assert placement["chosen"] == "h1"
    [retry] = task.metadata["retries"]
    assert next(host["reason"] for host in retry["hosts"] if host["host"] == "h3").startswith("tried already: ")
    assert task.hosts["h3"]["status"] == "failed"
    assert manager.scheduler.reservations == ()


async def test_an_image_that_the_host_lacks_is_brought_there(manager: Manager, clean_lab: Lab) -> None:
    await api(clean_lab, "h2", "DELETE", f"/1.0/images/{clean_lab.image_fingerprint}")
    await until(manager.fleet, lambda: not manager.inventory.images["h2"])
    await done(manager, "launch", image="busybox", name="c1", target="h2")
    assert status(manager, "c1") == "Running"
    images = await api(clean_lab, "h2", "GET", "/1.0/images")
    assert images == [f"/1.0/images/{clean_lab.image_fingerprint}"]


@pytest.mark.parametrize("host", ["h1", "i1"])
async def test_a_project_that_borrows_profiles_and_images(manager: Manager, clean_lab: Lab, host: str) -> None:
    """LXD lists them for it, Incus does not when it is asked for all projects at once."""
    config = {"features.images": "false", "features.profiles": "false"}
    await api(clean_lab, host, "POST", "/1.0/projects", {"name": "p", "config": config})
    memory = {"limits.memory": "48MiB"}
    await api(clean_lab, host, "POST", "/1.0/profiles", {"name": "small", "config": memory})

    def seen() -> bool:
        images = {key.project for key in manager.inventory.images[host]}
        return Key(host, "p", "small") in manager.inventory.profiles[host] and "p" in images

    await until(manager.fleet, seen)
    [plan] = manager.plan(image="busybox", project="p", profiles=["default", "small"])
    assert plan["chosen"] == host
    reasons = {each["host"]: each["reason"] for each in plan["hosts"]}
    assert all("has no project 'p'" in reasons[name] for name in ALL if name != host)
    await done(manager, "launch", image="busybox", name="c1", project="p", profiles=["default", "small"])
    [row] = manager.inventory.find_instances("p", "c1")
    assert (row.host, row.memory_limit, row.status) == (host, 48 << 20, "Running")
    await done(manager, "delete", instances=["c1"], project="p", force=True)


async def test_no_name_is_given_twice(manager: Manager) -> None:
    tries = [manager.run("launch", image="busybox", name="same", no_start=True) for _ in range(6)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    [task] = [result for result in results if not isinstance(result, ActionError)]
    assert not isinstance(task, BaseException)
    assert await task.wait(90) is Status.SUCCESS
    assert all(result.code == 409 for result in results if isinstance(result, ActionError))
    assert len(where(manager, "same")) == 1


async def test_a_cancelled_launch_leaves_nothing(manager: Manager, clean_lab: Lab) -> None:
    task = await manager.run("launch", image="busybox", name="c", count=8)
    creating = asyncio.Event()
    task.subscribe(lambda t: creating.set() if any(s["status"] == "starting" for s in t.hosts.values()) else None)
    await asyncio.wait_for(creating.wait(), 60)
    assert task.cancel()
    assert await task.wait(120) is Status.CANCELLED
    for name in ALL:
        assert await api(clean_lab, name, "GET", "/1.0/instances") == []
    assert not manager.claims
    assert manager.scheduler.reservations == ()
