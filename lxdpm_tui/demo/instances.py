"""Making, changing and removing instances and snapshots of one daemon."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any

from lxdpm_tui.demo import rules
from lxdpm_tui.demo.events import timestamp
from lxdpm_tui.demo.operations import Operation
from lxdpm_tui.demo.state import Image, Instance, Project, Snapshot, State
from lxdpm_tui.demo.tree import Node
from lxdpm_tui.demo.variants import JSON, Problem

# How long a fast real host takes, in seconds.
CREATE, RENAME, DELETE = 0.07, 0.05, 0.1
START, STOP, SHUTDOWN, RESTART, FREEZE = 0.25, 0.3, 1.0, 0.5, 0.02

_FIRST = (
    "able brave calm daring eager fair gentle happy keen lively merry neat proud quick sunny tidy warm wise".split()
)
_SECOND = "ant bear cod dove eel fox gnu hare ibex jay koi lynx mole newt owl pug ray seal toad vole wasp yak".split()
_IDMAP = '[{"Isuid":true,"Isgid":true,"Hostid":100000,"Nsid":0,"Maprange":10000001}]'
STATE_VERBS = {
    "start": "Starting",
    "stop": "Stopping",
    "restart": "Restarting",
    "freeze": "Freezing",
    "unfreeze": "Unfreezing",
}


def resources(state: State, *found: tuple[str, str], snapshot: str = "") -> dict[str, list[str]]:
    """`resources` of an operation on instances given as (name, project)."""
    urls: dict[str, list[str]] = {}
    if state.variant.containers_path:
        urls["containers"] = [f"/1.0/containers/{name}" for name, _ in found]
        urls["instances"] = [f"/1.0/instances/{name}" for name, _ in found]
        return urls
    urls["instances"] = [state.url("instances", name, project=project) for name, project in found]
    if snapshot:
        name, project = found[0]
        urls["instances_snapshots"] = [state.url("instances", name, "snapshots", snapshot, project=project)]
    return urls


def tell(state: State, found: Instance, what: str, context: JSON | None = None, *, by_itself: bool = False) -> None:
    """A lifecycle event of an instance, "instance-<what>"."""
    source = state.url("instances", found.name, project=found.project)
    state.hub.lifecycle(
        found.project, f"instance-{what}", source, context=context, name=found.name, by_itself=by_itself
    )


def tell_snapshot(state: State, found: Instance, name: str, what: str, context: JSON | None = None) -> None:
    """A lifecycle event of a snapshot, "instance-snapshot-<what>"."""
    source = state.url("instances", found.name, "snapshots", name, project=found.project)
    state.hub.lifecycle(found.project, f"instance-snapshot-{what}", source, context=context)


Step = Callable[[Operation], Awaitable[None]]


def _alone(found: Instance, verb: str, work: Step) -> Step:
    """One operation at a time on an instance."""

    async def run(operation: Operation) -> None:
        if found.busy:
            raise Problem(400, f'Instance is busy running a "{found.busy}" operation')
        found.busy = verb
        try:
            await work(operation)
        finally:
            found.busy = ""

    return run


def begin(
    state: State,
    description: str,
    found: Instance,
    verb: str,
    work: Step,
    touched: dict[str, list[str]] | None = None,
) -> Operation:
    """Start an operation that has the instance for itself. touched: its `resources`, if not just the instance."""
    if touched is None:
        touched = resources(state, (found.name, found.project))
        if verb in STATE_VERBS:
            touched.pop("containers", None)
    return state.operations.start(description, found.project, _alone(found, verb, work), resources=touched)


# -- making


def free_name(state: State, project: Project) -> str:
    while True:
        name = f"{state.random.choice(_FIRST)}-{state.random.choice(_SECOND)}"
        if name not in project.instances:
            return name


def create(
    state: State,
    project: Project,
    body: JSON,
    *,
    image: Image | None = None,
    wants_image: bool = False,
    source: Instance | Snapshot | None = None,
    source_of: Instance | None = None,
) -> Operation:
    """Start making an instance from an image, from nothing, or from another one (source, of instance source_of).

    body is LXD's own, with `name` and `profiles` filled in.
    """
    found = Instance(
        name=body["name"],
        project=project.name,
        type=body.get("type") or "container",
        config={key: str(value) for key, value in (body.get("config") or {}).items()},
        devices=body.get("devices") or {},
        profiles=list(body["profiles"]),
        ephemeral=bool(body.get("ephemeral")),
        description=body.get("description") or "",
        seed=state.random.getrandbits(32),
        rootless=image is None and source is None,
    )
    touched = [(found.name, project.name)]
    if source_of is not None:
        touched.append((source_of.name, source_of.project))
        found.rootless = source_of.rootless

    async def work(operation: Operation) -> None:
        if wants_image and image is None:
            raise Problem(500, "Image not provided for instance creation")
        if image is not None and image.type != found.type:
            text = f'Requested image\'s type "{image.type}" doesn\'t match instance type "{found.type}"'
            raise Problem(500, text)
        _add_record(state, project, found, image, source)
        found.busy = "create"
        try:
            if image is not None:
                image.last_used_at = timestamp()
                await _unpack(state, operation, image)
            else:
                await state.pause(CREATE / 2)
            if isinstance(source, Instance) and not body["source"].get("instance_only"):
                for one in source.snapshots.values():
                    found.snapshots[one.name] = copy.copy(one)
                    tell_snapshot(state, found, one.name, "created")
        finally:
            found.busy = ""
        if body.get("start") and state.variant.has("instance_create_start"):
            await _start(state, found, operation)

    urls = resources(state, *touched)
    if found.type != "container":
        urls.pop("containers", None)
    return state.operations.start("Creating instance", project.name, work, resources=urls)


def _add_record(
    state: State, project: Project, found: Instance, image: Image | None, source: Instance | Snapshot | None
) -> None:
    """The part of a creation that happens at once, or not at all."""
    rules.check_config(found.config, "Failed creating instance record: ")
    if source is not None:
        found.files = source.files.copy()
        kept = {key: value for key, value in source.config.items() if not key.startswith("volatile.")}
        found.config = kept | found.config
        found.devices = source.devices | found.devices
    _, devices = state.expand(project, found.profiles, found.config, found.devices)
    pool = rules.check_placement(state, project, devices)
    if found.name in project.instances:
        raise state.variant.problem("instance-exists")
    if image is not None:
        found.config |= {f"image.{key}": value for key, value in image.properties.items()}
        found.config["volatile.base_image"] = image.fingerprint
    dress(state, found, devices, "create" if source is None else "copy")
    project.instances[found.name] = found
    context = {"storage-pool": pool, "type": found.type}
    if state.variant.named_events:
        context = {"location": state.variant.location} | context
    tell(state, found, "created", context)


def dress(state: State, found: Instance, devices: JSON, template: str = "create") -> None:
    """Give a new instance the config and times that LXD gives it."""
    found.config["volatile.apply_template"] = template
    found.config["volatile.cloud-init.instance-id"] = state.new_uuid()
    found.config["volatile.uuid"] = state.new_uuid()
    if found.type == "container":
        found.config |= {"volatile.idmap.base": "0", "volatile.idmap.next": _IDMAP, "volatile.last_state.idmap": "[]"}
    if state.variant.incus:
        found.config["volatile.uuid.generation"] = found.config["volatile.uuid"]
    for name, device in devices.items():
        if device.get("type") == "nic":
            found.config[f"volatile.{name}.hwaddr"] = state.fresh_mac()
    found.created_at = timestamp()
    hostname = Node(data=f"{found.name}\n".encode())
    if found.files.find("/etc/hostname") is None and not found.rootless:
        found.files.put("/etc/hostname", hostname)


async def _unpack(state: State, operation: Operation, image: Image) -> None:
    steps = 4
    for step in range(1, steps + 1):
        await state.pause(CREATE / steps)
        percent = 100 * step // steps
        speed = 40_000_000 + image.content.size % 20_000_000
        text = f"{state.variant.unpack}: {percent}% ({speed / 1e6:.2f}MB/s)"
        progress = {"percent": str(percent), "speed": str(speed), "stage": "create_instance_from_image_unpack"}
        operation.progress(create_instance_from_image_unpack_progress=text, progress=progress)


# -- running


def change_state(state: State, found: Instance, body: JSON) -> Operation:
    """PUT /state. Raises Problem for an action that does not exist."""
    action = body.get("action") or ""
    if action not in STATE_VERBS:
        raise Problem(400, f"Unknown action: '{action}'")
    force = bool(body.get("force"))
    verbs: dict[str, Step] = {
        "start": lambda operation: _start(state, found, operation),
        "stop": lambda _: stop(state, found, force=force),
        "restart": lambda _: _restart(state, found),
        "freeze": lambda _: _freeze(state, found),
        "unfreeze": lambda _: _unfreeze(state, found),
    }
    return begin(state, f"{STATE_VERBS[action]} instance", found, action, verbs[action])


async def _start(state: State, found: Instance, operation: Operation) -> None:
    if found.running:
        raise Problem(500, "The instance is already running")
    remap = state.variant.remaps and found.config.get("volatile.last_state.idmap") == "[]"
    if remap:
        operation.progress(container_progress="Remapping container filesystem")
    await state.pause(START)
    if found.rootless:
        pool = state.expanded(found)[1].get("root", {}).get("pool", "default")
        raise state.variant.problem("no-root-filesystem", name=found.name, pool=pool)
    if remap:
        operation.progress(container_progress="")
        found.config["volatile.last_state.idmap"] = found.config["volatile.idmap.next"]
    state.set_running(found)
    tell(state, found, "started")


async def stop(state: State, found: Instance, *, force: bool) -> None:
    """An ephemeral instance is gone afterwards."""
    if not found.running:
        raise Problem(400, "The instance is already stopped")
    await state.pause(STOP if force else SHUTDOWN)
    state.set_stopped(found)
    if found.ephemeral:
        _remove(state, found)
    tell(state, found, "stopped" if force else "shutdown")


async def _restart(state: State, found: Instance) -> None:
    if not found.running:
        raise Problem(400, "The instance is already stopped")
    await state.pause(RESTART)
    state.set_running(found)
    tell(state, found, "restarted")


async def _freeze(state: State, found: Instance) -> None:
    if not found.running:
        raise state.variant.problem("freeze-stopped")
    if found.status == "Frozen":
        raise Problem(500, "The container is already frozen")
    await state.pause(FREEZE)
    found.status = "Frozen"
    tell(state, found, "paused")


async def _unfreeze(state: State, found: Instance) -> None:
    if not found.running:
        raise state.variant.problem("freeze-stopped")
    if found.status != "Frozen":
        raise Problem(500, "The container is already running")
    await state.pause(FREEZE)
    found.status = "Running"
    tell(state, found, "resumed")


# -- changing


def rename(state: State, found: Instance, new_name: str) -> Operation:
    """Raises Problem at once for a bad or taken name; a running one fails later."""
    rules.check_name(new_name)
    project = state.projects[found.project]
    if new_name in project.instances:
        raise Problem(409, f'Name "{new_name}" already in use')

    async def work(_: Operation) -> None:
        if found.running:
            raise state.variant.problem("rename-running")
        await state.pause(RENAME)
        old = found.name
        project.instances[new_name] = project.instances.pop(old)
        found.name = new_name
        found.config["volatile.apply_template"] = "rename"
        tell(state, found, "renamed", {"old_name": old})

    return begin(state, "Renaming instance", found, "rename", work)


def _apply(state: State, found: Instance, body: JSON) -> None:
    """Set what an instance's PUT may set. Raises Problem and changes nothing if the config is bad."""
    rules.check_config(body.get("config") or {}, "Invalid config: ")
    rules.check_devices(state, body.get("devices") or {})
    found.config = {key: str(value) for key, value in (body.get("config") or {}).items()}
    found.devices = body.get("devices") or {}
    found.ephemeral = bool(body.get("ephemeral"))
    found.description = body.get("description") or ""
    found.profiles = list(body.get("profiles") or [])


