"""The Debian packages that the lab needs, and why there can be no lab here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.lab.layout import INCUS, LXD, LabError, Layout, number_from_environment
from tests.lab.run import PATH

BASIC = (
    "dnsmasq-base", "busybox-static", "uidmap", "squashfs-tools", "iproute2", "nftables", "rsync", "openssh-server",
    "openssh-client", "btrfs-progs", "openssl", "curl", "tmux", "ansible",
)  # fmt: skip
LXD_PACKAGES = ("lxd", "lxd-client")
INCUS_PACKAGES = ("incus-base", "incus-client")
PROGRAMS = (
    LXD.daemon, LXD.client, INCUS.daemon, INCUS.client, "/bin/busybox", "/usr/sbin/sshd", "ssh", "ssh-keygen",
    "openssl", "dnsmasq", "newuidmap", "mksquashfs", "ip", "nft", "rsync", "mkfs.btrfs", "nsenter", "unshare", "curl",
)  # fmt: skip

APT = Path("/etc/apt")
BACKPORTS_FILE = APT / "sources.list.d" / "lxdpm-tui-backports.sources"
POLICY = Path("/usr/sbin/policy-rc.d")


def why_no_lab() -> str | None:
    """Why no lab can be made here; None when one can."""
    if sys.platform != "linux":
        return "this is not Linux"
    if os.geteuid() != 0:
        return "you are not root"
    if missing := [program for program in PROGRAMS if not shutil.which(program, path=PATH)]:
        return f"these programs are missing: {' '.join(missing)} (as root on Debian: make lab-packages)"
    try:
        Layout(number_from_environment())
    except LabError as error:
        return str(error)
    probe = subprocess.run(
        ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"namespaces are not allowed: {probe.stderr.strip()}" if probe.returncode else None


def install() -> list[str]:
    """Install what is missing, on Debian and Ubuntu, as root; plain lines that say what was done and what was left out.

    Starts no service, and leaves none switched on. LabError when apt fails.
    """
    system = os_release(Path("/etc/os-release").read_text()) if Path("/etc/os-release").exists() else {}
    family = {system.get("ID", ""), *system.get("ID_LIKE", "").split()}
    if not family & {"debian", "ubuntu"}:
        return ["LEFT OUT: the packages for tests on real daemons (this is neither Debian nor Ubuntu)"]
    wanted = [*BASIC, *INCUS_PACKAGES]
    told = []
    if "ubuntu" in family:
        # Ubuntu's lxd package is a snap in disguise, which cannot run in namespaces of our own
        told.append("LEFT OUT: LXD, because Ubuntu has it as a snap only")
    else:
        wanted += LXD_PACKAGES
    missing = [name for name in wanted if name not in installed()]
    if not missing:
        return [*told, "packages for tests on real daemons: all there"]
    if os.geteuid() != 0:
        return [*told, f"LEFT OUT: these packages, because you are not root: {' '.join(missing)}"]
    before = installed()
    with no_services_started():
        _apt("update")
        versions = available(missing)
        backports = ""
        if system.get("ID") == "debian" and any(_needs_backports(name, versions) for name in missing):
            backports = f"{system['VERSION_CODENAME']}-backports"
            if any(name in INCUS_PACKAGES and name not in versions for name in missing):
                BACKPORTS_FILE.write_text(backports_source(backports, _read_sources()))
                _apt("update")
                versions = available(missing)
        if absent := [name for name in missing if name not in versions]:
            told.append(f"LEFT OUT: this system's package sources have no {' '.join(absent)}")
        newer = [name for name in missing if name in versions and _needs_backports(name, versions)]
        plain = [name for name in missing if name in versions and name not in newer]
        for names, options in ((plain, []), (newer, ["--target-release", backports])):
            if names:
                _apt("install", "--yes", "--no-install-recommends", *options, *names)
    added = sorted(installed() - before)
    _switch_off(added)
    return [*told, f"installed: {' '.join(added) or 'nothing'}"]


def _needs_backports(name: str, versions: Mapping[str, str]) -> bool:
    """Incus is in no Debian release before 13, only in backports; there it may need libraries from backports too."""
    return name in INCUS_PACKAGES and ("~bpo" in versions.get(name, "~bpo"))


def os_release(text: str) -> dict[str, str]:
    """The fields of /etc/os-release."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def installed() -> set[str]:
    """Names of the Debian packages that are installed."""
    listed = _output("dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${Package}\n")
    return {line.split()[1] for line in listed.splitlines() if line.startswith("ii ")}


