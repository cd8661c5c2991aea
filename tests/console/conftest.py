from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from textual.pilot import Pilot

from tests.console.world import World, console, fill, until


@pytest.fixture
def world() -> World:
    """A manager in process with 4 hosts, 24 instances."""
    world = World()
    fill(world.inventory)
    return world


@pytest.fixture
async def pilot(world: World) -> AsyncIterator[Pilot[int]]:
    """A console over the world at 80x24, manager attached."""
    async with console(world, label="DEMO").run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: world.figures)
        await pilot.pause()
        yield pilot
