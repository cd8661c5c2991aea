"""Image aliases on all hosts: create, change, rename, delete; on all of them or on none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.image_distribute import all_or_first
from lxdpm_tui.actions.image_find import locate, locate_alias
from lxdpm_tui.actions.image_host import Alias, set_alias
from lxdpm_tui.actions.registry import ActionError, Danger, Param, registry
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

Change = tuple[str, Alias | None, Alias | None]  # name, before, after

_PROJECT = Param("project", "the project", default="default", complete="project")
_NAME = Param("name", "the alias", positional=True, required=True)


async def create_alias(
    manager: Manager, name: str, target: str, description: str = "", project: str = "default"
) -> Task:
    """On every host that has the image. target: fingerprint or its beginning.

    Raises ActionError: 409 it exists, 404 no such image, 503 naming hosts that cannot be asked.
    """
    if not name:
        raise ActionError("Alias name and target are required")
    if resolve.has_controls(name):
        raise ActionError("Alias names may not contain control characters")
    if await locate_alias(manager, name, project):
        raise ActionError(f'Alias "{name}" already exists', 409)
    found = await locate(manager, target, project)
    after = {"target": found.fingerprint, "description": description}
    return await _change(manager, name, project, {host: [(name, None, after)] for host in found.images})


async def update_alias(
    manager: Manager, name: str, target: str | None = None, description: str | None = None, project: str = "default"
) -> Task:
    """Change what is given (not None) on every host that has the alias. Raises ActionError."""
    own = await _existing(manager, name, project)
    new_target = (await locate(manager, target, project)).fingerprint if target else None
    changes: dict[str, Sequence[Change]] = {}
    for host, before in own.items():
        words = before["description"] if description is None else description
        changes[host] = [(name, before, {"target": new_target or before["target"], "description": words})]
    return await _change(manager, name, project, changes)


async def rename_alias(manager: Manager, name: str, new_name: str, project: str = "default") -> Task:
    """On every host that has it. Raises ActionError, 409 when one has the new name."""
    own = await _existing(manager, name, project)
    if not new_name:
        raise ActionError("Alias name is required")
    if resolve.has_controls(new_name):
        raise ActionError("Alias names may not contain control characters")
    if await locate_alias(manager, new_name, project):
        raise ActionError(f'Alias "{new_name}" already exists', 409)
    changes = {host: [(new_name, None, before), (name, before, None)] for host, before in own.items()}
    return await _change(manager, name, project, changes)


async def delete_alias(manager: Manager, name: str, project: str = "default") -> Task:
    """On every host that has it. Raises ActionError."""
    own = await _existing(manager, name, project)
    return await _change(manager, name, project, {host: [(name, before, None)] for host, before in own.items()})


async def _existing(manager: Manager, name: str, project: str) -> dict[str, Alias]:
    own = await locate_alias(manager, name, project)
    if not own:
        raise ActionError("Image alias not found", 404)
    return own


async def _change(manager: Manager, name: str, project: str, changes: Mapping[str, Sequence[Change]]) -> Task:
    for other in manager.tasks.tasks.values():
        if (
            not other.status.final
            and other.kind == "image-alias"
            and (other.metadata.get("alias"), other.project) == (name, project)
        ):
            raise ActionError(f"Alias {name!r}: task {other.id} works on it", 409)
    task = Task(
        kind="image-alias",
        description="Updating image alias",
        project=project,
        metadata={"alias": name},
        hosts={host: {"status": "waiting"} for host in changes},
        owner=manager.caller,
    )

    async def run(task: Task, journal: Journal) -> None:
        async def one(host: str) -> None:
            try:
                for alias, before, after in changes[host]:
                    args = {"project": project, "name": alias, "before": before, "after": after}
                    await journal.intend(host, "image.alias", args)
                    await set_alias(manager.fleet.hosts[host], project, alias, after)
            except (ApiError, HostError) as error:
                task.update(host=host, status="failed", error=str(error))
                raise
            task.update(host=host, status="done")

        try:
            await all_or_first(one(host) for host in changes)
            await journal.commit()
        finally:
            for host in changes:
                manager.fleet.watch(host).touch("images")
        await resolve.read_kind_again(manager, "images", changes)

    return await manager.tasks.start(task, run, journal=True)


@registry.action(
    "image-alias-create",
    "Give an image another name on every host that has it",
    Param("fingerprint", "alias, fingerprint or its beginning", positional=True, required=True, complete="image"),
    _NAME,
    Param("description", "one line", default=""),
    _PROJECT,
    subject="image",
)
async def _create(manager: Manager, *, fingerprint: str, name: str, description: str, project: str) -> Task:
    found, _ = resolve.image(manager, fingerprint, project)
    return await create_alias(manager, name, found, description, project)


@registry.action(
    "image-alias-rename",
    "Rename an image alias on every host that has it",
    _NAME,
    Param("new_name", "the new name", positional=True, required=True),
    _PROJECT,
)
async def _rename(manager: Manager, *, name: str, new_name: str, project: str) -> Task:
    return await rename_alias(manager, name, new_name, project)


@registry.action(
    "image-alias-delete",
    "Take an image alias away from every host; the image stays",
    _NAME,
    _PROJECT,
    danger=Danger.CONFIRM,
)
async def _delete(manager: Manager, *, name: str, project: str) -> Task:
    return await delete_alias(manager, name, project)
