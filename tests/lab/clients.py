"""The files that clients of the lab use: keys, ssh configuration, remotes of `lxc` and `incus`, hosts.toml."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab.host import LabHost
from tests.lab.layout import LabError, Layout
from tests.lab.run import run

DEFAULT_TRANSPORTS: Mapping[str, str] = {"h1": "unix", "h2": "https", "h3": "ssh", "i1": "https"}


@dataclass(frozen=True)
class Entry:
    """One [[hosts]] of hosts.toml."""

    name: str
    address: str
    labels: Mapping[str, str]
    fingerprint: str | None = None
    identity_file: str | None = None
    known_hosts: str | None = None


def entries(layout: Layout, hosts: Mapping[str, LabHost], transports: Mapping[str, str] | None = None) -> list[Entry]:
    """The hosts named in `transports` (by default all, by DEFAULT_TRANSPORTS, else https), each by its transport."""
    if transports is None:
        transports = {name: DEFAULT_TRANSPORTS.get(name, "https") for name in hosts}
    return [_entry(layout, hosts[name], transport) for name, transport in transports.items()]


def _entry(layout: Layout, host: LabHost, transport: str) -> Entry:
    labels = {"site": "a" if host.octet % 2 else "b", "kind": host.kind.name}
    if transport == "unix":
        return Entry(host.name, f"unix://{host.socket}", labels)
    if transport == "https":
        return Entry(host.name, f"https://{host.address}:8443", labels, fingerprint=host.fingerprint)
    if transport == "ssh":
        key, known = layout.base / "ssh" / "id_ed25519", layout.base / "ssh" / "known_hosts"
        return Entry(host.name, f"ssh://root@{host.address}", labels, identity_file=str(key), known_hosts=str(known))
    raise LabError(f"transport of {host.name} is unix, https or ssh, not {transport!r}")


def hosts_toml(listed: list[Entry]) -> str:
    """The text of a hosts.toml."""
    parts = []
    for entry in listed:
        lines = ["[[hosts]]", f"name = {json.dumps(entry.name)}", f"address = {json.dumps(entry.address)}"]
        labels = ", ".join(f"{key} = {json.dumps(value)}" for key, value in entry.labels.items())
        lines.append(f"labels = {{ {labels} }}")
        for key in ("fingerprint", "identity_file", "known_hosts"):
            if value := getattr(entry, key):
                lines.append(f"{key} = {json.dumps(value)}")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def write_keys(layout: Layout) -> None:
    """The ssh key and the client certificate that every host trusts, made once."""
    state, ssh = layout.base / "state", layout.base / "ssh"
    state.mkdir(mode=0o700, exist_ok=True)
    ssh.mkdir(exist_ok=True)
    if not (ssh / "id_ed25519").exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", layout.cgroup, "-f", ssh / "id_ed25519")
    if not (state / "client.crt").exists():
        run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1", "-sha384", "-nodes",
            "-keyout", state / "client.key", "-out", state / "client.crt", "-days", "3650",
            "-subj", f"/O=lxdpm-tui/CN=root@{layout.cgroup}",
        )  # fmt: skip
    for client in ("lxc", "incus"):
        directory = layout.base / "client" / client
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("client.crt", "client.key"):
            shutil.copy(state / name, directory / name)


def write_etc_hosts(layout: Layout, hosts: Mapping[str, LabHost]) -> None:
    """Each host's /etc/hosts. Written in place: it is bind-mounted in the hosts that run."""
    lines = ["127.0.0.1 localhost", "::1 localhost", f"{layout.gateway} gateway"]
    lines += [f"{host.address} {host.name}" for host in hosts.values()]
    (layout.base / "etc-hosts").write_text("\n".join(lines) + "\n")


def write_configurations(layout: Layout, hosts: Mapping[str, LabHost]) -> None:
    """What can only be written once the daemons and sshds have made their keys."""
    ssh = layout.base / "ssh"
    known = [f"{host.address},{host.name} {_host_key(host)}" for host in hosts.values()]
    (ssh / "known_hosts").write_text("\n".join(known) + "\n")
    sections = [f"Host {host.name}\n  HostName {host.address}\n" for host in hosts.values()]
    sections.append(
        f"Host *\n  User root\n  IdentityFile {ssh}/id_ed25519\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {ssh}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 30\n"
    )
    (ssh / "config").write_text("".join(sections))
    for client, protocol in (("lxc", "lxd"), ("incus", "incus")):
        _write_remotes(layout.base / "client" / client, protocol, hosts)
    (layout.base / "hosts.toml").write_text(hosts_toml(entries(layout, hosts)))


def _host_key(host: LabHost) -> str:
    return " ".join((host.root / "ssh" / "host_key.pub").read_text().split()[:2])


def _write_remotes(directory: Path, protocol: str, hosts: Mapping[str, LabHost]) -> None:
    certificates = directory / "servercerts"
    certificates.mkdir(exist_ok=True)
    lines = ["default-remote: local", "remotes:", "  local:", "    addr: unix://", "    public: false"]
    for host in hosts.values():
        (certificates / f"{host.name}.crt").write_text(host.certificate)
        lines += [
            f"  {host.name}:",
            f"    addr: https://{host.address}:8443",
            "    auth_type: tls",
            f"    protocol: {protocol}",
            "    public: false",
        ]
    (directory / "config.yml").write_text("\n".join([*lines, "aliases: {}"]) + "\n")
