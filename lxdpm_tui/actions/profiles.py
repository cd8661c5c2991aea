"""Profiles on all hosts or on none: create, edit, rename, delete; and which profiles an instance uses.

The same profile differs from host to host (the pool and bridge of `default`), so an edit never overwrites: it is a
delta between what the editor had read and what it wants, applied to each host's own copy, conditional on that
host's ETag.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.instances import launch_device
from lxdpm_tui.actions.registry import ActionError, Danger, Param, registry
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.hosts.host import Reply
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

_PROJECT = Param("project", "the project", default="default", complete="project")
_NAME = Param("name", "name of the profile", positional=True, required=True, complete="profile")
_HOSTS = Param("hosts", "only this host, may be repeated; all when left out", many=True, complete="host")
_CONFIG = Param("config", "KEY=VALUE, may be repeated; an empty value takes the key away", kind="mapping")
_DEVICES = Param("devices", "NAME=type=...,key=value,..., may be repeated; NAME= takes it away", kind="mapping")


def target_hosts(manager: Manager, names: Sequence[str]) -> list[str]:
    """The hosts named, or all; of each cluster one member.

    Raises ActionError: 404 unknown, 503 naming those that cannot be asked.
    """
    for name in names:
        if name not in manager.inventory.hosts:
            raise ActionError(f"there is no host {name!r}", 404)
    hosts = manager.fleet.distinct(names or manager.inventory.hosts)
    silent = [name for name in hosts if not manager.inventory.hosts[name].usable]
    if silent:
        reasons = "; ".join(f"{name}: {manager.inventory.hosts[name].reason or 'connecting'}" for name in silent)
        raise ActionError(f"Nothing was changed: it would have to reach all hosts, but cannot ask {reasons}", 503)
    if not hosts:
        raise ActionError("there are no hosts", 503)
    return hosts


async def holders(manager: Manager, name: str, project: str, hosts: Sequence[str] = ()) -> dict[str, Reply]:
    """The copies of a profile as the hosts have them now (all hosts, or those named), each with its ETag.

    Asked, not looked up: a change that misses the copy of which no event has told yet would be half a change.
    Raises ActionError: 404 when there is none, 503 naming hosts that may have one and cannot be asked, else the host's
    own refusal.
    """
    for host in hosts:
        if host not in manager.inventory.hosts:
            raise ActionError(f"there is no host {host!r}", 404)
    asked, unasked = [], []
    for host in manager.fleet.distinct(hosts or manager.inventory.hosts):
        record = manager.inventory.hosts[host]
        if record.usable:
            asked.append(host)
        elif not record.scanned or Key(host, project, name) in manager.inventory.profiles.get(host, {}):
            unasked.append(host)
    target_hosts(manager, [*asked, *unasked] or list(hosts))
    found = await copies_at(manager, _path(name), project, asked)
    if not found:
        raise resolve.unknown(manager, "Profile")
    return found


async def copies_at(manager: Manager, path: str, project: str, hosts: Sequence[str]) -> dict[str, Reply]:
    """Of these hosts, those that have it, with their copies. Raises ActionError when one cannot say."""
    answers = await manager.fleet.fan_out(lambda host: host.request("GET", path, params={"project": project}), hosts)
    found: dict[str, Reply] = {}
    for host, answer in answers.items():
        if isinstance(answer, HostError):
            raise ActionError(f"Nothing was changed: cannot ask {answer}", 503)
        if not isinstance(answer, ApiError):
            found[host] = answer
        elif answer.code != 404:
            raise ActionError(str(answer), answer.code)
    return found


async def on_hosts(
    manager: Manager,
    kind: str,
    description: str,
    hosts: Sequence[str],
    project: str,
    work: Callable[[str, Journal], Awaitable[object]],
    reads: Sequence[str] = ("profiles",),
) -> Task:
    """A journalled task that does `work(host, journal)` on all hosts at once; if one fails all are undone.

    reads: kinds of the inventory that are read again before it ends.
    """
    task = Task(
        kind=kind,
        description=description,
        project=project,
        hosts={host: {"status": "waiting"} for host in hosts},
        owner=manager.caller,
    )

    async def run(task: Task, journal: Journal) -> None:
        async def one(host: str) -> None:
            task.update(host=host, status="running")
            try:
                await work(host, journal)
            except (ApiError, HostError) as error:
                task.update(host=host, status="failed", error=str(error))
                raise
            task.update(host=host, status="done")

        results = await asyncio.gather(*(one(host) for host in hosts), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        await journal.commit()
        # What is asked for next, a launch with the new profile, goes by the inventory.
        for read in reads:
            await resolve.read_kind_again(manager, read, hosts)

    return await manager.tasks.start(task, run, journal=True)


def _path(name: str) -> str:
    return f"/1.0/profiles/{quote(name, safe='')}"


async def create_profile(manager: Manager, body: Mapping[str, Any], hosts: Sequence[str], project: str) -> Task:
    """POST one body to all hosts named (all of the fleet when none is). Raises ActionError, 409 when one has it."""
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise ActionError("No name provided")
    resolve.check_name("Profile", name)
    targets = target_hosts(manager, hosts)
    having = list(await copies_at(manager, _path(name), project, targets))
    if having:
        where = "" if len(having) == len(targets) else f" on {', '.join(having)}"
        raise ActionError(f'The profile "{name}" already exists{where}', 409)

    async def work(host: str, journal: Journal) -> None:
        step = await journal.intend(host, "profile.absent", {"host": host, "project": project, "name": name})
        try:
            await manager.fleet.operate(host, "POST", "/1.0/profiles", params={"project": project}, json=dict(body))
        except ApiError as error:
            await journal.settle(step)  # it made none: what is there under that name is somebody else's
            if "already exists" in error.text:
                raise ApiError(host, 409, error.text) from error
            raise

    return await on_hosts(manager, "profile-create", "Creating profile", targets, project, work)


def apply_delta(old: Mapping[str, Any], new: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What a host's own copy becomes when the editor turned `old` into `new`: a three-way merge key by key.

    All three: {"description": text, "config": {key: text}, "devices": {name: {key: text}}}. A device is one value.
    """
    merged: dict[str, Any] = {}
    was, wanted = old.get("description", ""), new.get("description", "")
    merged["description"] = wanted if wanted != was else own.get("description", "")
    for part in ("config", "devices"):
        before, after = old.get(part) or {}, new.get(part) or {}
        result = dict(own.get(part) or {})
        for key in before.keys() - after.keys():
            result.pop(key, None)
        for key, value in after.items():
            if before.get(key) != value:
                result[key] = value
        merged[part] = result
    return merged


