"""Which API extensions are advertised: what all hosts have, less what changes meaning or is not served, plus our own.

Clients decide by this list what to ask and how; it is stable while hosts come and go, since a host that is down counts
with what it last said.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import is_not

from lxdpm_tui.fleet.inventory import HostRecord

# Turn synchronous endpoints into asynchronous ones, which older clients take for done.
FLIPPING = frozenset({"storage_and_profile_operations", "storage_and_network_operations", "project_delete_operation"})

# Not served here.
_UNSERVED = frozenset(
    {
        "entities_with_entitlements",
        "candid_authentication",
        "candid_config",
        "candid_config_key",
        "rbac",
        "replicators",
        "project_replica_mode",
        "clustering_control_plane",
        "clustering_update_cert",
        "durable_operations",
        "network_integrations",
        "instances_placement_scriptlet",
        "clustering_evacuation_mode",
        "instance_pool_move",
        "instance_project_move",
        "project_access",
        # of one name in LXD and Incus, with different meanings
        "projects_force_delete",
        "storage_buckets_local",
        "gpu_cdi",
    }
)
_UNSERVED_PREFIXES = (
    "access_management",
    "auth_",
    "oidc",
    "macaroon",
    "cluster_links",
    "authorization_",
    "candid",
    "instance_placement",
)

# Served here whatever the hosts can do.
OWN = (
    "instances",
    "clustering",
    "event_location",
    "operation_wait",
    "api_filtering",
    "event_lifecycle",
    "instance_create_start",
    "explicit_trust_token",
    "certificate_token",
    "certificate_update",
    "event_hub",
    "event_lifecycle_requestor_address",
    "operations_get_query_all_projects",
    "clustering_roles",
    "clustering_edit_roles",
    "clustering_failure_domains",
    "clustering_description",
    "clustering_config",
    "clustering_groups",
    "clustering_evacuation",
    "cluster_member_state",
    "cluster_internal_copy",
    "cluster_internal_custom_volume_copy",
    "images_all_projects",
    "profiles_all_projects",
    "networks_all_projects",
    "network_acls_all_projects",
    "network_zones_all_projects",
    "storage_volumes_all_projects",
    "storage_volumes_all",
    "storage_buckets_all_projects",
    "fleet_planner",
)

# Served here as soon as one host has it: what the others lack is left out of the answer.
BY_ANY = ("metadata_configuration", "network_allocations")


def advertised(known: Iterable[frozenset[str]]) -> list[str]:
    """In a stable order. known: what each host has, but for those that never answered."""
    known = list(known)
    common = frozenset.intersection(*known) if known else frozenset()
    kept = {
        name
        for name in common
        if name not in FLIPPING and name not in _UNSERVED and not name.startswith(_UNSERVED_PREFIXES)
    }
    own = [*OWN, *(name for name in BY_ANY if any(name in extensions for extensions in known))]
    return [*sorted(kept), *(name for name in own if name not in kept)]


class Advertised:
    """The list for hosts as they are, made anew only when one's own has changed: clients ask for it before all else."""

    def __init__(self) -> None:
        self._known: list[frozenset[str]] = []
        self._list = advertised([])

    def __call__(self, records: Iterable[HostRecord]) -> list[str]:
        known = [record.extensions for record in records if record.extensions]
        if len(known) != len(self._known) or any(map(is_not, known, self._known)):
            self._known, self._list = known, advertised(known)
        return self._list
