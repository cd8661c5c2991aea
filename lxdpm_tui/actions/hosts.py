"""Actions on hosts: maintenance on and off.

Of a cluster's member the cluster keeps it, as `scheduler.instance`: others who create there are to heed it too. It is
not evacuated, since what runs on a host in maintenance goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxdpm_tui.actions.registry import ActionError, Param, registry
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal


@registry.action(
    "maintenance",
    "Take a host out of placement, or back in; what runs there goes on",
    Param("host", "name of the host", positional=True, required=True, complete="host"),
    Param("on", "on or off", kind="choice", choices=("on", "off"), positional=True, required=True),
    subject="host",
)
async def maintenance(manager: Manager, *, host: str, on: str) -> Task:
    return await set_maintenance(manager, host, on == "on", f"Maintenance {on}")


async def set_maintenance(manager: Manager, host: str, on: bool, description: str) -> Task:
    """description: what the task is called. Raises ActionError 404."""
    if host not in manager.inventory.hosts:
        raise ActionError(f"there is no host {host!r}", 404)

    async def run(task: Task, journal: Journal) -> None:
        if await manager.fleet.tell_cluster(host, maintenance=on):
            return
        await manager.store.set_maintenance(host, on)
        manager.inventory.update_host(host, maintenance=on)

    task = Task(
        kind="maintenance",
        description=description,
        hosts={host: {"status": "running"}},
        owner=manager.caller,
        may_cancel=False,
    )
    return await manager.tasks.start(task, run)
