"""What a person or a client asks for; the only room that both front doors call to change anything."""

from __future__ import annotations

import importlib

MODULES = (
    "edit",
    "exec",
    "files",
    "hosts",
    "hosts_edit",
    "hosts_import",
    "images",
    "instances",
    "networks",
    "plan_actions",
    "profile_level",
    "profiles",
    "projects",
    "storage",
    "warnings",
)
"""Those of this room that enter actions in the registry."""


def load_all() -> None:
    """Enter every action in the registry. Loaded late to keep the start quick."""
    for module in MODULES:
        importlib.import_module(f"{__name__}.{module}")