async def edit_profile(
    manager: Manager, name: str, old: Mapping[str, Any], new: Mapping[str, Any], hosts: Sequence[str], project: str
) -> Task:
    """Apply the change from `old` to `new` to every holder's own copy. Raises ActionError."""
    copies = await holders(manager, name, project, hosts)

    async def work(host: str, journal: Journal) -> None:
        reply = copies[host]
        own = reply.metadata
        wanted = apply_delta(old, new, own)
        before = {part: own.get(part) for part in ("description", "config", "devices")}
        if wanted == before:
            return
        args = {"host": host, "project": project, "name": name, "before": before, "after": wanted}
        await journal.intend(host, "profile.restore", args)
        await manager.fleet.operate(
            host,
            "PUT",
            _path(name),
            params={"project": project},
            json=wanted,
            headers={"If-Match": reply.etag} if reply.etag else None,
        )

    return await on_hosts(manager, "profile-edit", "Updating profile", list(copies), project, work)


async def rename_profile(manager: Manager, name: str, new_name: str, hosts: Sequence[str], project: str) -> Task:
    """Rename on every holder. Raises ActionError, 409 when a host has the new name already."""
    resolve.check_name("Profile", new_name)
    if name == "default":
        raise ActionError('The "default" profile cannot be renamed', 403)
    targets = list(await holders(manager, name, project, hosts))
    if await copies_at(manager, _path(new_name), project, targets):
        raise ActionError(f'Name "{new_name}" already in use', 409)

    async def work(host: str, journal: Journal) -> None:
        args = {"host": host, "project": project, "name": new_name, "old_name": name}
        step = await journal.intend(host, "profile.renamed-back", args)
        try:
            await manager.fleet.operate(host, "POST", _path(name), params={"project": project}, json={"name": new_name})
        except ApiError:
            await journal.settle(step)  # it renamed nothing: the other name, if it is there, is somebody else's
            raise

    return await on_hosts(manager, "profile-rename", "Renaming profile", targets, project, work)


