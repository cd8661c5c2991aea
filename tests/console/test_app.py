"""The console around its manager: it shows itself first, opens behind, says when that fails, and closes it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lxdpm_tui.console.app import Console
from lxdpm_tui.console.screens.main import MainScreen
from tests.console.world import World, console, fill, opener, shown, until


async def test_keys_work_before_the_manager_is_there() -> None:
    world, gate = World(), asyncio.Event()
    app = Console(open_manager=opener(world, gate))
    app.session.registry = world.registry
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "connecting…" in shown(pilot))
        await pilot.press("1", "question_mark")
        await until(pilot, lambda: "Help: hosts" in shown(pilot))
        await pilot.press("escape", "2")
        fill(world.inventory)
        gate.set()
        await until(pilot, lambda: "web-1" in shown(pilot))
        assert "connecting…" not in shown(pilot)
    assert world.closed


async def test_keys_before_the_first_view_was_shown() -> None:
    """Someone quicker than the first paint goes to another table: the console begins there."""
    world, gate = World(), asyncio.Event()
    app = Console(open_manager=opener(world, gate))
    app.session.registry = world.registry
    begin, app._begin = app._begin, lambda: None  # type: ignore[method-assign]
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "connecting…" in shown(pilot))
        await pilot.press("1")
        await until(pilot, lambda: app.main.place == "hosts")
        begin()
        await pilot.press("2", "left_square_bracket")
        await until(pilot, lambda: app.main.going.trail.stops[0].place == "hosts")


async def test_a_screen_that_closes_takes_no_other_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leaves within the first moments closes it while its first view is still to be shown."""
    app = Console(open_manager=opener(World()))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: not app.main.connecting)
        with monkeypatch.context() as closing:
            closing.setattr(MainScreen, "is_attached", property(lambda screen: False))
            app.main.show_place("hosts")
        assert app.main.tables["hosts"].parent is None
        app.main.show_place("hosts")
        await until(pilot, lambda: "No hosts." in shown(pilot))


async def test_leaving_while_it_still_opens() -> None:
    world, gate = World(), asyncio.Event()
    app = Console(open_manager=opener(world, gate))
    async with app.run_test() as pilot:
        await until(pilot, lambda: "connecting…" in shown(pilot))
        await pilot.press("q")
        await until(pilot, lambda: app._exit)
    assert app.return_code == 0
    assert not world.figures


async def test_a_manager_that_cannot_be_opened_is_said() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[World]:
        raise OSError("a manager (process 17) already works on /x")
        yield World()

    app = Console(open_manager=broken)  # type: ignore[arg-type]
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "already works on /x" in shown(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: app._exit)
    assert app.return_code == 1


async def test_the_manager_is_closed_when_the_app_ends_by_itself(world: World) -> None:
    app = console(world)
    async with app.run_test() as pilot:
        await until(pilot, lambda: world.figures)
        app.exit(3)
    assert world.closed
    assert world.figures == [True, False]


async def test_changes_of_the_inventory_are_there_within_a_second(world: World) -> None:
    async with console(world).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "web-1" in shown(pilot))
        took: list[float] = []
        rows = [row.key for row in world.inventory.all_instances()]
        while rows and (not took or min(took) > 1.0):  # again only where the machine was elsewhere
            world.inventory.drop("instances", rows.pop())
            begin = time.monotonic()
            await until(pilot, lambda: f"of {len(rows)} instances" in shown(pilot))
            took.append(time.monotonic() - begin)
        assert min(took) <= 1.0, took


def test_first_paint_loads_nothing_of_network_and_storage() -> None:
    code = "import sys, json, lxdpm_tui.console.app; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"aiohttp", "asyncssh", "cryptography", "pylxd", "requests", "sqlite3", "tomlkit", "yaml"}
    assert "lxdpm_tui.manager" not in json.loads(done.stdout)
