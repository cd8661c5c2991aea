"""Snapshots of the instances of one daemon."""

from __future__ import annotations

import time

from lxdpm_tui.demo.events import timestamp
from lxdpm_tui.demo.instances import RENAME, begin, resources, tell, tell_snapshot
from lxdpm_tui.demo.operations import Operation
from lxdpm_tui.demo.state import Instance, Snapshot, State
from lxdpm_tui.demo.variants import JSON, Problem

SNAPSHOT = 0.1  # seconds on a fast real host


def _touched(state: State, found: Instance, name: str, odd: str = "") -> dict[str, list[str]]:
    """`resources` of an operation on a snapshot. odd: what LXD 5.0 takes for the instance's name."""
    if state.variant.containers_path and odd:
        return resources(state, (odd, found.project))
    return resources(state, (found.name, found.project), snapshot=name)


def find(state: State, found: Instance, name: str) -> Snapshot:
    if name not in found.snapshots:
        raise state.variant.problem("snapshot-missing", name=name, instance=found.name, project=found.project)
    return found.snapshots[name]


def take(state: State, found: Instance, body: JSON) -> Operation:
    name = body.get("name") or next(f"snap{n}" for n in range(10_000) if f"snap{n}" not in found.snapshots)
    if "/" in name:
        raise Problem(400, 'Invalid snapshot name: Cannot contain "/"')

    async def work(_: Operation) -> None:
        if body.get("stateful"):
            raise state.variant.problem("snapshot-stateful")
        if name in found.snapshots:
            raise state.variant.problem("snapshot-exists", name=name)
        await state.pause(SNAPSHOT)
        add(state, found, name, time.time(), body.get("expires_at") or "")
        tell_snapshot(state, found, name, "created")

    return begin(state, "Snapshotting instance", found, "snapshot", work, _touched(state, found, name))


def add(state: State, found: Instance, name: str, when: float, expires_at: str = "") -> None:
    found.snapshots[name] = Snapshot(
        name=name,
        created_at=timestamp(when),
        expires_at=expires_at,
        config=dict(sorted(found.config.items())),
        devices=dict(found.devices),
        profiles=list(found.profiles),
        ephemeral=found.ephemeral,
        expanded=state.expanded(found),
        files=found.files.copy(),
    )


def restore(state: State, found: Instance, name: str) -> Operation:
    name = name.rpartition("/")[2]

    async def work(_: Operation) -> None:
        if name not in found.snapshots:
            raise Problem(500, f"Snapshot {found.name}/{name} does not exist")
        await state.pause(SNAPSHOT)
        one = found.snapshots[name]
        found.config, found.devices = dict(one.config), dict(one.devices)
        found.profiles, found.files = list(one.profiles), one.files.copy()
        tell(state, found, "restored", {"snapshot": f"{found.name}/{name}"})

    return begin(state, "Restoring snapshot", found, "restore", work)


def rename(state: State, found: Instance, name: str, new_name: str) -> Operation:
    one = find(state, found, name)
    if "/" in new_name:
        raise Problem(400, 'Invalid snapshot name: Cannot contain "/"')
    if new_name in found.snapshots:
        raise Problem(409, f"Name '{found.name}/{new_name}' already in use")

    async def work(_: Operation) -> None:
        await state.pause(RENAME)
        del found.snapshots[name]
        one.name = new_name
        found.snapshots[new_name] = one
        tell_snapshot(state, found, new_name, "renamed", {"old_name": f"{found.name}/{name}"})

    return begin(state, "Renaming snapshot", found, "rename", work, _touched(state, found, name))


def update(state: State, found: Instance, name: str, body: JSON) -> Operation:
    one = find(state, found, name)

    async def work(_: Operation) -> None:
        one.expires_at = body.get("expires_at") or ""

    return begin(state, "Updating snapshot", found, "update", work, _touched(state, found, name, odd=name))


def delete(state: State, found: Instance, name: str) -> Operation:
    find(state, found, name)

    async def work(_: Operation) -> None:
        await state.pause(SNAPSHOT)
        found.snapshots.pop(name, None)
        tell_snapshot(state, found, name, "deleted")

    touched = _touched(state, found, name, odd=f"{found.name}/{name}")
    return begin(state, "Deleting snapshot", found, "delete", work, touched)
