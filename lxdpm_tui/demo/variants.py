"""How the kinds and versions of daemons differ, as data: LXD 4.0, 5.0, 5.21 and Incus 6.0.

LXD 5.0.2 and Incus 6.0.4 were measured on real daemons, and the contract tests hold them to it. LXD 4.0 and 5.21
are 5.0 with the differences that their sources and documents tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lxdpm_tui.demo import extensions

JSON = dict[str, Any]


class Problem(Exception):
    """A request or an operation that fails: HTTP status and LXD's own text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


# What fails, by what name, with which status and text. {…} is filled in by Variant.problem.
_LXD_PROBLEMS: dict[str, tuple[int, str]] = {
    "instance-missing": (404, "Instance not found"),
    "instance-missing-in-project": (404, "Instance not found"),
    "instance-to-rename-missing": (404, "Instance not found"),
    "instance-exists": (
        500,
        'Failed creating instance record: Add instance info to the database: This "instances" entry already exists',
    ),
    "create-invalid": (500, "Failed creating instance record: Failed initialising instance: {why}"),
    "image-missing": (404, "Image not found"),
    "image-alias-for-create": (404, "Image alias not found"),
    "image-ambiguous": (500, "More than one image matches"),
    "rename-running": (500, "Renaming of running container not allowed"),
    "freeze-stopped": (500, "The container isn't running"),
    "snapshot-missing": (
        404,
        'Failed to fetch snapshot "{name}" of instance "{instance}" in project "{project}": InstanceSnapshot not found',
    ),
    "snapshot-exists": (
        500,
        'Failed creating instance snapshot record "{name}": Add snapshot info to the database: '
        'This "instances_snapshots" entry already exists',
    ),
    "snapshot-stateful": (500, "Unable to create a stateful snapshot. The instance isn't running"),
    "no-root-filesystem": (
        500,
        "Failed to handle idmapped storage: No such file or directory: "
        '"{home}/storage-pools/{pool}/containers/{name}/rootfs"',
    ),
    "log-missing": (400, "log file name {name} not valid"),
    "no-console-log": (500, "open {home}/logs/{name}/console.log: no such file or directory"),
    "no-ring-buffer": (500, "open : no such file or directory"),
    "profile-exists": (500, 'Error inserting "{name}" into database: The profile already exists'),
    "profile-name-taken": (500, 'Name "{name}" already in use'),
    "profile-to-rename-missing": (500, "Query affected 0 rows instead of 1"),
    "project-exists": (
        409,
        'Failed creating project "{name}": Failed adding database record: This "projects" entry already exists',
    ),
    "project-not-empty": (500, "Only empty projects can be removed"),
    "network-exists": (400, "The network already exists"),
    "event-type": (500, '"{name}" isn\'t a supported event type'),
    "instance-type": (500, "Invalid instance type"),
    "socket-secret": (500, "permission denied"),
}

