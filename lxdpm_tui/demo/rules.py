"""What a daemon accepts in names, config and devices, with LXD's texts for what it does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lxdpm_tui.demo.load import parse_size
from lxdpm_tui.demo.state import Project, State
from lxdpm_tui.demo.variants import Problem

_PREFIXES = (
    "agent. boot. ceph. cloud-init. cluster. environment. image. limits. linux. migration. nvidia. oci. raw. "
    "security. snapshots. systemd. user. volatile."
).split()
_SIZES = frozenset({"limits.memory", "limits.memory.swap.size"})
_DEVICES = frozenset("disk gpu infiniband nic none pci proxy tpm unix-block unix-char unix-hotplug usb".split())


def check_name(name: str) -> None:
    """An instance name: a host name of up to 63 letters, digits and dashes."""
    why = ""
    if not 1 <= len(name) <= 63:
        why = "Name must be 1-63 characters long"
    elif not re.fullmatch(r"[A-Za-z0-9-]+", name):
        why = "Name can only contain alphanumeric and hyphen characters"
    elif name[0] == "-":
        why = 'Name must not start with "-" character'
    elif name[-1] == "-":
        why = 'Name must not end with "-" character'
    elif name.isdigit():
        why = "Name cannot be a number"
    if why:
        raise Problem(400, f"Invalid instance name: {why}")


def check_profile_name(name: str) -> None:
    if not name:
        raise Problem(400, "No name provided")
    if "/" in name:
        raise Problem(400, "Profile names may not contain slashes")
    if name in (".", ".."):
        raise Problem(400, f'Invalid profile name "{name}"')


def check_config(config: Mapping[str, Any], before: str = "") -> None:
    """`before` is put in front of the text."""
    for key, value in config.items():
        if not key.startswith(tuple(_PREFIXES)):
            raise Problem(500, f"{before}Unknown configuration key: {key}")
        if key in _SIZES and value and not re.fullmatch(r"\d+%", str(value)):
            try:
                parse_size(str(value))
            except ValueError:
                raise Problem(500, f"{before}Invalid value: {value}") from None


def check_devices(state: State, devices: Mapping[str, Any], project: str = "") -> None:
    """With a project, also that the networks are there."""
    for name, device in devices.items():
        where = f'Device validation failed for "{name}": Failed loading device "{name}"'
        if device.get("type") not in _DEVICES:
            raise Problem(400, f"{where}: Unsupported device type")
        network = device.get("network")
        if project and network and network not in state.networks:
            text = f'{where}: Failed to load network "{network}" for project "{project}": Network not found'
            raise Problem(404, text)


def check_profiles(state: State, project: Project, names: list[str]) -> None:
    known = state.holder("profiles", project).profiles
    for name in names:
        if name not in known:
            raise Problem(500, f'Requested profile "{name}" doesn\'t exist')


def check_placement(state: State, project: Project, devices: Mapping[str, Any]) -> str:
    """The expanded devices of a new instance: networks, root disk, pool. Returns the pool's name."""
    try:
        check_devices(state, devices, project.name)
    except Problem as problem:
        wrapped = state.variant.problem("create-invalid", why=f"Invalid devices: {problem.text}")
        raise Problem(problem.code, wrapped.text) from None
    roots = [device for device in devices.values() if device.get("type") == "disk" and device.get("path") == "/"]
    if not roots or "pool" not in roots[0]:
        raise state.variant.problem("create-invalid", why="Failed getting root disk: No root device could be found")
    pool: str = roots[0]["pool"]
    if pool not in state.pools:
        wrapped = state.variant.problem("create-invalid", why="Failed loading storage pool: Storage pool not found")
        raise Problem(404, wrapped.text)
    return pool
