"""POST /1.0/instances with the mark by which what became of it is known again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lxdpm_tui.hosts.transport import ApiError, Deadlines

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.task import Task

CREATE = Deadlines(connect=5.0, first_byte=30.0, idle=30.0)
MARK = "volatile.uuid"


async def send(
    manager: Manager, task: Task, host: str, body: Mapping[str, Any], params: Mapping[str, str], mark: str
) -> None:
    """Create on that host and wait for the end. mark: a UUID, the instance's own from then on where the host takes one.

    A project with limits or restrictions takes none (LXD 5.0: `Setting "volatile.uuid" ... is forbidden`): what a
    create without an answer leaves there stays, as nobody can tell that it is ours. Raises ApiError, the HostError
    family.
    """
    marked = {**body, "config": {**(body.get("config") or {}), MARK: mark}}
    for sent in (marked, body) if manager.fleet.hosts[host].dialect.volatile_uuid else (body,):
        try:
            await manager.fleet.operate(
                host,
                "POST",
                "/1.0/instances",
                params=params,
                json=sent,
                deadlines=CREATE,
                on_progress=lambda progress: task.update(metadata=progress),
            )
        except ApiError as error:
            if sent is body or MARK not in error.text:
                raise
        else:
            return