_INCUS_PROBLEMS: dict[str, tuple[int, str]] = _LXD_PROBLEMS | {
    "instance-missing": (404, 'Failed to fetch instance "{name}" in project "{project}": Instance not found'),
    "instance-missing-in-project": (404, "Project not found"),
    "instance-to-rename-missing": (404, "Failed to get address of instance's member: Instance not found"),
    "instance-exists": (
        500,
        "Failed creating instance record: Add instance info to the database: "
        'Failed to create "instances" entry: UNIQUE constraint failed: instances.project_id, instances.name',
    ),
    "create-invalid": (500, "Failed creating instance record: Failed initializing instance: {why}"),
    "image-missing": (404, 'Image "{name}" not found'),
    "rename-running": (500, "Renaming of running instance not allowed"),
    "freeze-stopped": (500, "The instance isn't running"),
    "snapshot-missing": (
        404,
        'Failed to fetch snapshot "{name}" of instance "{instance}" in project "{project}": '
        "Instance_snapshot not found",
    ),
    "snapshot-exists": (
        500,
        'Failed creating instance snapshot record "{name}": Add snapshot info to the database: '
        'Failed to create "instances_snapshots" entry: '
        "UNIQUE constraint failed: instances_snapshots.instance_id, instances_snapshots.name",
    ),
    "snapshot-stateful": (500, "Stateful snapshots require that the instance has migration.stateful be set to true"),
    "no-root-filesystem": (
        500,
        "Failed to run: /usr/libexec/incus/incusd forkstart {name} {home}/containers "
        "/var/lib/incus/run/{name}/lxc.conf: exit status 1",
    ),
    "log-missing": (400, 'Log file name "{name}" not valid'),
    "profile-name-taken": (500, 'Profile "{name}" already exists'),
    "profile-to-rename-missing": (500, 'Profile "{name}" doesn\'t exist'),
    "project-exists": (
        500,
        'Failed creating project "{name}": Failed adding database record: '
        'Failed to create "projects" entry: UNIQUE constraint failed: projects.name',
    ),
    "project-not-empty": (500, "Only empty projects can be removed."),
    "network-exists": (409, 'Network "{name}" already exists'),
    "event-type": (400, '"{name}" isn\'t a supported event type'),
    "instance-type": (400, "Invalid instance type"),
    "socket-secret": (403, "Forbidden"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One kind and version of daemon.

    headers: prefix of its own HTTP headers, as sent.  mac: first three bytes of fresh MAC addresses.
    newer_wait: /wait answers its head at once and a failure as 200 with type error.
    containers_path: /1.0/containers and /1.0/virtual-machines exist, and operations name resources.containers.
    no_resources: what an operation that touches nothing has as `resources`.
    project_in_objects: profiles, images and networks carry `project`.
    named_events: lifecycle events of instances carry `name` and `project`, and nearly all a `requestor`.
    twice_escaped: URLs of odd names are escaped twice.
    remaps: a container's first start shifts its files, and says so.
    empty_used_by: `used_by` of a pool or network that nothing uses.
    instance_events_only: no lifecycle events but those of instances.  event_prefix: their first word.
    """

    kind: str
    version: str
    extensions: tuple[str, ...]
    title: str
    headers: str
    bridge: str
    mac: str
    home: str
    newer_wait: bool = False
    containers_path: bool = True
    no_resources: JSON | None = None
    project_in_objects: bool = False
    named_events: bool = False
    twice_escaped: bool = True
    empty_used_by: list[str] | None = None
    instance_events_only: bool = False
    event_prefix: str = "instance"
    instance_state_total: bool = False
    image_never_expires: str = "1970-01-01T00:00:00Z"
    location: str = "none"
    project_features: tuple[str, ...] = ("images", "profiles", "storage.volumes")
    event_types: tuple[str, ...] = ("logging", "operation", "lifecycle")
    unpack: str = "Unpack"
    remaps: bool = True
    problems: Mapping[str, tuple[int, str]] = field(default_factory=lambda: _LXD_PROBLEMS)

    @property
    def incus(self) -> bool:
        return self.kind == "incus"

    def has(self, extension: str) -> bool:
        return extension in self.extensions

    def problem(self, what: str, **words: str) -> Problem:
        code, text = self.problems[what]
        return Problem(code, text.format(home=self.home, **words))


LXD_5_0 = Variant(
    kind="lxd",
    version="5.0.2",
    extensions=extensions.LXD_5_0,
    title="LXD",
    headers="X-Lxd-",
    bridge="lxdbr0",
    mac="00:16:3e",
    home="/var/lib/lxd",
)
LXD_4_0 = replace(
    LXD_5_0,
    version="4.0.10",
    extensions=extensions.LXD_4_0,
    instance_events_only=True,
    event_prefix="container",
    location="",
)
LXD_5_21 = replace(
    LXD_5_0,
    version="5.21.4",
    extensions=extensions.LXD_5_21,
    newer_wait=True,
    project_in_objects=True,
    named_events=True,
    empty_used_by=[],
    instance_state_total=True,
    event_types=("logging", "operation", "lifecycle", "ovn"),
    problems=_LXD_PROBLEMS
    | {"profile-exists": (409, 'Error inserting "{name}" into database: Profile already exists')},
)
INCUS_6_0 = Variant(
    kind="incus",
    version="6.0.4",
    extensions=extensions.INCUS_6_0,
    title="Incus",
    headers="X-Incus-",
    bridge="incusbr0",
    mac="10:66:6a",
    home="/var/lib/incus",
    newer_wait=True,
    containers_path=False,
    no_resources={},
    project_in_objects=True,
    named_events=True,
    twice_escaped=False,
    empty_used_by=[],
    instance_state_total=True,
    image_never_expires="0001-01-01T00:00:00Z",
    project_features=("images", "profiles", "storage.buckets", "storage.volumes"),
    event_types=("logging", "operation", "lifecycle", "network-acl"),
    unpack="Unpacking image",
    remaps=False,
    problems=_INCUS_PROBLEMS,
)
VARIANTS: dict[str, Variant] = {
    "lxd-4.0": LXD_4_0,
    "lxd-5.0": LXD_5_0,
    "lxd-5.21": LXD_5_21,
    "incus-6.0": INCUS_6_0,
}
