"""Makes the pictures of this folder from the running console on the demo fleet: SVG, PNG and text of each.

    python screenshots/make.py [NAME ...]

PNG needs rsvg-convert (Debian: librsvg2-bin); without it they are left out, with a notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

os.environ.pop("NO_COLOR", None)
os.environ["COLORTERM"] = "truecolor"

from textual.pilot import Pilot

from lxdpm_tui.config import Paths
from lxdpm_tui.console.app import Console
from lxdpm_tui.demo.fleet import DemoFleet
from lxdpm_tui.manager import Manager

FOLDER = Path(__file__).parent
SEED = 7
Steps = Callable[[Pilot[Any], DemoFleet], Awaitable[None]]


async def keys(pilot: Pilot[Any], *pressed: str) -> None:
    await pilot.press(*pressed)
    await pilot.pause()


async def hosts(pilot: Pilot[Any], demo: DemoFleet) -> None:
    await keys(pilot, "1")


async def instances(pilot: Pilot[Any], demo: DemoFleet) -> None:
    await keys(pilot, "2")


async def filtered(pilot: Pilot[Any], demo: DemoFleet) -> None:
    await keys(pilot, "2", "slash", *"web status:running", "enter")


async def details(pilot: Pilot[Any], demo: DemoFleet) -> None:
    await keys(pilot, "2")
    await keys(pilot, "down", "down", "enter")


async def images(pilot: Pilot[Any], demo: DemoFleet) -> None:
    await keys(pilot, "3")


async def launch(pilot: Pilot[Any], demo: DemoFleet) -> None:
    await keys(pilot, "2", "n")


async def help_(pilot: Pilot[Any], demo: DemoFleet) -> None:
    await keys(pilot, "2", "question_mark")


async def outage(pilot: Pilot[Any], demo: DemoFleet) -> None:
    """One host down: its rows stay, marked."""
    name = list(demo.daemons)[1]
    await demo.daemons[name].stop()
    await until(pilot, lambda: not pilot.app.session.inventory.hosts[name].usable)  # type: ignore[attr-defined]
    await keys(pilot, "1")


SHOTS: dict[str, tuple[Steps, tuple[tuple[int, int], ...]]] = {
    "instances": (instances, ((80, 24), (120, 36), (200, 60))),
    "hosts": (hosts, ((80, 24), (120, 36))),
    "details": (details, ((120, 36),)),
    "filter": (filtered, ((120, 36),)),
    "images": (images, ((120, 36),)),
    "launch": (launch, ((80, 24), (120, 36))),
    "help": (help_, ((120, 36),)),
    "outage": (outage, ((120, 36),)),
}


async def until(pilot: Pilot[Any], met: Callable[[], bool]) -> None:
    """Let the app run until the condition holds, 20 s at most."""
    async with asyncio.timeout(20):
        while not met():
            await pilot.pause(0.1)


async def shot(name: str, steps: Steps, size: tuple[int, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with DemoFleet(count=8, seed=SEED) as demo:

            @contextlib.asynccontextmanager
            async def open_manager() -> AsyncIterator[Manager]:
                paths = Paths(Path(folder, "hosts.toml"), Path(folder, "state"))
                async with Manager.open(paths, demo.hosts) as manager:
                    yield manager

            app = Console(open_manager=open_manager, label="DEMO")
            async with app.run_test(size=size) as pilot:
                inventory = lambda: app.session.inventory.hosts  # noqa: E731
                await until(pilot, lambda: len(inventory()) == 8 and all(h.scanned for h in inventory().values()))
                await steps(pilot, demo)
                await pilot.pause(12 if name in ("instances", "details") else 1)  # live figures take two rounds
                base = FOLDER / f"{name}-{size[0]}x{size[1]}"
                picture = app.export_screenshot(title="lxdpm-tui")
                # rsvg-convert drops leading spaces, no-break ones too, unless told to keep them
                base.with_suffix(".svg").write_text(picture.replace("<text ", '<text xml:space="preserve" '))
                lines = [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]
                base.with_suffix(".txt").write_text("\n".join(lines) + "\n")
    if shutil.which("rsvg-convert"):
        convert = ["rsvg-convert", "-o", base.with_suffix(".png"), base.with_suffix(".svg")]
        await asyncio.to_thread(subprocess.run, convert, check=True)


async def main(wanted: list[str]) -> None:
    for name, (steps, sizes) in SHOTS.items():
        for size in sizes:
            if not wanted or name in wanted:
                await shot(name, steps, size)
                print(f"{name}-{size[0]}x{size[1]}")
    if not shutil.which("rsvg-convert"):
        print("no PNG: rsvg-convert is not installed (Debian: librsvg2-bin)", file=sys.stderr)


asyncio.run(main(sys.argv[1:]))
