"""What the benchmarks of the gateway share: the ways to a host, straight and through the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from lxdpm_tui.hosts.https import client_context
from tests.gateway.client import Client
from tests.gateway.serving import Serving
from tests.lab.lab import Lab

TRANSPORTS = {"h1": "unix", "h2": "https", "h3": "ssh", "i1": "https"}
_LENGTH = re.compile(rb"^content-length: *(\d+)", re.IGNORECASE | re.MULTILINE)


class Way:
    """A server at a unix socket or at (address, port) with TLS. curl: the words that bring curl there, URL last.

    Connections are kept; requests cost as little as Python can, so that what is measured is the server.
    """

    def __init__(self, curl: list[str], place: Path | tuple[str, int], tls: ssl.SSLContext | None, head: str) -> None:
        self.curl = curl
        self.head = head  # of file and image headers, as the server's kind says
        self._place = place
        self._tls = tls
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def once(self, path: str) -> float:
        """Seconds of one GET, which must be answered by 200."""
        reader, writer = self._idle.pop() if self._idle else await self._connect()
        started = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path}: {head!r}")
        if (length := _LENGTH.search(head)) is not None:
            await reader.readexactly(int(length[1]))
        else:  # chunked
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        took = time.perf_counter() - started
        self._idle.append((reader, writer))
        return took

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._place, Path):
            return await asyncio.open_unix_connection(str(self._place), limit=1 << 20)
        return await asyncio.open_connection(*self._place, ssl=self._tls, limit=1 << 20)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


@contextlib.asynccontextmanager
async def ways(lab: Lab, served: Serving, host: str, folder: Path) -> AsyncIterator[tuple[Way, Way]]:
    """Straight to the host by its transport, and to the gateway: by HTTPS too, else by unix socket."""
    head = "X-LXD-" if host.startswith("h") else "X-Incus-"
    async with contextlib.AsyncExitStack() as stack:
        if TRANSPORTS[host] == "https":
            identity = ["--cert", str(lab.client_cert), "--key", str(lab.client_key), "--insecure"]
            address = lab.hosts[host].address
            direct = Way(
                [*identity, f"https://{address}:8443"], (address, 8443), client_context(lab.client_identity), head
            )
            port = int(served.https.rpartition(":")[2])
            own = client_context(lab.client_identity)  # each server's TLS sessions are its own
            gateway = Way([*identity, served.https], ("127.0.0.1", port), own, "X-LXD-")
        else:
            socket = lab.hosts[host].socket
            if TRANSPORTS[host] == "ssh":
                socket = folder / f"{host}.tunnel"
                await stack.enter_async_context(_tunnel(lab, host, socket))
            direct = Way(["--unix-socket", str(socket), "http://x"], socket, None, head)
            gateway = Way(["--unix-socket", str(served.socket), "http://x"], served.socket, None, "X-LXD-")
        stack.callback(direct.close)
        stack.callback(gateway.close)
        yield direct, gateway


async def enrol(lab: Lab, client: Client) -> None:
    """Have the gateway trust the lab's client certificate."""
    lines = lab.client_cert.read_text().splitlines()
    certificate = "".join(line for line in lines if not line.startswith("-"))
    await client.done("POST", "/1.0/certificates", {"name": "bench", "type": "client", "certificate": certificate})


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, all its threads."""
    return time.clock_gettime(~pid << 3 | 2)  # CPUCLOCK_SCHED of another process, as clock_getcpuclockid(3) makes it


def unix_remotes(folder: Path, remotes: Mapping[str, Path]) -> None:
    """Configure the `lxc` of that folder with remotes at unix sockets."""
    folder.mkdir()
    lines = [
        f"  {name}:\n    addr: unix:{path}\n    public: false\n    protocol: lxd\n" for name, path in remotes.items()
    ]
    first = next(iter(remotes))
    (folder / "config.yml").write_text(f"default-remote: {first}\nremotes:\n{''.join(lines)}aliases: {{}}\n")


async def lxc_list(folder: Path, remote: str) -> float:
    """Seconds that `lxc list REMOTE:` takes, from the start of its process to its end. folder: its configuration."""
    environment = {**os.environ, "LXD_CONF": str(folder), "HOME": str(folder)}
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        "lxc", "list", f"{remote}:", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    if await process.wait():
        raise RuntimeError(f"lxc list {remote}: fails")
    return time.perf_counter() - started


def cpu_of_ended() -> float:
    """Processor time of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextlib.asynccontextmanager
async def _tunnel(lab: Lab, host: str, socket: Path) -> AsyncIterator[None]:
    """The host's socket by OpenSSH's own forwarding."""
    words = ["ssh", "-F", str(lab.base / "ssh" / "config"), "-o", f"ControlPath={socket}.control"]
    forward = ["-o", "ExitOnForwardFailure=yes", "-L", f"{socket}:/var/lib/lxd/unix.socket"]
    process = await asyncio.create_subprocess_exec(*words, "-M", "-f", "-N", *forward, host)
    if await process.wait():
        raise RuntimeError(f"no ssh to {host}")
    try:
        yield
    finally:
        process = await asyncio.create_subprocess_exec(*words, "-q", "-O", "exit", host)
        await process.wait()
