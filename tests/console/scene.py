"""Run as a program: a console over a fleet by hand, for measuring. `still`: nothing changes; `tick`: every row does."""

from __future__ import annotations

import asyncio
import sys

from tests.console.world import World, console, fill


async def tick(world: World) -> None:
    """Every second, all rows of all hosts show other figures, as after one metrics call."""
    number = 0
    while True:
        await asyncio.sleep(1.0)
        number += 1
        for host, rows in world.inventory.instances.items():
            world.inventory.update_figures(
                host, {key: ((100 + number % 7 + n) << 20, (number * 7 + n) % 100 + 0.5) for n, key in enumerate(rows)}
            )


async def main(mode: str) -> None:
    world = World()
    fill(world.inventory, hosts=10, each=100)
    ticking = asyncio.create_task(tick(world)) if mode == "tick" else None
    await console(world).run_async()
    if ticking is not None:
        ticking.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
