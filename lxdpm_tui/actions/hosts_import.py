"""The remotes of an lxc or incus client, taken over into the fleet; paired by a certificate that they trust."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lxdpm_tui.actions.hosts_edit import file_of
from lxdpm_tui.actions.own_files import own_path
from lxdpm_tui.actions.registry import ActionError, Param, registry
from lxdpm_tui.config import ClientRemotes, ConfigError, HostConfig, HttpsAddress, add_host, client_remotes, load_hosts
from lxdpm_tui.hosts.identity import ensure_identity
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

PAIR_TIME = 20.0  # seconds that one host has


@registry.action(
    "host-import",
    "Add the remotes of an lxc or incus client on this machine to the fleet, and pair with them",
    Param("directory", "its configuration; the usual places when left out", kind="file", positional=True, default=""),
)
async def host_import(manager: Manager, *, directory: str) -> Task:
    own = own_path(directory or "its configuration")
    path = file_of(manager)
    try:
        found = await asyncio.to_thread(client_remotes, own if directory else None)
        known = {host.name for host in await asyncio.to_thread(load_hosts, path)} if path.exists() else set()
    except ConfigError as error:
        raise ActionError(str(error)) from error
    wanted = [config for config in found.hosts if config.name not in known | set(manager.fleet.configs)]
    if not wanted:
        raise ActionError("there is nothing to import: every remote that is a host is in the fleet already")

    async def run(task: Task, journal: Journal) -> None:
        failed = []
        for config in wanted:
            task.update(host=config.name, status="pairing")
            try:
                async with asyncio.timeout(PAIR_TIME):
                    adopted = await _adopted(manager, config, found)
                path.parent.mkdir(parents=True, exist_ok=True)
                await asyncio.to_thread(add_host, path, adopted)
            except TimeoutError:
                failed.append(f"{config.name}: no answer within {PAIR_TIME:g} s")
            except (HostError, ApiError, ConfigError, ValueError, FileNotFoundError) as error:
                failed.append(f"{config.name}: {error}")
            else:
                manager.fleet.add(adopted)
                task.update(host=config.name, status="done")
                continue
            task.update(host=config.name, error=failed[-1])
        if failed:
            raise ActionError(f"{len(wanted) - len(failed)} of {len(wanted)} added; " + "; ".join(failed))

    hosts = {config.name: {"status": "waiting"} for config in wanted}
    task = Task("host-import", "Importing remotes", hosts=hosts, owner=manager.caller, may_cancel=False)
    return await manager.tasks.start(task, run)


async def _adopted(manager: Manager, config: HostConfig, found: ClientRemotes) -> HostConfig:
    """The entry, trusted by its daemon. Raises the HostError family, ApiError, ValueError, FileNotFoundError."""
    from lxdpm_tui.hosts.pairing import client_identity_of, pair_with_identity

    if not isinstance(config.address, HttpsAddress):
        return config
    identity = manager.fleet.identity
    if identity is None:
        identity = await asyncio.to_thread(ensure_identity, manager.paths.state_dir)
    return await pair_with_identity(config, identity, client_identity_of(found.directories[config.name]))
