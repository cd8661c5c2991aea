"""600 MB through the gateway against the same straight to the host over the same transport, in the same run.

    python -m benchmarks.streams [megabytes, default 600] [rounds, default 3]

As root: starts a lab of three real LXD hosts and an Incus one (tests/lab) if none is up. For each of h1 by unix socket,
h2 by HTTPS, h3 by SSH (directly: `ssh -L`) and i1 (Incus) by HTTPS a `lxdpm-tui --serve` of that host alone runs as a
process of its own. curl pushes and pulls a file, uploads an image (until its operation has ended) and exports it, by
turns through the gateway, which it reaches by HTTPS where the host is reached so and by unix socket else, and directly.
Fails if the gateway grows by more than 50 MB, or is slower than half the direct speed in the median.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.doors import TRANSPORTS, Way, enrol, ways
from tests.gateway.client import Client
from tests.gateway.serving import Serving, serving
from tests.lab.lab import Lab

GROWTH = 50_000_000  # bytes
BOUND = 0.5  # of the direct speed
NAME = "streams"
FILE = f"/1.0/instances/{NAME}/files?path=/root/large"
BINARY = ("--header", "Content-Type: application/octet-stream")


@dataclass(frozen=True)
class Load:
    """data: a file to push.  image: one with the same data in it, and its fingerprint."""

    data: Path
    image: Path
    fingerprint: str

    async def push(self, way: Way) -> None:
        words = ("--request", "POST", "--upload-file", str(self.data), *BINARY, "--header", f"{way.head}type: file")
        await curl(way, *words, path=FILE)

    async def pull(self, way: Way) -> None:
        await curl(way, "--output", "/dev/null", path=FILE)

    async def upload(self, way: Way) -> None:
        await operation(way, "--request", "POST", "--upload-file", str(self.image), *BINARY, path="/1.0/images")

    async def export(self, way: Way) -> None:
        await curl(way, "--output", "/dev/null", path=f"/1.0/images/{self.fingerprint}/export")

    async def forget(self, way: Way) -> None:
        """Delete the image, so that it can be uploaded."""
        if f"/1.0/images/{self.fingerprint}" in json.loads(await curl(way, path="/1.0/images"))["metadata"]:
            await operation(way, "--request", "DELETE", path=f"/1.0/images/{self.fingerprint}")


async def curl(way: Way, *words: str, path: str) -> bytes:
    """What is answered. RuntimeError for an error."""
    *options, url = way.curl
    process = await asyncio.create_subprocess_exec(
        "curl", "--silent", "--show-error", "--fail-with-body", "--http1.1", "--header", "Expect:",
        *options, *words, url + path, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"curl {path}: {out[:500]!r}")
    return out


async def operation(way: Way, *words: str, path: str) -> None:
    """The same, until the operation that it starts has succeeded."""
    started = json.loads(await curl(way, *words, path=path))
    ended = json.loads(await curl(way, path=started["operation"] + "/wait"))
    if ended["type"] != "sync" or ended["metadata"]["status_code"] != 200:
        raise RuntimeError(f"{path}: {ended}")


def main() -> int:
    size = (int(sys.argv[1]) if len(sys.argv) > 1 else 600) * 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    lab = Lab()
    was_up = lab.is_up
    lab.up(lxd=3, incus=1)
    try:
        lab.clean()
        return asyncio.run(measure(lab, size, rounds))
    finally:
        lab.clean() if was_up else lab.down()


async def measure(lab: Lab, size: int, rounds: int) -> int:
    print(f"{f'{size // 1_000_000} MB, MB/s':20}    direct    gateway    ratio   the gateway grew by")
    good = True
    with tempfile.TemporaryDirectory() as directory:
        load = await asyncio.to_thread(make, lab, Path(directory), size)
        for host in TRANSPORTS:
            folder = Path(directory) / host
            folder.mkdir()
            async with contextlib.AsyncExitStack() as stack:
                words = ("--listen", "127.0.0.1:0")
                transports = {host: TRANSPORTS[host]}
                served = await stack.enter_async_context(serving(lab, folder, *words, transports=transports))
                client = Client(served.socket)
                stack.push_async_callback(client.close)
                await enrol(lab, client)
                await client.create(NAME, host, start=True)
                direct, gateway = await stack.enter_async_context(ways(lab, served, host, folder))
                good &= await compare(served, load, host, direct, gateway, rounds)
    return int(not good)


async def compare(served: Serving, load: Load, host: str, direct: Way, gateway: Way, rounds: int) -> bool:
    good = True
    kinds: dict[str, Callable[[Way], Awaitable[None]]] = {
        "push": load.push,
        "pull": load.pull,
        "upload": load.upload,
        "export": load.export,
    }
    for kind, call in kinds.items():
        times: dict[Way, list[float]] = {direct: [], gateway: []}
        growth = 0
        for _ in range(rounds):
            for way in (direct, gateway):
                if kind == "upload":
                    await load.forget(direct)
                served.forget_peak()
                before = served.memory()
                started = time.perf_counter()
                await call(way)
                times[way].append(time.perf_counter() - started)
                growth = max(growth, served.peak() - before)
        straight, through = statistics.median(times[direct]), statistics.median(times[gateway])
        good &= straight / through >= BOUND and growth <= GROWTH
        speeds = [load.data.stat().st_size / 1e6 / seconds for seconds in (straight, through)]
        print(
            f"{host} {TRANSPORTS[host]:6} {kind:10} {speeds[0]:9.0f} {speeds[1]:10.0f} {straight / through:8.2f}"
            f" {growth / 1e6:8.1f} MB",
            flush=True,
        )
    return good


def make(lab: Lab, folder: Path, size: int) -> Load:
    """Random data, and the lab's image with it, not compressed: nothing else is taken in as quickly by a host."""
    data, image = folder / "data", folder / "image.tar"
    with data.open("wb") as file:
        for start in range(0, size, 1 << 20):
            file.write(os.urandom(min(1 << 20, size - start)))
    with tarfile.open(lab.image) as small, tarfile.open(image, "w") as large:
        for entry in small:
            large.addfile(entry, small.extractfile(entry) if entry.isfile() else None)
        large.add(data, "rootfs/extra")
    with image.open("rb") as file:
        return Load(data, image, hashlib.file_digest(file, "sha256").hexdigest())


if __name__ == "__main__":
    sys.exit(main())
