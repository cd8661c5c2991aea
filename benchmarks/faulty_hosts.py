"""Lists of a fleet with one host hung and one cut off, against the same lists without, in the same run.

    python -m benchmarks.faulty_hosts [calls of each kind, default 60]

As root: starts a lab of three real LXD hosts and an Incus one (tests/lab) if none is up, gives each four stopped and
two running instances, and asks a `lxdpm-tui --serve` for GET /1.0/instances. "not noticed" is from the moment of the
faults until the manager shows the hosts as unreachable. Fails if a fault costs more than 100 ms in the median.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.gateway.client import Client
from tests.gateway.serving import serving
from tests.lab.lab import Lab

HOSTS = ("h1", "h2", "h3", "i1")
HUNG, CUT = "h1", "h2"  # by unix socket and by HTTPS
BOUND = 0.1  # seconds

Times = dict[int, list[float]]  # recursion -> seconds of each call


def main() -> int:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    lab = Lab()
    was_up = lab.is_up
    lab.up(lxd=3, incus=1)
    try:
        lab.clean()
        return asyncio.run(measure(lab, calls))
    finally:
        lab.undo_faults()
        lab.clean() if was_up else lab.down()


async def measure(lab: Lab, calls: int) -> int:
    with tempfile.TemporaryDirectory() as directory:
        async with serving(lab, Path(directory)) as served:
            client = Client(served.socket)
            try:
                await asyncio.gather(*(fill(client, host) for host in HOSTS))
                before = await lists(client, calls)
                with lab.hosts[HUNG].hung(), lab.hosts[CUT].cut_off():
                    unnoticed = await until(client, down=True)
                    known = await lists(client, calls)
                back = await until(client, down=False)
                after = await lists(client, calls)
            finally:
                await client.close()
    return show({"without faults": before, "not noticed": unnoticed, "known": known, "back": after}, back)


async def fill(client: Client, host: str) -> None:
    for number in range(6):
        await client.create(f"{host}-{number}", host, start=number < 2)


async def once(client: Client, recursion: int, times: Times) -> None:
    started = time.perf_counter()
    rows = await client.get(f"/1.0/instances?recursion={recursion}")
    times[recursion].append(time.perf_counter() - started)
    assert len(rows) == 6 * len(HOSTS), "rows are missing"


async def lists(client: Client, calls: int) -> Times:
    times: Times = {0: [], 1: [], 2: []}
    for _ in range(calls):
        for recursion in times:
            await once(client, recursion, times)
    return times


async def until(client: Client, *, down: bool) -> Times:
    """The lists again and again, until both faults are known, or until all hosts are online again."""
    times: Times = {0: [], 1: [], 2: []}
    while True:
        for recursion in times:
            await once(client, recursion, times)
        hosts = {host["name"]: host["status"] for host in (await client.get("/1.0/fleet"))["hosts"]}
        gone = {name for name, status in hosts.items() if status not in ("online", "slow")}
        if gone == ({HUNG, CUT} if down else set()):
            return times


def show(found: dict[str, Times], back: Times) -> int:
    print(f"{'GET /1.0/instances, ms':24}" + "".join(f"{f'recursion={r}':>24}" for r in (0, 1, 2)))
    base = found["without faults"]
    worst = 0.0
    for name, times in found.items():
        cells = []
        for recursion, each in times.items():
            median, extra = statistics.median(each), statistics.median(each) - statistics.median(base[recursion])
            if name in ("not noticed", "known"):
                worst = max(worst, extra)
            cells.append(f"{median * 1e3:7.1f} ({extra * 1e3:+6.1f}) of {len(each):4}")
        print(f"{name:24}" + "".join(f"{cell:>24}" for cell in cells))
    slowest = max(max(each) for name in ("not noticed", "known") for each in found[name].values())
    print(f"slowest with the faults: {slowest * 1e3:.0f} ms; back after {sum(map(sum, back.values())):.1f} s")
    print(f"a fault costs at most {worst * 1e3:.0f} ms in the median (bound {BOUND * 1e3:.0f} ms)")
    return int(worst > BOUND)


if __name__ == "__main__":
    sys.exit(main())
