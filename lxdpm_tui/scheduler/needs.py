"""What an LXD create body (POST /1.0/instances) comes to on one host, its profiles expanded. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lxdpm_tui.fleet.decode import VM_DEFAULT_MEMORY
from lxdpm_tui.fleet.units import parse_size
from lxdpm_tui.scheduler.model import Needs

Config = Mapping[str, str]
Devices = Mapping[str, Mapping[str, str]]

VIRTUAL_MACHINE = "virtual-machine"

_ARCHITECTURES = {
    "amd64": "x86_64",
    "generic_64": "x86_64",
    "i386": "i686",
    "i586": "i686",
    "386": "i686",
    "generic_32": "i686",
    "arm64": "aarch64",
    "armhf": "armv7l",
    "armv7": "armv7l",
    "ppc64el": "ppc64le",
}
_SIZED_TYPE = re.compile(r"(?:c\d+(?:\.\d+)?-)?m(\d+(?:\.\d+)?)(?:-c\d+(?:\.\d+)?)?")


def instance_type(body: Mapping[str, Any]) -> str:
    """The body's type, "container" or "virtual-machine"; LXD's default is the container."""
    return str(body.get("type") or "container")


def architecture(body: Mapping[str, Any]) -> str:
    """LXD's own name of the architecture asked for ("amd64" is taken as x86_64); "" when none is asked for."""
    name = str(body.get("architecture") or "")
    return _ARCHITECTURES.get(name, name)


def profile_names(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The profiles asked for, in order. None given means "default", an empty list means none, as in LXD.

    Raises ValueError when it is no list.
    """
    names = body.get("profiles")
    if names is None:
        return ("default",)
    if not isinstance(names, list | tuple):
        raise ValueError("profiles: expected a list of names")
    return tuple(str(name) for name in names)


def expand(
    body: Mapping[str, Any], profiles: Mapping[str, tuple[Config, Devices]]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """(config, devices) as the host will expand them: profiles in order, then the instance's own.

    profiles: name -> (config, devices) as the host has them; a name missing here is passed over (the profiles filter
    reports it).  A later device replaces an earlier one of its name as a whole; type "none" takes it away.
    Raises ValueError naming the key that is no object.
    """
    config: dict[str, str] = {}
    devices: dict[str, dict[str, str]] = {}
    for name in profile_names(body):
        if name in profiles:
            profile_config, profile_devices = profiles[name]
            config.update(profile_config)
            devices.update({key: dict(device) for key, device in profile_devices.items()})
    own = {key: str(value) for key, value in _object(body, "config").items()}
    if not own.get("limits.memory") and (memory := _sized_memory(str(body.get("instance_type") or ""))):
        own["limits.memory"] = memory
    config.update(own)
    own_devices = _object(body, "devices")
    for key in own_devices:
        devices[key] = {option: str(value) for option, value in _object(own_devices, key, "devices.").items()}
    return config, {key: device for key, device in devices.items() if device.get("type") != "none"}


def request_needs(body: Mapping[str, Any], profiles: Mapping[str, tuple[Config, Devices]], memory_total: int) -> Needs:
    """Memory in bytes, storage pool and networks that the instance takes on a host with these profiles.

    memory_total: the host's memory in bytes, for a limit given in percent.  pools: that of the root disk and of every
    other disk taken from a pool.  networks: `network` of each nic, else its `parent` (a host interface), so a host's
    list of networks must hold the unmanaged ones as well, as /1.0/networks does.  Raises ValueError naming the key
    for a size that LXD would not understand.
    """
    config, devices = expand(body, profiles)
    try:
        memory = parse_size(config.get("limits.memory", ""), memory_total)
    except ValueError as error:
        raise ValueError(f"limits.memory: {error}") from None
    if memory == 0 and instance_type(body) == VIRTUAL_MACHINE:
        memory = VM_DEFAULT_MEMORY
    disks = [device for device in devices.values() if device.get("type") == "disk"]
    nics = [device for device in devices.values() if device.get("type") == "nic"]
    names = (nic.get("network") or nic.get("parent") for nic in nics)
    return Needs(
        memory=memory,
        pools=frozenset(disk["pool"] for disk in disks if disk.get("pool")),
        networks=frozenset(name for name in names if name),
        problem=_root_problem(body, disks),
    )


def _root_problem(body: Mapping[str, Any], disks: list[dict[str, str]]) -> str:
    """LXD refuses an instance without a root disk; only a copy or a migration may bring one along."""
    source = _object(body, "source").get("type")
    if source in ("copy", "migration"):
        return ""
    if any(disk.get("path") == "/" and not disk.get("source") for disk in disks):
        return ""
    return "neither its profiles nor the request give a root disk"


def _sized_memory(name: str) -> str:
    """limits.memory of an instance_type like "c2-m4" (GiB); "" for names that only the host can look up.

    LXD before 6 writes this limit in MB: taking MiB for all never promises too little.
    """
    match = _SIZED_TYPE.fullmatch(name)
    return f"{int(float(match[1]) * 1024)}MiB" if match else ""


def _object(body: Mapping[str, Any], key: str, prefix: str = "") -> Mapping[str, Any]:
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{prefix}{key}: expected an object")
    return value
