"""The first start without hosts: what is offered, and what becomes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.config.discovery import ClientRemotes
from lxdpm_tui.console.app import Console
from lxdpm_tui.console.deeds import beginning
from lxdpm_tui.console.screens import welcome
from lxdpm_tui.console.screens.host_forms import HostAddScreen
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.screens.welcome import WelcomeScreen
from lxdpm_tui.tasks.task import Task
from tests.console.world import World, fill, opener, shown, until

LOCAL = [HostConfig("lxd", UnixAddress("/var/lib/lxd/unix.socket"))]


@pytest.fixture
async def empty(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Pilot[int], World, World]]:
    """A console without hosts on a machine with a daemon and a client; the second world is the demo."""
    monkeypatch.setattr(welcome, "local_sockets", lambda: LOCAL)
    monkeypatch.setattr(beginning, "local_sockets", lambda: LOCAL)
    monkeypatch.setattr(welcome, "client_remotes", lambda: ClientRemotes(hosts=[HostConfig("far", UnixAddress("/x"))]))
    world, demo = World(), World()
    fill(demo.inventory)

    async def run(manager: World, **arguments: object) -> Task:
        return manager.tasks.add(Task("host-import", "Importing remotes", owner="console"))

    world.registry.action("host-import", "imports")(run)  # type: ignore[arg-type]
    app = Console(open_manager=opener(world), open_demo=opener(demo))
    app.session.registry = world.registry
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "import the remotes of lxc or incus here: far" in shown(pilot))
        yield pilot, world, demo


async def test_what_is_found_is_named(empty: tuple[Pilot[int], World, World]) -> None:
    pilot, _, _ = empty
    assert "add what runs on this machine: lxd" in shown(pilot)
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


async def test_what_runs_here_is_added(empty: tuple[Pilot[int], World, World]) -> None:
    pilot, world, _ = empty
    await pilot.press("l")
    await until(pilot, lambda: world.calls)
    assert world.last == ("host-add", {"name": "lxd", "address": "unix:///var/lib/lxd/unix.socket"})


async def test_remotes_are_imported(empty: tuple[Pilot[int], World, World]) -> None:
    pilot, world, _ = empty
    await pilot.press("i")
    await until(pilot, lambda: world.calls)
    assert world.last == ("host-import", {})


async def test_a_form_adds_a_host_and_escape_leads_back(empty: tuple[Pilot[int], World, World]) -> None:
    pilot, _, _ = empty
    await pilot.press("a")
    await until(pilot, lambda: isinstance(pilot.app.screen, HostAddScreen))
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, WelcomeScreen))


async def test_it_goes_when_a_host_comes(empty: tuple[Pilot[int], World, World]) -> None:
    pilot, world, _ = empty
    fill(world.inventory, hosts=1)
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen) and "web-1" in shown(pilot))


async def test_the_demo_takes_its_place(empty: tuple[Pilot[int], World, World]) -> None:
    pilot, world, demo = empty
    await pilot.press("d")
    await until(pilot, lambda: "DEMO" in shown(pilot) and "web-1" in shown(pilot))
    assert world.closed
    assert world.figures == [True, False]
    await pilot.press("q")
    await until(pilot, lambda: demo.closed)


async def test_a_manager_that_is_not_there_is_no_welcome() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[World]:
        raise OSError("no")
        yield World()

    app = Console(open_manager=broken, open_demo=opener(World()))  # type: ignore[arg-type]
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "could not be opened" in shown(pilot))
