"""Networks, ACLs, zones and address sets on all hosts or on none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lxdpm_tui.actions import shared
from lxdpm_tui.actions.profiles import target_hosts
from lxdpm_tui.actions.registry import Danger, Param, registry
from lxdpm_tui.actions.shared import Kind
from lxdpm_tui.fleet.inventory import HostRecord
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager


def _may_have(record: HostRecord, project: str, name: str) -> bool:
    """The inventory knows those of the default project."""
    return project != "default" or name in record.networks


LOCAL_KEYS = frozenset({"bridge.external_interfaces", "parent", "bgp.ipv4.nexthop", "bgp.ipv6.nexthop"})
"""LXD's member-specific keys: a cluster shows them only with ?target=."""

NETWORKS = Kind(
    noun="network",
    title="Network",
    collection="/1.0/networks",
    fixed=("type",),
    own=re.compile(r"volatile\..*|ipv[46]\.address|" + "|".join(map(re.escape, sorted(LOCAL_KEYS)))),
    local=LOCAL_KEYS,
    reads=("networks",),
    may_have=_may_have,
)
ACLS = Kind("network-acl", "Network ACL", "/1.0/network-acls", lists=("ingress", "egress"))
ZONES = Kind("network-zone", "Network zone", "/1.0/network-zones")
ADDRESS_SETS = Kind("network-address-set", "Network address set", "/1.0/network-address-sets", lists=("addresses",))
_RECORDS = Kind("network-zone-record", "Network zone record", "", lists=("entries",))


def records(zone: str) -> Kind:
    """The records of a zone."""
    return replace(_RECORDS, collection=f"{ZONES.path(zone)}/records")


_NAME = Param("name", "name of the network", positional=True, required=True, complete="network")
_HOSTS = Param("hosts", "only this host, may be repeated; all when left out", many=True, complete="host")
_PROJECT = Param("project", "the project", default="default", complete="project")
_CONFIG = Param("config", "KEY=VALUE, may be repeated; an empty value takes the key away", kind="mapping")


@registry.action(
    "network-create",
    "Create a network on all hosts, or on none",
    _NAME,
    Param("type", "bridge, macvlan, sriov, physical or ovn", default="bridge"),
    Param("description", "one line", default=""),
    _CONFIG,
    _HOSTS,
    _PROJECT,
)
async def _create(
    manager: Manager,
    *,
    name: str,
    type: str,
    description: str,
    config: dict[str, str],
    hosts: Sequence[str],
    project: str,
) -> Task:
    body = {"name": name, "type": type, "description": description, "config": config}
    return await shared.create(manager, NETWORKS, dict.fromkeys(target_hosts(manager, hosts), body), project)


@registry.action(
    "network-edit",
    "Change keys of a network on all hosts that have it",
    _NAME,
    Param("description", "one line"),
    _CONFIG,
    _HOSTS,
    _PROJECT,
    danger=Danger.CONFIRM,
)
async def _edit(
    manager: Manager,
    *,
    name: str,
    description: str | None,
    config: dict[str, str],
    hosts: Sequence[str],
    project: str,
) -> Task:
    old, new = shared.changes(description, config)
    return await shared.edit(manager, NETWORKS, name, old, new, hosts, project)


@registry.action(
    "network-rename",
    "Rename a network on all hosts that have it",
    _NAME,
    Param("new_name", "the new name", positional=True, required=True),
    _HOSTS,
    _PROJECT,
)
async def _rename(manager: Manager, *, name: str, new_name: str, hosts: Sequence[str], project: str) -> Task:
    return await shared.rename(manager, NETWORKS, name, new_name, hosts, project)


@registry.action(
    "network-delete",
    "Delete a network on all hosts that have it",
    _NAME,
    _HOSTS,
    _PROJECT,
    danger=Danger.CONFIRM,
)
async def _delete(manager: Manager, *, name: str, hosts: Sequence[str], project: str) -> Task:
    return await shared.delete(manager, NETWORKS, name, hosts, project)
