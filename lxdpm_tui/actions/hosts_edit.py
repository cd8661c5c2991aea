"""Actions that change the fleet itself: hosts paired with and added, removed, labelled. hosts.toml has the result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lxdpm_tui.actions.registry import ActionError, Danger, Param, registry
from lxdpm_tui.config import (
    ConfigError,
    HostConfig,
    HttpsAddress,
    add_host,
    check_host,
    load_hosts,
    parse_address,
    remove_host,
    rename_host,
    set_labels,
)
from lxdpm_tui.hosts.identity import ensure_identity
from lxdpm_tui.hosts.transport import Deadlines
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

ASK = Deadlines(connect=5.0, first_byte=5.0, idle=5.0)
_HOST = Param("host", "name of the host", positional=True, required=True, complete="host")


def file_of(manager: Manager) -> Path:
    """The file that the hosts are kept in. Raises ActionError when this fleet has none."""
    if manager.hosts_file.path is None:
        raise ActionError("the hosts of this fleet are not from a hosts.toml: they cannot be changed from here")
    return manager.hosts_file.path


@registry.action(
    "host-add",
    "Pair with a host and add it to the fleet, while that runs",
    Param("name", "what it is to be called", positional=True, required=True),
    Param("address", "unix:///path, https://host[:port] or ssh://[user@]host[:port][/path]", positional=True,
          required=True),
    Param("token", "https: a trust token of the host", default=""),
    Param("password", "https: its trust password", default=""),
    Param("fingerprint", "https without a token: the certificate that it must show", default=""),
    Param("labels", "KEY=VALUE, may be repeated", kind="mapping"),
    Param("identity_file", "ssh: the private key", default=""),
    Param("known_hosts", "ssh: the file with its host key", default=""),
)  # fmt: skip
async def host_add(
    manager: Manager,
    *,
    name: str,
    address: str,
    token: str,
    password: str,
    fingerprint: str,
    labels: Mapping[str, str],
    identity_file: str,
    known_hosts: str,
) -> Task:
    path = file_of(manager)
    try:
        config = HostConfig(
            name=name,
            address=parse_address(address),
            labels=dict(labels),
            fingerprint=fingerprint.replace(":", "").lower() or None,
            identity_file=identity_file or None,
            known_hosts=known_hosts or None,
        )
        await asyncio.to_thread(check_host, path, config)
    except (ValueError, ConfigError) as error:
        raise ActionError(str(error)) from error
    if name in manager.fleet.configs:
        raise ActionError(f"there is a host {name} already", 409)
    https = isinstance(config.address, HttpsAddress)
    if not https and (token or password):
        raise ActionError("tokens and passwords are for https addresses; sockets and ssh need neither")
    if https and not token and not fingerprint:
        raise ActionError("its certificate is to be confirmed: by a token, or by the fingerprint that it must show")

    async def run(task: Task, journal: Journal) -> None:
        from lxdpm_tui.hosts.pairing import pair

        added = config
        if https:
            task.update(host=name, status="pairing")
            identity = manager.fleet.identity
            if identity is None:
                identity = await asyncio.to_thread(ensure_identity, manager.paths.state_dir)
            try:
                added = await pair(config, identity, token=token or None, password=password or None)
            except ValueError as error:
                raise ActionError(str(error)) from error
        task.update(host=name, status="asking")
        await _reach(manager, added)
        task.update(host=name, status="adding")
        await asyncio.to_thread(_keep, path, manager.fleet.configs, added)
        manager.fleet.add(added)
        task.update(host=name, status="done")

    return await _task(manager, "host-add", f"Adding host {name}", name, run)


async def _reach(manager: Manager, config: HostConfig) -> None:
    """See that it answers. Raises the HostError family and ApiError."""
    from lxdpm_tui.hosts.host import Host  # brings HTTP along, which the list of actions does without

    host = Host(config, manager.fleet.identity)
    try:
        await host.server(deadlines=ASK)
    finally:
        await host.close()


def _keep(path: Path, known: Mapping[str, HostConfig], config: HostConfig) -> None:
    """Write it to the file. Those that were found on this machine go along when the file begins with it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in known.values():
            add_host(path, other)
    add_host(path, config)


