"""Actions on instances: launch, and those that are a plan of calls (states, names, snapshots, copies, settings)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions import create, plan_run, resolve
from lxdpm_tui.actions.bulk import unattended
from lxdpm_tui.actions.plan import Limits, Plan
from lxdpm_tui.actions.plan_make import ACTS, make, named
from lxdpm_tui.actions.registry import ActionError, Param, registry
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.scheduler.model import Strategy
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

MOST = 1000  # instances of one launch: each is planned before the first is made
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
    if not 1 <= count <= MOST:
        raise ActionError(f"count must be 1 to {MOST}")
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


# -- those that are a plan

Planner = Callable[["Manager", Mapping[str, Any], Limits], Plan]
PLANNERS: dict[str, Planner] = {}
"""Action -> how its plan is made from its arguments (complete). Raises ActionError."""

Before = Callable[["Manager", Sequence[Instance], Mapping[str, Any]], Awaitable[object]]


def rows_of(manager: Manager, arguments: Mapping[str, Any]) -> list[Instance]:
    """The instances that `instances` or `instance` name. Raises ActionError."""
    refs = arguments.get("instances") or [arguments["instance"]]
    return [resolve.instance(manager, ref, arguments["project"]) for ref in refs]


def _same(arguments: Mapping[str, Any], *without: str) -> dict[str, Any]:
    left_out = ("instances", "instance", "project", *without)
    return {key: value for key, value in arguments.items() if key not in left_out}


def enter(
    name: str,
    help: str,
    *params: Param,
    act: str = "",
    options: Callable[[Mapping[str, Any]], dict[str, Any]] = _same,
    before: Before | None = None,
) -> None:
    """Enter an action whose work is a plan. act: its entry of ACTS (default: its name).  options: that act's options
    from the arguments.  before: what is to be known of the rows first."""
    act = act or name

    def plan(manager: Manager, arguments: Mapping[str, Any], limits: Limits) -> Plan:
        return make(manager.inventory, act, rows_of(manager, arguments), options(arguments), limits)

    async def run(manager: Manager, **arguments: Any) -> Task:
        if before is not None:
            await before(manager, rows_of(manager, arguments), arguments)
        return await plan_run.start(manager, plan(manager, arguments, unattended()), kind=name)

    PLANNERS[name] = plan
    registry.action(name, help, *params, danger=ACTS[act].danger, subject="instance")(run)


_FORCE = (
    Param("force", "do not ask it to shut down, end it", kind="flag"),
    Param("timeout", "seconds it gets to shut down", kind="integer", default=30),
)

enter("start", "Start instances", _INSTANCES, _PROJECT)
enter("stop", "Stop instances", _INSTANCES, _PROJECT, *_FORCE)
enter("restart", "Restart instances", _INSTANCES, _PROJECT, *_FORCE)
enter("freeze", "Freeze instances: their processes get no CPU", _INSTANCES, _PROJECT)
enter("unfreeze", "Let frozen instances go on", _INSTANCES, _PROJECT)


async def _look_again(manager: Manager, rows: Sequence[Instance], _: Mapping[str, Any]) -> None:
    """Whether one runs decides what is done: the last event may be on its way yet."""
    await resolve.read_again(manager, *(row.key for row in rows))


async def _forget_gone(manager: Manager, rows: Sequence[Instance], arguments: Mapping[str, Any]) -> None:
    """An instance that had the new name may be gone."""
    for number, row in enumerate(rows, 1):
        await resolve.forget_gone(manager, row.project, named(arguments["new_name"], row, number))


enter(
    "delete",
    "Delete instances with all their snapshots",
    _INSTANCES,
    _PROJECT,
    Param("force", "also running ones", kind="flag"),
    before=_look_again,
)
enter(
    "rename",
    "Rename a stopped instance",
    _INSTANCE,
    Param("new_name", "the new name", positional=True, required=True),
    _PROJECT,
    before=_forget_gone,
)
enter(
    "copy",
    "Copy an instance on its host",
    _INSTANCE,
    Param("new_name", "name of the copy", positional=True, default="{name}-copy"),
    _PROJECT,
    Param("instance_only", "without its snapshots", kind="flag"),
    Param("start", "start the copy", kind="flag"),
    Param("target", "the host of the copy: that of the instance, for now", default="", complete="host"),
    before=_forget_gone,
)
enter(
    "publish",
    "Make an image of a stopped instance, on all hosts or on some",
    _INSTANCE,
    Param("aliases", "a name for it, may be repeated", many=True),
    Param("hosts", "only this host (and its own), may be repeated; all when left out", many=True, complete="host"),
    _PROJECT,
    Param("public", "let everybody who reaches the hosts have it", kind="flag"),
    Param("reuse", "move aliases that exist", kind="flag"),
    Param("property", "KEY=VALUE of the image, may be repeated", kind="mapping"),
    options=lambda given: _same({**given, "properties": given["property"]}, "property"),
)

# -- snapshots

_SNAPSHOT = Param("snapshot", "name of the snapshot", positional=True, required=True, complete="snapshot")
_EXPIRES = "when it goes by itself: 12h, 30d, 6w, 2030-01-31, or never"

enter(
    "snapshot",
    "Take a snapshot of an instance",
    _INSTANCE,
    Param("name", "name of the snapshot; snapN when left out", positional=True, default=""),
    _PROJECT,
    Param("stateful", "with the state of its processes", kind="flag"),
    Param("expires", _EXPIRES, default=""),
)
enter("restore", "Put an instance back to a snapshot", _INSTANCE, _SNAPSHOT, _PROJECT)
enter(
    "snapshot-rename",
    "Rename a snapshot",
    _INSTANCE,
    _SNAPSHOT,
    Param("new_name", "the new name", positional=True, required=True),
    _PROJECT,
)
enter("snapshot-delete", "Delete a snapshot", _INSTANCE, _SNAPSHOT, _PROJECT)
enter(
    "snapshot-expiry",
    "Set when a snapshot goes by itself",
    _INSTANCE,
    _SNAPSHOT,
    Param("expires", _EXPIRES, positional=True, required=True),
    _PROJECT,
)
