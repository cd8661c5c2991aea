"""Of what a daemon says of itself (GET /1.0), the parts that are shown as the fleet's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FLEET_KEYS = re.compile(r"images\.|backups\.|instances\.(nic\.host_name|migration\.stateful)$")
"""Of a daemon's configuration; all others are each host's own: addresses, secrets, volumes."""

_SHOWN = ("driver_version", "firewall", "kernel_features", "lxc_features", "storage", "storage_version")


def config_of(server: Mapping[str, Any]) -> dict[str, str]:
    """The keys of its configuration that may be the fleet's. server: the metadata of GET /1.0."""
    config: Mapping[str, Any] = server.get("config") or {}
    return {key: str(value) for key, value in config.items() if FLEET_KEYS.match(key)}


def drivers_of(environment: Mapping[str, Any]) -> tuple[tuple[str, str, bool], ...]:
    """Of storage: (name, version, remote)."""
    rows = environment.get("storage_supported_drivers") or ()
    return tuple((str(row.get("Name", "")), str(row.get("Version", "")), bool(row.get("Remote"))) for row in rows)


def shown_of(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {key: environment[key] for key in _SHOWN if key in environment}
