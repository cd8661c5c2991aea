"""Why the hot path is asynchronous: list the instances of many hosts with pylxd in threads, and with our Host.

    python -m benchmarks.pylxd_vs_async [rounds, default 7]

The hosts are unix sockets of another process that answers 20 instances at once with the words of a real daemon, so
that what is measured is the client. Each side gets every row of every host decoded; pylxd has one thread and one kept
Client a host.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import pylxd

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.hosts.host import Host

INSTANCES = 20
FLEETS = (5, 20, 50)


def instance(number: int) -> dict[str, Any]:
    name = f"web-{number}"
    volatile = {f"volatile.eth0.{key}": f"{key}-{number}" for key in ("hwaddr", "host_name", "name", "last_state.mtu")}
    config = {"image.os": "Debian", "image.release": "bookworm", "limits.memory": "1GiB", **volatile}
    device = {"eth0": {"name": "eth0", "network": "lxdbr0", "type": "nic"}}
    return {
        "architecture": "x86_64",
        "config": config,
        "created_at": "2026-01-01T10:00:00.123456789Z",
        "description": "",
        "devices": {},
        "ephemeral": False,
        "expanded_config": config,
        "expanded_devices": {"root": {"path": "/", "pool": "default", "type": "disk"}, **device},
        "last_used_at": "2026-01-02T10:00:00.123456789Z",
        "location": "none",
        "name": name,
        "profiles": ["default"],
        "project": "default",
        "stateful": False,
        "status": "Running",
        "status_code": 103,
        "type": "container",
    }


def serve(directory: str, count: int, ready: Event) -> None:
    """The hosts: runs in a process of its own until it is ended."""
    server = {"auth": "trusted", "api_extensions": [], "environment": {"server": "lxd", "server_version": "5.0.2"}}
    rows = [instance(number) for number in range(INSTANCES)]
    answers = {
        kind: json.dumps({"type": "sync", "status": "Success", "status_code": 200, "metadata": metadata}).encode()
        for kind, metadata in (("server", server), ("rows", rows))
    }

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
                return
            body = answers["rows" if b"/instances" in head.split(b"\r\n", 1)[0] else "server"]
            kind = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            writer.write(kind + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def run() -> None:
        for number in range(count):
            await asyncio.start_unix_server(connection, f"{directory}/{number}")
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(run())


def rows(client: pylxd.Client) -> int:
    return len(client.instances.all(recursion=1))


async def measure(name: str, rounds: int, once: Callable[[], Awaitable[int]], expected: int) -> tuple[float, float]:
    """(median wall, median CPU) seconds of one listing of the whole fleet."""
    walls, cpus = [], []
    for _ in range(rounds + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        count = await once()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        if count != expected:
            raise RuntimeError(f"{name}: {count} instances instead of {expected}")
    return statistics.median(walls[1:]), statistics.median(cpus[1:])  # the first one connects


async def compare(count: int, rounds: int) -> tuple[float, float]:
    """Prints a line; gives how many times longer pylxd takes, by the clock and of CPU time."""
    with tempfile.TemporaryDirectory() as directory:
        context = get_context("spawn")
        ready = context.Event()
        process = context.Process(target=serve, args=(directory, count, ready), daemon=True)
        process.start()
        ready.wait(30)
        paths = [str(Path(directory) / str(number)) for number in range(count)]
        clients = [pylxd.Client(endpoint=path) for path in paths]
        hosts = [Host(HostConfig(f"host{number}", UnixAddress(path))) for number, path in enumerate(paths)]
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(count) as pool:

            async def threads() -> int:
                calls = (loop.run_in_executor(pool, rows, client) for client in clients)
                return sum(await asyncio.gather(*calls))

            async def tasks() -> int:
                lists = await asyncio.gather(*(host.get("/1.0/instances", recursion=1) for host in hosts))
                return sum(map(len, lists))

            expected = count * INSTANCES
            slow, slow_cpu = await measure("pylxd", rounds, threads, expected)
            fast, fast_cpu = await measure("ours", rounds, tasks, expected)
        for host in hosts:
            await host.close()
        process.terminate()
        process.join()
    wall, cpu = slow / fast, slow_cpu / fast_cpu
    figures = (slow, slow_cpu, fast, fast_cpu)
    print(f"{count:5}" + "".join(f"{seconds * 1e3:11.1f}" for seconds in figures) + f"{wall:10.1f}x {cpu:8.1f}x")
    return wall, cpu


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    print(f"listing {INSTANCES} instances of each host, ms ({os.cpu_count()} CPUs)")
    print("hosts  pylxd wall    its CPU  ours wall    our CPU   ratio wall     CPU")
    ratios = [asyncio.run(compare(count, rounds)) for count in FLEETS]
    for name, values in zip(("time", "CPU time"), zip(*ratios, strict=True), strict=True):
        print(f"ratio: pylxd in threads takes {min(values):.1f} to {max(values):.1f} times as much {name}")


if __name__ == "__main__":
    main()