def available(names: list[str]) -> dict[str, str]:
    """The version that the configured sources offer, for those of the packages that they have."""
    found, name = {}, ""
    for line in _output("apt-cache", "policy", *names).splitlines():
        if line.endswith(":") and not line.startswith(" "):
            name = line[:-1]
        elif line.strip().startswith("Candidate:") and "(none)" not in line:
            found[name] = line.split()[1]
    return found


def backports_source(suite: str, sources: str) -> str:
    """A deb822 source for `suite`, from the archive that the machine's own Debian sources name.

    `sources` is the text of those files, in either format. LabError when none names the release itself.
    """
    release = suite.removesuffix("-backports")
    for stanza in re.split(r"\n\s*\n", sources):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        # a line that starts with a space continues the field before it (a key written out in Signed-By)
        fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", "\n".join(lines), re.MULTILINE))
        if release in fields.get("Suites", "").split() and "deb" in fields.get("Types", "").split():
            return _stanza(fields["URIs"], suite, fields.get("Components", "main"), fields.get("Signed-By", ""))
    one_line = re.compile(r"^deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#\n]+)", re.MULTILINE)
    for options, uri, its_suite, components in one_line.findall(sources):
        if its_suite == release:
            signed = re.search(r"signed-by=(\S+)", options)
            return _stanza(uri, suite, components, signed[1] if signed else "")
    raise LabError(f"no source for {release} in {APT}: cannot tell where {suite} is")


def _stanza(uris: str, suite: str, components: str, signed_by: str) -> str:
    fields = {"Types": "deb", "URIs": uris, "Suites": suite, "Components": components.strip(), "Signed-By": signed_by}
    # a value that goes on over several lines begins after the first one
    lines = [f"{key}:{value if value.startswith(chr(10)) else ' ' + value}" for key, value in fields.items() if value]
    return "\n".join(lines) + "\n"


def _source_files() -> list[Path]:
    found = [APT / "sources.list", *sorted((APT / "sources.list.d").glob("*"))]
    return [path for path in found if path.is_file() and path.suffix in (".list", ".sources")]


def _read_sources() -> str:
    return "\n\n".join(path.read_text() for path in _source_files())


@contextmanager
def no_services_started() -> Iterator[None]:
    """While within, packages do not start their services (unless the machine has its own policy for that)."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _switch_off(packages: list[str]) -> None:
    """Nor do they start them at the next boot: a daemon or an sshd on the machine itself was not asked for."""
    if not packages or not shutil.which("systemctl"):
        return
    paths = map(Path, _output("dpkg-query", "--listfiles", *packages).splitlines())
    units = sorted(
        {path.name for path in paths if path.parent.name == "system" and path.parent.parent.name == "systemd"}
    )
    if switched_on := [unit for unit in units if unit.endswith((".service", ".socket")) and "@" not in unit]:
        subprocess.run(["systemctl", "--root=/", "disable", "--quiet", *switched_on], check=False)


def _apt(*arguments: str) -> None:
    environment = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    environment["NEEDRESTART_SUSPEND"] = "1"
    command = ["apt-get", "--quiet=2", "-o", "DPkg::Lock::Timeout=300", *arguments]
    print("+", *command, flush=True)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, env=os.environ | environment, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: exit code {done.returncode}")


def _output(*command: str) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": PATH, "LC_ALL": "C"}
    ).stdout
