"""Keys of the daemons' own configuration that are the fleet's: set on all hosts or on none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions.profiles import copies_at, on_hosts, target_hosts
from lxdpm_tui.fleet.environment import config_of

if TYPE_CHECKING:
    from lxdpm_tui.hosts.host import Host
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal
    from lxdpm_tui.tasks.task import Task

PATH = "/1.0"


async def edit(manager: Manager, wanted: Mapping[str, str]) -> Task:
    """Give every host these values; "" takes a key away. Raises ActionError 503 naming hosts that cannot be asked."""
    hosts = target_hosts(manager, [])
    copies = await copies_at(manager, PATH, "default", hosts)

    async def work(host: str, journal: Journal) -> None:
        reply = copies[host]
        before = _of(reply.metadata, wanted)
        if before != wanted:
            await journal.intend(host, "server.config", {"host": host, "before": before, "after": dict(wanted)})
            headers = {"If-Match": reply.etag} if reply.etag else None
            await manager.fleet.operate(host, "PATCH", PATH, json={"config": dict(wanted)}, headers=headers)
            now = config_of(await manager.fleet.hosts[host].get(PATH))
            cluster = manager.inventory.hosts[host].cluster
            for name, record in manager.inventory.hosts.items():
                if name == host or (cluster and record.cluster == cluster):  # all its members have the same
                    manager.inventory.update_host(name, config=now)

    return await on_hosts(manager, "server-config", "Updating the configuration", hosts, "default", work, reads=())


async def restore(host: Host, args: Mapping[str, Any]) -> None:
    """{before, after}: values that are still ours become what they were."""
    now = _of(await host.get(PATH), args["after"])
    back = {key: args["before"][key] for key, value in args["after"].items() if now[key] == value}
    if back:
        await host.request("PATCH", PATH, json={"config": back})


def _of(server: Mapping[str, Any], keys: Mapping[str, str]) -> dict[str, str]:
    config = server.get("config") or {}
    return {key: _text(config.get(key, "")) for key in keys}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
