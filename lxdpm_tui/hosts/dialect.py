"""What LXD 4 to 6 and Incus 6 to 7 say differently, as data. Nothing else in the project asks for a version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one daemon speaks.

    kind: "lxd" or "incus".  version: (major, minor, patch), zeros when unknown.
    header_prefix: of file and image headers.  event_types: all types that an admin may subscribe to; another type is
    refused.  all_projects: the query that makes /1.0/events tell of every project.
    heartbeat: seconds between our pings on the event stream; None where pings are not answered.
    pairing_fields: where POST /1.0/certificates wants a token; both fields as long as it does not say what it is (each
    kind ignores the other's).
    containers_path: whether /1.0/containers and /1.0/virtual-machines exist.
    metrics: whether /1.0/metrics exists.  metrics_prefix: of its names.
    image_protocol: what it calls another daemon in an image source.
    volatile_uuid: whether a create body may bring the instance's volatile.uuid along, by which we know it again.
    """

    kind: str = "lxd"
    version: tuple[int, int, int] = (0, 0, 0)
    header_prefix: str = "X-LXD-"
    event_types: tuple[str, ...] = ("operation", "lifecycle", "logging")
    all_projects: str = "all-projects=true"
    heartbeat: float | None = 8.0
    pairing_fields: tuple[str, ...] = ("password",)
    containers_path: bool = True
    metrics: bool = True
    metrics_prefix: str = "lxd_"
    image_protocol: str = "lxd"
    volatile_uuid: bool = True


LXD = Dialect()
INCUS = Dialect(
    kind="incus",
    header_prefix="X-Incus-",
    event_types=("operation", "lifecycle", "logging", "network-acl"),
    pairing_fields=("trust_token",),
    containers_path=False,
    metrics_prefix="incus_",
    image_protocol="incus",
)

# (from this version on, what changes); later rows win.
_LXD_SINCE: tuple[tuple[tuple[int, int], Mapping[str, Any]], ...] = (
    ((4, 0), {"all_projects": "project=*", "heartbeat": None, "metrics": False, "volatile_uuid": False}),
    ((5, 0), {"all_projects": "all-projects=true", "heartbeat": 8.0, "metrics": True, "volatile_uuid": True}),
    ((5, 21), {"event_types": ("operation", "lifecycle", "logging", "ovn")}),
    ((6, 7), {"containers_path": False}),
    ((6, 8), {"event_types": ("operation", "lifecycle", "logging", "ovn", "security")}),
)
# (API extension, what changes), after the versions.
_LXD_EXTENSIONS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("explicit_trust_token", {"pairing_fields": ("trust_token",)}),
)


def dialect_for(server: Mapping[str, Any]) -> Dialect:
    """The dialect of the daemon whose GET /1.0 metadata this is.

    Untrusted callers get no environment, so only what extensions tell is known then: the rest is LXD's.
    """
    environment = server.get("environment") or {}
    version = parse_version(str(environment.get("server_version", "")))
    extensions = frozenset(server.get("api_extensions") or ())
    if environment.get("server") == "incus":
        return replace(INCUS, version=version)
    changes: dict[str, Any] = {"version": version}
    if not environment:
        changes["pairing_fields"] = ("password", "trust_token")
    elif version != (0, 0, 0):
        for since, change in _LXD_SINCE:
            if version[:2] >= since:
                changes.update(change)
    for extension, change in _LXD_EXTENSIONS:
        if extension in extensions:
            changes.update(change)
    return replace(LXD, **changes)


def parse_version(text: str) -> tuple[int, int, int]:
    """The first three numbers of a version text: "5.21.4 LTS" is (5, 21, 4), "" is (0, 0, 0)."""
    match = re.match(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2] or 0), int(match[3] or 0)) if match else (0, 0, 0)
