"""Hosts that this machine knows of already: local sockets, and the remotes of an lxc or incus client."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxdpm_tui.config.address import SOCKET_PLACES, HttpsAddress, UnixAddress, parse_address
from lxdpm_tui.config.hosts_file import NAME_RULE, ConfigError, HostConfig, Problem, valid_name

CLIENT_DIRECTORIES = ("~/.config/lxc", "~/snap/lxd/common/config", "~/.config/incus")


def local_sockets(places: Iterable[tuple[str, str]] = SOCKET_PLACES) -> list[HostConfig]:
    """The daemons whose sockets are on this machine, named after their kind ("lxd", "incus", "lxd-2").

    One that this user may not open is listed too: it then shows why.
    """
    hosts: list[HostConfig] = []
    seen: set[Path] = set()
    for kind, path in places:
        real = Path(path).resolve()
        try:
            found = real.is_socket() and real not in seen
        except PermissionError:
            found = False
        if found:
            seen.add(real)
            same = sum(host.name.partition("-")[0] == kind for host in hosts)
            hosts.append(HostConfig(f"{kind}-{same + 1}" if same else kind, UnixAddress(path)))
    return hosts


@dataclass(frozen=True, slots=True)
class ClientRemotes:
    """What an lxc or incus client configuration offers.

    hosts: ready entries.  skipped: remote name -> why it is no host for us.
    directories: host name -> the client's directory (client.crt and client.key there are trusted by that host).
    """

    hosts: list[HostConfig] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    directories: dict[str, Path] = field(default_factory=dict)


def client_remotes(path: Path | None = None) -> ClientRemotes:
    """The remotes of the client configuration at path (a directory or its config.yml), else of the usual places.

    Raises ConfigError when there is none, or it cannot be read.
    """
    places = [path] if path else [place for text in CLIENT_DIRECTORIES if (place := Path(text).expanduser()).exists()]
    if not places:
        raise ConfigError([Problem(", ".join(CLIENT_DIRECTORIES), 0, "", "no lxc or incus client configuration found")])
    result = ClientRemotes()
    for place in places:
        directory = place if place.is_dir() else place.parent
        for name, remote in _remotes(directory / "config.yml").items():
            if any(host.name == name for host in result.hosts):
                result.skipped[f"{name} ({directory})"] = "another configuration has a remote of that name"
                continue
            found = _host(name, remote, directory)
            if isinstance(found, str):
                result.skipped[name] = found
            else:
                result.hosts.append(found)
                result.directories[name] = directory
    return result


def _remotes(file: Path) -> dict[str, Mapping[str, Any]]:
    import yaml  # only for imports

    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ConfigError([Problem(str(file), 0, "", f"cannot be read: {error.strerror}")]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        text = getattr(error, "problem", None) or str(error)
        raise ConfigError([Problem(str(file), mark.line + 1 if mark else 0, "", f"not YAML: {text}")]) from None
    remotes = data.get("remotes") if isinstance(data, dict) else None
    if not isinstance(remotes, dict):
        return {}
    return {str(name): remote for name, remote in remotes.items() if isinstance(remote, dict)}


def _host(name: str, remote: Mapping[str, Any], directory: Path) -> HostConfig | str:
    """The remote as a host, or why it is none."""
    protocol = remote.get("protocol") or "lxd"
    if protocol not in ("lxd", "incus"):
        return f"serves images only ({protocol})"
    if remote.get("public"):
        return "is public: it serves images only"
    if not valid_name(name):
        return NAME_RULE
    text = str(remote.get("addr", ""))
    if text.startswith("unix:"):
        socket = "/" + text.removeprefix("unix:").lstrip("/")
        if socket != "/":
            return HostConfig(name, UnixAddress(socket))
        kind = "incus" if directory.name == "incus" else "lxd"
        local = local_sockets(place for place in SOCKET_PLACES if place[0] == kind)
        return HostConfig(name, local[0].address) if local else f"there is no {kind} socket on this machine"
    try:
        address = parse_address(text)
    except ValueError as error:
        return f"{text}: {error}"
    certificate = directory / "servercerts" / f"{name}.crt"
    if not isinstance(address, HttpsAddress) or not certificate.exists():
        return HostConfig(name, address)
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        return f"{certificate}: {error}"
    return HostConfig(name, address, fingerprint=hashlib.sha256(der).hexdigest())
