"""The file system of a simulated instance: a shared read-only base and its own changes on top."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from lxdpm_tui.demo.variants import Problem


@dataclass(frozen=True, slots=True)
class Node:
    """type: "file", "directory" or "symlink" (data is then the target). mtime: seconds since the epoch."""

    type: str = "file"
    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 0.0


def _base() -> Mapping[str, Node]:
    directories = "/ /bin /dev /etc /home /mnt /proc /root /run /sbin /sys /tmp /usr /usr/bin /var /var/log".split()
    nodes = {path: Node("directory", mode=0o755) for path in directories}
    nodes["/tmp"] = Node("directory", mode=0o1777)
    nodes["/root"] = Node("directory", mode=0o700)
    nodes |= {
        "/etc/passwd": Node(data=b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"),
        "/etc/group": Node(data=b"root:x:0:\nnogroup:x:65534:\n"),
        "/etc/inittab": Node(data=b"::sysinit:/etc/rc\n"),
        "/bin/sh": Node(data=b"#!simulated\n", mode=0o755),
    }
    return MappingProxyType(nodes)


BASE = _base()


def normal(path: str) -> str:
    """Absolute, without dots."""
    return posixpath.normpath("/" + path.lstrip("/"))


class Tree:
    """Paths are absolute after normal(). Raises Problem with LXD's texts."""

    def __init__(self, changes: Mapping[str, Node | None] | None = None) -> None:
        self._changes: dict[str, Node | None] = dict(changes or {})  # None = a file of the base that was deleted

    def copy(self) -> Tree:
        return Tree(self._changes)

    def find(self, path: str) -> Node | None:
        return self._changes[path] if path in self._changes else BASE.get(path)

    def get(self, path: str) -> Node:
        node = self.find(path)
        if node is None:
            raise Problem(404, "Not Found")
        return node

    def read(self, path: str) -> bytes | None:
        """The content of a file, symbolic links followed; None if there is none."""
        for _ in range(8):
            node = self.find(path)
            if node is None or node.type == "directory":
                return None
            if node.type == "file":
                return node.data
            path = self.link_target(path)
        return None

    def link_target(self, path: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(path), self.get(path).data.decode()))

    def entries(self, path: str) -> list[str]:
        """Sorted names in a directory."""
        prefix = path.rstrip("/") + "/"
        paths = {*BASE, *self._changes}
        inside = (p.removeprefix(prefix) for p in paths if p.startswith(prefix) and p != path and self.find(p))
        return sorted(name for name in inside if name and "/" not in name)

    def put(self, path: str, node: Node) -> None:
        """Create or replace. The parent must be there; a directory is not replaced."""
        parent = self.find(posixpath.dirname(path))
        if parent is None or parent.type != "directory":
            raise Problem(404, "Not Found")
        old = self.find(path)
        if old is not None and old.type == "directory" and node.type != "directory":
            raise Problem(500, f'sftp: "open {path}: is a directory" (SSH_FX_FAILURE)')
        self._changes[path] = replace(node, mtime=time.time())

    def delete(self, path: str) -> None:
        if self.get(path).type == "directory" and self.entries(path):
            raise Problem(500, f'sftp: "remove {path}: directory not empty" (SSH_FX_FAILURE)')
        if path in BASE:
            self._changes[path] = None
        else:
            del self._changes[path]
