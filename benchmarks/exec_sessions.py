"""Commands with input and output, many at once: how many come back whole, straight to the hosts and by the gateway.

    python -m benchmarks.exec_sessions [sessions, default 100] [rounds, default 3]

As root: starts a lab of three real LXD hosts and an Incus one (tests/lab) if none is up. The sessions are spread over
the hosts. "at once": a command ends as soon as it has written its output. "acknowledged": all are open before the first
byte flows, and end when the client has seen their output; a round in which anything is lost counts as lost altogether.
Fails if a byte is somebody else's, or an acknowledged one is lost on the way through the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from tests.gateway.client import Client
from tests.gateway.serving import serving
from tests.gateway.sessions import all_at_once, payload
from tests.lab.lab import Lab

HOSTS = ("h1", "h2", "h3", "i1")


def main() -> int:
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    lab = Lab()
    was_up = lab.is_up
    lab.up(lxd=3, incus=1)
    try:
        lab.clean()
        return asyncio.run(measure(lab, sessions, rounds))
    finally:
        lab.clean() if was_up else lab.down()


async def measure(lab: Lab, sessions: int, rounds: int) -> int:
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        served = await stack.enter_async_context(serving(lab, Path(folder)))
        gateway = Client(served.socket)
        direct = {host: Client(lab.hosts[host].socket) for host in HOSTS}  # the quickest way to each
        for client in (gateway, *direct.values()):
            stack.push_async_callback(client.close)
        for host in HOSTS:
            await gateway.create(f"c-{host}", host, start=True)
        print(f"{sessions} sessions, {rounds} rounds     whole   lost  foreign  failed   seconds a round")
        good = True
        for kind in ("at once", "acknowledged"):
            for way, clients in (("direct", direct.__getitem__), ("gateway", lambda host: gateway)):
                started = time.perf_counter()
                found = [outcome for _ in range(rounds) for outcome in await once(kind, clients, sessions)]
                seconds = (time.perf_counter() - started) / rounds
                counts = [found.count(name) for name in ("whole", "lost", "foreign", "failed")]
                print(
                    f"{kind:14} {way:10}" + "".join(f"{count:9}" for count in counts) + f"{seconds:12.2f}", flush=True
                )
                good &= not counts[2] and (kind == "at once" or way == "direct" or counts[0] == sessions * rounds)
    return int(not good)


async def once(kind: str, clients: Callable[[str], Client], sessions: int) -> list[str]:
    hosts = [HOSTS[number % len(HOSTS)] for number in range(sessions)]
    if kind == "at once":
        running = (plain(clients(host), f"c-{host}", number) for number, host in enumerate(hosts))
        return await asyncio.gather(*running)
    try:
        await all_at_once(lambda number: clients(hosts[number]), lambda number: f"c-{hosts[number]}", sessions)
    except ExceptionGroup as group:
        print(group.exceptions[0])
        return ["lost"] * sessions
    return ["whole"] * sessions


async def plain(client: Client, name: str, number: int) -> str:
    data, code = payload(number), number % 100  # LXD makes errors of 126 and 127
    try:
        command = f"cat; echo {number} >&2; exit {code}"
        done = await client.execute(name, "sh", "-c", command, stdin=data, stays=False)
    except (AssertionError, OSError, TimeoutError, aiohttp.ClientError):
        return "failed"
    out, err = done.out["1"], done.out["2"]
    if not data.startswith(out) or not f"{number}\n".encode().startswith(err):
        return "foreign"
    return "whole" if (len(out), len(err)) == (len(data), len(f"{number}\n")) else "lost"


if __name__ == "__main__":
    sys.exit(main())
