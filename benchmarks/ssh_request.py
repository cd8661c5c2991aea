"""One request over SSH: ours (one connection a host, one channel a request) against `ssh host curl --unix-socket`.

    python benchmarks/ssh_request.py [RUNS]

Both ask the same daemon of the lab for /1.0, by turns, in one run; the ratio of the medians is printed. As root on a
machine that can have the lab (make lab).
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lxdpm_tui.config import load_hosts
from lxdpm_tui.hosts.host import Host
from tests.lab.lab import Lab

BAR = 20  # times that ours is to be quicker


async def main(runs: int) -> int:
    lab = Lab()
    was_up = lab.is_up
    lab.up(lxd=3, incus=1)
    try:
        config = next(c for c in load_hosts(lab.hosts_file) if c.address.scheme == "ssh")
        host = Host(config)
        assert config.identity_file
        assert config.known_hosts
        seed_way = [
            "ssh", "-F", "none", "-i", config.identity_file, "-o", f"UserKnownHostsFile={config.known_hosts}",
            "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", f"root@{config.address.host}",  # type: ignore[union-attr]
            "curl", "-s", "--unix-socket", "/var/lib/lxd/unix.socket", "http://lxd/1.0",
        ]  # fmt: skip
        ours: list[float] = []
        theirs: list[float] = []
        await host.get("/1.0")  # the connection is made once and kept
        for _ in range(runs):
            start = time.perf_counter()
            await host.get("/1.0")
            ours.append(time.perf_counter() - start)
            start = time.perf_counter()
            done = await asyncio.to_thread(subprocess.run, seed_way, capture_output=True)
            theirs.append(time.perf_counter() - start)
            if done.returncode or b"api_extensions" not in done.stdout:
                raise SystemExit(f"ssh host curl failed: {done.stderr.decode()}")
        await host.close()
    finally:
        if not was_up:
            lab.down()
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"our channel: {mine * 1000:.2f} ms   ssh host curl: {other * 1000:.1f} ms   (medians of {runs})")
    print(f"ratio: 1/{other / mine:.0f}   bar: 1/{BAR}   {'met' if other / mine >= BAR else 'MISSED'}")
    return 0 if other / mine >= BAR else 1


sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)))
