"""The copies of a profile made alike: all hosts' as one host has it, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxdpm_tui.actions.profiles import holders, on_hosts
from lxdpm_tui.actions.registry import ActionError, Danger, Param, registry
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

PARTS = ("config", "devices")


def levelled(like: Mapping[str, Any], own: Mapping[str, Any], keep: Sequence[str]) -> dict[str, Any]:
    """A copy as `like` is, but for the config keys and devices named in `keep`: those stay as they are."""
    found: dict[str, Any] = {"description": like.get("description", "")}
    for part in PARTS:
        theirs, mine = like.get(part) or {}, own.get(part) or {}
        found[part] = {key: value for key, value in theirs.items() if key not in keep}
        found[part] |= {key: value for key, value in mine.items() if key in keep}
    return found


def differences(copies: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What differs: "config limits.memory" or "devices root" -> host -> value, None where it is not set.

    copies: by host {"config", "devices"}.
    """
    found: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        for key in sorted({key for copy in copies.values() for key in copy.get(part) or {}}):
            values = {host: (copy.get(part) or {}).get(key) for host, copy in copies.items()}
            first = next(iter(values.values()))
            if any(value != first for value in values.values()):
                found[f"{part} {key}"] = values
    return found


@registry.action(
    "profile-level",
    "Make the hosts' copies of a profile alike, on all or on none",
    Param("name", "name of the profile", positional=True, required=True, complete="profile"),
    Param("like", "the host whose copy the others are to be like", positional=True, required=True, complete="host"),
    Param("keep", "a config key or device that stays as it is on each host, may be repeated", many=True),
    Param("hosts", "only this host, may be repeated; all that have it when left out", many=True, complete="host"),
    Param("project", "the project", default="default", complete="project"),
    danger=Danger.CONFIRM,
    subject="profile",
)
async def level(
    manager: Manager, *, name: str, like: str, keep: Sequence[str], hosts: Sequence[str], project: str
) -> Task:
    if like not in manager.inventory.hosts:
        raise ActionError(f"there is no host {like!r}", 404)
    wanted_on = [*hosts, like] if hosts else []
    copies = await holders(manager, name, project, list(dict.fromkeys(wanted_on)))
    if like not in copies:
        raise ActionError(f"{like} has no profile {name!r}", 404)
    model = copies[like].metadata
    path = f"/1.0/profiles/{quote(name, safe='')}"

    async def work(host: str, journal: Journal) -> None:
        reply = copies[host]
        before = {part: reply.metadata.get(part) for part in ("description", *PARTS)}
        after = levelled(model, reply.metadata, keep)
        if after == before:
            return
        args = {"host": host, "project": project, "name": name, "before": before, "after": after}
        await journal.intend(host, "profile.restore", args)
        headers = {"If-Match": reply.etag} if reply.etag else None
        await manager.fleet.operate(host, "PUT", path, params={"project": project}, json=after, headers=headers)

    targets = [host for host in copies if host != like]
    if not targets:
        raise ActionError(f"no other host has the profile {name!r}")
    return await on_hosts(manager, "profile-level", "Levelling profile", targets, project, work)
