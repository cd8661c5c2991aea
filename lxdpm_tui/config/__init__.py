"""What the user wrote down: addresses, hosts.toml, where files live. A leaf: imports no other room."""

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
from lxdpm_tui.config.hosts_file import ConfigError, HostConfig, Problem, add_host, check_host, load_hosts, remove_host
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
]
