"""Reading the name out of the head of a backup, with the stream going on whole."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import AsyncIterator, Callable

import pytest

from lxdpm_tui.gateway.backup_index import HEAD, read_head

INDEX = b"name: web-1\nbackend: dir\npool: default\nsnapshots: []\ntype: container\nconfig:\n  name: other\n"


def tar(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


async def chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("size", [1, 100, 1 << 16])
async def test_the_index_is_read_and_nothing_is_lost(pack: Callable[[bytes], bytes], size: int) -> None:
    data = pack(tar(("backup/index.yaml", INDEX), ("backup/container/rootfs/x", b"x" * 3000)))
    backup = await read_head(chunks(data, size))
    assert (backup.name, backup.pool, backup.type) == ("web-1", "default", "container")
    assert b"".join([chunk async for chunk in backup.body]) == data


NO_BACKUPS = {
    "empty": b"",
    "short": b"abc",
    "text": b"no tarball " * 500,
    "without": tar(("other", b"x" * 2000)),
    "packed text": gzip.compress(b"nonsense" * 100),
    "broken": b"\x1f\x8b broken" * 99,
}


@pytest.mark.parametrize("data", NO_BACKUPS.values(), ids=NO_BACKUPS.keys())
async def test_what_has_no_index_tells_no_name(data: bytes) -> None:
    backup = await read_head(chunks(data, 64))
    assert (backup.name, backup.pool, backup.index) == ("", "", "")
    assert b"".join([chunk async for chunk in backup.body]) == data


async def test_only_the_head_is_read_and_a_bomb_does_not_go_off() -> None:
    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield tar(("other", b"x"))[:1024]
        while True:
            sent += 1
            yield bytes(1 << 16)

    sent = 0
    assert (await read_head(endless())).name == ""
    assert sent <= HEAD // (1 << 16) + 1
    bomb = gzip.compress(tar(("big", bytes(64 << 20))))
    assert (await read_head(chunks(bomb, 1024))).name == ""
