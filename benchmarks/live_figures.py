"""What live CPU and memory figures cost a daemon: /1.0/metrics, instances?recursion=2, and /state of each instance.

    python -m benchmarks.live_figures [containers, default 20] [rounds, default 5]

As root: starts a lab with one LXD and one Incus host (tests/lab) if none is up, and busybox containers on both. CPU
time is that of the daemon and of the helpers it forks (/proc/PID/stat), wall time that of the answer. The daemons keep
an answer of /1.0/metrics for 8 s, so each round waits that long; what the daemon does meanwhile is not counted. Fails
if recursion=2 takes less than 0.8 of the CPU of a fresh /1.0/metrics: then the console should ask for that instead.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab import rest
from tests.lab.host import LabHost
from tests.lab.lab import Lab

CACHED_FOR = 8.5  # seconds
BOUND = 0.8


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    lab = Lab()
    was_up = lab.is_up
    if not was_up:
        lab.up(lxd=1, incus=1)
    hosts = [lab.hosts["h1"], lab.hosts["i1"]]
    try:
        for host in hosts:
            fill(host, count)
        ratios = [report(host, count, rounds) for host in hosts]
    finally:
        if was_up:
            lab.clean()
        else:
            lab.down()
    return 0 if min(ratios) >= BOUND else 1


def fill(host: LabHost, count: int) -> None:
    """That many running containers with an address each."""

    def make(number: int) -> None:
        name = f"c{number}"
        host.api("POST", "/1.0/instances", {"name": name, "source": {"type": "image", "alias": "busybox"}})
        host.api("PUT", f"/1.0/instances/{name}/state", {"action": "start"})

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, range(count)))


def cpu(pid: int) -> float:
    """Seconds of CPU of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def raw(host: LabHost, path: str) -> None:
    """A GET whose answer is no JSON."""
    connection = rest._UnixConnection(host.socket, 60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
    finally:
        connection.close()


def measure(host: LabHost, ask: Callable[[], None], rounds: int, pause: float) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of one call: the mean, and the median."""
    pid = host.daemon_pid
    assert pid is not None
    spent, took = 0.0, []
    for _ in range(rounds):
        time.sleep(pause)
        before, began = cpu(pid), time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
        spent += cpu(pid) - before
    return spent / rounds, statistics.median(took)


def report(host: LabHost, count: int, rounds: int) -> float:
    """Prints what each way costs; gives how many times the CPU of /1.0/metrics recursion=2 takes."""

    def each_state() -> None:
        for number in range(count):
            host.api("GET", f"/1.0/instances/c{number}/state")

    ways = {
        "/1.0/metrics": measure(host, lambda: raw(host, "/1.0/metrics"), rounds, CACHED_FOR),
        "/1.0/metrics again": measure(host, lambda: raw(host, "/1.0/metrics"), 4 * rounds, 0.0),
        "instances?recursion=1": measure(host, lambda: raw(host, "/1.0/instances?recursion=1"), 4 * rounds, 0.0),
        "instances?recursion=2": measure(host, lambda: raw(host, "/1.0/instances?recursion=2"), rounds, 0.2),
        f"{count} x /state": measure(host, each_state, rounds, 0.2),
    }
    base = ways["/1.0/metrics"]
    print(f"{host.kind.name}, {count} running containers, per call:")
    for way, (spent, took) in ways.items():
        print(
            f"  {way:<22} CPU {spent * 1000:7.1f} ms  {spent / base[0]:5.1f} x    "
            f"wall {took * 1000:7.1f} ms  {took / base[1]:5.1f} x"
        )
    return ways["instances?recursion=2"][0] / base[0]


if __name__ == "__main__":
    sys.exit(main())
