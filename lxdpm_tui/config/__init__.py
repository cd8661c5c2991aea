"""What the user wrote down: addresses, hosts.toml, where files live. A leaf: imports no other room.

Each name is loaded on first use: the last screen is shown before TOML and certificates can be read (splash.py).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxdpm_tui.config.address import (
        ADDRESS_FORMS,
        DEFAULT_HTTPS_PORT,
        SOCKET_PLACES,
        Address,
        HttpsAddress,
        SshAddress,
        UnixAddress,
        parse_address,
    )
    from lxdpm_tui.config.discovery import ClientRemotes, client_remotes, local_sockets
    from lxdpm_tui.config.hosts_file import (
        ConfigError,
        HostConfig,
        Problem,
        add_host,
        check_host,
        load_hosts,
        remove_host,
        rename_host,
        set_labels,
    )
    from lxdpm_tui.config.paths import Paths

__all__ = [
    "ADDRESS_FORMS",
    "DEFAULT_HTTPS_PORT",
    "SOCKET_PLACES",
    "Address",
    "ClientRemotes",
    "ConfigError",
    "HostConfig",
    "HttpsAddress",
    "Paths",
    "Problem",
    "SshAddress",
    "UnixAddress",
    "add_host",
    "check_host",
    "client_remotes",
    "load_hosts",
    "local_sockets",
    "parse_address",
    "remove_host",
    "rename_host",
    "set_labels",
]

_HOMES = {
    "address": "ADDRESS_FORMS DEFAULT_HTTPS_PORT SOCKET_PLACES "
    "Address HttpsAddress SshAddress UnixAddress parse_address",
    "discovery": "ClientRemotes client_remotes local_sockets",
    "hosts_file": "ConfigError HostConfig Problem add_host check_host load_hosts remove_host rename_host set_labels",
    "paths": "Paths",
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names.split():
            found = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
