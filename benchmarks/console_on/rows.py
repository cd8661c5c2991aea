"""The rows that console.py measures on: the same for the console and for DataTable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from lxdpm_tui.fleet.fields import search_text
from lxdpm_tui.fleet.inventory import HostRecord, HostStatus, Instance, Inventory, Key

ROLES = ("web", "api", "db", "cache", "worker", "ci-runner", "staging", "queue", "proxy", "build")
IMAGES = ("Debian bookworm amd64 (20261120_05:24)", "Ubuntu noble amd64 (20261121_07:42)", "Alpine 3.20 amd64")
STEP = 0.01  # seconds between two portions of a tick

Figures = Mapping[Key, tuple[int, float]]


def fill(inventory: Inventory, hosts: int, each: int) -> None:
    now = time.time()
    for number in range(1, hosts + 1):
        name = f"{('ams', 'fra', 'hel', 'par')[number % 4]}-{number}"
        inventory.add_host(
            HostRecord(
                name=name, address=f"https://10.0.{number // 250}.{number % 250}:8443", status=HostStatus.ONLINE,
                reached=now, scanned=now, event_stream=True, kind="lxd", version="5.21.2", cpus=32, load=1.0,
                memory_total=256 << 30, memory_used=64 << 30, projects=("default",),
            )
        )  # fmt: skip
        rows = [instance(name, number, count) for count in range(1, each + 1)]
        for row in rows:
            search_text(row)  # as decode.py does
        inventory.replace("instances", name, rows)


def instance(host: str, number: int, count: int) -> Instance:
    running = count % 9 != 0
    return Instance(
        host=host, project="default", name=f"{ROLES[count % len(ROLES)]}-{number}{count:02d}",
        status="Running" if running else "Stopped", architecture="x86_64",
        created_at=f"2026-{1 + count % 12:02d}-10T10:00:00Z", profiles=("default", "medium"),
        image=IMAGES[count % 3], memory_limit=2 << 30, root_pool="default", networks=("lxdbr0",), snapshots=count % 3,
        addresses=(f"10.{number // 250}.{number % 250}.{count % 250}",) if running else (),
        memory=(100 + count) << 20, cpu=float(count % 100),
    )  # fmt: skip


async def tick(inventory: Inventory, changed: Callable[[str, Figures], None]) -> None:
    """Every row shows other figures each second, host by host, spread over the second, as answers come in."""
    hosts = list(inventory.instances)
    portions = max(1, round(1 / STEP))
    number, begun = 0, time.monotonic()
    while True:
        second, portion = divmod(number, portions)
        for host in hosts[portion::portions]:
            rows = inventory.instances[host]
            figures = {key: ((100 + second % 7 + n) << 20, (second * 7 + n) % 100 + 0.5) for n, key in enumerate(rows)}
            changed(host, figures)
        number += 1
        await asyncio.sleep(max(0.0, begun + number * STEP - time.monotonic()))
