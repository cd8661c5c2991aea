"""A container image of one megabyte, made from Debian's busybox-static."""

from __future__ import annotations

import gzip
import io
import os
import platform
import tarfile
from pathlib import Path

from tests.lab.run import run

BUSYBOX = Path("/bin/busybox")
TIME = 1700000000  # fixed times everywhere: the same busybox gives the same fingerprint in every lab

_FILES: dict[str, tuple[str, int]] = {
    "etc/passwd": ("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n", 0o644),
    "etc/group": ("root:x:0:\nnogroup:x:65534:\n", 0o644),
    "etc/inittab": ("::once:/etc/rc\n::respawn:/bin/sleep 2147483\n::ctrlaltdel:/bin/poweroff\n", 0o644),
    "etc/rc": (
        "#!/bin/sh\nip link set lo up\n"
        "[ -e /sys/class/net/eth0 ] && exec udhcpc -b -S -i eth0 -s /etc/udhcpc.sh >/dev/null 2>&1\n",
        0o755,
    ),
    "etc/udhcpc.sh": (
        "#!/bin/sh\ncase $1 in\n"
        "bound|renew) ip addr flush dev $interface\n"
        "ip addr add $ip/$mask dev $interface\n"
        '[ -n "$router" ] && ip route replace default via $router\n'
        "echo nameserver $dns >/etc/resolv.conf;;\nesac\n",
        0o755,
    ),
    "etc/os-release": ('ID=busybox\nNAME="Busybox lab image"\nVERSION_ID=1\n', 0o644),
}
_DIRECTORIES = (
    "", "/bin", "/sbin", "/usr", "/usr/bin", "/usr/sbin", "/etc", "/proc", "/sys", "/dev", "/run",
    "/var", "/var/log", "/root", "/mnt", "/home",
)  # fmt: skip


def build(target: Path, *, description: str = "busybox lab image", extra: bytes = b"") -> Path:
    """Write a unified image (metadata and root file system in one tar.gz) to `target` and return it.

    Another `description` or some `extra` bytes (kept as /extra in the image) make an image with another fingerprint.
    """
    machine = platform.machine()
    metadata = (
        f"architecture: {machine}\ncreation_date: {TIME}\nproperties:\n  os: busybox\n  release: lab\n"
        f"  architecture: {machine}\n  description: {description}\n"
    )
    new = target.with_name(target.name + ".new")
    with (
        new.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        _add(tar, "metadata.yaml", metadata.encode(), 0o644)
        for name in _DIRECTORIES:
            _add(tar, "rootfs" + name)
        _add(tar, "rootfs/tmp", mode=0o1777)
        _add(tar, "rootfs/bin/busybox", BUSYBOX.read_bytes())
        for applet in run(BUSYBOX, "--list-full").split():
            if applet != "bin/busybox" and os.path.dirname(applet) in ("bin", "sbin", "usr/bin", "usr/sbin"):
                _add(tar, f"rootfs/{applet}", link="/bin/busybox")
        for name, (text, mode) in _FILES.items():
            _add(tar, f"rootfs/{name}", text.encode(), mode)
        if extra:
            _add(tar, "rootfs/extra", extra, 0o644)
    new.rename(target)
    return target


def _add(tar: tarfile.TarFile, name: str, data: bytes | None = None, mode: int = 0o755, link: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = mode, TIME
    if link:
        entry.type, entry.linkname = tarfile.SYMTYPE, link
    elif data is None:
        entry.type = tarfile.DIRTYPE
    else:
        entry.size = len(data)
    tar.addfile(entry, None if data is None else io.BytesIO(data))
