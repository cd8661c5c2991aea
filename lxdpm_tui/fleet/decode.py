"""From a daemon's JSON to the inventory's records: only the named fields are decoded, the rest stays raw bytes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from lxdpm_tui.fleet.environment import config_of, drivers_of, shown_of
from lxdpm_tui.fleet.fields import search_text
from lxdpm_tui.fleet.inventory import Image, Instance, Key, Profile
from lxdpm_tui.fleet.units import parse_size

Devices = dict[str, dict[str, Any]]
Raw = msgspec.Raw | bytes

VM_DEFAULT_MEMORY = 1024**3
"""LXD and Incus give a virtual machine 1 GiB when limits.memory is not set."""


class AliasWire(msgspec.Struct):
    name: str


class ImageWire(msgspec.Struct):
    fingerprint: str
    aliases: list[AliasWire] | None = None
    properties: dict[str, Any] | None = None
    architecture: str = ""
    type: str = "container"
    size: int = 0
    public: bool = False
    cached: bool = False
    auto_update: bool = False
    uploaded_at: str = ""
    project: str = ""


class ProfileWire(msgspec.Struct):
    name: str
    description: str = ""
    config: dict[str, Any] | None = None
    devices: Devices | None = None
    used_by: list[str] | None = None
    project: str = ""


class AddressWire(msgspec.Struct):
    address: str = ""
    family: str = ""
    scope: str = ""


class NicStateWire(msgspec.Struct):
    addresses: list[AddressWire] | None = None


class MemoryStateWire(msgspec.Struct):
    usage: int = 0


class StateWire(msgspec.Struct):
    status: str = ""
    network: dict[str, NicStateWire] | None = None
    memory: MemoryStateWire | None = None


class InstanceWire(msgspec.Struct):
    name: str
    project: str = ""
    type: str = "container"
    status: str = ""
    description: str = ""
    architecture: str = ""
    ephemeral: bool = False
    created_at: str = ""
    last_used_at: str = ""
    profiles: list[str] | None = None
    expanded_config: dict[str, Any] | None = None
    expanded_devices: Devices | None = None
    config: dict[str, Any] | None = None
    snapshots: list[msgspec.Raw] | None = None
    state: StateWire | None = None


class _Located(msgspec.Struct):
    location: str = ""


class LifecycleWire(msgspec.Struct):
    action: str = ""
    source: str = ""
    context: dict[str, Any] | None = None


class OperationWire(msgspec.Struct):
    status_code: int = 0
    resources: dict[str, Any] | None = None


class EventWire(msgspec.Struct):
    """The envelope of /1.0/events; metadata is decoded by whoever wants it."""

    type: str
    timestamp: str = ""
    metadata: msgspec.Raw = msgspec.Raw(b"null")
    location: str = ""
    project: str = ""


_instance = msgspec.json.Decoder(InstanceWire)
_image = msgspec.json.Decoder(ImageWire)
_profile = msgspec.json.Decoder(ProfileWire)
_state = msgspec.json.Decoder(StateWire)
_operation = msgspec.json.Decoder(OperationWire)
_located = msgspec.json.Decoder(_Located)
_event = msgspec.json.Decoder(EventWire)
_lifecycle = msgspec.json.Decoder(LifecycleWire)


class _Envelope(msgspec.Struct):
    metadata: list[msgspec.Raw] | None = None


class _One(msgspec.Struct):
    metadata: msgspec.Raw


_envelope = msgspec.json.Decoder(_Envelope)
_one = msgspec.json.Decoder(_One)


def rows_of(body: bytes) -> list[msgspec.Raw]:
    """The raw objects of a list answer; null counts as an empty list (Incus answers so)."""
    return _envelope.decode(body).metadata or []


def row_of(body: bytes) -> msgspec.Raw:
    """The raw `metadata` of an answer about one object."""
    return _one.decode(body).metadata


def event(message: bytes) -> EventWire:
    return _event.decode(message)


def lifecycle(metadata: msgspec.Raw) -> LifecycleWire:
    return _lifecycle.decode(metadata)


def ended_on_images(metadata: msgspec.Raw) -> bool:
    """Whether an operation event tells of the end of work on images."""
    operation = _operation.decode(metadata)
    return operation.status_code >= 200 and "images" in (operation.resources or {})


def server(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """HostRecord's fields out of the metadata of GET /1.0."""
    environment = metadata.get("environment") or {}
    driver = str(environment.get("driver") or "lxc")
    known = environment.get("instance_types")
    types = [kind for kind, by in (("container", "lxc"), ("virtual-machine", "qemu")) if by in driver]
    return {
        "version": str(environment.get("server_version", "")),
        "server_name": str(environment.get("server_name", "")),
        "kernel": str(environment.get("kernel_version", "")),
        "os": f"{environment.get('os_name', '')} {environment.get('os_version', '')}".strip(),
        "architectures": tuple(environment.get("architectures") or ()),
        "instance_types": tuple(known) if isinstance(known, list) else tuple(types),
        "extensions": frozenset(metadata.get("api_extensions") or ()),
        "addresses": tuple(environment.get("addresses") or ()),
        "drivers": drivers_of(environment),
        "config": config_of(metadata),
        "environment": shown_of(environment),
    }