@registry.action(
    "host-remove",
    "Take a host out of the fleet; nothing changes on the host",
    _HOST,
    danger=Danger.CONFIRM,
    subject="host",
)
async def host_remove(manager: Manager, *, host: str) -> Task:
    path = file_of(manager)
    if host not in manager.fleet.configs:
        raise ActionError(f"there is no host {host!r} in {path}", 404)

    async def run(task: Task, journal: Journal) -> None:
        await asyncio.to_thread(remove_host, path, host)
        if host in manager.fleet.configs:  # else the change of the file was seen first
            await manager.fleet.remove(host)
        task.update(host=host, status="done")

    return await _task(manager, "host-remove", f"Removing host {host}", host, run)


@registry.action(
    "host-label",
    "Set labels of a host; KEY= takes one away",
    _HOST,
    Param("labels", "KEY=VALUE, or KEY alone, one or more", positional=True, required=True, many=True),
    subject="host",
)
async def host_label(manager: Manager, *, host: str, labels: Sequence[str]) -> Task:
    path = file_of(manager)
    config = manager.fleet.configs.get(host)
    if config is None:
        raise ActionError(f"there is no host {host!r} in {path}", 404)
    wanted = dict(config.labels)
    for word in labels:
        key, equals, value = word.partition("=")
        if equals and not value:
            wanted.pop(key, None)
        else:
            wanted[key] = value
    relabelled = replace(config, labels=wanted)

    async def run(task: Task, journal: Journal) -> None:
        if path.exists() and any(known.name == host for known in await asyncio.to_thread(load_hosts, path)):
            await asyncio.to_thread(set_labels, path, host, wanted)
        manager.fleet.relabel(host, relabelled)
        task.update(host=host, status="done")

    return await _task(manager, "host-label", f"Labels of {host}", host, run)


async def rename(manager: Manager, host: str, new_name: str) -> Task:
    """Call a host otherwise, here and in its file; what was said of it goes along. On the host nothing changes.

    Raises ActionError: 404, and 409 for a name that is taken and while there is work for the host.
    """
    path = file_of(manager)
    if host not in manager.fleet.configs:
        raise ActionError(f"there is no host {host!r} in {path}", 404)
    if new_name in manager.inventory.hosts or new_name in manager.fleet.configs:
        raise ActionError(f'Name "{new_name}" already in use', 409)
    at_work = any(host in task.hosts and not task.status.final for task in manager.tasks.tasks.values())
    if at_work or any(row.host == host for row in await manager.store.list_pending()):
        raise ActionError(f"there is work under way for {host}: rename it when that has ended", 409)

    async def run(task: Task, journal: Journal) -> None:
        maintenance = manager.inventory.hosts[host].maintenance
        await asyncio.to_thread(rename_host, path, host, new_name)
        await manager.membership.rename_host(host, new_name)
        await manager.store.set_maintenance(new_name, maintenance)
        await manager.store.set_maintenance(host, False)
        await manager.hosts_file.apply(await asyncio.to_thread(load_hosts, path))
        manager.inventory.update_host(new_name, maintenance=maintenance)
        await manager.fleet.until_known()
        task.update(metadata={"new_name": new_name})

    return await _task(manager, "host-rename", f"Renaming {host}", host, run)


async def _task(
    manager: Manager, kind: str, description: str, host: str, work: Callable[[Task, Journal], Awaitable[None]]
) -> Task:
    async def run(task: Task, journal: Journal) -> None:
        try:
            await work(task, journal)
        except ConfigError as error:
            raise ActionError(str(error)) from error

    task = Task(
        kind, description, hosts={host: {"status": "waiting"}}, owner=manager.caller, may_cancel=kind == "host-add"
    )
    return await manager.tasks.start(task, run)
