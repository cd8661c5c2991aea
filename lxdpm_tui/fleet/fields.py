"""What the filter language knows about each kind of record, and the time text of LXD. No I/O, no UI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from lxdpm_tui.fleet.groups import Copies
from lxdpm_tui.fleet.inventory import HostRecord, Image, Instance, Kind, Profile
from lxdpm_tui.fleet.query import Field, Schema


@lru_cache(65536)
def epoch(text: str) -> float:
    """LXD's time text (RFC 3339, nanoseconds) as seconds since the epoch; 0 for the zero value and for no time."""
    if not text or text.startswith(("0001-", "1970-01-01T00:00:00")):
        return 0.0
    head, dot, rest = text.partition(".")
    if dot:
        digits = rest.rstrip("Zz")
        zone = "+00:00" if rest[-1:] in "Zz" else ""
        for sign in "+-":
            if sign in digits:
                digits, _, offset = digits.partition(sign)
                zone = sign + offset
        text = f"{head}.{digits[:6].ljust(6, '0')}{zone}"
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


class _Config(msgspec.Struct):
    config: dict[str, str] | None = None
    expanded_config: dict[str, str] | None = None


_config_decoder = msgspec.json.Decoder(_Config)


def instance_config(row: Instance) -> Mapping[str, str]:
    """The expanded configuration, decoded from the host's own JSON; empty when there is none."""
    if not row.raw:
        return {}
    try:
        both = _config_decoder.decode(row.raw)
    except msgspec.DecodeError:
        return {}
    return both.expanded_config or both.config or {}


def _instance_text(row: Instance) -> str:
    return " ".join((row.name, row.host, row.status, row.image, *row.addresses, *row.profiles, row.description))


def search_text(row: Instance) -> str:
    """Its text in small letters, made once as long as the row stays as it is."""
    if not row.search:
        row.search = _instance_text(row).lower()
    return row.search


def _image_text(row: Image) -> str:
    return " ".join((*row.aliases, row.fingerprint, row.description, row.architecture, *_holders(row)))


def _holders(row: Image | Profile | Copies) -> tuple[str, ...]:
    """The hosts of a row, be it one host's copy or all copies as one."""
    return row.hosts if isinstance(row, Copies) else (row.host,)


def _host_text(row: HostRecord) -> str:
    labels = (f"{key}={value}" if value else key for key, value in row.labels.items())
    return " ".join((row.name, row.shown_status, row.kind, row.version, row.address, row.reason, row.os, *labels))


def _labels(row: HostRecord) -> tuple[str, ...]:
    return tuple(f"{key}={value}" if value else key for key, value in row.labels.items())


def _memory_share(row: HostRecord) -> float:
    return 100 * row.memory_used / row.memory_total if row.memory_total else -1.0


INSTANCES = Schema(
    fields={
        "name": Field("text", lambda row: row.name),
        "host": Field("text", lambda row: row.host),
        "project": Field("text", lambda row: row.project),
        "status": Field("text", lambda row: row.status),
        "type": Field("text", lambda row: row.type),
        "image": Field("text", lambda row: row.image),
        "profile": Field("text", lambda row: row.profiles),
        "ip": Field("text", lambda row: row.addresses),
        "network": Field("text", lambda row: row.networks),
        "pool": Field("text", lambda row: row.root_pool),
        "arch": Field("text", lambda row: row.architecture),
        "description": Field("text", lambda row: row.description),
        "cpu": Field("number", lambda row: row.cpu),
        "mem": Field("size", lambda row: row.memory),
        "limit": Field("size", lambda row: row.memory_limit),
        "snapshots": Field("number", lambda row: row.snapshots),
        "age": Field("age", lambda row: epoch(row.created_at)),
        "used": Field("age", lambda row: epoch(row.last_used_at)),
        "seen": Field("age", lambda row: row.seen),
    },
    name=lambda row: str(row.name),
    text=_instance_text,
    config=instance_config,
    small=search_text,
)

IMAGES = Schema(
    fields={
        "alias": Field("text", lambda row: row.aliases),
        "fingerprint": Field("text", lambda row: row.fingerprint),
        "host": Field("text", _holders),
        "project": Field("text", lambda row: row.project),
        "type": Field("text", lambda row: row.type),
        "arch": Field("text", lambda row: row.architecture),
        "description": Field("text", lambda row: row.description),
        "size": Field("size", lambda row: row.size),
        "age": Field("age", lambda row: epoch(row.uploaded_at)),
        "seen": Field("age", lambda row: row.seen),
    },
    name=lambda row: row.aliases[0] if row.aliases else str(row.fingerprint),
    text=_image_text,
)

PROFILES = Schema(
    fields={
        "name": Field("text", lambda row: row.name),
        "host": Field("text", _holders),
        "project": Field("text", lambda row: row.project),
        "description": Field("text", lambda row: row.description),
        "used": Field("number", lambda row: row.used_by),
        "seen": Field("age", lambda row: row.seen),
    },
    name=lambda row: str(row.name),
    text=lambda row: " ".join((row.name, row.description, *_holders(row))),
    config=lambda row: row.config,
)

HOSTS = Schema(
    fields={
        "name": Field("text", lambda row: row.name),
        "host": Field("text", lambda row: row.name),
        "status": Field("text", lambda row: row.shown_status),
        "kind": Field("text", lambda row: row.kind),
        "version": Field("text", lambda row: row.version),
        "label": Field("text", _labels),
        "address": Field("text", lambda row: row.address),
        "pool": Field("text", lambda row: tuple(row.pools)),
        "network": Field("text", lambda row: tuple(row.networks)),
        "arch": Field("text", lambda row: row.architectures),
        "reason": Field("text", lambda row: row.reason),
        "cpus": Field("number", lambda row: row.cpus),
        "load": Field("number", lambda row: row.load),
        "mem": Field("number", _memory_share),
        "memory": Field("size", lambda row: row.memory_total),
        "free": Field("size", lambda row: row.memory_total - row.memory_used),
        "instances": Field("number", lambda row: row.instances),
        "running": Field("number", lambda row: row.running),
        "since": Field("age", lambda row: row.since),
        "seen": Field("age", lambda row: row.reached),
    },
    name=lambda row: str(row.name),
    text=_host_text,
)

SCHEMAS: Mapping[Kind, Schema] = {"hosts": HOSTS, "instances": INSTANCES, "images": IMAGES, "profiles": PROFILES}
Row = Any
"""A record of whatever kind a table shows."""