def is_clustered(metadata: Mapping[str, Any]) -> bool:
    """Whether GET /1.0 answers for a cluster: LXD's or Incus', or a gateway, which looks like one."""
    return bool((metadata.get("environment") or {}).get("server_clustered"))


def location(raw: Raw) -> str:
    """The cluster member that an object is on; "" or "none" when it is on no single one."""
    return _located.decode(raw).location


def borrowers(projects: Iterable[Mapping[str, Any]], kind: str) -> list[str]:
    """Names of the projects that have no images (or profiles) of their own, and show those of default."""
    own = ("true", "1", "yes", "on")
    return [
        project["name"]
        for project in projects
        if project["name"] != "default"
        and str((project.get("config") or {}).get(f"features.{kind}", "")).lower() not in own
    ]


class _Addressed(msgspec.Struct):
    name: str
    project: str = ""
    state: StateWire | None = None


_addressed = msgspec.json.Decoder(_Addressed)


def addresses(host: str, raw: Raw, project: str = "") -> tuple[Key, tuple[str, ...]]:
    """Whose they are, out of recursion=2. project: if the row itself tells none (LXD 4)."""
    wire = _addressed.decode(raw)
    found = addresses_of(wire.state) if wire.state is not None else ()
    return Key(host, wire.project or project or "default", wire.name), found


def instance(host: str, raw: Raw, memory_total: int = 0, project: str = "") -> Instance:
    """memory_total: of the host, for limits given as a percentage.  project: if the row itself tells none (LXD 4)."""
    wire = _instance.decode(raw)
    config = wire.expanded_config or wire.config or {}
    devices = wire.expanded_devices or {}
    try:
        limit = parse_size(str(config.get("limits.memory", "")), memory_total)
    except ValueError:
        limit = 0
    if limit == 0 and wire.type == "virtual-machine":
        limit = VM_DEFAULT_MEMORY
    root = next((d for d in devices.values() if d.get("type") == "disk" and d.get("path") == "/"), {})
    row = Instance(
        host=host,
        project=wire.project or project or "default",
        name=wire.name,
        type=wire.type,
        status=wire.status,
        description=wire.description,
        architecture=wire.architecture,
        ephemeral=wire.ephemeral,
        created_at=wire.created_at,
        last_used_at=wire.last_used_at,
        profiles=tuple(wire.profiles or ()),
        image=str(config.get("image.description", "")),
        base_image=str(config.get("volatile.base_image", "")),
        memory_limit=limit,
        root_pool=str(root.get("pool", "")),
        networks=tuple(sorted(_nets(devices))),
        snapshots=-1 if wire.snapshots is None else len(wire.snapshots),
        seen=time.time(),
        raw=bytes(raw),
    )
    if wire.state is not None:
        row.addresses = addresses_of(wire.state)
        if wire.state.memory is not None and wire.status == "Running":
            row.memory = wire.state.memory.usage
    search_text(row)  # now, host by host, and not for all of them when the first filter is typed
    return row


def image(host: str, raw: Raw, project: str = "") -> Image:
    """project: the one that was asked; "" = the one that the row itself tells."""
    wire = _image.decode(raw)
    return Image(
        host=host,
        project=project or wire.project or "default",
        fingerprint=wire.fingerprint,
        aliases=tuple(sorted(a.name for a in wire.aliases or ())),
        description=str((wire.properties or {}).get("description", "")),
        architecture=wire.architecture,
        type=wire.type,
        size=wire.size,
        public=wire.public,
        cached=wire.cached,
        auto_update=wire.auto_update,
        uploaded_at=wire.uploaded_at,
        seen=time.time(),
        raw=bytes(raw),
    )


