from __future__ import annotations

from typing import Any

import pytest

from lxdpm_tui.hosts.dialect import dialect_for, parse_version


def server(kind: str, version: str, *extensions: str) -> dict[str, Any]:
    return {"api_extensions": list(extensions), "environment": {"server": kind, "server_version": version}}


# What each daemon says, as data: (kind, version text, extensions), then the fields that must come out of it.
DIALECTS: list[tuple[tuple[str, ...], dict[str, Any]]] = [
    (
        ("lxd", "4.0.10"),
        {
            "kind": "lxd",
            "version": (4, 0, 10),
            "header_prefix": "X-LXD-",
            "event_types": ("operation", "lifecycle", "logging"),
            "all_projects": "project=*",
            "heartbeat": None,
            "pairing_fields": ("password",),
            "containers_path": True,
            "metrics": False,
        },
    ),
    (
        ("lxd", "5.0.2"),
        {
            "version": (5, 0, 2),
            "event_types": ("operation", "lifecycle", "logging"),
            "all_projects": "all-projects=true",
            "heartbeat": 8.0,
            "pairing_fields": ("password",),
            "containers_path": True,
            "metrics": True,
            "metrics_prefix": "lxd_",
            "image_protocol": "lxd",
        },
    ),
    (
        ("lxd", "5.21.4 LTS", "explicit_trust_token"),
        {
            "version": (5, 21, 4),
            "event_types": ("operation", "lifecycle", "logging", "ovn"),
            "pairing_fields": ("trust_token",),
            "containers_path": True,
        },
    ),
    (("lxd", "6.6", "explicit_trust_token"), {"version": (6, 6, 0), "containers_path": True}),
    (("lxd", "6.7", "explicit_trust_token"), {"containers_path": False}),
    (
        ("lxd", "6.9", "explicit_trust_token"),
        {"event_types": ("operation", "lifecycle", "logging", "ovn", "security"), "containers_path": False},
    ),
    (
        ("incus", "6.0.4"),
        {
            "kind": "incus",
            "version": (6, 0, 4),
            "header_prefix": "X-Incus-",
            "event_types": ("operation", "lifecycle", "logging", "network-acl"),
            "all_projects": "all-projects=true",
            "pairing_fields": ("trust_token",),
            "containers_path": False,
            "metrics": True,
            "metrics_prefix": "incus_",
            "image_protocol": "incus",
        },
    ),
    (("incus", "7.3"), {"kind": "incus", "version": (7, 3, 0), "containers_path": False}),
]


@pytest.mark.parametrize(
    ("said", "fields"), DIALECTS, ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_dialects(said: tuple[str, ...], fields: dict[str, Any]) -> None:
    dialect = dialect_for(server(*said))
    assert {name: getattr(dialect, name) for name in fields} == fields


def test_an_untrusted_caller_learns_only_what_extensions_tell() -> None:
    assert dialect_for({"auth": "untrusted", "api_extensions": []}).pairing_fields == ("password", "trust_token")
    told = dialect_for({"auth": "untrusted", "api_extensions": ["explicit_trust_token"]})
    assert told.pairing_fields == ("trust_token",)
    assert told.version == (0, 0, 0)


def test_null_lists_are_empty() -> None:
    assert dialect_for({"api_extensions": None, "environment": None}).kind == "lxd"


@pytest.mark.parametrize(
    ("text", "version"),
    [("5.21.4 LTS", (5, 21, 4)), ("6.6", (6, 6, 0)), ("7", (7, 0, 0)), ("", (0, 0, 0)), ("git", (0, 0, 0))],
)
def test_versions(text: str, version: tuple[int, int, int]) -> None:
    assert parse_version(text) == version
