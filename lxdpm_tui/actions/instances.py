"""Actions on instances: launch, states, delete, rename, snapshots."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxdpm_tui.actions import create, resolve
from lxdpm_tui.actions.registry import ActionError, Danger, Param, registry
from lxdpm_tui.fleet.inventory import Instance, Key
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.scheduler.model import Strategy
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

PER_HOST = 4  # calls at once on one host in a bulk action

_PROJECT = Param("project", "the project", default="default", complete="project")
_INSTANCE = Param(
    "instance", "NAME, or HOST:NAME for one of twins", positional=True, required=True, complete="instance"
)
_INSTANCES = Param(
    "instances", "NAME or HOST:NAME, one or more", positional=True, required=True, many=True, complete="instance"
)


def launch_bodies(
    *,
    image: str,
    name: str,
    profiles: Sequence[str],
    config: dict[str, str],
    devices: dict[str, Any],
    type: str | None,
    count: int,
    ephemeral: bool,
    storage: str | None,
    network: str | None,
) -> list[dict[str, Any]]:
    """LXD create bodies for the launch arguments. With count > 1, NAME-1 to NAME-count. Raises ActionError."""
    if count < 1:
        raise ActionError("count must be 1 or more")
    devices = {
        key: dict(value) if isinstance(value, dict) else launch_device(key, value) for key, value in devices.items()
    }
    if storage:
        devices.setdefault("root", {"type": "disk", "path": "/", "pool": storage})
    if network:
        devices.setdefault("eth0", {"type": "nic", "name": "eth0", "network": network})
    body: dict[str, Any] = {"source": {"type": "image", "alias": image}, "config": config, "devices": devices}
    if profiles:
        body["profiles"] = list(profiles)
    if type:
        body["type"] = type
    if ephemeral:
        body["ephemeral"] = True
    names = [name] if count == 1 else [f"{name}-{number}" if name else "" for number in range(1, count + 1)]
    return [{**body, "name": each} for each in names]


def launch_device(name: str, text: str) -> dict[str, str]:
    """A device written as "type=disk,path=/data,source=/srv"."""
    pairs = dict(part.split("=", 1) for part in str(text).split(",") if "=" in part)
    if "type" not in pairs:
        raise ActionError(f"device {name}: expected type=...,key=value,...")
    return pairs


LAUNCH = (
    Param("image", "alias, fingerprint or its beginning", positional=True, required=True, complete="image"),
    Param("name", "name of the new instance; made up when left out", positional=True, default=""),
    Param("profiles", "profile, may be repeated", many=True, complete="profile"),
    Param("config", "KEY=VALUE, may be repeated", kind="mapping"),
    Param("devices", "NAME=type=...,key=value,..., may be repeated", kind="mapping"),
    Param("type", "container or virtual-machine; the image's own when left out", kind="choice",
          choices=("container", "virtual-machine")),
    _PROJECT,
    Param("strategy", "how to choose the host", kind="choice", choices=tuple(Strategy)),
    Param("target", "this host and no other", complete="host"),
    Param("count", "how many", kind="integer", default=1),
    Param("ephemeral", "delete it when it stops", kind="flag"),
    Param("no_start", "create it, do not start it", kind="flag"),
    Param("storage", "storage pool of its root disk", complete="pool"),
    Param("network", "network of eth0", complete="network"),
)  # fmt: skip


def _targets(manager: Manager, target: str | None) -> frozenset[str]:
    if not target:
        return frozenset()
    if target not in manager.inventory.hosts:
        raise ActionError(f"there is no host {target!r}", 404)
    return frozenset({target})


def launch_plans(manager: Manager, *, project: str, target: str | None, **arguments: Any) -> list[create.Plan]:
    """The plans of a launch, also for a dry run. Raises ActionError."""
    targets = _targets(manager, target)
    plans: list[create.Plan] = []
    for body in launch_bodies(**arguments):
        plan = create.prepare(manager, body, project, targets)
        if any(plan.request.instance == other.request.instance for other in plans):
            plan = create.prepare(manager, {**body, "name": ""}, project, targets)
        plans.append(plan)
    return plans


@registry.action("launch", "Create and start instances where the scheduler chooses", *LAUNCH)
async def launch(
    manager: Manager, *, project: str, target: str | None, strategy: str | None, no_start: bool, **arguments: Any
) -> Task:
    for body in launch_bodies(**arguments):
        if body["name"]:
            await resolve.forget_gone(manager, project, body["name"])
    plans = launch_plans(manager, project=project, target=target, **arguments)
    return await create.create(
        manager,
        plans,
        strategy=Strategy(strategy) if strategy else None,
        start=not no_start,
        owner=manager.caller,
    )


async def _each(
    manager: Manager,
    kind: str,
    description: str,
    rows: Sequence[Instance],
    work: Callable[[Instance], Awaitable[object]],
) -> Task:
    """A task that does `work` for every row, a few at once on each host. Results by "HOST:NAME" in task.hosts."""
    limits = {row.host: asyncio.Semaphore(PER_HOST) for row in rows}
    label = {row.key: f"{row.host}:{row.name}" for row in rows}
    task = Task(
        kind=kind,
        description=description,
        project=rows[0].project,
        resources={"instances": [f"/1.0/instances/{quote(row.name, safe='')}" for row in rows]},
        hosts={label[row.key]: {"status": "waiting"} for row in rows},
        owner=manager.caller,
    )

    async def run(task: Task, journal: Journal) -> None:
        errors: list[Exception] = []

        async def one(row: Instance) -> None:
            async with limits[row.host]:
                if task.cancelled:
                    return
                task.update(host=label[row.key], status="running")
                try:
                    await work(row)
                except (ApiError, HostError) as error:
                    task.update(host=label[row.key], status="failed", error=str(error))
                    errors.append(error)
                else:
                    task.update(host=label[row.key], status="done")
                await resolve.read_again(manager, row.key)  # what is asked for next goes by the inventory

        await asyncio.gather(*(one(row) for row in rows))
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ActionError(f"{len(errors)} of {len(rows)} failed: " + "; ".join(str(e) for e in errors[:5]), 500)

    return await manager.tasks.start(task, run)


def _rows(manager: Manager, refs: Sequence[str], project: str) -> list[Instance]:
    """The instances named, each once however often it is named. Raises ActionError."""
    rows = (resolve.instance(manager, ref, project) for ref in refs)
    return list({row.key: row for row in rows}.values())


def _path(row: Instance, *more: str) -> str:
    return "/".join(("/1.0/instances", quote(row.name, safe=""), *more))


def _state_action(name: str, action: str, help: str, doing: str, danger: Danger, forcible: bool) -> None:
    params = [_INSTANCES, _PROJECT]
    if forcible:
        params.append(Param("force", "do not ask it to shut down, end it", kind="flag"))
        params.append(Param("timeout", "seconds it gets to shut down", kind="integer", default=30))

    async def run(
        manager: Manager, *, instances: Sequence[str], project: str, force: bool = False, timeout: int = 30
    ) -> Task:
        rows = _rows(manager, instances, project)
        body = {"action": action, "timeout": timeout, "force": force}

        async def change(row: Instance) -> None:
            await manager.fleet.operate(
                row.host, "PUT", _path(row, "state"), params={"project": row.project}, json=body
            )

        return await _each(manager, name, f"{doing} instance{'s' * (len(rows) > 1)}", rows, change)

    registry.action(name, help, *params, danger=danger, subject="instance")(run)


_state_action("start", "start", "Start instances", "Starting", Danger.NONE, False)
_state_action("stop", "stop", "Stop instances", "Stopping", Danger.CONFIRM, True)
_state_action("restart", "restart", "Restart instances", "Restarting", Danger.CONFIRM, True)
_state_action("freeze", "freeze", "Freeze instances: their processes get no CPU", "Freezing", Danger.CONFIRM, False)
_state_action("unfreeze", "unfreeze", "Let frozen instances go on", "Unfreezing", Danger.NONE, False)


@registry.action(
    "delete",
    "Delete instances with all their snapshots",
    _INSTANCES,
    _PROJECT,
    Param("force", "also running ones", kind="flag"),
    danger=Danger.TYPE_NAME,
    subject="instance",
)
async def delete(manager: Manager, *, instances: Sequence[str], project: str, force: bool) -> Task:
    # Whether one runs decides what is done: the last event may be on its way yet.
    await resolve.read_again(manager, *(row.key for row in _rows(manager, instances, project)))
    rows = _rows(manager, instances, project)
    running = [row for row in rows if row.status not in ("Stopped", "Error")]
    if running and not force:
        raise ActionError(f"{running[0].host}:{running[0].name} is {running[0].status}: stop it first, or use force")

    async def remove(row: Instance) -> None:
        if row in running:
            body = {"action": "stop", "timeout": 30, "force": True}
            await manager.fleet.operate(
                row.host, "PUT", _path(row, "state"), params={"project": row.project}, json=body
            )
        if not (row in running and row.ephemeral):
            await manager.fleet.operate(row.host, "DELETE", _path(row), params={"project": row.project})

    return await _each(manager, "delete", f"Deleting instance{'s' * (len(rows) > 1)}", rows, remove)


@registry.action(
    "rename",
    "Rename a stopped instance",
    _INSTANCE,
    Param("new_name", "the new name", positional=True, required=True),
    _PROJECT,
    subject="instance",
)
async def rename(manager: Manager, *, instance: str, new_name: str, project: str) -> Task:
    row = resolve.instance(manager, instance, project)
    resolve.check_instance_name(new_name)
    await resolve.forget_gone(manager, project, new_name)
    if manager.inventory.find_instances(project, new_name) or (project, new_name) in manager.claims:
        raise ActionError(f'Instance "{new_name}" already exists', 409)
    claim = (project, new_name)
    manager.claims.add(claim)

    async def change(row: Instance) -> None:
        await manager.fleet.operate(row.host, "POST", _path(row), params={"project": project}, json={"name": new_name})
        await resolve.read_again(manager, row.key, Key(row.host, project, new_name))

    def ended(task: Task) -> None:
        if task.status.final:
            manager.claims.discard(claim)

    try:
        task = await _each(manager, "rename", "Renaming instance", [row], change)
    except BaseException:
        manager.claims.discard(claim)
        raise
    task.subscribe(ended)  # also of one that was cancelled before it began
    ended(task)
    return task


@registry.action(
    "snapshot",
    "Take a snapshot of an instance",
    _INSTANCE,
    Param("name", "name of the snapshot; snapN when left out", positional=True, default=""),
    _PROJECT,
    Param("stateful", "with the state of its processes", kind="flag"),
    subject="instance",
)
async def snapshot(manager: Manager, *, instance: str, name: str, project: str, stateful: bool) -> Task:
    row = resolve.instance(manager, instance, project)
    if "/" in name or " " in name:
        raise ActionError(f"Invalid snapshot name {name!r}: no slashes, no spaces")

    async def take(row: Instance) -> None:
        body = {"name": name, "stateful": stateful}
        await manager.fleet.operate(row.host, "POST", _path(row, "snapshots"), params={"project": project}, json=body)

    return await _each(manager, "snapshot", "Snapshotting instance", [row], take)


_SNAPSHOT = Param("snapshot", "name of the snapshot", positional=True, required=True, complete="snapshot")


@registry.action(
    "restore",
    "Put an instance back to a snapshot",
    _INSTANCE,
    _SNAPSHOT,
    _PROJECT,
    danger=Danger.CONFIRM,
    subject="instance",
)
async def restore(manager: Manager, *, instance: str, snapshot: str, project: str) -> Task:
    row = resolve.instance(manager, instance, project)

    async def change(row: Instance) -> None:
        await manager.fleet.operate(
            row.host, "PUT", _path(row), params={"project": project}, json={"restore": snapshot}
        )

    return await _each(manager, "restore", "Restoring snapshot", [row], change)


@registry.action(
    "snapshot-rename",
    "Rename a snapshot",
    _INSTANCE,
    _SNAPSHOT,
    Param("new_name", "the new name", positional=True, required=True),
    _PROJECT,
    subject="instance",
)
async def snapshot_rename(manager: Manager, *, instance: str, snapshot: str, new_name: str, project: str) -> Task:
    row = resolve.instance(manager, instance, project)

    async def change(row: Instance) -> None:
        path = _path(row, "snapshots", quote(snapshot, safe=""))
        await manager.fleet.operate(row.host, "POST", path, params={"project": project}, json={"name": new_name})

    return await _each(manager, "snapshot-rename", "Renaming snapshot", [row], change)


@registry.action(
    "snapshot-delete",
    "Delete a snapshot",
    _INSTANCE,
    _SNAPSHOT,
    _PROJECT,
    danger=Danger.CONFIRM,
    subject="instance",
)
async def snapshot_delete(manager: Manager, *, instance: str, snapshot: str, project: str) -> Task:
    row = resolve.instance(manager, instance, project)

    async def remove(row: Instance) -> None:
        path = _path(row, "snapshots", quote(snapshot, safe=""))
        await manager.fleet.operate(row.host, "DELETE", path, params={"project": project})

    return await _each(manager, "snapshot-delete", "Deleting snapshot", [row], remove)
