"""Warnings of the hosts' daemons and of the fleet itself: acknowledge and delete."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions.own_warnings import ACKNOWLEDGED, DELETED, NEW
from lxdpm_tui.actions.registry import ActionError, Danger, Param, registry
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.hosts.host import Host
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

LOOK_UP = 5.0  # seconds that hosts have to say which warnings they have
FLEET = "fleet"  # where a warning of the fleet itself is shown to be
_WARNINGS = Param("warnings", "its id or the beginning of it, or HOST:ID", positional=True, required=True, many=True)


@dataclass(frozen=True, slots=True)
class Found:
    """host: "" for a warning of the fleet itself."""

    host: str
    id: str
    type: str


@registry.action(
    "warning-ack",
    "Acknowledge warnings, of hosts and of the fleet",
    _WARNINGS,
    Param("again", "take that back: they are new again", kind="flag"),
)
async def acknowledge(manager: Manager, *, warnings: Sequence[str], again: bool) -> Task:
    status = NEW if again else ACKNOWLEDGED

    async def on_host(host: Host, id: str) -> None:
        await host.request("PUT", f"/1.0/warnings/{id}", json={"status": status})

    return await _start(manager, "warning-ack", "Acknowledging warnings", warnings, on_host, status)


@registry.action(
    "warning-delete",
    "Delete warnings; they come back when they happen again",
    _WARNINGS,
    danger=Danger.CONFIRM,
)
async def delete(manager: Manager, *, warnings: Sequence[str]) -> Task:
    async def on_host(host: Host, id: str) -> None:
        try:
            await host.request("DELETE", f"/1.0/warnings/{id}")
        except ApiError as error:
            if error.code != 404:  # gone by itself
                raise

    return await _start(manager, "warning-delete", "Deleting warnings", warnings, on_host, DELETED)


async def _start(
    manager: Manager,
    kind: str,
    description: str,
    refs: Sequence[str],
    on_host: Callable[[Host, str], Awaitable[None]],
    own_status: str,
) -> Task:
    found = await find(manager, refs)
    where = {each: f"{each.host or FLEET}: {each.type}" for each in found}
    task = Task(
        kind=kind,
        description=description,
        resources={"warnings": [f"/1.0/warnings/{each.id}" for each in found]},
        hosts={label: {"status": "waiting"} for label in where.values()},
        owner=manager.caller,
    )

    async def run(task: Task, journal: Journal) -> None:
        failed = []
        for each in found:
            try:
                if each.host:
                    await on_host(manager.fleet.hosts[each.host], each.id)
                else:
                    with contextlib.suppress(KeyError):  # what it told of is over
                        await manager.warnings.set_status(each.id, own_status)
            except (ApiError, HostError) as error:
                failed.append(str(error))
                task.update(host=where[each], status="failed", error=str(error))
            else:
                task.update(host=where[each], status="done")
        if failed:
            raise ActionError("; ".join(failed[:5]), 500)

    return await manager.tasks.start(task, run)


async def find(manager: Manager, refs: Sequence[str]) -> list[Found]:
    """The warnings that are meant, each once.

    Raises ActionError: 404 not there, 503 a host that may have it cannot be asked, 409 several begin so.
    """
    split = [ref.rpartition(":") for ref in refs]
    named = {host for host, colon, _ in split if colon and host != FLEET}
    for host in named:
        if host not in manager.inventory.hosts:
            raise ActionError(f"there is no host {host!r}", 404)
    everywhere = any(not colon for _, colon, _ in split)
    known = [Found("", row["uuid"], row["type"]) for row in await manager.warnings.all()]

    async def ask(host: Host) -> list[dict[str, Any]]:
        return await host.get("/1.0/warnings", recursion=1) or []

    usable = [name for name in manager.fleet.usable() if everywhere or name in named]
    unsure = [name for name in manager.inventory.hosts if name not in usable and (everywhere or name in named)]
    for host, rows in (await manager.fleet.fan_out(ask, usable, budget=LOOK_UP)).items():
        if isinstance(rows, list):
            known += [Found(host, row["uuid"], row["type"]) for row in rows]
        elif isinstance(rows, HostError):
            unsure.append(host)  # one that refuses is too old to have any

    found: dict[tuple[str, str], Found] = {}
    for (host, colon, id), ref in zip(split, refs, strict=True):
        own = [each for each in known if not colon or (each.host or FLEET) == host]
        if any(each.id == id and not each.host for each in own):  # a server behind a host may tell it too
            own = [each for each in own if not each.host]
        fits = [each for each in own if each.id == id] or [each for each in own if id and each.id.startswith(id)]
        if len(fits) > 1:
            raise ActionError(f"{len(fits)} warnings begin with {ref}; give more of it", 409)
        if not fits and unsure:
            raise ActionError(
                f"Warning {ref} not found on the hosts that answer; could not ask {', '.join(unsure)}", 503
            )
        if not fits:
            raise ActionError(f"Warning not found: {ref}", 404)
        found[fits[0].host, fits[0].id] = fits[0]
    return list(found.values())
