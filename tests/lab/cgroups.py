"""The cgroups of a host: so that it can be frozen as a whole, and so that its containers count to it.

Both layouts are served: version 1 (one directory per controller) and pure version 2. On version 2 a cgroup that
hands controllers down may hold no process itself, so a host's processes live in its leaf `init.scope`, a name that
liblxc knows: it puts its containers beside it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tests.lab.run import until

ROOT = Path("/sys/fs/cgroup")
LEAF = "init.scope"
CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")


def is_v2() -> bool:
    return (ROOT / "cgroup.procs").exists()


def _tops() -> list[Path]:
    if is_v2():
        return [ROOT]
    return sorted(path for path in ROOT.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink())


def directories(lab: str, host: str = "") -> list[Path]:
    """The cgroup directories of a lab or of one of its hosts, whether or not they exist."""
    return [top / lab / host for top in _tops()]


def make(lab: str, host: str) -> None:
    """Make the cgroups of a host."""
    for directory in directories(lab, host):
        for part in (directory.parent, directory):
            part.mkdir(exist_ok=True)
            if (part / "cpuset.cpus").exists() and not is_v2():
                # version 1: a new cpuset is empty, and no process can enter it until it is filled
                for name in ("cpuset.cpus", "cpuset.mems"):
                    if not (part / name).read_text().strip():
                        (part / name).write_text((part.parent / name).read_text())
                (part / "cgroup.clone_children").write_text("1")
        if is_v2():
            (directory / LEAF).mkdir(exist_ok=True)


def hand_down(lab: str, host: str) -> None:
    """Version 2, once the host's first processes run: move them to the leaf and hand the controllers down."""
    if not is_v2():
        return
    directory = ROOT / lab / host
    for pid in (directory / "cgroup.procs").read_text().split():
        with suppress(ProcessLookupError):
            (directory / LEAF / "cgroup.procs").write_text(pid)
    for part in (directory.parent, directory):
        available = (part / "cgroup.controllers").read_text().split()
        wanted = " ".join(f"+{name}" for name in CONTROLLERS if name in available)
        (part / "cgroup.subtree_control").write_text(wanted)


def entrances(lab: str, host: str) -> list[Path]:
    """The directories that a process which is to run in the host has to join."""
    return [path / LEAF if is_v2() and (path / LEAF).exists() else path for path in directories(lab, host)]


def freeze(lab: str, host: str, on: bool) -> None:
    """Stop or continue every process of the host, and return when they are."""
    if is_v2():
        directory = ROOT / lab / host
        if (directory / "cgroup.freeze").exists():
            (directory / "cgroup.freeze").write_text("1" if on else "0")
            until(lambda: f"frozen {int(on)}" in (directory / "cgroup.events").read_text(), 60, f"freeze of {host}")
        return
    state = ROOT / "freezer" / lab / host / "freezer.state"
    if state.exists():
        word = "FROZEN" if on else "THAWED"
        state.write_text(word)
        until(lambda: state.read_text().strip() == word, 60, f"freeze of {host}")


def remove(lab: str, host: str = "") -> None:
    """Remove the cgroups of a host or of the whole lab; waits for its processes to be gone."""
    until(lambda: not [path for path in directories(lab, host) if not _removed(path)], 60, f"cgroups of {lab}/{host}")


def _removed(directory: Path) -> bool:
    for path, _, _ in os.walk(directory, topdown=False):
        with suppress(OSError):  # still in use: the caller comes again
            os.rmdir(path)
    return not directory.exists()
