"""What one simulated daemon knows: projects, instances, images, profiles, networks, pools. No HTTP in here."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import itertools
import json
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

from lxdpm_tui.demo.content import Content
from lxdpm_tui.demo.events import NEVER, Hub, timestamp
from lxdpm_tui.demo.load import Load, parse_size
from lxdpm_tui.demo.operations import Operations
from lxdpm_tui.demo.tree import Tree
from lxdpm_tui.demo.variants import JSON, Problem, Variant

GIB = 2**30
RUNNING = frozenset({"Running", "Frozen"})


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """An instance as it was. size: bytes on disk. expires_at: "" = never."""

    name: str
    created_at: str
    expires_at: str
    config: dict[str, str]
    devices: JSON
    profiles: list[str]
    ephemeral: bool
    expanded: tuple[dict[str, str], JSON]
    files: Tree


@dataclass(slots=True, kw_only=True)
class Instance:
    """One container or virtual machine. status: Stopped, Running or Frozen. started: epoch seconds, 0 = not running.

    busy: the verb of the operation that holds it, "" = none.  rootless: made from nothing, so it cannot start.
    """

    name: str
    project: str
    type: str = "container"
    config: dict[str, str] = field(default_factory=dict)
    devices: JSON = field(default_factory=dict)
    profiles: list[str] = field(default_factory=lambda: ["default"])
    ephemeral: bool = False
    description: str = ""
    status: str = "Stopped"
    created_at: str = ""
    last_used_at: str = "1970-01-01T00:00:00Z"
    started: float = 0.0
    pid: int = 0
    ipv4: str = ""
    processes: int = 0
    files: Tree = field(default_factory=Tree)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    logs: dict[str, bytes] = field(default_factory=dict)
    seed: int = 0
    busy: str = ""
    rootless: bool = False

    @property
    def running(self) -> bool:
        return self.status in RUNNING


@dataclass(slots=True, kw_only=True)
class Image:
    """One image. content: what an export gives; its SHA-256 is the fingerprint."""

    content: Content
    properties: dict[str, str]
    architecture: str = "x86_64"
    type: str = "container"
    public: bool = False
    auto_update: bool = False
    cached: bool = False
    filename: str = ""
    profiles: list[str] = field(default_factory=lambda: ["default"])
    created_at: str = NEVER
    uploaded_at: str = NEVER
    last_used_at: str = NEVER

    @property
    def fingerprint(self) -> str:
        return self.content.fingerprint


@dataclass(slots=True)
class Project:
    name: str
    description: str
    config: dict[str, str]
    instances: dict[str, Instance] = field(default_factory=dict)
    profiles: dict[str, JSON] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    aliases: dict[str, JSON] = field(default_factory=dict)
    volumes: dict[tuple[str, str], JSON] = field(default_factory=dict)  # custom ones, by (pool, name)


class State:
    """Everything of one daemon. memory: bytes. pace: how many times slower than a fast real host its work is.

    awake: cleared while the daemon hangs; whatever would happen waits for it.
    """

    def __init__(
        self,
        name: str,
        variant: Variant,
        *,
        seed: int = 0,
        cpus: int = 8,
        memory: int = 32 * GIB,
        subnet: int = 10,
        pace: float = 1.0,
    ) -> None:
        self.name = name
        self.variant = variant
        self.random = Random(seed)
        self.cpus = cpus
        self.memory = memory
        self.pace = pace
        self.own_memory = int(memory * self.random.uniform(0.02, 0.05)) + GIB
        self.booted = time.time() - self.random.uniform(3600, 90 * 86400)
        self.hub = Hub(variant)
        self.operations = Operations(self.hub)
        self.awake = asyncio.Event()
        self.awake.set()
        self.config: JSON = {
            "core.https_address": f"10.{180 + subnet // 250}.{subnet % 250}.2:8443",
            "images.auto_update_interval": "0",
        }
        self.fingerprint = hashlib.sha256(f"{name}/{seed}".encode()).hexdigest()
        self.projects: dict[str, Project] = {}
        self.networks: dict[str, JSON] = {}
        self.pools: dict[str, JSON] = {}
        self.warnings: dict[str, JSON] = {}
        self._pids = itertools.count(2000)
        self._subnet = ipaddress.IPv4Network(f"10.{100 + subnet // 250}.{subnet % 250}.0/24")
        self._hosts = itertools.cycle(range(10, 250))
        self._make_defaults()

    def _make_defaults(self) -> None:
        title, bridge = self.variant.title, self.variant.bridge
        features = {f"features.{name}": "true" for name in (*self.variant.project_features, "networks")}
        if self.variant.incus:
            features["features.networks.zones"] = "true"
        default = Project("default", f"Default {title} project", dict(sorted(features.items())))
        default.profiles["default"] = {
            "config": {},
            "description": f"Default {title} profile",
            "devices": {
                "eth0": {"name": "eth0", "network": bridge, "type": "nic"},
                "root": {"path": "/", "pool": "default", "type": "disk"},
            },
        }
        self.projects["default"] = default
        address = f"{self._subnet.network_address + 1}/24"
        self.networks[bridge] = {
            "config": {"ipv4.address": address, "ipv4.nat": "true", "ipv6.address": "none"},
            "description": "",
            "type": "bridge",
        }
        self.add_pool("default", "dir", {})

    # -- time

    async def pause(self, seconds: float) -> None:
        """Let an operation take its time; while the daemon hangs, no time passes."""
        await self.awake.wait()
        await asyncio.sleep(seconds * self.pace)
        await self.awake.wait()

    # -- names and URLs

    def url(self, *parts: str, project: str = "default") -> str:
        """/1.0/... with each part escaped, and the project if it is not the default one."""
        escaped = [quote(part, safe="") for part in parts]
        if self.variant.twice_escaped:
            escaped = [quote(part, safe="") for part in escaped]
        suffix = f"?project={quote(project)}" if project != "default" else ""
        return "/1.0/" + "/".join(escaped) + suffix

    def project(self, name: str, text: str = "Project not found") -> Project:
        found = self.projects.get(name)
        if found is None:
            raise Problem(404, text)
        return found

    def holder(self, feature: str, project: Project) -> Project:
        """The project whose images, profiles... this one uses."""
        return project if project.config.get(f"features.{feature}") == "true" else self.projects["default"]

    def instances(self) -> Iterator[Instance]:
        for project in self.projects.values():
            yield from project.instances.values()

    def find(self, project: str, name: str) -> Instance:
        """Raises Problem with this daemon's text for what is missing."""
        if project not in self.projects:
            raise self.variant.problem("instance-missing-in-project")
        instance = self.projects[project].instances.get(name)
        if instance is None:
            raise self.variant.problem("instance-missing", name=name, project=project)
        return instance

    # -- what follows from profiles

    def expand(self, project: Project, names: Iterable[str], config: JSON, devices: JSON) -> tuple[JSON, JSON]:
        """(config, devices) with those of the profiles underneath."""
        profiles = self.holder("profiles", project).profiles
        full_config: JSON = {}
        full_devices: JSON = {}
        for name in names:
            if name in profiles:
                full_config |= profiles[name]["config"]
                full_devices |= profiles[name]["devices"]
        full_config |= config
        full_devices |= devices
        return dict(sorted(full_config.items())), dict(sorted(full_devices.items()))

    def expanded(self, instance: Instance) -> tuple[JSON, JSON]:
        return self.expand(self.projects[instance.project], instance.profiles, instance.config, instance.devices)

    def setting(self, instance: Instance, key: str) -> str:
        """One key of its expanded config, "" when it is not set."""
        if key in instance.config:
            return str(instance.config[key])
        profiles = self.holder("profiles", self.projects[instance.project]).profiles
        for name in reversed(instance.profiles):
            if name in profiles and key in profiles[name]["config"]:
                return str(profiles[name]["config"][key])
        return ""

    def memory_limit(self, instance: Instance) -> int:
        """Bytes the instance may use: its limits.memory, else all of the host."""
        text = self.setting(instance, "limits.memory")
        if text.endswith("%"):
            return self.memory * int(text[:-1]) // 100
        return parse_size(text) if text else self.memory

    def load(self, instance: Instance) -> Load:
        limit = self.memory_limit(instance)
        return Load.of(instance.seed, limit if limit < self.memory else 0)

    def cpu_seconds(self, instance: Instance, now: float) -> float:
        if not instance.running:
            return 0.0
        return self.load(instance).cpu_seconds(instance.started, now)

    def memory_used(self, now: float) -> int:
        """Bytes in use on the host, page cache left out."""
        used = self.own_memory + sum(self.load(i).memory_at(now) for i in self.instances() if i.running)
        return min(used, int(self.memory * 0.98))

    def load_average(self, now: float) -> float:
        return 0.1 + sum(self.load(i).cpu_at(now) for i in self.instances() if i.status == "Running")

    # -- making things

    def add_pool(self, name: str, driver: str, config: JSON, description: str = "") -> None:
        place = (
            f"{self.variant.home}/storage-pools/{name}" if driver == "dir" else f"{self.variant.home}/disks/{name}.img"
        )
        self.pools[name] = {
            "config": {"source": place} | config,
            "description": description,
            "driver": driver,
            "total": int(self.random.uniform(100, 4000)) * GIB,
        }

    def fresh_mac(self) -> str:
        return self.variant.mac + "".join(f":{self.random.randrange(256):02x}" for _ in range(3))

    def new_uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def set_running(self, instance: Instance, started: float | None = None) -> None:
        """Mark it as running since `started` (now)."""
        instance.status = "Running"
        instance.started = time.time() if started is None else started
        instance.last_used_at = timestamp(instance.started)
        instance.pid = next(self._pids)
        instance.processes = self.random.randint(3, 60)
        instance.config.pop("volatile.apply_template", None)
        instance.config["volatile.last_state.power"] = "RUNNING"
        for name, device in self.expanded(instance)[1].items():
            if device.get("type") == "nic":
                instance.config[f"volatile.{name}.host_name"] = f"veth{self.random.getrandbits(32):08x}"
        instance.ipv4 = instance.ipv4 or str(self._subnet.network_address + next(self._hosts))

    def set_stopped(self, instance: Instance) -> None:
        instance.status = "Stopped"
        instance.started = 0.0
        instance.pid = instance.processes = 0
        instance.config["volatile.last_state.power"] = "STOPPED"
        for key in [key for key in instance.config if key.endswith(".host_name")]:
            del instance.config[key]

    def add_image(self, project: str, image: Image, aliases: Iterable[str] = ()) -> None:
        holder = self.holder("images", self.projects[project])
        holder.images[image.fingerprint] = image
        for alias in aliases:
            holder.aliases[alias] = {"description": "", "target": image.fingerprint}


def etag(*parts: Any) -> str:
    """SHA-256 over the writable part of an object, unquoted."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
