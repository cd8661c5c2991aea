"""Projects on all hosts or on none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions import shared
from lxdpm_tui.actions.profiles import holders as profile_holders
from lxdpm_tui.actions.profiles import target_hosts
from lxdpm_tui.actions.registry import ActionError, Danger, Param, registry
from lxdpm_tui.actions.shared import Kind
from lxdpm_tui.fleet.inventory import HostRecord
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal


def _may_have(record: HostRecord, project: str, name: str) -> bool:
    return name in record.projects


PROJECTS = Kind(
    noun="project",
    title="Project",
    collection="/1.0/projects",
    scoped=False,
    own=re.compile(r"volatile\..*|features\.(?:storage\.buckets|networks\.zones)"),  # not known to LXD 5.0
    reads=("projects", "profiles", "images"),
    may_have=_may_have,
)
_PROFILE_PARTS = ("description", "config", "devices")


async def create(manager: Manager, body: Mapping[str, Any], hosts: Sequence[str] = ()) -> Task:
    """POST one body to all hosts named (all of the fleet when none is). Raises ActionError, 409 when one has it."""
    targets = target_hosts(manager, hosts)
    return await shared.create(manager, PROJECTS, dict.fromkeys(targets, body))


async def rename(manager: Manager, name: str, new_name: str) -> Task:
    """Rename on every holder. Raises ActionError."""
    if name == "default":
        raise ActionError("The 'default' project cannot be renamed", 403)
    return await shared.rename(manager, PROJECTS, name, new_name)


async def delete(manager: Manager, name: str, hosts: Sequence[str] = ()) -> Task:
    """Delete on every holder; refused before anything is changed unless it is empty everywhere. Raises ActionError.

    Its default profile goes with it, and comes back with it when the deletion is undone.
    """
    if name == "default":
        raise ActionError("The 'default' project cannot be deleted", 403)
    own_profile = re.compile(re.escape(f"/1.0/profiles/default?project={name}") + "$")
    kind = replace(PROJECTS, ignored=own_profile)
    kept: dict[str, dict[str, Any]] = {}
    for host, reply in (await shared.holders(manager, kind, name, "default", hosts)).items():
        if any(own_profile.match(url) for url in reply.metadata.get("used_by") or ()):
            profile = (await profile_holders(manager, "default", name, [host]))[host].metadata
            kept[host] = {part: profile.get(part) for part in _PROFILE_PARTS}

    async def first(host: str, journal: Journal) -> None:
        if host in kept:
            await journal.intend(host, "project.profile", {"host": host, "project": name, "body": kept[host]})

    return await shared.delete(manager, kind, name, hosts, first=first)


_NAME = Param("name", "name of the project", positional=True, required=True, complete="project")
_HOSTS = Param("hosts", "only this host, may be repeated; all when left out", many=True, complete="host")


@registry.action(
    "project-create",
    "Create a project on all hosts, or on none",
    _NAME,
    Param("description", "one line", default=""),
    Param("config", "KEY=VALUE, may be repeated", kind="mapping"),
    _HOSTS,
)
async def _create(
    manager: Manager, *, name: str, description: str, config: dict[str, str], hosts: Sequence[str]
) -> Task:
    return await create(manager, {"name": name, "description": description, "config": config}, hosts)


@registry.action(
    "project-edit",
    "Change keys of a project on all hosts that have it",
    _NAME,
    Param("description", "one line"),
    Param("config", "KEY=VALUE, may be repeated; an empty value takes the key away", kind="mapping"),
    _HOSTS,
    danger=Danger.CONFIRM,
)
async def _edit(
    manager: Manager, *, name: str, description: str | None, config: dict[str, str], hosts: Sequence[str]
) -> Task:
    old, new = shared.changes(description, config)
    return await shared.edit(manager, PROJECTS, name, old, new, hosts)


@registry.action(
    "project-rename",
    "Rename a project on all hosts that have it",
    _NAME,
    Param("new_name", "the new name", positional=True, required=True),
)
async def _rename(manager: Manager, *, name: str, new_name: str) -> Task:
    return await rename(manager, name, new_name)


@registry.action(
    "project-delete",
    "Delete an empty project on all hosts that have it",
    _NAME,
    _HOSTS,
    danger=Danger.CONFIRM,
)
async def _delete(manager: Manager, *, name: str, hosts: Sequence[str]) -> Task:
    return await delete(manager, name, hosts)
