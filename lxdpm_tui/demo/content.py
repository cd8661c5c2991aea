"""Bytes of image files: a real head and a tail of zeros that takes no memory."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import AsyncIterable, Iterator
from dataclasses import dataclass

from lxdpm_tui.demo.variants import JSON, Problem

_ZEROS = bytes(65536)
_MAGIC = (b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh", b"\x28\xb5\x2f\xfd", b"hsqs", b"\x5d\0\0")


@dataclass(frozen=True, slots=True)
class Content:
    """head, then `zeros` zero bytes. rootfs: the second file of a split image.

    fingerprint: SHA-256 of all of it, as LXD computes it.
    """

    head: bytes
    zeros: int
    fingerprint: str
    rootfs: bytes | None = None

    @property
    def size(self) -> int:
        return len(self.head) + self.zeros + len(self.rootfs or b"")

    def chunks(self) -> Iterator[bytes]:
        """The first (or only) file."""
        yield self.head
        for start in range(0, self.zeros, len(_ZEROS)):
            yield _ZEROS[: self.zeros - start]

    @property
    def suffix(self) -> str:
        """As LXD names an exported file of this kind."""
        if self.head.startswith(b"\x1f\x8b"):
            return ".tar.gz"
        return ".tar.xz" if self.head.startswith(b"\xfd7zXZ\0") else ".tar"

    def metadata(self) -> JSON:
        """metadata.yaml of the image. Raises Problem as LXD does for what is no image."""
        if not self.head.startswith(_MAGIC) and self.head[257:262] != b"ustar":
            raise Problem(500, "Unsupported compression")
        try:
            with tarfile.open(fileobj=io.BytesIO(self.head)) as archive:
                file = archive.extractfile("metadata.yaml")
                return parse_metadata(file.read().decode()) if file else {}
        except (tarfile.TarError, KeyError, EOFError, OSError, lzma.LZMAError):
            raise Problem(500, "Metadata tarball is missing metadata.yaml") from None


def of(head: bytes, zeros: int = 0, rootfs: bytes | None = None) -> Content:
    return Content(head, zeros, _fingerprint(head, zeros, rootfs or b""), rootfs)


@functools.lru_cache(maxsize=256)
def _fingerprint(head: bytes, zeros: int, rootfs: bytes) -> str:
    digest = hashlib.sha256(head)
    for start in range(0, zeros, len(_ZEROS)):
        digest.update(_ZEROS[: zeros - start])
    digest.update(rootfs)
    return digest.hexdigest()


async def receive(chunks: AsyncIterable[bytes]) -> Content:
    """Read an upload to its end; the zeros at its end are counted, not kept."""
    digest = hashlib.sha256()
    head = bytearray()
    zeros = 0
    async for chunk in chunks:
        digest.update(chunk)
        body = chunk.rstrip(b"\0")
        if body:
            head += bytes(zeros) + body
            zeros = 0
        zeros += len(chunk) - len(body)
    return Content(bytes(head), zeros, digest.hexdigest())


def build(metadata: JSON, size: int) -> Content:
    """An image file with that metadata, about `size` bytes long."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        _add(archive, "metadata.yaml", json.dumps(metadata).encode())
        _add(archive, "rootfs/etc/hostname", b"simulated\n")
    head = bytearray(buffer.getvalue())
    head[4:8] = bytes(4)  # the time in the gzip header, so that the same image has the same fingerprint
    return of(bytes(head), max(0, size - len(head)))


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def parse_metadata(text: str) -> JSON:
    """metadata.yaml: JSON, or the plain block style that image builders write."""
    try:
        parsed = json.loads(text)
    except ValueError:
        pass
    else:
        return parsed if isinstance(parsed, dict) else {}
    found: JSON = {}
    section: JSON = found
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if not colon or line.lstrip().startswith(("#", "-")):
            continue
        if not line.startswith(" "):
            section = found
        if value.strip():
            section[key.strip()] = value.strip().strip("\"'")
        elif not line.startswith(" "):
            section = found[key.strip()] = {}
    return found
