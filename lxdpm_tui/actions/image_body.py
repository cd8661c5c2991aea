"""An image as the body of an upload: files on disk, sent again and again with flat memory, and its fingerprint.

A unified image is one file; a split one is a multipart body of `metadata` and `rootfs` (`rootfs.img` for virtual
machines), and its fingerprint is the SHA-256 of both files one after the other, as LXD and Incus count it.
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
import re
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from lxdpm_tui.actions.registry import ActionError

CHUNK = 1 << 19  # bytes
WINDOW = 1 << 23  # bytes of a file that are mapped at once
QCOW2 = b"QFI\xfb"  # how a virtual machine's disk begins
UNIFIED = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class ImageBody:
    """content_type: of the request.  parts: what it consists of, bytes and files.  size: of the whole, in bytes.

    stamps: the files' (inode, size, modification time) when they were hashed.
    """

    fingerprint: str
    content_type: str
    parts: tuple[bytes | Path, ...]
    size: int
    stamps: tuple[tuple[int, int, int], ...]

    async def chunks(self, sent: Callable[[int], None]) -> AsyncIterator[bytes]:
        """The body; sent(bytes) is called with the running total.

        Raises ActionError, before the last chunk, when a file is not the one that was hashed: an upload that breaks off
        leaves nothing behind, an image that nobody expects would.
        """
        total, held = 0, b""
        for part in self.parts:
            async for chunk in _read(part):
                if held:
                    yield held
                    total += len(held)
                    sent(total)
                held = chunk
        if await asyncio.to_thread(_stamps, self.parts) != self.stamps:
            raise ActionError("the image file was changed while it was uploaded", 409)
        if held:
            yield held
            sent(total + len(held))


async def from_files(image: Path, rootfs: Path | None = None) -> ImageBody:
    """The body for a unified image's file, or for a split image's metadata and root file system.

    Raises ActionError when a file cannot be read.
    """
    return await asyncio.to_thread(_from_files, image, rootfs)


async def from_spool(path: Path, content_type: str) -> ImageBody:
    """The body that was uploaded, or exported by a host, as it came. Raises ActionError when it is no image."""
    return await asyncio.to_thread(_from_spool, path, content_type)


def new_spool_file(state_dir: Path) -> Path:
    """A fresh file in state_dir/spool that only this user can read; whoever asked for it deletes it."""
    folder = spool_dir(state_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{secrets.token_hex(8)}.part"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return path


def spool_dir(state_dir: Path) -> Path:
    return state_dir / "spool"


def drop(path: Path | None) -> None:
    """Delete a spool file, if there is one."""
    if path is not None:
        path.unlink(missing_ok=True)


def clean_spool(state_dir: Path) -> None:
    """Delete what an earlier manager left there. Only before this one uses it."""
    for path in spool_dir(state_dir).glob("*.part"):
        path.unlink(missing_ok=True)


async def write_spool(path: Path, chunks: AsyncIterable[bytes], got: Callable[[int], None]) -> None:
    """Write a stream to a file; got(bytes) is called with the running total. Raises ActionError: disk full."""
    total, waiting = 0, bytearray()
    with path.open("wb") as file:

        async def write() -> None:
            try:
                await asyncio.to_thread(file.write, waiting)
            except OSError as error:
                raise ActionError(f"{path}: {error.strerror}", 507) from error
            waiting.clear()

        async for chunk in chunks:
            waiting += chunk
            total += len(chunk)
            if len(waiting) >= CHUNK:  # a thread for each piece as it comes would cost more than the writing
                await write()
            got(total)
        await write()


async def _read(part: bytes | Path) -> AsyncIterator[bytes]:
    if isinstance(part, bytes):
        yield part
        return
    offset = 0
    while chunk := await asyncio.to_thread(_read_at, part, offset):
        yield chunk
        offset += len(chunk)


def _read_at(path: Path, offset: int) -> bytes:
    """Opened anew for each chunk: nobody closes the generator of an upload that is broken off, nor a file in it."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(CHUNK)


def _from_files(image: Path, rootfs: Path | None) -> ImageBody:
    files = [image] if rootfs is None else [image, rootfs]
    try:
        stamps = _stamps(tuple(files))
        digest = hashlib.sha256()
        for path in files:
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
        if rootfs is None:
            parts: tuple[bytes | Path, ...] = (image,)
            content_type = UNIFIED
        else:
            with rootfs.open("rb") as file:
                name = "rootfs.img" if file.read(4) == QCOW2 else "rootfs"
            boundary = secrets.token_hex(16)
            parts = (
                _part_head(boundary, "metadata", image.name),
                image,
                b"\r\n" + _part_head(boundary, name, rootfs.name),
                rootfs,
                f"\r\n--{boundary}--\r\n".encode(),
            )
            content_type = f"multipart/form-data; boundary={boundary}"
    except OSError as error:
        raise ActionError(f"{error.filename}: {error.strerror}") from error
    size = sum(stamp[1] for stamp in stamps) + sum(len(part) for part in parts if isinstance(part, bytes))
    return ImageBody(digest.hexdigest(), content_type, parts, size, stamps)


def _part_head(boundary: str, name: str, filename: str) -> bytes:
    safe = re.sub(r'[\r\n"\\]', "_", filename)
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{safe}"\r\n'
        f"Content-Type: {UNIFIED}\r\n\r\n"
    ).encode()


def _from_spool(path: Path, content_type: str) -> ImageBody:
    if path.stat().st_size == 0:
        raise ActionError("the image is empty")
    parsed = Message()
    parsed["Content-Type"] = content_type or UNIFIED
    if parsed.get_content_type() == "multipart/form-data":
        fingerprint = _multipart_fingerprint(path, str(parsed.get_boundary() or ""))
    else:
        fingerprint = _from_files(path, None).fingerprint
        content_type = UNIFIED
    stamps = _stamps((path,))
    return ImageBody(fingerprint, content_type, (path,), stamps[0][1], stamps)


def _multipart_fingerprint(path: Path, boundary: str) -> str:
    mark = b"--" + boundary.encode()
    digest, names = hashlib.sha256(), []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        at = _find(body, mark, 0) if boundary else -1
        while at >= 0 and body[at + len(mark) : at + len(mark) + 2] != b"--":
            start = _find(body, b"\r\n\r\n", at) + 4
            end = _find(body, b"\r\n" + mark, start)
            if start < 4 or end < 0:
                raise ActionError("Invalid multipart image")
            name = re.search(rb'\bname="([^"]*)"', body[at : start - 4])
            names.append(name[1] if name else b"")
            for offset in range(start, end, WINDOW):
                digest.update(body[offset : min(offset + WINDOW, end)])
                body.madvise(mmap.MADV_DONTNEED)
            at = end + 2
    if at < 0 or len(names) != 2 or names[0] != b"metadata" or names[1] not in (b"rootfs", b"rootfs.img"):
        raise ActionError("Invalid multipart image")
    return digest.hexdigest()


def _find(body: mmap.mmap, wanted: bytes, start: int) -> int:
    """As body.find, with flat memory: what was looked through is given back."""
    for offset in range(start, len(body), WINDOW):
        found = body.find(wanted, offset, offset + WINDOW + len(wanted) - 1)
        body.madvise(mmap.MADV_DONTNEED)
        if found >= 0:
            return found
    return -1


def _stamps(parts: tuple[bytes | Path, ...]) -> tuple[tuple[int, int, int], ...]:
    found = (part.stat() for part in parts if isinstance(part, Path))
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in found)
