"""Why the hot path is asynchronous: listing every instance of a fleet by pylxd in threads and by our hosts.

    python benchmarks/pylxd_vs_async.py [HOSTS]

The same simulated daemons, by turns, in one run. pylxd: a thread a host, `instances.all(recursion=1)`.
Ours: one fan-out of recursion=1, decoded into records.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pylxd

from lxdpm_tui.demo.fleet import DemoFleet
from lxdpm_tui.fleet import decode
from lxdpm_tui.hosts.host import Host

RUNS = 7


async def main(count: int) -> None:
    async with DemoFleet(count=count, instances_per_host=(20, 20), activity=False) as demo:
        hosts = [Host(config) for config in demo.hosts]
        sockets = [str(config.address.path) for config in demo.hosts]  # type: ignore[union-attr]

        async def one(host: Host) -> int:
            reply = await host.request("GET", "/1.0/instances", params={"recursion": "1"})
            return len([decode.instance(host.name, raw) for raw in decode.rows_of(reply.body)])

        def by_pylxd(clients: list[pylxd.Client]) -> int:
            with ThreadPoolExecutor(len(clients)) as threads:
                return sum(threads.map(lambda client: len(client.instances.all(recursion=1)), clients))

        clients = await asyncio.to_thread(
            lambda: [pylxd.Client(endpoint=f"http+unix://{quote(path, safe='')}") for path in sockets]
        )
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(RUNS):
            start = time.perf_counter()
            found = sum(await asyncio.gather(*(one(host) for host in hosts)))
            ours.append(time.perf_counter() - start)
            start = time.perf_counter()
            also = await asyncio.to_thread(by_pylxd, clients)
            theirs.append(time.perf_counter() - start)
            if found != also:
                raise SystemExit(f"{found} instances by us, {also} by pylxd")
        for host in hosts:
            await host.close()
        mine, other = statistics.median(ours), statistics.median(theirs)
        print(f"{count} hosts, {found} instances: ours {mine * 1000:.0f} ms, pylxd in threads {other * 1000:.0f} ms")
        print(f"ratio: {other / mine:.1f} (the simulated daemons share this process, so both pay for them)")


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
