"""What users do with images. Each case runs on the fleet once.

A case makes what it needs, and removes it.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

from tests.clients.commands import Commands
from tests.lab import image
from tests.lab.run import run


def new_image(c: Commands, name: str) -> tuple[Path, str]:
    """A file with an image that no server has, and its fingerprint."""
    path = image.build(c.folder / f"{name}.tar.gz", description=f"{name} {os.urandom(4).hex()}")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def images(c: Commands) -> None:
    path, mine = new_image(c, "mine")
    c("image", "import", str(path), "--alias", "mine/1", "os=Mine", has=mine)
    c("image", "import", str(path), code=1, has="already exists")
    rows = {row["fingerprint"]: row for row in c.json("image", "list")}
    c.check(len(rows) == 2 and rows[mine]["properties"]["os"] == "Mine", rows)
    c.check([alias["name"] for alias in rows[mine]["aliases"]] == ["mine/1"], rows)
    c("image", "list", "os=Mine", "-f", "csv", "-c", "lfpdatsu", has=mine[:12])
    c("image", "info", "mine/1", has=mine)
    c("image", "show", mine[:12], has="os: Mine")
    c("image", "edit", "mine/1", stdin=c("image", "show", "mine/1").replace("os: Mine", "os: Edited"))
    c("image", "set-property", "mine/1", "kept", "yes")
    c.check(c("image", "get-property", "mine/1", "kept") == "yes\n")
    c("image", "unset-property", "mine/1", "kept")
    c("image", "show", "mine/1", has="os: Edited")
    c("image", "export", "mine/1", str(c.folder / "exported"))
    c.check((c.folder / "exported.tar.gz").read_bytes() == path.read_bytes(), "exported")
    c("launch", "mine/1", "c1")
    c("delete", "--force", "c1")
    c("image", "delete", "mine/1")
    c("image", "info", "mine/1", code=1, has="not found")


def image_aliases(c: Commands) -> None:
    path, mine = new_image(c, "mine")
    c("image", "import", str(path), "--public")
    c("image", "alias", "create", "other", mine)
    c("image", "alias", "create", "other", mine, code=1, has="already exists")
    c("image", "alias", "list", "other", has=mine[:12])
    c("image", "alias", "rename", "other", "third")
    c("init", "third", "c1")
    c("delete", "c1")
    c("image", "alias", "delete", "third")
    c.check([row["name"] for row in c.json("image", "alias", "list")] == ["busybox"])
    c("image", "refresh", mine, code=1, has="ource")  # it came from no server
    c("image", "delete", mine)


def image_in_two_files(c: Commands) -> None:
    """Metadata and root file system apart, as most images are."""
    whole, _ = new_image(c, "split")
    with tarfile.open(whole) as tar:
        tar.extractall(c.folder / "unpacked", filter="tar")
    with tarfile.open(c.folder / "meta.tar.gz", "w:gz") as tar:
        tar.add(c.folder / "unpacked" / "metadata.yaml", "metadata.yaml")
    run("mksquashfs", c.folder / "unpacked" / "rootfs", c.folder / "rootfs.squashfs", "-quiet", "-no-progress")
    c("image", "import", str(c.folder / "meta.tar.gz"), str(c.folder / "rootfs.squashfs"), "--alias", "split")
    c("launch", "split", "c1")
    c("exec", "c1", "--", "true")
    c("delete", "--force", "c1")
    (c.folder / "back").mkdir()
    c("image", "export", "split", str(c.folder / "back"))
    found = sorted(path.read_bytes() for path in (c.folder / "back").iterdir())
    sent = sorted((c.folder / name).read_bytes() for name in ("meta.tar.gz", "rootfs.squashfs"))
    c.check(found == sent, list((c.folder / "back").iterdir()))
    c("image", "delete", "split")


def images_between_servers(c: Commands) -> None:
    """From another daemon, an LXD, to here and back. An Incus and an LXD alone cannot push to each other."""
    path, mine = new_image(c, "far")
    c("project", "create", "other:outside")
    c("image", "import", str(path), "other:", "--alias", "far")
    c("image", "copy", "other:far", "here:", "--copy-aliases")
    c("image", "info", "far", has=mine)
    for mode in ("pull", "push", "relay") if c.program == "lxc" else ("relay",):
        c("image", "delete", "other:far")
        c("image", "copy", "far", "other:", "--alias", "far", "--mode", mode)
        c("image", "delete", "far")
        c("image", "copy", "other:far", "here:", "--alias", "far", "--mode", mode)
    c("launch", "far", "c1")
    c("delete", "--force", "c1")
    c("image", "delete", "other:far")
    c("project", "delete", "other:outside")
    c("image", "delete", mine)


def project_of_its_own_images(c: Commands) -> None:
    c("project", "create", "tp")
    c("image", "copy", "busybox", "here:", "--target-project", "tp", "--copy-aliases")
    (row,) = c.json("image", "list", "--project", "tp")
    c.check([alias["name"] for alias in row["aliases"]] == ["busybox"], row)
    c("profile", "device", "add", "default", "root", "disk", "pool=default", "path=/", "--project", "tp")
    c("launch", "busybox", "c1", "--project", "tp")
    c("exec", "c1", "--project", "tp", "--", "true")
    c("delete", "-f", "c1", "--project", "tp")
    c("image", "delete", "busybox", "--project", "tp")
    c("project", "delete", "tp")


CASES = (images, image_aliases, image_in_two_files, images_between_servers, project_of_its_own_images)
