"""What one placement decision costs, against a bare argmax of the same formula in the same run.

    python benchmarks/placement.py [seconds per figure, default 1]

The baseline only computes x/y + (z/y)·(x/y) for every host and takes the greatest: no filters, no reservations, no
explanation, no random tie-break.  The scheduler does all of these, with 50 launches under way.  The ratio is what they
cost; both sides run on one thread of the same process.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable

from lxdpm_tui.scheduler.model import HostFacts, Request, Reservation, Snapshot, Strategy
from lxdpm_tui.scheduler.scheduler import decide

GIB = 1024**3
SIZES = (50, 1_000, 5_000)
ROUNDS = 5


def fleet(count: int, rng: random.Random) -> tuple[HostFacts, ...]:
    """Believable hosts: most pass the filters, a tenth is offline, stale, in maintenance or without the pool."""
    hosts = []
    for number in range(count):
        total = rng.choice((32, 64, 128, 256, 384)) * GIB
        fault = rng.random()
        hosts.append(
            HostFacts(
                name=f"host{number}",
                online=fault > 0.03,
                fresh=fault > 0.05,
                maintenance=0.05 < fault < 0.07,
                architectures=("x86_64", "i686"),
                instance_types=frozenset({"container", "virtual-machine"}),
                cpus=rng.choice((8, 16, 32, 64, 96)),
                memory_total=total,
                memory_free=int(total * rng.uniform(0.2, 0.9)),
                memory_promised=int(total * rng.uniform(0.0, 0.7)),
                instances=rng.randrange(60),
                pools=frozenset({"default"} if fault < 0.97 else {"other"}),
                networks=frozenset({"lxdbr0", "eth0"}),
                profiles={"default": frozenset({"default", "web"})},
                projects=frozenset({"default"}),
            )
        )
    return tuple(hosts)


def bare(hosts: tuple[HostFacts, ...]) -> str:
    best = max(hosts, key=lambda h: h.memory_free / (y := h.instances or 1) + (h.cpus / y) * (h.memory_free / y))
    return best.name


def per_second(call: Callable[[], object], seconds: float) -> float:
    """Calls per second over a time of at least `seconds`."""
    done, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        call()
        done += 1
    return done / spent


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    rng = random.Random(1)
    request = Request(
        memory=2 * GIB,
        architecture="x86_64",
        profiles=("default", "web"),
        pools=frozenset({"default"}),
        networks=frozenset({"lxdbr0"}),
    )
    print(f"{'hosts':>6} {'bare argmax/s':>14} {'decisions/s':>12} {'one decision':>13} {'ratio':>7}")
    for count in SIZES:
        hosts = fleet(count, rng)
        held = tuple(
            Reservation(f"r{n}", rng.choice(hosts).name, "default", f"c{n}", 2 * GIB, 0.0, 1.0) for n in range(50)
        )
        snapshot = Snapshot(hosts, held)

        def decision(snapshot: Snapshot = snapshot) -> object:
            return decide(snapshot, request, Strategy.SCATTER, rng)

        def baseline(hosts: tuple[HostFacts, ...] = hosts) -> object:
            return bare(hosts)

        # Turn about, so that a machine that changes speed does so for both.
        slice_ = seconds / ROUNDS
        pairs = [(per_second(baseline, slice_), per_second(decision, slice_)) for _ in range(ROUNDS)]
        base, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / o for b, o in pairs)
        print(f"{count:>6} {base:>14,.0f} {ours:>12,.0f} {1000 / ours:>10.2f} ms {ratio:>6.1f}x")


if __name__ == "__main__":
    main()
