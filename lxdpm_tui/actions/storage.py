"""Storage pools on all hosts or on none; which host a new volume goes to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lxdpm_tui.actions import shared
from lxdpm_tui.actions.profiles import target_hosts
from lxdpm_tui.actions.registry import ActionError, Danger, Param, registry
from lxdpm_tui.actions.shared import Kind
from lxdpm_tui.fleet.inventory import HostRecord
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

LOCAL_KEYS = frozenset(
    {
        "size",
        "source",
        "source.wipe",
        "volatile.initial_source",
        "zfs.pool_name",
        "lvm.thinpool_name",
        "lvm.vg_name",
    }
)
"""LXD's member-specific keys: a cluster shows them only with ?target=."""


def _may_have(record: HostRecord, project: str, name: str) -> bool:
    return name in record.pools


POOLS = Kind(
    noun="storage-pool",
    title="Storage pool",
    collection="/1.0/storage-pools",
    scoped=False,
    fixed=("driver",),
    own=re.compile(r"volatile\..*|" + "|".join(map(re.escape, sorted(LOCAL_KEYS)))),
    local=LOCAL_KEYS,
    ignored=re.compile(r"/1\.0/images/"),  # unpacked images are only a cache
    reads=("pools",),
    may_have=_may_have,
)


def roomiest(manager: Manager, pool: str, kind: str = "") -> str:
    """The host with the most free bytes in that pool, of that kind ("lxd", "incus") if there is one.

    Raises ActionError: 404 no such pool, 503 none can be asked.
    """
    with_pool = [record for record in manager.inventory.hosts.values() if pool in record.pools]
    usable = [record for record in with_pool if record.usable and not record.maintenance and not record.read_only]
    if usable:
        pools = {record.name: record.pools[pool] for record in usable}
        room = {name: space.total - space.used for name, space in pools.items()}
        return max(usable, key=lambda record: (record.kind == kind, room[record.name])).name
    if with_pool:
        why = ", ".join(f"{record.name} is {record.shown_status}" for record in with_pool)
        raise ActionError(f"No host with the storage pool {pool!r} can be used: {why}", 503)
    raise ActionError("Storage pool not found", 404)


_NAME = Param("name", "name of the pool", positional=True, required=True, complete="pool")
_HOSTS = Param("hosts", "only this host, may be repeated; all when left out", many=True, complete="host")


@registry.action(
    "pool-create",
    "Create a storage pool on all hosts, or on none",
    _NAME,
    Param("driver", "dir, btrfs, lvm, zfs, ceph, ...", positional=True, required=True),
    Param("description", "one line", default=""),
    Param("config", "KEY=VALUE, may be repeated", kind="mapping"),
    _HOSTS,
)
async def _create(
    manager: Manager, *, name: str, driver: str, description: str, config: dict[str, str], hosts: Sequence[str]
) -> Task:
    body = {"name": name, "driver": driver, "description": description, "config": config}
    return await shared.create(manager, POOLS, dict.fromkeys(target_hosts(manager, hosts), body))


@registry.action(
    "pool-edit",
    "Change keys of a storage pool on all hosts that have it",
    _NAME,
    Param("description", "one line"),
    Param("config", "KEY=VALUE, may be repeated; an empty value takes the key away", kind="mapping"),
    _HOSTS,
    danger=Danger.CONFIRM,
)
async def _edit(
    manager: Manager, *, name: str, description: str | None, config: dict[str, str], hosts: Sequence[str]
) -> Task:
    old, new = shared.changes(description, config)
    return await shared.edit(manager, POOLS, name, old, new, hosts)


@registry.action(
    "pool-delete",
    "Delete a storage pool on all hosts that have it",
    _NAME,
    _HOSTS,
    danger=Danger.CONFIRM,
)
async def _delete(manager: Manager, *, name: str, hosts: Sequence[str]) -> Task:
    return await shared.delete(manager, POOLS, name, hosts)
