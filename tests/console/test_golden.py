"""Golden screens: what the console draws, colours and all, against the SVG kept beside this file.

After a wanted change: `pytest tests/console/test_golden.py --snapshot-update`, then look at each picture that changed.
Time stands still in them, and the fleet is the one made by hand in world.py.
"""

from __future__ import annotations

import asyncio
import difflib
import html
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from lxdpm_tui.console.app import Console
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.watching import Watching
from lxdpm_tui.fleet.inventory import HostStatus
from lxdpm_tui.tasks.task import Status, Task
from tests.console.world import NOW, World, console, fill, key, opener, shown, until

SMALL, MIDDLE, LARGE = (80, 24), (120, 36), (200, 60)
Act = Callable[[Pilot[int], World], Awaitable[None]]


@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(SVGImageSnapshotExtension)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of people stands still; the one that measures spans goes on. Times of day are in UTC.

    No load is sampled: how many samples there are depends on how long a picture took.
    """
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setattr(Watching, "sample", lambda watching, now: False)


@asynccontextmanager
async def stage(size: tuple[int, int], world: World) -> AsyncIterator[Pilot[int]]:
    async with console(world, label="DEMO").run_test(size=size) as pilot:
        await until(pilot, lambda: world.figures)
        await pilot.pause()
        yield pilot


async def nothing(pilot: Pilot[int], world: World) -> None:
    """As it comes up."""


def pressing(*keys: str, words: str = "") -> Act:
    async def act(pilot: Pilot[int], world: World) -> None:
        await pilot.press(*keys)
        await pilot.pause()
        if words:
            await pilot.press(*words)

    return act


async def hang(pilot: Pilot[int], world: World) -> None:
    """h2 is hung, h3 was cut off, h4 comes back and is being read."""
    for row in list(world.inventory.instances["h2"].values()):
        row.seen = NOW - 43
    for row in list(world.inventory.instances["h3"].values()):
        row.seen = NOW - 3723
    world.inventory.update_host("h2", status=HostStatus.UNREACHABLE, reason="no answer within 4 s", since=NOW - 39,
                                retry_at=NOW + 12)  # fmt: skip
    world.inventory.update_host("h3", status=HostStatus.UNREACHABLE, reason="no route to host", since=NOW - 3720,
                                retry_at=NOW + 58)  # fmt: skip
    world.inventory.update_host("h4", status=HostStatus.CONNECTING, reason="", since=NOW - 1)
    await until(pilot, lambda: "1 of 4 hosts" in shown(pilot) and "h2 unreachable" in shown(pilot))


async def hang_hosts(pilot: Pilot[int], world: World) -> None:
    await pilot.press("1")
    await hang(pilot, world)
    await pilot.press("down")


async def comes_back(pilot: Pilot[int], world: World) -> None:
    await hang(pilot, world)
    for host in ("h2", "h3", "h4"):
        for row in list(world.inventory.instances[host].values()):
            row.seen = NOW
        world.inventory.update_host(host, status=HostStatus.ONLINE, reason="", since=NOW)
    await until(pilot, lambda: "SEEN" not in shown(pilot) and "all well" in shown(pilot))


async def strange_names(pilot: Pilot[int], world: World) -> None:
    first = world.inventory.instances["h1"][key("h1", "web-1")]
    for name in (
        "名前のとても長いコンテナ一号",
        "e\u0301te\u0301-cafe\u0301",
        "a" * 63,
        "👩‍👩‍👧‍👦-family",
        "tab\there",
    ):
        world.inventory.put("instances", msgspec.structs.replace(first, name=name))
    await until(pilot, lambda: "of 29 instances" in shown(pilot))


async def tasks_of_all_kinds(pilot: Pilot[int], world: World) -> None:
    for number, (words, status, error) in enumerate(
        (
            ("Creating instance web-31", Status.RUNNING, ""),
            ("Distributing image debian/12", Status.RUNNING, ""),
            ("Deleting instance db-2", Status.FAILURE, "h2: Failed to delete: dataset is busy"),
            ("Snapshotting web-1", Status.SUCCESS, ""),
            ("Stopping web-7", Status.CANCELLED, "cancelled"),
        )
    ):
        task = Task(kind="x", description=words, owner="console", id=f"0000000{number}-0000-4000-8000-000000000000")
        world.tasks.add(task)
        if status is Status.RUNNING:
            task.update(metadata={"progress": 40 + number})
        else:
            task.error = error
            task.update(status=status)
    await pilot.press("5")
    await pilot.pause()


async def refused(pilot: Pilot[int], world: World) -> None:
    world.refuse["start"] = "h1: Instance web-1 is already running"
    await pilot.press("t")
    await until(pilot, lambda: "already running" in shown(pilot))


async def wrong_filter(pilot: Pilot[int], world: World) -> None:
    await pilot.press("slash", *"mem>lots")
    await pilot.pause()


async def light(pilot: Pilot[int], world: World) -> None:
    screen = pilot.app.screen
    assert isinstance(screen, MainScreen)
    assert screen.personal.use_theme("lxdpm-light") == ""
    await pilot.pause()


SCENES: dict[str, tuple[tuple[int, int], Act]] = {
    "instances": (SMALL, nothing),
    "instances-wide": (LARGE, pressing("enter")),
    "hosts": (SMALL, pressing("1")),
    "hosts-wide": (LARGE, pressing("1")),
    "images": (SMALL, pressing("3")),
    "profiles": (MIDDLE, pressing("4", "enter")),
    "tasks": (SMALL, tasks_of_all_kinds),
    "details": (SMALL, pressing("enter")),
    "marked": (SMALL, pressing("space", "down", "space", "down")),
    "filter": (SMALL, pressing("slash", words="status:running mem>200M")),
    "filter-wrong": (SMALL, wrong_filter),
    "nothing-matches": (SMALL, pressing("slash", words="zebra")),
    "command": (SMALL, pressing("colon", words="snap")),
    "help": (SMALL, pressing("question_mark")),
    "launch": (SMALL, pressing("n")),
    "stop": (SMALL, pressing("x")),
    "delete": (SMALL, pressing("D")),
    "delete-many": (SMALL, pressing("space", "down", "space", "D")),
    "refused": (SMALL, refused),
    "outage": (MIDDLE, hang),
    "outage-hosts": (SMALL, hang_hosts),
    "back-again": (SMALL, comes_back),
    "strange-names": (SMALL, strange_names),
    "light": (SMALL, light),
    "overview": (SMALL, pressing("0")),
    "overview-wide": (LARGE, pressing("0")),
    "networks": (SMALL, pressing("6")),
    "storage": (SMALL, pressing("7")),
    "warnings": (MIDDLE, pressing("9")),
    "events": (SMALL, pressing("v")),
    "columns": (SMALL, pressing("C")),
    "palette": (SMALL, pressing("ctrl+p")),
    "plan": (SMALL, pressing("space", "down", "space", "x")),
}


def words_of(svg: str) -> list[str]:
    """The text of a picture, to say what changed."""
    return [html.unescape(part) for part in re.findall(r">([^<>\n]+)</text>", svg)]


async def steady(pilot: Pilot[Any]) -> str:
    """The picture once nothing changes any more, and no host is being asked. Cursors do not blink."""
    last, same = "", 0
    async with asyncio.timeout(100):
        while same < 8 or "Asking the hosts" in shown(pilot):
            for field in (*pilot.app.screen.query(Input), *pilot.app.screen.query(TextArea)):
                field.cursor_blink = False
            await pilot.pause(0.05)
            svg = pilot.app.export_screenshot(simplify=True)
            last, same = svg, same + 1 if svg == last else 0
    return last


async def check(pilot: Pilot[Any], golden: SnapshotAssertion) -> None:
    """The screen is the golden one; else say which words differ."""
    svg = await steady(pilot)
    if svg != golden:
        [execution] = golden.executions.values()
        before = words_of(bytes(execution.recalled_data or b"").decode())
        changed = "\n".join(difflib.unified_diff(before, words_of(svg), "golden", "now", lineterm="", n=0))
        pytest.fail(f"the screen differs{'' if changed else ' in its colours only'}:\n{changed}\n\n{shown(pilot)}")


@pytest.mark.parametrize("name", SCENES)
async def test_screen(name: str, golden: SnapshotAssertion) -> None:
    size, act = SCENES[name]
    world = World()
    fill(world.inventory, now=NOW)
    async with stage(size, world) as pilot:
        await act(pilot, world)
        await pilot.pause()
        await check(pilot, golden)


async def test_no_hosts(golden: SnapshotAssertion) -> None:
    async with stage(SMALL, World()) as pilot:
        await check(pilot, golden)


async def test_connecting(golden: SnapshotAssertion) -> None:
    gate = asyncio.Event()
    app = Console(open_manager=opener(World(), gate), label="DEMO")
    async with app.run_test(size=SMALL) as pilot:
        await pilot.pause()
        await check(pilot, golden)
        gate.set()
