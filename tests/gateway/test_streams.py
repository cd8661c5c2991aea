"""Files, images and commands through the gateway as streams: flat memory, no byte lost, none in the wrong place."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.actions.images import holders, new_image
from tests.gateway.client import Client
from tests.gateway.serving import Serving, serving
from tests.gateway.sessions import all_at_once
from tests.lab.lab import Lab

ALL = ("h1", "h2", "h3", "i1")
SIZE = 64 << 20
GROWTH = 50 << 20


@pytest.fixture
async def served(clean_lab: Lab, tmp_path: Path) -> AsyncIterator[Serving]:
    async with serving(clean_lab, tmp_path) as served:
        yield served


@pytest.fixture
async def client(served: Serving) -> AsyncIterator[Client]:
    client = Client(served.socket)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def started(client: Client) -> None:
    await asyncio.gather(*(client.create(f"c-{host}", host, start=True) for host in ALL))


async def chunks(seed: bytes) -> AsyncIterator[bytes]:
    """SIZE bytes that differ from place to place, and cost nothing to make again."""
    for number in range(SIZE >> 20):
        yield hashlib.sha256(seed + bytes([number])).digest() * (1 << 15)


async def digest(seed: bytes) -> str:
    found = hashlib.sha256()
    async for chunk in chunks(seed):
        found.update(chunk)
    return found.hexdigest()


async def pull(client: Client, path: str) -> tuple[str, int]:
    """SHA-256 and length of what comes, read as it comes."""
    found, length = hashlib.sha256(), 0
    async with client.session.get(client.url(path)) as response:
        assert response.status == 200
        async for chunk in response.content.iter_any():
            found.update(chunk)
            length += len(chunk)
    return found.hexdigest(), length


async def test_large_files_with_flat_memory(served: Serving, client: Client, started: None) -> None:
    """Pushed chunked or with a length, pulled again, through each transport, one after the other."""
    await client.get("/1.0/instances?recursion=2")
    before = served.memory()
    served.forget_peak()
    for host in ALL:
        path = f"/1.0/instances/c-{host}/files?path=/root/large"
        wanted = await digest(host.encode())
        headers = {} if host in ("h1", "h3") else {"Content-Length": str(SIZE)}
        pushed = await client.ask("POST", path, chunks(host.encode()), headers)
        assert pushed.status == 200, pushed.body
        assert await pull(client, path) == (wanted, SIZE)
        assert (await client.execute(f"c-{host}", "sha256sum", "/root/large")).out["1"].split()[0] == wanted.encode()
        assert (await client.ask("DELETE", path)).status == 200
        growth = served.peak() - before
        print(f"{host}: {growth >> 20} MiB more than before")
        assert growth < GROWTH


async def test_large_images_with_flat_memory(served: Serving, client: Client, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "large", SIZE)
    before = served.memory()
    served.forget_peak()

    async def body() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                yield chunk

    await client.done("POST", "/1.0/images", body())
    assert await holders(clean_lab, fingerprint) == set(ALL)
    assert await pull(client, f"/1.0/images/{fingerprint}/export") == (fingerprint, path.stat().st_size)
    growth = served.peak() - before
    print(f"{growth >> 20} MiB more than before")
    assert growth < GROWTH


async def test_a_split_image_with_flat_memory(served: Serving, client: Client, clean_lab: Lab, tmp_path: Path) -> None:
    """As lxc sends it: one body of two parts; its fingerprint is counted over both."""
    metadata, rootfs = tmp_path / "metadata.tar", tmp_path / "rootfs.tar"
    (tmp_path / "extra").write_bytes(os.urandom(SIZE))
    with tarfile.open(clean_lab.image) as unified, tarfile.open(metadata, "w") as one, tarfile.open(rootfs, "w") as two:
        for entry in unified:
            content = unified.extractfile(entry) if entry.isfile() else None
            if entry.name == "metadata.yaml":
                one.addfile(entry, content)
            elif entry.name != "rootfs":
                entry.name = entry.name.removeprefix("rootfs/")
                two.addfile(entry, content)
        two.add(tmp_path / "extra", "extra")
    fingerprint = hashlib.sha256(metadata.read_bytes() + rootfs.read_bytes()).hexdigest()
    before = served.memory()
    served.forget_peak()
    form = aiohttp.FormData()
    with metadata.open("rb") as one_part, rootfs.open("rb") as other_part:
        for name, part in (("metadata", one_part), ("rootfs", other_part)):
            form.add_field(name, part, filename=name, content_type="application/octet-stream")
        async with client.session.post(client.url("/1.0/images"), data=form) as response:
            assert response.status == 202
            operation = (await response.json())["operation"]
    ended = await client.ask("GET", f"{operation}/wait")
    assert ended.json["type"] == "sync", ended.body
    assert await holders(clean_lab, fingerprint) == set(ALL)
    growth = served.peak() - before
    print(f"{growth >> 20} MiB more than before")
    assert growth < GROWTH


async def test_a_hundred_commands_at_once(client: Client, started: None) -> None:
    """Each gets its own bytes back, all of them, and its own exit code."""
    codes = await all_at_once(lambda _: client, lambda number: f"c-{ALL[number % len(ALL)]}", 100)
    assert codes == list(range(100))


async def test_output_after_the_end_of_the_input(client: Client, started: None) -> None:
    for host in ALL:
        data = os.urandom(1 << 20)
        done = await client.execute(f"c-{host}", "sh", "-c", "sha256sum; head -c 3000000 /dev/zero", stdin=data)
        text, _, rest = done.out["1"].partition(b"\n")
        assert text.split()[0] == hashlib.sha256(data).hexdigest().encode()
        assert rest == bytes(3_000_000)
        assert done.code == 0


async def test_a_client_that_breaks_off(served: Serving, client: Client, started: None) -> None:
    """Half a push, half a pull, a command left alone: the gateway goes on, on every host."""
    for host in ALL:
        path = f"/1.0/instances/c-{host}/files?path=/root/large"
        assert (await client.ask("POST", path, chunks(b"x"))).status == 200
        async with client.session.get(client.url(path)) as response:
            await response.content.readexactly(1 << 20)
            response.close()

        async def broken() -> AsyncIterator[bytes]:
            yield bytes(1 << 20)
            raise ConnectionAbortedError

        with pytest.raises(aiohttp.ClientOSError):
            await client.ask("POST", path, broken())
        body = {"command": ["cat"], "wait-for-websocket": True, "interactive": False}
        answer = await client.ask("POST", f"/1.0/instances/c-{host}/exec", body)
        secrets = answer.metadata["metadata"]["fds"]
        sockets = [
            await client.session.ws_connect(client.url(f"{answer.json['operation']}/websocket?secret={secret}"))
            for secret in secrets.values()
        ]
        for socket in sockets:
            socket._response.close()  # type: ignore[union-attr]  # the connection breaks, without a farewell
        ended = await asyncio.wait_for(client.wait(answer), 90)
        assert ended.status == 200
        assert (await client.execute(f"c-{host}", "echo", "alive")).out["1"] == b"alive\n"
    code, errors = await served.stop()
    assert (code, "Traceback" in errors) == (0, False), errors
