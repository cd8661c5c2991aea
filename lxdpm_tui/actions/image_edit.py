"""Changing what hosts say of an image, on all that hold it or on none; and asking its source for a newer one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions.image_find import Found, locate
from lxdpm_tui.actions.profiles import on_hosts
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

_VALUES = ("public", "auto_update", "expires_at", "profiles")
PARTS = ("properties", *_VALUES)


async def holders(manager: Manager, ref: str, project: str) -> Found:
    """The image on every host that has it. Raises ActionError 503 when one of them cannot be asked."""
    found = await locate(manager, ref, project)
    unasked = {
        host: reason
        for host, reason in found.silent.items()
        if Key(host, project, found.fingerprint) in manager.inventory.images.get(host, {})
        or not manager.inventory.hosts[host].scanned
    }
    if unasked:
        reasons = "; ".join(f"{host}: {reason}" for host, reason in unasked.items())
        raise ActionError(f"Nothing was changed: it would have to reach all hosts, but cannot ask {reasons}", 503)
    return found


def merged(old: Mapping[str, Any], new: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A host's own writable part after the editor turned `old` into `new`; what `new` does not name stays."""
    result: dict[str, Any] = {part: own[part] for part in _VALUES if part in own}
    for part in _VALUES:
        if part in new and new[part] is not None and new[part] != old.get(part):
            result[part] = new[part]
    properties = dict(own.get("properties") or {})
    if new.get("properties") is not None:
        before, after = old.get("properties") or {}, new["properties"]
        for key in before.keys() - after.keys():
            properties.pop(key, None)
        properties.update({key: value for key, value in after.items() if before.get(key) != value})
    return {**result, "properties": properties}


async def edit(manager: Manager, found: Found, old: Mapping[str, Any], new: Mapping[str, Any], project: str) -> Task:
    """Apply the change from `old` to `new` to every holder's own copy. found: as `holders` gives it."""
    path = f"/1.0/images/{found.fingerprint}"

    async def work(host: str, journal: Journal) -> None:
        reply = await manager.fleet.hosts[host].request("GET", path, params={"project": project})
        own = reply.metadata
        before = {part: own[part] for part in PARTS if part in own}
        wanted = merged(old, new, own)
        if wanted == before:
            return
        args = {"host": host, "project": project, "path": path, "before": before, "after": wanted}
        await journal.intend(host, "shared.restore", args)
        headers = {"If-Match": reply.etag} if reply.etag else None
        await manager.fleet.operate(host, "PUT", path, params={"project": project}, json=wanted, headers=headers)

    return await on_hosts(manager, "image-edit", "Updating image", list(found.images), project, work, ("images",))


async def refresh(manager: Manager, ref: str, project: str) -> Task:
    """Each holder asks the image's source by itself. metadata["refreshed"]: whether any of them got another image."""
    found = await holders(manager, ref, project)
    task = Task(
        kind="image-refresh",
        description="Refreshing image",
        project=project,
        resources={"images": [f"/1.0/images/{found.fingerprint}"]},
        metadata={"refreshed": False},
        hosts={host: {"status": "waiting"} for host in found.images},
        owner=manager.caller,
    )

    async def one(host: str) -> str:
        task.update(host=host, status="refreshing")
        path = f"/1.0/images/{found.fingerprint}/refresh"
        try:
            done = await manager.fleet.operate(host, "POST", path, params={"project": project})
        except (ApiError, HostError) as error:
            task.update(host=host, status="failed", error=str(error))
            return str(error)
        refreshed = bool((done.get("metadata") or done).get("refreshed"))
        task.update(host=host, status="refreshed" if refreshed else "is the newest")
        if refreshed:
            task.update(metadata={"refreshed": True})
            manager.fleet.watch(host).touch("images")
        return ""

    async def run(task: Task, journal: Journal) -> None:
        failed = [error for error in await asyncio.gather(*(one(host) for host in found.images)) if error]
        if failed:
            raise ActionError("; ".join(failed), 500)

    return await manager.tasks.start(task, run)
