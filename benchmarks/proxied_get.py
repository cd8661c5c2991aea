"""GET of one instance through the gateway against the same straight to its host over the same transport, in one run.

    python -m benchmarks.proxied_get [seconds for each figure, default 2] [independent]

As root: starts a lab of three real LXD hosts and an Incus one (tests/lab) if none is up. h1 is reached by unix socket,
h2 and i1 by HTTPS, h3 by SSH (directly: `ssh -L`); the gateway, a process of its own, by HTTPS where the host is
reached so and by unix socket else. The client keeps its connections and does as little as possible. Then the list of
the whole fleet against the same list of each host alone; h1 has ten times as many instances as the others.
Fails if the gateway adds more than 5 ms in the median, or a list takes longer than 1.5 times the slowest host alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import distant_lists
from benchmarks.doors import TRANSPORTS, Way, cpu_seconds, enrol, lxc_list, ways
from tests.gateway.client import Client
from tests.gateway.serving import serving
from tests.lab.lab import Lab

CLIENTS = (1, 8, 64)
MANY, FEW = 50, 5  # instances of h1 and of each other host
ADDED = 0.005  # seconds
LONGER = 1.5
LEAST = 5  # runs of `lxc list`


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    good = bool(sys.argv[2:]) or on_lab(seconds)
    return int(not (asyncio.run(distant_lists.measure(seconds)) and good))


def on_lab(seconds: float) -> bool:
    """The figures of real daemons; whether they are good."""
    lab = Lab()
    was_up = lab.is_up
    lab.up(lxd=3, incus=1)
    try:
        lab.clean()
        return asyncio.run(measure(lab, seconds))
    finally:
        lab.clean() if was_up else lab.down()


async def measure(lab: Lab, seconds: float) -> bool:
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        served = await stack.enter_async_context(serving(lab, folder, "--listen", "127.0.0.1:0"))
        client = Client(served.socket)
        stack.push_async_callback(client.close)
        await enrol(lab, client)
        for host in TRANSPORTS:
            for number in range(MANY if host == "h1" else FEW):
                await client.create(f"{host}-{number}", host)
        doors = {host: await stack.enter_async_context(ways(lab, served, host, folder)) for host in TRANSPORTS}
        good = await one_instance(doors, seconds)
        good &= await lists(doors, seconds, served.process.pid)
        await stock_lists(lab, folder / "lxc", served.https, seconds)
        return good


async def one_instance(doors: dict[str, tuple[Way, Way]], seconds: float) -> bool:
    print("GET one instance       direct ms   gateway ms   added ms   requests/s, gateway : direct, by clients")
    good = True
    for host, (direct, gateway) in doors.items():
        path = f"/1.0/instances/{host}-0"
        found = {clients: await by_turns(direct, gateway, path, clients, seconds) for clients in CLIENTS}
        straight, through = (statistics.median(times) for times in found[1])
        good &= through - straight <= ADDED
        rates = []
        for clients, (one, other) in found.items():
            rates.append(f"{clients}: {len(other) / len(one):.2f} ({len(other) / seconds:.0f})")
        figures = f"{straight * 1e3:14.2f} {through * 1e3:12.2f} {(through - straight) * 1e3:10.2f}"
        print(f"{host} {TRANSPORTS[host]:12} {figures}   {', '.join(rates)}", flush=True)
    return good


async def lists(doors: dict[str, tuple[Way, Way]], seconds: float, gateway: int) -> bool:
    """gateway: its process."""
    print("list of all, ms        slowest host alone   fleet   ratio   gateway's CPU, ms")
    good = True
    for recursion in (0, 1, 2):
        path = f"/1.0/instances?recursion={recursion}"
        times: dict[str, list[float]] = {}
        used = 0.0
        until = time.perf_counter() + seconds * 2
        while time.perf_counter() < until:
            for host, (direct, _) in doors.items():
                times.setdefault(host, []).append(await direct.once(path))
            before = cpu_seconds(gateway)
            times.setdefault("", []).append(await doors["h1"][1].once(path))
            used += cpu_seconds(gateway) - before
        medians = {name: statistics.median(each) for name, each in times.items()}
        fleet = medians.pop("")
        slowest = max(medians.values())
        good &= fleet <= slowest * LONGER
        figures = f"{slowest * 1e3:29.1f} {fleet * 1e3:7.1f} {fleet / slowest:7.2f} {used / len(times['']) * 1e3:15.1f}"
        print(f"recursion={recursion} {figures}", flush=True)
    return good


async def stock_lists(lab: Lab, folder: Path, url: str, seconds: float) -> None:
    """`lxc list` of the fleet and of each host."""
    shutil.copytree(lab.base / "client" / "lxc", folder)
    environment = {**os.environ, "LXD_CONF": str(folder)}
    words = ("lxc", "remote", "add", "fleet", url, "--accept-certificate")
    adding = await asyncio.create_subprocess_exec(*words, env=environment, stdout=asyncio.subprocess.DEVNULL)
    if await adding.wait():
        raise RuntimeError("lxc cannot add the gateway as a remote")
    times: dict[str, list[float]] = {}
    until = time.perf_counter() + seconds * 2
    while time.perf_counter() < until or len(times["fleet"]) < LEAST:
        for remote in (*TRANSPORTS, "fleet"):
            times.setdefault(remote, []).append(await lxc_list(folder, remote))
    medians = {name: statistics.median(each) for name, each in times.items()}
    fleet = medians.pop("fleet")
    slowest = max(medians.values())
    print(f"lxc list {slowest * 1e3:32.1f} {fleet * 1e3:7.1f} {fleet / slowest:7.2f}", flush=True)


async def by_turns(
    direct: Way, gateway: Way, path: str, clients: int, seconds: float
) -> tuple[list[float], list[float]]:
    """Seconds of each request, direct and through the gateway, so many clients at once; short turns, that other load on
    the machine meets both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    turns = 4
    for _ in range(turns):
        for way, each in zip((direct, gateway), times, strict=True):
            until = time.perf_counter() + seconds / turns

            async def one(way: Way = way, each: list[float] = each, until: float = until) -> None:
                while time.perf_counter() < until:
                    each.append(await way.once(path))

            await asyncio.gather(*(one() for _ in range(clients)))
    return times


if __name__ == "__main__":
    sys.exit(main())
