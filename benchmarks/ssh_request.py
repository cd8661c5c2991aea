"""One request over our SSH transport, against the same by `ssh host curl --unix-socket ...`, in the same run.

    python -m benchmarks.ssh_request [rounds, default 15]

As root: starts a lab with one real LXD host (tests/lab) if none is up. Both sides ask GET /1.0. Ours is one request on
the connection that a running manager has anyway; the other way starts a program that logs in each time, and is given
here with a shared login (ControlMaster) too. Fails if ours costs more than a twentieth.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from lxdpm_tui.hosts.host import Host
from tests.lab.lab import Lab

CURL = ["curl", "--silent", "--fail", "--unix-socket", "/var/lib/lxd/unix.socket", "http://lxd/1.0"]
REQUESTS = 20  # of ours in each round
BOUND = 1 / 20


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    lab = Lab()
    was_up = lab.is_up
    if not was_up:
        lab.up(lxd=1, incus=0)
    try:
        return asyncio.run(measure(lab, rounds))
    finally:
        if not was_up:
            lab.down()


async def measure(lab: Lab, rounds: int) -> int:
    (config,) = lab.hosts_config({"h1": "ssh"})
    ssh = ["ssh", "-F", str(lab.base / "ssh" / "config")]
    with tempfile.TemporaryDirectory() as directory:
        control = ["-o", f"ControlPath={directory}/c"]
        run([*ssh, *control, "-o", "ControlMaster=yes", "-f", "-N", "h1"])
        host = Host(config)
        started = time.perf_counter()
        await host.server()
        first = time.perf_counter() - started
        ours: list[float] = []
        each: list[float] = []
        shared: list[float] = []
        for _ in range(rounds):  # interleaved, so that other load on the machine meets all alike
            for _ in range(REQUESTS):
                started = time.perf_counter()
                await host.request("GET", "/1.0")
                ours.append(time.perf_counter() - started)
            each.append(run([*ssh, "h1", *CURL]))
            shared.append(run([*ssh, *control, "h1", *CURL]))
        await host.close()
        run([*ssh, "-q", *control, "-O", "exit", "h1"])
    mine = statistics.median(ours)
    print(f"{'GET /1.0 over ssh':34} median ms   95 % below   ours / it")
    show("ours, a request", ours, None)
    show("ssh host curl", each, mine)
    show("ssh host curl, ControlMaster", shared, mine)
    print(f"{'ours, the first (login included)':34} {first * 1e3:9.2f}")
    ratio = mine / statistics.median(each)
    print(f"ratio to ssh host curl: 1/{1 / ratio:.0f} (bound 1/{1 / BOUND:.0f})")
    return int(ratio > BOUND)


def run(command: Sequence[str]) -> float:
    """Seconds that the command takes. CalledProcessError when it fails."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def show(name: str, times: list[float], mine: float | None) -> None:
    median, high = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    against = f"1/{median / mine:.0f}" if mine else ""
    print(f"{name:34} {median * 1e3:9.2f} {high * 1e3:12.2f} {against:>11}")


if __name__ == "__main__":
    sys.exit(main())
