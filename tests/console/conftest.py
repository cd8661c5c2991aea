from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from textual.pilot import Pilot

from lxdpm_tui.console import messages, type_ahead
from lxdpm_tui.fleet import watch
from lxdpm_tui.hosts.transport import Deadlines
from tests.console.world import World, console, fill, until


async def _idle(min_sleep: float = 0.02, max_sleep: float = 1.0) -> None:
    """Until the event loop has nothing left to do and no key waits; no longer than max_sleep seconds of CPU time, but
    however long a key takes.

    Textual's own takes a process that got no CPU for a moment for one that is through with its work.
    """
    loop = asyncio.get_running_loop()
    latest, spent = loop.time() + 20.0, time.process_time() + max_sleep
    await asyncio.sleep(0.02)
    calm = 0
    while calm < 3 and loop.time() < latest:
        if any(task.get_name() == "keys" for task in asyncio.all_tasks()):
            calm, spent = 0, time.process_time() + max_sleep
            await asyncio.sleep(0.005)
        elif time.process_time() >= spent:
            break
        else:
            await asyncio.sleep(0)
            calm = 0 if loop._ready else calm + 1  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: when `press` returns the keys have done what they do, words stay to be read, and a
    daemon that is held up for some seconds is neither late nor gone."""
    monkeypatch.setattr("textual.app.wait_for_idle", _idle)
    monkeypatch.setattr("textual.pilot.wait_for_idle", _idle)
    monkeypatch.setattr(type_ahead, "PATIENCE", 20.0)
    monkeypatch.setattr(messages, "SHOWN_FOR", 120.0)
    monkeypatch.setattr(watch, "ASK", Deadlines(connect=15.0, first_byte=15.0, idle=15.0))
    monkeypatch.setattr(watch, "SLOW_AFTER", 15.0)


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
