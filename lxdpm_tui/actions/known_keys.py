"""What a host says of its own settings: the keys of instances and devices (`GET /1.0/metadata/configuration`).

Daemons that do not say (LXD before 5.19) are taken by the list below. Read once for each kind and version of daemon.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from lxdpm_tui.fleet.inventory import HostRecord
from lxdpm_tui.hosts.transport import ApiError, HostError

if TYPE_CHECKING:
    from lxdpm_tui.hosts.host import Host

ASK = 4.0  # seconds

DEVICE_TYPES = (
    "disk", "gpu", "infiniband", "nic", "none", "pci", "proxy", "tpm", "unix-block", "unix-char", "unix-hotplug", "usb",
)  # fmt: skip
# Ahead of the star: whatever follows is allowed.
FREE = ("user.*", "environment.*", "image.*", "volatile.*", "limits.kernel.*", "linux.sysctl.*", "smbios11.*")
_BASIC: Mapping[str, str] = {
    "bool": """
boot.autostart migration.incremental.memory migration.stateful nvidia.runtime security.devlxd security.devlxd.images
security.idmap.isolated security.nesting security.privileged security.protection.delete security.protection.shift
security.secureboot security.sev security.syscalls.deny_compat security.syscalls.deny_default
security.syscalls.intercept.mknod security.syscalls.intercept.mount security.syscalls.intercept.setxattr
security.agent.metrics limits.memory.hugepages limits.memory.swap snapshots.schedule.stopped""",
    "integer": """
boot.autostart.delay boot.autostart.priority boot.host_shutdown_timeout boot.stop.priority limits.cpu.priority
limits.disk.priority limits.memory.swap.priority limits.network.priority limits.processes
migration.incremental.memory.goal migration.incremental.memory.iterations security.idmap.base security.idmap.size""",
    "string": """
agent.nic_config cloud-init.network-config cloud-init.user-data cloud-init.vendor-data cluster.evacuate limits.cpu
limits.cpu.allowance limits.cpu.nodes limits.hugepages.1GB limits.hugepages.1MB limits.hugepages.2MB
limits.hugepages.64KB limits.memory limits.memory.enforce linux.kernel_modules nvidia.driver.capabilities
nvidia.require.cuda nvidia.require.driver raw.apparmor raw.idmap raw.lxc raw.qemu raw.qemu.conf raw.seccomp
security.syscalls.allow security.syscalls.deny security.syscalls.intercept.mount.allowed
security.syscalls.intercept.mount.fuse snapshots.expiry snapshots.pattern snapshots.schedule""",
}
_TRUTH = ("true", "false", "1", "0", "yes", "no", "on", "off")


class KeyInfo(NamedTuple):
    """type: "string", "bool", "integer".  condition: "container", "virtual machine" or ""."""

    type: str = "string"
    help: str = ""
    condition: str = ""
    required: bool = False


@dataclass(slots=True)
class Known:
    """whose: "incus 6.0.4".  own: the daemon said so itself.  devices: type -> keys, for the types that it tells of."""

    whose: str
    config: dict[str, KeyInfo]
    devices: dict[str, dict[str, KeyInfo]] = field(default_factory=dict)
    own: bool = False

    def key(self, name: str) -> KeyInfo | None:
        """What is known of a config key; None when there is none of that name."""
        found = self.config.get(name)
        if found is not None:
            return found
        free = (star for star in (*FREE, *self.config) if star.endswith("*"))
        return KeyInfo() if any(name.startswith(star[:-1]) and name != star[:-1] for star in free) else None

    def problems(self, config: Mapping[str, str | None], devices: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """What this daemon would not take, a line each."""
        found = []
        for name, value in config.items():
            info = self.key(name)
            if info is None:
                near = _near(name, self.config)
                found.append(f"{self.whose} has no key {name}" + (f"; {near}?" if near else ""))
            elif value:
                found += [f"{name}: {wrong}" for wrong in _wrong(info.type, value)]
        for name, settings in devices.items():
            kind = settings.get("type")
            if kind is not None and kind not in DEVICE_TYPES:
                found.append(f"device {name}: {kind!r} is no type; there are {', '.join(DEVICE_TYPES)}")
                continue
            keys = self.devices.get(str(kind), {})
            missing = [key for key, info in keys.items() if info.required and not settings.get(key)]
            found += [f"device {name}: {kind} needs {key}" for key in missing]
            for key, value in settings.items():
                known = keys.get(key)
                if known is not None and value:
                    found += [f"device {name}: {key}: {wrong}" for wrong in _wrong(known.type, str(value))]
        return found


def _wrong(kind: str, value: str) -> list[str]:
    if kind == "bool" and value.lower() not in _TRUTH:
        return [f"true or false, not {value!r}"]
    if kind in ("integer", "int") and not re.fullmatch(r"-?\d+", value):
        return [f"a whole number, not {value!r}"]
    return []


def _near(name: str, keys: Iterable[str]) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, keys, 1, 0.75)), "")


def basic(whose: str) -> Known:
    """The keys that LXD has had since 4.0 and 5.0."""
    return Known(whose, {name: KeyInfo(kind) for kind, names in _BASIC.items() for name in names.split()})


def decode(whose: str, answer: object) -> Known:
    """Out of the daemon's answer; what it is silent on is taken from the list."""
    known = basic(whose)
    configs = answer.get("configs") if isinstance(answer, dict) else None
    if not isinstance(configs, dict) or not configs.get("instance"):
        return known
    known.own = True
    known.config = dict(_keys(configs["instance"]))
    for group, parts in configs.items():
        if group == "devices":  # Incus: one group, its parts are the types
            known.devices |= {kind: dict(_keys({kind: keys})) for kind, keys in parts.items() if kind in DEVICE_TYPES}
        elif group.removeprefix("device-") in DEVICE_TYPES:  # LXD: a group each
            known.devices[group.removeprefix("device-")] = dict(_keys(parts))
    return known


def _keys(parts: Mapping[str, Any]) -> Iterable[tuple[str, KeyInfo]]:
    for part in parts.values():
        for entry in part.get("keys") or ():
            for name, told in entry.items():
                required = str(told.get("required", "")).lower() in ("yes", "true")
                help = str(told.get("shortdesc", ""))
                yield name, KeyInfo(str(told.get("type") or "string"), help, str(told.get("condition") or ""), required)


class KnownKeys:
    """What was asked so far, by kind and version of daemon."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def of(self, record: HostRecord) -> Known | None:
        """What is known already; None when that daemon was not asked yet."""
        return self._known.get(whose(record))

    async def ask(self, record: HostRecord, host: Host) -> Known:
        """What that daemon knows; it is asked once. One that cannot be asked now is taken by the list, this time."""
        found = self.of(record)
        if found is not None:
            return found
        try:
            async with asyncio.timeout(ASK):
                answer = await host.get("/1.0/metadata/configuration")
        except ApiError:
            answer = None
        except (HostError, TimeoutError):
            return basic(whose(record))
        known = self._known[whose(record)] = decode(whose(record), answer)
        return known


def whose(record: HostRecord) -> str:
    """`incus 6.0.4`"""
    return f"{record.kind} {record.version}".strip()
