"""Lists of a fleet of independent hosts against the same list of its slowest host alone: a part of proxied_get.py.

The hosts are simulated, far away and need no processor of this machine (benchmarks/distant_hosts.py); the first has ten
times as many instances as each other. Client, gateway and hosts are processes of their own, over unix sockets; the
client asks the fleet and the slowest hosts by turns and keeps its connections. CPU: what the gateway's process needs
for a list of the fleet. `lxc list` is the whole life of the stock client's process; beside it the CPU that `lxc`
itself needs, which prints the rows of all hosts instead of one's.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from benchmarks.distant_hosts import distant
from benchmarks.doors import Way, cpu_of_ended, cpu_seconds, lxc_list, unix_remotes
from lxdpm_tui.config import HostConfig, UnixAddress
from tests.gateway.serving import start

AWAY = (0.02, 0.1)  # seconds from a question to its answer
COUNTS = (4, 16, 64)
SLOWEST = 3  # so many of the slowest hosts are asked by turns with the fleet
LEAST = 5  # lists
LONGER = 1.5


async def measure(seconds: float) -> bool:
    """Print the figures; whether all of them are good."""
    print("list of all, independent hosts, ms    slowest host alone    fleet   ratio   gateway's CPU, ms")
    good = True
    for away in AWAY:
        for count in COUNTS:
            good &= await one_fleet(count, away, seconds)
    return good


async def one_fleet(count: int, away: float, seconds: float) -> bool:
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        hosts = await stack.enter_async_context(distant(folder, count, away))
        gateway, pid = await _served(stack, folder, hosts)
        direct = {host.name: Way([], _socket(host), None, "") for host in hosts}
        for way in (*direct.values(), gateway):
            stack.callback(way.close)
        good = True
        title = f"{count:2} hosts, {away * 1e3:3.0f} ms away, "
        for recursion in (0, 1, 2):
            path = f"/1.0/instances?recursion={recursion}"
            for _ in range(2):  # at the second time what they would have computed is there
                once = {name: await way.once(path) for name, way in direct.items()}
            slowest = sorted(once, key=lambda name: once[name])[-SLOWEST:]
            alone = {name: partial(direct[name].once, path) for name in slowest}
            good &= await by_turns(f"{title}recursion={recursion}", alone, partial(gateway.once, path), seconds, pid)
        if shutil.which("lxc"):
            sockets = {host.name: _socket(host) for host in hosts}
            lxc = folder / "lxc"
            unix_remotes(lxc, {**sockets, "fleet": folder / "serve.socket"})
            alone = {name: partial(lxc_list, lxc, name) for name in {next(iter(sockets)), *slowest}}
            await by_turns(f"{title}lxc list", alone, partial(lxc_list, lxc, "fleet"), seconds, pid)
        return good


Ask = Callable[[], Awaitable[float]]


async def by_turns(title: str, alone: Mapping[str, Ask], fleet: Ask, seconds: float, gateway: int) -> bool:
    """Print the medians of the slowest host alone and of the fleet, and the CPU time that the gateway (a process id)
    needs for each of its lists; whether the fleet is not slower than it may be."""
    times: dict[str, list[float]] = {name: [] for name in alone}
    whole: list[float] = []
    used = 0.0
    own = dict.fromkeys((*alone, ""), 0.0)  # CPU of clients that are processes
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(whole) < LEAST:
        for name, ask in (*alone.items(), ("", fleet)):
            before, children = cpu_seconds(gateway), cpu_of_ended()
            times.setdefault(name, []).append(await ask())
            own[name] += cpu_of_ended() - children
            used += cpu_seconds(gateway) - before if not name else 0
        whole = times[""]
    medians = {name: statistics.median(each) for name, each in times.items()}
    median = medians.pop("")
    slowest = max(medians, key=lambda name: medians[name])
    ratio = median / medians[slowest]
    figures = f"{medians[slowest] * 1e3:17.1f} {median * 1e3:8.1f} {ratio:7.2f} {used / len(whole) * 1e3:15.1f}"
    clients = f"   lxc's {own[slowest] / len(whole) * 1e3:.0f} : {own[''] / len(whole) * 1e3:.0f}" if own[""] else ""
    print(f"{title:38} {figures}{clients}", flush=True)
    return ratio <= LONGER


async def _served(stack: contextlib.AsyncExitStack, folder: Path, hosts: list[HostConfig]) -> tuple[Way, int]:
    """The gateway over these hosts, once it is ready."""
    listed = "".join(f'[[hosts]]\nname = "{host.name}"\naddress = "{host.address}"\n' for host in hosts)
    (folder / "hosts.toml").write_text(listed)
    (folder / "state").mkdir(mode=0o700)
    words = ("--hosts", str(folder / "hosts.toml"), "--state", str(folder / "state"), "--serve")
    process, errors = await start(*words, "--socket", str(folder / "serve.socket"))
    stack.push_async_callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout is not None
    if not (await asyncio.wait_for(process.stdout.readline(), 60)).startswith(b"ready"):
        raise RuntimeError((await errors).decode())
    return Way([], folder / "serve.socket", None, ""), process.pid


def _socket(host: HostConfig) -> Path:
    assert isinstance(host.address, UnixAddress)
    return Path(host.address.path)