async def delete_profile(manager: Manager, name: str, hosts: Sequence[str], project: str) -> Task:
    """Delete on every holder; refused before anything is changed when an instance uses it. Raises ActionError."""
    if name == "default":
        raise ActionError('The "default" profile cannot be deleted', 403)
    bodies: dict[str, dict[str, Any]] = {}
    for host, reply in (await holders(manager, name, project, hosts)).items():
        own = reply.metadata
        if own.get("used_by"):
            raise ActionError(f"Profile is currently in use on {host}: {', '.join(own['used_by'][:5])}")
        bodies[host] = {part: own.get(part) for part in ("name", "description", "config", "devices")}

    async def work(host: str, journal: Journal) -> None:
        args = {"host": host, "project": project, "body": bodies[host]}
        await journal.intend(host, "profile.present", args)
        await manager.fleet.operate(host, "DELETE", _path(name), params={"project": project})

    return await on_hosts(manager, "profile-delete", "Deleting profile", list(bodies), project, work)


def _devices(devices: Mapping[str, Any]) -> dict[str, Any]:
    return {name: dict(v) if isinstance(v, Mapping) else launch_device(name, v) for name, v in devices.items()}


@registry.action(
    "profile-create",
    "Create a profile on all hosts, or on none",
    _NAME,
    Param("description", "one line", default=""),
    _CONFIG,
    _DEVICES,
    _HOSTS,
    _PROJECT,
)
async def _create(
    manager: Manager,
    *,
    name: str,
    description: str,
    config: dict[str, str],
    devices: dict[str, Any],
    hosts: Sequence[str],
    project: str,
) -> Task:
    body = {"name": name, "description": description, "config": config, "devices": _devices(devices)}
    return await create_profile(manager, body, hosts, project)


@registry.action(
    "profile-edit",
    "Change keys and devices of a profile on all hosts that have it",
    _NAME,
    Param("description", "one line"),
    _CONFIG,
    _DEVICES,
    _HOSTS,
    _PROJECT,
    danger=Danger.CONFIRM,
    subject="profile",
)
async def _edit(
    manager: Manager,
    *,
    name: str,
    description: str | None,
    config: dict[str, str],
    devices: dict[str, Any],
    hosts: Sequence[str],
    project: str,
) -> Task:
    if description is None and not config and not devices:
        raise ActionError("nothing to change: give a description, config or devices")
    gone_keys = {key: "\0" for key, value in config.items() if value == ""}
    gone_devices: dict[str, Any] = {key: {} for key, value in devices.items() if value == ""}
    kept = _devices({key: value for key, value in devices.items() if value != ""})
    old = {"description": "\0", "config": gone_keys, "devices": gone_devices}
    new = {
        "description": "\0" if description is None else description,
        "config": {key: value for key, value in config.items() if value != ""},
        "devices": kept,
    }
    return await edit_profile(manager, name, old, new, hosts, project)


@registry.action(
    "profile-rename",
    "Rename a profile on all hosts that have it",
    _NAME,
    Param("new_name", "the new name", positional=True, required=True),
    _HOSTS,
    _PROJECT,
    subject="profile",
)
async def _rename(manager: Manager, *, name: str, new_name: str, hosts: Sequence[str], project: str) -> Task:
    return await rename_profile(manager, name, new_name, hosts, project)


@registry.action(
    "profile-delete",
    "Delete a profile on all hosts that have it",
    _NAME,
    _HOSTS,
    _PROJECT,
    danger=Danger.CONFIRM,
    subject="profile",
)
async def _delete(manager: Manager, *, name: str, hosts: Sequence[str], project: str) -> Task:
    return await delete_profile(manager, name, hosts, project)


@registry.action(
    "profile-assign",
    "Set the profiles of an instance",
    Param("instance", "NAME, or HOST:NAME for one of twins", positional=True, required=True, complete="instance"),
    Param("profiles", "in order; later ones win", positional=True, required=True, many=True, complete="profile"),
    _PROJECT,
    danger=Danger.CONFIRM,
    subject="instance",
)
async def _assign(manager: Manager, *, instance: str, profiles: Sequence[str], project: str) -> Task:
    row = resolve.instance(manager, instance, project)
    own = manager.inventory.profiles.get(row.host, {})
    missing = [p for p in profiles if Key(row.host, project, p) not in own]
    if missing:
        raise ActionError(f"{row.host} has no profile {', '.join(missing)}", 404)

    async def work(host: str, journal: Journal) -> None:
        path = f"/1.0/instances/{quote(row.name, safe='')}"
        body = {"profiles": list(profiles)}
        await manager.fleet.operate(host, "PATCH", path, params={"project": project}, json=body)
        await resolve.read_again(manager, row.key)

    return await on_hosts(manager, "profile-assign", "Updating instance", [row.host], project, work)
