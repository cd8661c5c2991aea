"""What listeners hear, in which order: the same on simulated and real daemons."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from lxdpm_tui.demo import content
from tests.demo.daemon import PATIENCE, Daemon, Recording

INSTANCE = "/1.0/instances/c1"
METADATA = {"architecture": "x86_64", "creation_date": 1_700_000_000, "properties": {"os": "t"}}


async def heard(daemon: Daemon, recording: Recording, lifecycle: list[tuple[str, str]], ended: list[str]) -> None:
    """Exactly these lifecycle events, in this order, and an end for each of these operations."""
    marker = f"/1.0/profiles/marker-{len(recording.events)}"

    def complete() -> bool:
        done = [description for description, statuses in recording.operations(new=True) if "Success" in statuses]
        return len(recording.lifecycle()) >= len(lifecycle) and sorted(done) == sorted(ended)

    await recording.until(complete)
    await daemon.call("POST", "/1.0/profiles", {"name": marker.rpartition("/")[2]})
    await recording.until(lambda: ("profile-created", marker) in recording.lifecycle())
    assert recording.lifecycle() == [*lifecycle, ("profile-created", marker)]
    for _, statuses in recording.operations(new=True):
        assert statuses[0] in ("Pending", "Success")  # a quick one may be over before its first event is written
        assert set(statuses) <= {"Pending", "Running", "Success"}


def event(recording: Recording, action: str) -> Any:
    return next(event for event in recording.events if event["metadata"].get("action") == action)


async def test_create_and_delete(daemon: Daemon) -> None:
    async with daemon.listening() as recording:
        await daemon.make("c1")
        await daemon.do("POST", f"{INSTANCE}/snapshots", {"name": "s0"})
        await daemon.do("DELETE", INSTANCE)
        await heard(
            daemon,
            recording,
            [
                ("instance-created", INSTANCE),
                ("instance-snapshot-created", f"{INSTANCE}/snapshots/s0"),
                ("instance-snapshot-deleted", f"{INSTANCE}/snapshots/s0"),
                ("instance-deleted", INSTANCE),
            ],
            ["Creating instance", "Snapshotting instance", "Deleting instance"],
        )
        made = event(recording, "instance-created")
        assert {key: made[key] for key in ("type", "location", "project")} == {
            "type": "lifecycle",
            "location": "none",
            "project": "default",
        }
        context = {"storage-pool": "default", "type": "container"}
        requestor = {"username": "root", "protocol": "unix", "address": "@"}
        assert made["metadata"] == {"action": "instance-created", "source": INSTANCE} | daemon.of(
            {"context": context},
            {"context": context | {"location": "none"}, "requestor": requestor, "name": "c1", "project": "default"},
        )


async def test_running(daemon: Daemon) -> None:
    await daemon.make("c1")
    async with daemon.listening() as recording:
        for body in (
            {"action": "start"},
            {"action": "freeze"},
            {"action": "unfreeze"},
            {"action": "restart", "force": True},
            {"action": "stop", "force": True},
        ):
            await daemon.do("PUT", f"{INSTANCE}/state", body | {"timeout": 10})
        actions = ("started", "paused", "resumed", "restarted", "stopped")
        verbs = ("Starting", "Freezing", "Unfreezing", "Restarting", "Stopping")
        await heard(
            daemon,
            recording,
            [(f"instance-{action}", INSTANCE) for action in actions],
            [f"{verb} instance" for verb in verbs],
        )
        for action in actions:
            assert "requestor" in event(recording, f"instance-{action}")["metadata"]


async def booted(daemon: Daemon) -> None:
    """It has an address: its init takes signals by then. Before that one would be lost, and with it the shutdown."""
    async with asyncio.timeout(PATIENCE):
        while True:
            card = ((await daemon.get(f"{INSTANCE}/state"))["network"] or {}).get("eth0") or {}
            if any(address["family"] == "inet" for address in card.get("addresses") or ()):
                return
            await asyncio.sleep(0.05)


async def test_clean_shutdown(daemon: Daemon) -> None:
    await daemon.make("c1", start=True)
    await booted(daemon)
    async with daemon.listening() as recording:
        await daemon.do("PUT", f"{INSTANCE}/state", {"action": "stop", "timeout": 60})
        await heard(daemon, recording, [("instance-shutdown", INSTANCE)], ["Stopping instance"])


async def test_an_ephemeral_instance_goes_when_it_stops(daemon: Daemon) -> None:
    await daemon.make("c1", start=True, ephemeral=True)
    async with daemon.listening() as recording:
        await daemon.stop("c1")
        await recording.until(lambda: len(recording.lifecycle()) == 2)
        assert sorted(recording.lifecycle()) == [("instance-deleted", INSTANCE), ("instance-stopped", INSTANCE)]
    assert await daemon.get("/1.0/instances") == []


async def test_changes_of_instances_and_snapshots(daemon: Daemon) -> None:
    await daemon.make("c1")
    body = await daemon.get(INSTANCE)
    async with daemon.listening() as recording:
        await daemon.do("PUT", INSTANCE, {key: body[key] for key in ("config", "devices", "profiles", "architecture")})
        await daemon.call("PATCH", INSTANCE, {"config": {"user.x": "1"}})
        await daemon.do("POST", f"{INSTANCE}/snapshots", {"name": "s0"})
        await daemon.do("POST", f"{INSTANCE}/snapshots/s0", {"name": "s1"})
        await daemon.do("PUT", INSTANCE, {"restore": "s1"})
        await daemon.do("POST", INSTANCE, {"name": "c2"})
        await heard(
            daemon,
            recording,
            [
                ("instance-updated", INSTANCE),
                ("instance-updated", INSTANCE),
                ("instance-snapshot-created", f"{INSTANCE}/snapshots/s0"),
                ("instance-snapshot-renamed", f"{INSTANCE}/snapshots/s1"),
                ("instance-restored", INSTANCE),
                ("instance-renamed", "/1.0/instances/c2"),
            ],
            [
                "Updating instance",
                "Snapshotting instance",
                "Renaming snapshot",
                "Restoring snapshot",
                "Renaming instance",
            ],
        )
        assert event(recording, "instance-renamed")["metadata"]["context"] == {"old_name": "c1"}
        assert event(recording, "instance-snapshot-renamed")["metadata"]["context"] == {"old_name": "c1/s0"}
        assert event(recording, "instance-restored")["metadata"]["context"] == {"snapshot": "c1/s1"}


async def test_a_copy_brings_its_snapshots(daemon: Daemon) -> None:
    await daemon.make("c1")
    await daemon.do("POST", f"{INSTANCE}/snapshots", {"name": "s0"})
    source = {"type": "copy", "source": "c1"}
    async with daemon.listening() as recording:
        await daemon.do("POST", "/1.0/instances", {"name": "c2", "source": source, "profiles": ["default"]})
        await heard(
            daemon,
            recording,
            [
                ("instance-created", "/1.0/instances/c2"),
                ("instance-snapshot-created", "/1.0/instances/c2/snapshots/s0"),
            ],
            ["Creating instance"],
        )
    assert await daemon.get("/1.0/instances/c2/snapshots") == ["/1.0/instances/c2/snapshots/s0"]


async def test_profiles(daemon: Daemon) -> None:
    async with daemon.listening() as recording:
        made = await daemon.call("POST", "/1.0/profiles", {"name": "p1"})
        assert (made.status, made.headers["Location"], made.metadata) == (201, "/1.0/profiles/p1", None)
        put = await daemon.call("PUT", "/1.0/profiles/p1", {"description": "d", "config": {"limits.cpu": "1"}})
        assert (put.status, put.metadata) == (200, {})
        await daemon.call("PATCH", "/1.0/profiles/p1", {"config": {"user.a": "1"}})
        renamed = await daemon.call("POST", "/1.0/profiles/p1", {"name": "p2"})
        assert (renamed.status, renamed.headers["Location"]) == (201, "/1.0/profiles/p2")
        await daemon.call("DELETE", "/1.0/profiles/p2")
        await heard(
            daemon,
            recording,
            [
                ("profile-created", "/1.0/profiles/p1"),
                ("profile-updated", "/1.0/profiles/p1"),
                ("profile-updated", "/1.0/profiles/p1"),
                ("profile-renamed", "/1.0/profiles/p2"),
                ("profile-deleted", "/1.0/profiles/p2"),
            ],
            [],
        )


async def test_images(daemon: Daemon) -> None:
    data = b"".join(content.build(METADATA, 0).chunks())
    fingerprint = hashlib.sha256(data).hexdigest()
    image = f"/1.0/images/{fingerprint}"
    octets = {"Content-Type": "application/octet-stream"}
    async with daemon.listening() as recording:
        await daemon.do("POST", "/1.0/images", data=data, headers=octets)
        await daemon.call("PUT", image, {"public": True, "properties": {"a": "b"}})
        await daemon.call("POST", "/1.0/images/aliases", {"name": "a1", "target": fingerprint})
        await daemon.call("PUT", "/1.0/images/aliases/a1", {"target": fingerprint, "description": "d"})
        await daemon.call("DELETE", "/1.0/images/aliases/a1")
        assert (await daemon.call("GET", f"{image}/export")).body == data
        await daemon.do("DELETE", image)
        await heard(
            daemon,
            recording,
            [
                ("image-created", image),
                ("image-updated", image),
                ("image-alias-created", "/1.0/images/aliases/a1"),
                ("image-alias-updated", "/1.0/images/aliases/a1"),
                ("image-alias-deleted", "/1.0/images/aliases/a1"),
                ("image-retrieved", image),
                ("image-deleted", image),
            ],
            ["Downloading image", "Deleting image"],
        )
        told = next(e["metadata"] for e in recording.events if (e["metadata"].get("metadata") or {}).get("fingerprint"))
        assert told["metadata"] == {"fingerprint": fingerprint, "size": str(len(data))}
        assert told["resources"] == daemon.of(None, {})


async def test_projects_separate_events(daemon: Daemon) -> None:
    features = {"features.profiles": "false", "features.images": "false"}
    await daemon.call("POST", "/1.0/projects", {"name": "p1", "config": features})
    async with (
        daemon.listening() as default,
        daemon.listening("type=operation,lifecycle&project=p1", "p1") as other,
        daemon.listening("type=lifecycle&all-projects=true") as everything,
    ):
        source = {"type": "none"}
        await daemon.do("POST", "/1.0/instances?project=p1", {"name": "c1", "source": source})
        await daemon.do("POST", "/1.0/instances", {"name": "c2", "source": source})
        theirs, ours = ("instance-created", "/1.0/instances/c1?project=p1"), ("instance-created", "/1.0/instances/c2")
        await everything.until(lambda: len(everything.events) == 2)
        assert everything.lifecycle() == [theirs, ours]
        assert [event["project"] for event in everything.events] == ["p1", "default"]
        await default.until(lambda: default.lifecycle() == [ours])
        await other.until(lambda: other.lifecycle() == [theirs])
        await other.until(lambda: other.operations() and "Success" in other.operations()[0][1])
        assert {event["project"] for event in other.events} == {"p1"}
    listed = await daemon.get("/1.0/instances?all-projects=true")
    assert sorted(listed) == ["/1.0/instances/c1?project=p1", "/1.0/instances/c2"]


@pytest.mark.parametrize("timeout", ["1", "0"])
async def test_waiting_for_what_does_not_end(daemon: Daemon, timeout: str) -> None:
    fingerprint = (await daemon.get(f"/1.0/images/aliases/{daemon.image}"))["target"]
    answer = await daemon.call("POST", f"/1.0/images/{fingerprint}/secret")
    operation = answer.json["operation"]
    assert (answer.metadata["class"], answer.metadata["may_cancel"]) == ("token", True)
    waited = await daemon.call("GET", f"{operation}/wait?timeout={timeout}")
    assert waited.status == 200
    if daemon.kind == "lxd":
        assert waited.metadata["status"] == "Running"
    else:
        assert (waited.json["type"], waited.json["error_code"]) == ("error", 500)
        assert waited.json["error"] == "context deadline exceeded"
    listed = await daemon.get("/1.0/operations")
    assert operation in listed["running"]
    async with daemon.listening() as recording:
        cancelled = await daemon.call("DELETE", operation)
        assert (cancelled.status, cancelled.metadata) == (200, {})
        await recording.until(lambda: recording.lifecycle() == [("operation-cancelled", operation)])
        await recording.until(lambda: any("Cancelled" in statuses for _, statuses in recording.operations()))
    assert (await daemon.get(operation))["status"] == "Cancelled"
    assert (await daemon.call("DELETE", operation)).error == (400, "Only running operations can be cancelled")
