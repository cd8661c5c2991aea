"""The main deeds of the console on real daemons, over all three transports: keys in, and the host itself is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from lxdpm_tui.config import Paths
from lxdpm_tui.console.app import Console
from lxdpm_tui.console.screens.confirm import ConfirmScreen
from lxdpm_tui.console.screens.form import FormScreen
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.screens.snapshots import SnapshotsScreen
from lxdpm_tui.manager import Manager
from tests.console.world import shown, until
from tests.lab.lab import Lab
from tests.lab.rest import RestError

TRANSPORTS = {"h1": "unix", "h2": "https", "h3": "ssh", "i1": "unix"}
PATIENCE = 60.0


@asynccontextmanager
async def opened(lab: Lab, folder: Path) -> AsyncIterator[Pilot[int]]:
    """A console at 80x24 over the lab; every host was read and takes launches."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    for name, source in (("client.crt", lab.client_cert), ("client.key", lab.client_key)):
        state.joinpath(name).write_bytes(source.read_bytes())
        state.joinpath(name).chmod(0o600)
    paths = Paths(folder / "hosts.toml", state)
    app = Console(open_manager=lambda: Manager.open(paths, lab.hosts_config(TRANSPORTS)))
    async with app.run_test(size=(80, 24)) as pilot:
        hosts = lambda: app.session.inventory.hosts.values()  # noqa: E731
        read = lambda: all(host.scanned and host.memory_total for host in hosts())  # noqa: E731
        await until(pilot, lambda: len(hosts()) == 4 and read(), PATIENCE)
        yield pilot


def there(lab: Lab, host: str, path: str) -> Any:
    """What the host says of it; None when it says that there is no such thing."""
    try:
        return lab.hosts[host].api("GET", path)
    except RestError as error:
        if error.code != 404:
            raise
        return None


async def holds(pilot: Pilot[int], check: Callable[[], object]) -> None:
    """Until it is so on the daemons, which are asked beside the loop of the console."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await asyncio.to_thread(check):
                await pilot.pause(0.1)
    except TimeoutError:
        pytest.fail("never so on the daemons; on screen:\n" + shown(pilot))


async def form(pilot: Pilot[int], *keys: str) -> FormScreen:
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, FormScreen))
    await pilot.pause()
    assert isinstance(pilot.app.screen, FormScreen)
    return pilot.app.screen


async def submit(pilot: Pilot[int]) -> None:
    """Press the form's button; it must be taken."""
    await pilot.press("ctrl+s")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen), PATIENCE)


async def yes(pilot: Pilot[int], *keys: str) -> None:
    """Answer the question that opens."""
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
    await pilot.pause()
    await pilot.press(*keys or ("y",))
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


async def line(pilot: Pilot[int], *words: str) -> None:
    """Until one line of the screen has all the words."""
    await until(pilot, lambda: any(all(w in row for w in words) for row in shown(pilot).splitlines()), PATIENCE)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("host", list(TRANSPORTS))
async def test_the_life_of_an_instance(clean_lab: Lab, tmp_path: Path, host: str) -> None:
    async with opened(clean_lab, tmp_path) as pilot:
        screen = await form(pilot, "n")
        for field, value in (("image", "busybox"), ("name", "con1"), ("target", host)):
            screen.field(field).value = value
        screen.field("config").value = "user.made-by=console"
        await until(pilot, lambda: f"→ {host}" in shown(pilot))
        await submit(pilot)
        await line(pilot, "con1", host, "Running")
        made = await asyncio.to_thread(there, clean_lab, host, "/1.0/instances/con1")
        assert made["config"]["user.made-by"] == "console"

        await pilot.press("w")
        await until(pilot, lambda: f"Why is con1 on {host}?" in shown(pilot) and "SCORE" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))

        screen = await form(pilot, "p")
        screen.field("name").value = "first"
        await submit(pilot)
        await until(pilot, lambda: "Done: Snapshotting" in shown(pilot), PATIENCE)
        assert await asyncio.to_thread(there, clean_lab, host, "/1.0/instances/con1/snapshots/first")

        await pilot.press("x")
        await yes(pilot, "shift+tab", "shift+tab", "right", "y")
        await line(pilot, "con1", "Stopped")
        assert (await asyncio.to_thread(there, clean_lab, host, "/1.0/instances/con1"))["status"] == "Stopped"

        await pilot.press("b")
        await until(pilot, lambda: isinstance(pilot.app.screen, SnapshotsScreen) and "first " in shown(pilot))
        await pilot.press("D")
        await yes(pilot)
        await holds(pilot, lambda: not there(clean_lab, host, "/1.0/instances/con1/snapshots/first"))

        screen = await form(pilot, "N")
        screen.field("new_name").value = "con2"
        await submit(pilot)
        await line(pilot, "con2", host, "Stopped")
        view = pilot.app.screen.table.view  # type: ignore[attr-defined]
        await until(pilot, lambda: [key.name for key in view.keys] == ["con2"], PATIENCE)  # the old name has gone

        await pilot.press("home", "D")
        await yes(pilot, *"con2", "enter")
        await holds(pilot, lambda: not there(clean_lab, host, "/1.0/instances/con2"))
        await until(pilot, lambda: "No instances. n makes one." in shown(pilot), PATIENCE)


