"""POST /1.0/instances with a backup as its body: streamed to the host that the scheduler chooses."""

from __future__ import annotations

import re
from dataclasses import replace

from aiohttp import web

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway.backup_index import Backup, read_head
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.routes.instance_place import to_chosen
from lxdpm_tui.scheduler.membership import ALL
from lxdpm_tui.scheduler.model import Request

# Keys that a backup may hold, and the extension without which a host refuses the whole backup for one.
_NEEDED = {"volatile.uuid.generation": "instance_generation_id"}


def preferred(call: Call, request: Request, backup: Backup) -> Request:
    """Incus refuses what LXD 5.0 exports without the snapshots that there are ("Backup snapshots mismatch"); LXD takes
    its own and Incus'. Such a backup cannot be told by its index, so that one without snapshots goes to LXD first."""
    if request.targets or re.search(r"^snapshots:", backup.index, re.M):
        return request
    hosts = call.manager.inventory.hosts.values()
    placement = call.manager.membership.placement  # nobody named the hosts that are for those who do
    lxd = frozenset(host.name for host in hosts if host.kind == "lxd" and placement(host.name) == ALL)
    return replace(request, targets=lxd) if lxd else request


async def import_backup(call: Call) -> web.StreamResponse:
    """Name and pool are those of the headers, else those that the backup tells itself."""
    headers = call.request.headers
    backup = await read_head(call.request.content.iter_any())
    name = headers.get("X-LXD-name") or headers.get("X-Incus-name") or backup.name
    if not name:
        raise ActionError("The name of the instance cannot be read from the backup: say it in X-LXD-name")
    pool = headers.get("X-LXD-pool") or headers.get("X-Incus-pool") or backup.pool
    resolve.check_instance_name(name)
    request = Request(
        project=call.project,
        instance=name,
        type=backup.type or "container",
        profiles=(),
        pools=frozenset({pool} if pool else ()),
        extensions=frozenset(extension for key, extension in _NEEDED.items() if key in backup.index),
        targets=call.targets,
        by_group=call.by_group,
    )
    return await to_chosen(call, backup.body, "instance-import", preferred(call, request, backup), request)
