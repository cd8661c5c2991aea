"""Where one lab lives: its directory, its interface names and its addresses.

Several labs can run side by side. The number (environment variable LXDPM_LAB, 0..55) decides everything that
could clash: the base directory, the names of bridge, network namespaces, veths and cgroups, and both subnets.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

NUMBERS = range(56)  # containers get 10.(200 + number).x.y, so 55 is the last that fits


class LabError(RuntimeError):
    """The lab cannot do what was asked; the text says why."""


@dataclass(frozen=True)
class Kind:
    """What differs between the two daemons, as seen from outside."""

    name: str
    letter: str  # first letter of a host's name
    first_octet: int  # host K of this kind has the address 10.123.<lab>.(first_octet + K)
    daemon: str
    shutdown: tuple[str, ...]
    client: str
    state_dir: str  # where the daemon keeps its state, as seen inside its host
    dir_variable: str
    socket_variable: str
    conf_variable: str
    header: str  # prefix of the headers of an image upload
    bridge: str  # the managed network, one of the same name on every host


LXD = Kind(
    "lxd", "h", 10, "/usr/bin/lxd", ("/usr/bin/lxd", "shutdown"), "lxc", "/var/lib/lxd",
    "LXD_DIR", "LXD_SOCKET", "LXD_CONF", "X-LXD-", "lxdbr0",
)  # fmt: skip
INCUS = Kind(
    "incus", "i", 100, "/usr/libexec/incus/incusd", ("/usr/bin/incus", "admin", "shutdown"), "incus", "/var/lib/incus",
    "INCUS_DIR", "INCUS_SOCKET", "INCUS_CONF", "X-Incus-", "incusbr0",
)  # fmt: skip
KINDS = {kind.letter: kind for kind in (LXD, INCUS)}


@dataclass(frozen=True)
class Layout:
    """Names and addresses of lab `number`."""

    number: int

    def __post_init__(self) -> None:
        if self.number not in NUMBERS:
            raise LabError(f"LXDPM_LAB must be {NUMBERS[0]} to {NUMBERS[-1]}, not {self.number}")

    @property
    def base(self) -> Path:
        """Everything the lab writes is below this directory."""
        return Path(tempfile.gettempdir()) / f"lxdpm-lab-{self.number}"

    @property
    def prefix(self) -> str:
        """Every interface and network namespace of the lab starts with this (an interface name has 15 characters)."""
        return f"lxdpm{self.number}-"

    @property
    def bridge(self) -> str:
        return f"{self.prefix}br"

    @property
    def cgroup(self) -> str:
        return f"lxdpm-lab-{self.number}"

    @property
    def gateway(self) -> str:
        """Address of the machine itself on the lab's bridge: where the manager and the clients are."""
        return f"10.123.{self.number}.1"

    def address(self, octet: int) -> str:
        return f"10.123.{self.number}.{octet}"

    def mac(self, octet: int) -> str:
        """MAC of an address. Fixed, as a real machine's is: else neighbours keep asking the old one after a reboot."""
        return f"02:6c:78:{self.number:02x}:00:{octet:02x}"

    def container_gateway(self, octet: int) -> str:
        """Address of a host's managed bridge. Always given by us: `auto` would make the daemon probe for a free net."""
        return f"10.{200 + self.number}.{octet}.1/24"


def parse_name(name: str) -> tuple[Kind, int]:
    """Split "h2" or "i1" into kind and count; LabError for anything else."""
    match = re.fullmatch(r"([hi])([1-9][0-9]?)", name)
    if not match:
        raise LabError(f"{name!r} is no host name of a lab: LXD hosts are h1, h2, ..., Incus hosts i1, i2, ...")
    return KINDS[match[1]], int(match[2])


def number_from_environment() -> int:
    text = os.environ.get("LXDPM_LAB", "0")
    if not text.isdecimal():
        raise LabError(f"LXDPM_LAB must be a number, not {text!r}")
    return int(text)