@pytest.mark.timeout(300)
async def test_profiles_on_all_hosts(clean_lab: Lab, tmp_path: Path) -> None:
    async with opened(clean_lab, tmp_path) as pilot:
        screen = await form(pilot, "4", "a")
        screen.field("name").value = "zz"
        screen.field("config").value = "limits.cpu=1\nuser.note=a"
        await submit(pilot)
        await line(pilot, "zz", "everywhere")
        await holds(pilot, lambda: all(there(clean_lab, host, "/1.0/profiles/zz") for host in TRANSPORTS))

        screen = await form(pilot, "end", "e")
        screen.field("config").value = "limits.cpu=2"
        await submit(pilot)
        wanted = {"limits.cpu": "2"}
        await holds(
            pilot,
            lambda: all(there(clean_lab, host, "/1.0/profiles/zz")["config"] == wanted for host in TRANSPORTS),
        )

        await pilot.press("D")
        await yes(pilot)
        await holds(pilot, lambda: not any(there(clean_lab, host, "/1.0/profiles/zz") for host in TRANSPORTS))


@pytest.mark.timeout(300)
async def test_a_hung_host_keeps_its_rows_and_no_key_waits(clean_lab: Lab, tmp_path: Path) -> None:
    clean_lab.hosts["h2"].api("POST", "/1.0/instances", {"name": "c9", "source": {"type": "none"}})
    async with opened(clean_lab, tmp_path) as pilot:
        await line(pilot, "c9", "h2", "Stopped")
        await asyncio.to_thread(clean_lab.hosts["h2"].hang)
        await line(pilot, "c9", "h2", "old")
        await pilot.press("1")
        await line(pilot, "h2", "unreachable")
        await pilot.press("down")
        await until(pilot, lambda: "r retry" in shown(pilot))
        await asyncio.to_thread(clean_lab.hosts["h2"].unhang)
        await pilot.press("r")
        await until(pilot, lambda: "all well" in shown(pilot), PATIENCE)
        await pilot.press("2")
        await until(pilot, lambda: "old" not in shown(pilot))


@pytest.mark.timeout(300)
async def test_what_is_changed_behind_its_back_is_there_within_a_second(clean_lab: Lab, tmp_path: Path) -> None:
    async with opened(clean_lab, tmp_path) as pilot:
        for host in TRANSPORTS:
            record = pilot.app.session.inventory.hosts[host]  # type: ignore[attr-defined]
            await until(pilot, lambda record=record: record.event_stream, PATIENCE)  # type: ignore[misc]
            api, took = clean_lab.hosts[host].api, []
            while len(took) < 8 and (not took or min(took) > 1.0):  # again only where the machine was elsewhere
                name = f"a{len(took)}-by-{host}"
                await asyncio.to_thread(api, "POST", "/1.0/instances", {"name": name, "source": {"type": "none"}})
                begin = time.monotonic()
                await until(pilot, lambda name=name: name in shown(pilot))  # type: ignore[misc]
                took.append(time.monotonic() - begin)
                await asyncio.to_thread(api, "DELETE", f"/1.0/instances/{name}")
                await until(pilot, lambda name=name: name not in shown(pilot))  # type: ignore[misc]
            assert min(took) <= 1.0, (host, took)
