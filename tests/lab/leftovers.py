"""What of a lab is on this machine: processes, mounts, loop devices, network, cgroups, files."""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

from tests.lab import cgroups
from tests.lab.layout import Layout

_LOOP_GET_STATUS64 = 0x4C05  # of linux/loop.h; the answer begins with the file's device and inode
_LOOP_INFO_SIZE = 232


def find(layout: Layout) -> list[str]:
    """One line for each thing that belongs to the lab; empty when nothing does."""
    base = f"{layout.base}/"
    found = [f"directory {layout.base}"] if layout.base.exists() else []
    found += [f"interface {path.name}" for path in Path("/sys/class/net").glob(f"{layout.prefix}*")]
    found += [f"network namespace {path.name}" for path in Path("/run/netns").glob(f"{layout.prefix}*")]
    found += [f"cgroup {path}" for path in cgroups.directories(layout.cgroup) if path.exists()]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mount {line.split()[4]}" for line in mounts if base in line]
    found += [f"loop device {name}" for name in loop_devices(layout)]
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile
            arguments = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            in_cgroup = f"/{layout.cgroup}/" in (process / "cgroup").read_text()
            # no arguments: it has ended and holds nothing any more, only its parent has not looked yet
            if arguments and (in_cgroup or f"{base}h" in arguments or f"{base}i" in arguments):
                found.append(f"process {process.name}: {arguments}")
    return found


def loop_devices(layout: Layout) -> list[str]:
    """Loop devices on the files of the hosts' storage pools, while those files exist.

    By inode: the names that the kernel tells are those inside the host.
    """
    files = {(file.stat().st_dev, file.stat().st_ino) for file in layout.base.glob("*/*/disks/*.img")}
    found = []
    for directory in Path("/sys/block").glob("loop*/loop"):
        name = directory.parts[3]
        with suppress(OSError):  # detached meanwhile
            device = os.open(f"/dev/{name}", os.O_RDONLY)
            try:
                status = fcntl.ioctl(device, _LOOP_GET_STATUS64, bytes(_LOOP_INFO_SIZE))
            finally:
                os.close(device)
            on_device, inode = struct.unpack_from("QQ", status)
            if (on_device, inode) in files:
                found.append(name)
    return found