def profile(host: str, raw: Raw, project: str = "") -> Profile:
    """project: the one that was asked; "" = the one that the row itself tells."""
    wire = _profile.decode(raw)
    return Profile(
        host=host,
        project=project or wire.project or "default",
        name=wire.name,
        description=wire.description,
        config={k: str(v) for k, v in (wire.config or {}).items()},
        devices={name: {k: str(v) for k, v in d.items()} for name, d in (wire.devices or {}).items()},
        used_by=len(wire.used_by or ()),
        seen=time.time(),
        raw=bytes(raw),
    )


def state(raw: Raw) -> StateWire:
    return _state.decode(raw)


def addresses_of(wire: StateWire) -> tuple[str, ...]:
    """Global addresses, IPv4 first, loopback left out."""
    found = [
        a
        for nic, state in (wire.network or {}).items()
        if nic != "lo"
        for a in state.addresses or ()
        if a.scope == "global"
    ]
    return tuple(a.address for a in sorted(found, key=lambda a: a.family != "inet"))


def _nets(devices: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    for device in devices.values():
        if device.get("type") == "nic" and (name := device.get("network") or device.get("parent")):
            yield str(name)


_IDLE = "idle"
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
# As the daemons write their labels, in the order of the alphabet; any other order is read by _LABEL.
_CPU = re.compile(r'_cpu_seconds_total\{[^}]*?mode="(\w+)",name="([^"\\]*)",project="([^"\\]*)"[^}]*\} (\S+)')
_MEMORY = re.compile(r'_memory_Mem(Total|Available)_bytes\{name="([^"\\]*)",project="([^"\\]*)"[^}]*\} (\S+)')
_ANY = re.compile(
    r"^(?:lxd|incus)_(memory_MemTotal_bytes|memory_MemAvailable_bytes|cpu_seconds_total)\{([^}]*)\} (\S+)", re.M
)
_PORTION = 1 << 17  # characters of metrics read at once: some 1 ms


class Figures:
    """Per instance memory used and CPU seconds since its start, out of one /1.0/metrics answer.

    Memory is total less available, as the instance itself would see it; idle CPU time does not count.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._total: dict[tuple[str, str], float] = {}
        self._free: dict[tuple[str, str], float] = {}
        self._cpu: dict[tuple[str, str], float] = {}

    def add(self, text: str) -> None:
        """Some whole lines."""
        cpu, free, total = self._cpu, self._free, self._total
        expected = text.count("_cpu_seconds_total{") + text.count("_memory_MemTotal_bytes{")
        expected += text.count("_memory_MemAvailable_bytes{")
        if not expected:
            return
        cpus, memory = _CPU.findall(text), _MEMORY.findall(text)
        if len(cpus) + len(memory) != expected:
            return self._add_any(text)
        for mode, name, project, value in cpus:
            if mode != _IDLE:
                key = (project, name)
                cpu[key] = cpu.get(key, 0.0) + float(value)
        for what, name, project, value in memory:
            (total if what == "Total" else free)[project, name] = float(value)

    def _add_any(self, text: str) -> None:
        for metric, labels, value in _ANY.findall(text):
            label = dict(_LABEL.findall(labels))
            if "name" not in label:
                continue
            key = (label.get("project", "default"), label["name"])
            if metric == "memory_MemTotal_bytes":
                self._total[key] = float(value)
            elif metric == "memory_MemAvailable_bytes":
                self._free[key] = float(value)
            elif label.get("mode") != _IDLE:
                self._cpu[key] = self._cpu.get(key, 0.0) + float(value)

    def result(self) -> dict[Key, tuple[int, float]]:
        """(memory in bytes, CPU seconds) by instance."""
        return {
            Key(self._host, *key): (int(size - self._free.get(key, size)), self._cpu.get(key, 0.0))
            for key, size in self._total.items()
        }


def portions(body: bytes) -> Iterator[str]:
    """A text in portions of whole lines that are quick to read."""
    start = 0
    while start < len(body):
        end = body.rfind(b"\n", start, start + _PORTION) + 1 if start + _PORTION < len(body) else len(body)
        yield body[start : end or len(body)].decode()
        start = end or len(body)


def figures(host: str, text: str) -> dict[Key, tuple[int, float]]:
    """See Figures; of a whole answer at once."""
    found = Figures(host)
    found.add(text)
    return found.result()
