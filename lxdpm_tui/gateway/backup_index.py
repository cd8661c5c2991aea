"""The head of a backup: what backup/index.yaml at the beginning of the tarball says, the stream going on untouched."""

from __future__ import annotations

import bz2
import lzma
import re
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

HEAD = 8 << 20  # bytes of the compressed stream to look at; the index is the first file
_BLOCK = 512  # bytes, tar's own
_INDEX = "backup/index.yaml"
_TOP = re.compile(r"^(name|pool|type): *(\S.*)?$", re.M)


@dataclass(frozen=True, slots=True)
class Backup:
    """name, pool and type ("container", "virtual-machine", "custom") as the index says them, "" where it does not, or
    where the head could not be read.  index: all of it.  body: the whole stream."""

    name: str
    pool: str
    type: str
    index: str
    body: AsyncIterator[bytes]


async def read_head(body: AsyncIterator[bytes]) -> Backup:
    """Read as much of the stream as the index takes. Tarballs may be plain, or packed with gzip, bzip2 or xz."""
    taken: list[bytes] = []
    size = 0
    found: str | None = None
    unpack: Callable[[bytes], bytes] | None = None
    plain = bytearray()
    start = b""
    while found is None and size < HEAD and len(plain) < HEAD:
        chunk = await anext(body, b"")
        if not chunk:
            break
        taken.append(chunk)
        size += len(chunk)
        if unpack is None:
            start += chunk
            if len(start) < 6:
                continue
            unpack, chunk = _unpacker(start), start
        try:
            plain += unpack(chunk)
        except (OSError, EOFError, zlib.error, lzma.LZMAError):
            break  # no tarball of ours: the host will say so
        found = _index(bytes(plain))

    async def whole() -> AsyncIterator[bytes]:
        for chunk in taken:
            yield chunk
        async for chunk in body:
            yield chunk

    keys = {key: (value or "").strip("\"'") for key, value in _TOP.findall(found or "")}
    return Backup(keys.get("name", ""), keys.get("pool", ""), keys.get("type", ""), found or "", whole())


def _unpacker(start: bytes) -> Callable[[bytes], bytes]:
    if start.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress
    if start.startswith(b"BZh"):
        return bz2.BZ2Decompressor().decompress
    if start.startswith(b"\xfd7zXZ"):
        return lzma.LZMADecompressor().decompress
    return lambda chunk: chunk


def _index(tar: bytes) -> str | None:
    """The index; None while it has not come. "" when this is no tarball."""
    at = 0
    while at + _BLOCK <= len(tar):
        header = tar[at : at + _BLOCK]
        name = header[:100].rstrip(b"\0").decode(errors="replace")
        octal = header[124:136].rstrip(b"\0 ")
        if not re.fullmatch(rb"[0-7]+", octal):
            return ""
        size = int(octal, 8)
        at += _BLOCK
        if name.removeprefix("./") == _INDEX:
            if len(tar) < at + size:
                return None
            return tar[at : at + size].decode(errors="replace")
        at += -(-size // _BLOCK) * _BLOCK
    return None
