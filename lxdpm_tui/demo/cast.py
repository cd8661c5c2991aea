"""Who plays in the demo: believable hosts and instances, all from one seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from lxdpm_tui.demo import images, instances, rules, snapshots
from lxdpm_tui.demo.events import timestamp
from lxdpm_tui.demo.state import GIB, Instance, Project, State
from lxdpm_tui.demo.tree import Node
from lxdpm_tui.demo.variants import INCUS_6_0, LXD_4_0, LXD_5_0, LXD_5_21, Variant

_SITES = ("ams", "fra", "hel", "par")
_VERSIONS = (LXD_5_0, INCUS_6_0, LXD_5_21, LXD_5_0, INCUS_6_0, LXD_4_0)
_MEMORY = (32, 64, 128, 16, 256, 64, 128, 96)
_ROOM = 40  # instances that hosts of these sizes carry
_CPUS = (8, 16, 32, 4, 64, 16, 24, 12)

# Role -> (profile, image, how likely it runs, how often it is chosen).
_ROLES: dict[str, tuple[str, str, float, int]] = {
    "web": ("medium", "debian/12", 0.97, 12),
    "api": ("medium", "ubuntu/24.04", 0.97, 9),
    "db": ("large", "debian/12", 0.98, 7),
    "cache": ("small", "alpine/3.20", 0.97, 6),
    "worker": ("medium", "ubuntu/24.04", 0.9, 9),
    "ci-runner": ("large", "ubuntu/22.04", 0.7, 7),
    "staging": ("small", "debian/12", 0.6, 6),
    "queue": ("small", "alpine/3.20", 0.97, 3),
    "search": ("large", "debian/12", 0.95, 2),
    "build": ("large", "fedora/40", 0.5, 3),
    "dev": ("small", "ubuntu/24.04", 0.5, 6),
    "proxy": ("small", "alpine/3.20", 0.99, 3),
    "mail": ("medium", "debian/11", 0.97, 2),
    "dns": ("small", "alpine/3.19", 0.99, 2),
    "test-vm": ("large", "rockylinux/9", 0.5, 3),
}
_SINGLES = (
    "grafana prometheus loki gitea registry vault keycloak nextcloud minio jenkins sentry matomo mattermost "
    "netbox wiki backup bastion ldap smtp-relay ntp pypi-mirror apt-cache"
).split()
_PROFILES: dict[str, tuple[str, dict[str, str]]] = {
    "small": ("Up to 512 MiB", {"limits.cpu": "1", "limits.memory": "512MiB"}),
    "medium": ("Up to 2 GiB", {"limits.cpu": "2", "limits.memory": "2GiB"}),
    "large": ("Up to 6 GiB", {"limits.cpu": "4", "limits.memory": "6GiB"}),
}


@dataclass(frozen=True, slots=True)
class HostPlan:
    """One host to be: enough to build its daemon in any process. instances: how many."""

    name: str
    variant: Variant
    cpus: int
    memory: int
    labels: Mapping[str, str]
    seed: int
    number: int
    instances: int


def plan(count: int, instances_per_host: tuple[int, int], seed: int) -> list[HostPlan]:
    """`count` hosts; each gets a number of instances in that range."""
    random = Random(seed)
    plans = []
    for number in range(count):
        site = _SITES[number % len(_SITES)]
        labels = {"site": site, "disk": random.choice(("ssd", "ssd", "hdd", "nvme"))}
        seed_of_host, instances = random.getrandbits(32), random.randint(*instances_per_host)
        times = max(1, -(-instances // _ROOM))  # who runs a hundred instances on a host has a bigger one
        plans.append(
            HostPlan(
                name=f"{site}-{number // len(_SITES) + 1}",
                variant=_VERSIONS[number % len(_VERSIONS)],
                cpus=_CPUS[number % len(_CPUS)] * times,
                memory=_MEMORY[number % len(_MEMORY)] * GIB * times,
                labels=labels,
                seed=seed_of_host,
                number=number,
                instances=instances,
            )
        )
    return plans


def build(host: HostPlan, pace: float) -> State:
    """The daemon of a plan, with its images, profiles and instances. Deterministic but for the times."""
    state = State(
        host.name,
        host.variant,
        seed=host.seed,
        cpus=host.cpus,
        memory=host.memory,
        subnet=host.number + 1,
        pace=pace,
    )
    random = Random(host.seed + 1)
    project = state.projects["default"]
    _add_profiles(state, project, random)
    if host.labels.get("disk") != "hdd":
        state.add_pool("fast", random.choice(("zfs", "btrfs")), {"size": "200GiB"})
    for alias in images.CATALOG:
        if random.random() < (0.9 if alias in ("debian/12", "ubuntu/24.04", "alpine/3.20") else 0.35):
            state.add_image("default", images.public_image(alias), [alias])
    if not project.images:
        state.add_image("default", images.public_image("debian/12"), ["debian/12"])
    if random.random() < 0.4:
        features = {"features.images": "false", "features.profiles": "false", "features.storage.volumes": "true"}
        state.projects["staging"] = Project("staging", "Before it goes live", features)
    for name, role in _names(host, random):
        _add_instance(state, name, role, random)
    if random.random() < 0.5:
        _add_warning(state)
    return state


def _names(host: HostPlan, random: Random) -> list[tuple[str, str]]:
    """(name, role). Numbered by the host, so that no name is on two hosts; the singles each live on one."""
    singles = [name for index, name in enumerate(_SINGLES) if index % 8 == host.number][: host.instances // 4]
    found = [(name, random.choice(("web", "db"))) for name in singles]
    roles, weights = list(_ROLES), [weight for *_, weight in _ROLES.values()]
    counts = dict.fromkeys(roles, 0)
    while len(found) < host.instances:
        (role,) = random.choices(roles, weights)
        counts[role] += 1
        found.append((f"{role}-{host.number + 1}{counts[role]:02d}", role))
    return found


def _add_profiles(state: State, project: Project, random: Random) -> None:
    for name, (description, config) in _PROFILES.items():
        project.profiles[name] = {"config": dict(config), "description": description, "devices": {}}
    if random.random() < 0.3:  # somebody changed one host by hand
        project.profiles["medium"]["config"]["limits.memory"] = "3GiB"


def _add_instance(state: State, name: str, role: str, random: Random) -> None:
    profile, alias, likely, _ = _ROLES[role]
    project = state.projects.get("staging" if role == "staging" else "default", state.projects["default"])
    holder = state.holder("images", project)
    target = holder.aliases.get(alias) or random.choice(list(holder.aliases.values()))
    image = holder.images[target["target"]]
    found = Instance(
        name=name,
        project=project.name,
        type="virtual-machine" if role == "test-vm" else "container",
        profiles=["default", profile],
        description="" if random.random() < 0.7 else f"{role} of {state.name}",
        seed=random.getrandbits(32),
        config={f"image.{key}": value for key, value in image.properties.items()},
    )
    found.config["volatile.base_image"] = image.fingerprint
    if random.random() < 0.3:
        found.config["user.owner"] = random.choice(("anna", "bo", "chen", "dara", "emil"))
    if "fast" in state.pools and role == "db":
        found.devices["root"] = {"path": "/", "pool": "fast", "type": "disk"}
    _, devices = state.expanded(found)
    rules.check_devices(state, devices, project.name)
    instances.dress(state, found, devices)
    found.files.put("/etc/os-release", Node(data=f'PRETTY_NAME="{image.properties["description"]}"\n'.encode()))
    found.created_at = timestamp(state.booted - random.uniform(0, 500 * 86400))
    project.instances[name] = found
    if random.random() < likely:
        state.set_running(found, state.booted + random.uniform(60, 3000))
    for number in range(random.choice((0, 0, 0, 1, 3))):
        snapshots.add(state, found, f"daily-{number}", state.booted + 86400 * number)


def _add_warning(state: State) -> None:
    uuid = state.new_uuid()
    state.warnings[uuid] = {
        "status": "new",
        "uuid": uuid,
        "location": state.variant.location,
        "project": "",
        "type": "Couldn't find the CGroup network priority controller",
        "count": 1,
        "first_seen_at": "2026-11-01T06:12:01Z",
        "last_seen_at": "2026-11-20T06:12:01Z",
        "last_message": "network priority will be ignored",
        "severity": "low",
        "entity_url": "",
    }
