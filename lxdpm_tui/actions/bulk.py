"""One change of state for all instances of a project, on all hosts at once. There is nothing to undo."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

_ACTIONS = ("start", "stop", "restart", "freeze", "unfreeze")
_EXTENSION = "instance_bulk_state_change"
FAILED = "The following instances failed to update state:"


async def set_state(manager: Manager, state: Mapping[str, Any], project: str, *, all_projects: bool = False) -> Task:
    """state: LXD's {"action", "timeout", "force", "stateful"}. Hosts that are down fail, the others go on.

    Raises ActionError for an unknown action.
    """
    if state.get("action") not in _ACTIONS:
        raise ActionError(f"Unknown action {state.get('action')!r}")
    rows = [row for row in manager.inventory.all_instances() if all_projects or row.project == project]
    hosts = list(manager.inventory.hosts)
    task = Task(
        kind="instances-state",
        description="Updating instances",
        project=project,
        resources={"instances": [_url(row) for row in rows]},
        hosts={host: {"status": "waiting"} for host in hosts},
        owner=manager.caller,
    )

    async def one(host: str) -> list[str]:
        """What failed, a line each."""
        record = manager.inventory.hosts[host]
        own = [row for row in rows if row.host == host]
        if not record.usable:
            task.update(host=host, status="failed", error=record.reason or str(record.status))
            return [f" - Instance: {row.name}: {host}: {record.reason or record.status}" for row in own]
        task.update(host=host, status="running")
        if _EXTENSION in record.extensions:
            params = {"all-projects": "true"} if all_projects else {"project": project}
            failed = await _change(host, "/1.0/instances", params, {"state": dict(state)}, host)
        else:
            found = await asyncio.gather(
                *(
                    _change(host, f"/1.0/instances/{quote(row.name, safe='')}/state", {"project": row.project},
                            dict(state), row.name)
                    for row in own
                    if _concerns(str(state["action"]), row)
                )
            )  # fmt: skip
            failed = [line for lines in found for line in lines]
        task.update(host=host, status="failed" if failed else "done", error="\n".join(failed))
        manager.fleet.watch(host).touch("instances")
        return failed

    async def _change(host: str, path: str, params: dict[str, str], body: dict[str, Any], name: str) -> list[str]:
        try:
            await manager.fleet.operate(host, "PUT", path, params=params, json=body)
        except ApiError as error:
            lines = [line for line in error.text.splitlines() if line.strip().startswith("- Instance:")]
            return [f" - Instance: {host}: {line.strip()[12:].strip()}" for line in lines] or [
                f" - Instance: {name}: {error.text}"
            ]
        except HostError as error:
            return [f" - Instance: {name}: {error}"]
        return []

    async def run(task: Task, journal: Journal) -> None:
        failed = [line for lines in await asyncio.gather(*(one(host) for host in hosts)) for line in lines]
        if failed:
            raise ActionError("\n".join([FAILED, *failed]), 500)

    return await manager.tasks.start(task, run)


def _concerns(action: str, row: Instance) -> bool:
    running = row.status == "Running"
    return not running if action in ("start", "unfreeze") else running


def _url(row: Instance) -> str:
    query = "" if row.project == "default" else f"?project={quote(row.project, safe='')}"
    return f"/1.0/instances/{quote(row.name, safe='')}{query}"