def replace(state: State, found: Instance, body: JSON) -> Operation:
    """PUT without restore. Raises Problem at once for an unknown profile."""
    for name in body.get("profiles") or []:
        if name not in state.holder("profiles", state.projects[found.project]).profiles:
            raise Problem(404, "Profile not found")

    async def work(_: Operation) -> None:
        _apply(state, found, body)
        tell(state, found, "updated")

    return begin(state, "Updating instance", found, "update", work)


def patch(state: State, found: Instance, body: JSON) -> None:
    """PATCH: config and devices are merged, the rest is set if named."""
    merged: dict[str, Any] = {
        "config": found.config | (body.get("config") or {}),
        "devices": found.devices | (body.get("devices") or {}),
        "ephemeral": body.get("ephemeral", found.ephemeral),
        "description": body.get("description", found.description),
        "profiles": found.profiles if body.get("profiles") is None else body["profiles"],
    }
    _apply(state, found, merged)
    tell(state, found, "updated", by_itself=True)


def delete(state: State, found: Instance) -> Operation:
    if found.running:
        raise Problem(400, "Instance is running")

    async def work(_: Operation) -> None:
        await state.pause(DELETE)
        _remove(state, found)

    return begin(state, "Deleting instance", found, "delete", work)


def _remove(state: State, found: Instance) -> None:
    for name in found.snapshots:
        tell_snapshot(state, found, name, "deleted")
    state.projects[found.project].instances.pop(found.name, None)
    tell(state, found, "deleted")
