from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lxdpm_tui.actions.image_body import (
    CHUNK,
    QCOW2,
    clean_spool,
    from_files,
    from_spool,
    new_spool_file,
    write_spool,
)
from lxdpm_tui.actions.registry import ActionError


def file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def sha(*contents: bytes) -> str:
    return hashlib.sha256(b"".join(contents)).hexdigest()


async def collect(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, 3 * CHUNK + 7])
async def test_a_unified_image(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    body = await from_files(file(tmp_path, "image", content))
    assert (body.fingerprint, body.size, body.content_type) == (sha(content), size, "application/octet-stream")
    sent: list[int] = []
    for _ in range(2):  # again and again
        sent.clear()
        assert await collect(body.chunks(sent.append)) == content
        assert sent[-1] == size
        assert sent == sorted(sent)


@pytest.mark.parametrize(("start", "name"), [(b"plain", b"rootfs"), (QCOW2, b"rootfs.img")])
async def test_a_split_image_there_and_back(tmp_path: Path, start: bytes, name: bytes) -> None:
    """What is sent as multipart is read as the same image again, whatever bytes are in it."""
    one, two = b"\r\n--x--\r\n\r\n" + os.urandom(1000), start + os.urandom(2 * CHUNK) + b"\r\n--"
    body = await from_files(file(tmp_path, 'me"ta', one), file(tmp_path, "root", two))
    whole = await collect(body.chunks(lambda _: None))
    assert len(whole) == body.size
    assert b'name="' + name + b'"' in whole
    assert body.fingerprint == sha(one, two)
    again = await from_spool(file(tmp_path, "spool", whole), body.content_type)
    assert (again.fingerprint, again.size, again.content_type) == (body.fingerprint, body.size, body.content_type)


@pytest.mark.parametrize(
    "body",
    [
        b"--b\r\n",
        b"--b\r\nno end of the head",
        b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\nx\r\n--b--',
        b'--b\r\nContent-Disposition: form-data; name="rootfs"\r\n\r\nx\r\n--b\r\n'
        b'Content-Disposition: form-data; name="metadata"\r\n\r\nx\r\n--b--',
        b'--b\r\nContent-Disposition: form-data; name="metadata"\r\n\r\nx\r\n--b\r\n'
        b'Content-Disposition: form-data; name="rootfs"\r\n\r\ncut off',
    ],
)
async def test_broken_multipart(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(ActionError, match="Invalid multipart image"):
        await from_spool(file(tmp_path, "spool", body), "multipart/form-data; boundary=b")
    with pytest.raises(ActionError, match="Invalid multipart image"):
        await from_spool(file(tmp_path, "spool", body), "multipart/form-data")


async def test_an_empty_body(tmp_path: Path) -> None:
    with pytest.raises(ActionError, match="empty"):
        await from_spool(file(tmp_path, "spool", b""), "application/octet-stream")


async def test_a_file_that_changes_is_never_sent_whole(tmp_path: Path) -> None:
    path = file(tmp_path, "image", os.urandom(CHUNK * 2))
    body = await from_files(path)
    path.write_bytes(os.urandom(CHUNK * 2))
    os.utime(path, (1, 1))
    sent: list[int] = []
    with pytest.raises(ActionError, match="changed"):
        await collect(body.chunks(sent.append))
    assert max(sent) < body.size


async def test_spool_files_are_private_and_cleaned(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"def"

    path = new_spool_file(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    got: list[int] = []
    await write_spool(path, chunks(), got.append)
    assert path.read_bytes() == b"abcdef"
    assert got == [3, 6]
    clean_spool(tmp_path)
    assert not path.exists()


async def test_a_full_disk_is_said() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 100_000

    with pytest.raises(ActionError, match="No space left") as error:
        await write_spool(Path("/dev/full"), chunks(), lambda _: None)
    assert error.value.code == 507
