"""Makes the pictures of this folder from the running console on the demo fleet: SVG, PNG and text of each.

    python screenshots/make.py [NAME ...]

PNG needs rsvg-convert (Debian: librsvg2-bin) and looks right with Fira Code (fonts-firacode); without rsvg-convert the
PNGs are left out, with a notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.pop("NO_COLOR", None)
os.environ["COLORTERM"] = "truecolor"

from textual.pilot import Pilot

from lxdpm_tui.config import Paths
from lxdpm_tui.console.app import Console
from lxdpm_tui.console.terminal_io import screen_text
from lxdpm_tui.demo.fleet import DemoFleet
from lxdpm_tui.manager import Manager

FOLDER = Path(__file__).parent
SEED = 7
HOSTS = 8
CELL = 12.2  # width of a cell in the SVG
SMALL, MIDDLE, LARGE = (80, 24), (120, 36), (200, 60)


class Stage(NamedTuple):
    """What a scene plays on."""

    pilot: Pilot[Any]
    demo: DemoFleet
    manager: Manager

    async def keys(self, *pressed: str) -> None:
        await self.pilot.press(*pressed)
        await self.pilot.pause()

    async def type(self, words: str) -> None:
        names = {" ": "space", "/": "slash", "-": "minus", ":": "colon", ".": "full_stop", ">": "greater_than_sign"}
        await self.keys(*(names.get(letter, letter) for letter in words))

    async def until(self, met: Callable[[], object]) -> None:
        """Let the console run until the condition holds, 30 s at most."""
        async with asyncio.timeout(30):
            while not met():
                await self.pilot.pause(0.1)

    def text(self) -> str:
        return "\n".join(screen_text(self.pilot.app))


async def hosts(stage: Stage) -> None:
    await stage.keys("1")


async def instances(stage: Stage) -> None:
    await stage.keys("2")


async def filtered(stage: Stage) -> None:
    await stage.keys("2", "slash")
    await stage.type("web status:running mem>200M")
    await stage.keys("enter", "s", "s", "s", "s")


async def details(stage: Stage) -> None:
    await stage.keys("2", "enter")


async def images(stage: Stage) -> None:
    await stage.keys("3")


async def profiles(stage: Stage) -> None:
    await stage.keys("4")


async def launch(stage: Stage) -> None:
    await stage.keys("2", "n")
    await stage.type("debian/12")
    await stage.keys("tab")
    await stage.type("shop")
    await stage.keys("tab", "backspace", "4", "tab", "tab", "right")
    await stage.until(lambda: "would land" in stage.text())


async def snapshot(stage: Stage) -> None:
    await stage.keys("2", "p")
    await stage.type("before-upgrade")


async def confirm(stage: Stage) -> None:
    await stage.keys("2", "space", "space", "down", "space", "x")
    await stage.until(lambda: "Stop 3 instances" in stage.text())


async def delete(stage: Stage) -> None:
    await stage.keys("2", "D")
    await stage.until(lambda: "to go on" in stage.text())


async def tasks(stage: Stage) -> None:
    """Some that end well, one that fails, one under way; the first is opened."""
    for name, image in (("shop-a", "debian/12"), ("shop-b", "debian/12")):
        task = await stage.manager.run("launch", image=image, name=name, strategy="scatter")
        await task.wait(20)
    row = next(row for row in stage.manager.inventory.all_instances() if row.status == "Running")
    daemon = stage.demo.daemons[row.host]
    daemon.fail_next("PUT", ".*/state", 500, "Failed to run: zfs snapshot: dataset is busy")
    task = await stage.manager.run("freeze", instances=[f"{row.host}:{row.name}"], project=row.project)
    await task.wait(20)
    await stage.keys("5", "end", "enter")


async def why(stage: Stage) -> None:
    task = await stage.manager.run("launch", image="debian/12", name="aa-why", strategy="scatter")
    await task.wait(20)
    await stage.keys("2")
    await stage.until(lambda: "aa-why" in stage.text())
    await stage.keys("home", "w")
    await stage.until(lambda: "SCORE" in stage.text())


async def command(stage: Stage) -> None:
    await stage.keys("2", "colon")
    await stage.type("sn")


async def help_(stage: Stage) -> None:
    await stage.keys("2", "question_mark")


async def light(stage: Stage) -> None:
    stage.pilot.app.theme = "lxdpm-light"
    await stage.keys("2", "enter")


async def outage(stage: Stage) -> None:
    """One host down: its rows stay, with their age."""
    name = list(stage.demo.daemons)[1]
    await stage.demo.daemons[name].stop()
    await stage.until(lambda: not stage.manager.inventory.hosts[name].usable)
    await stage.keys("2")
    await stage.until(lambda: "SEEN" in stage.text())


async def outage_hosts(stage: Stage) -> None:
    await stage.keys("1", "down")


def pressed(*keys: str, shows: str = "") -> Scene:
    """Keys, and what is on screen once it is all there."""

    async def scene(stage: Stage) -> None:
        await stage.keys(*keys)
        await stage.until(lambda: shows in stage.text() and "Asking the hosts" not in stage.text())

    return scene


async def events_(stage: Stage) -> None:
    """What happens while one looks."""
    await stage.keys("v")
    row = next(row for row in stage.manager.inventory.all_instances() if row.status == "Running")
    for action in ("snapshot", "restart"):
        argument = {"instances": [f"{row.host}:{row.name}"]} if action == "restart" else {
            "instance": f"{row.host}:{row.name}", "name": "nightly"}  # fmt: skip
        task = await stage.manager.run(action, project=row.project, **argument)
        await task.wait(20)
    await stage.until(lambda: "instance-restarted" in stage.text())


Scene = Callable[[Stage], Awaitable[None]]
SHOTS: dict[str, tuple[Scene, tuple[tuple[int, int], ...]]] = {
    "instances": (instances, (SMALL, MIDDLE, LARGE)),
    "hosts": (hosts, (SMALL, MIDDLE)),
    "details": (details, (SMALL, MIDDLE, LARGE)),
    "filter": (filtered, (MIDDLE,)),
    "images": (images, (MIDDLE,)),
    "profiles": (profiles, (MIDDLE,)),
    "launch": (launch, (SMALL, MIDDLE)),
    "snapshot": (snapshot, (SMALL,)),
    "stop": (confirm, (SMALL,)),
    "delete": (delete, (SMALL,)),
    "command": (command, (SMALL,)),
    "help": (help_, (MIDDLE,)),
    "light": (light, (MIDDLE,)),
    "overview": (pressed("0", shows="CAPACITY"), (SMALL, MIDDLE, LARGE)),
    "networks": (pressed("6"), (MIDDLE,)),
    "storage": (pressed("7"), (MIDDLE,)),
    "warnings": (pressed("9"), (MIDDLE,)),
    "events": (events_, (MIDDLE,)),
    "columns": (pressed("2", "C"), (SMALL,)),
    "palette": (pressed("2", "ctrl+p"), (MIDDLE,)),
    "plan": (pressed("2", "ctrl+a", "x", shows="wave 1"), (SMALL, MIDDLE)),
    "why": (why, (MIDDLE,)),
    "tasks": (tasks, (MIDDLE,)),
    "outage": (outage, (SMALL, MIDDLE)),
    "outage-hosts": (outage_hosts, (MIDDLE,)),
}


def for_rsvg(svg: str) -> str:
    """The picture with blanks at the edges of its texts taken out: rsvg drops them, and moves the text."""

    def trimmed(match: re.Match[str]) -> str:
        attributes, body = match.groups()
        words = body.replace("&#160;", "\xa0")
        lead, inner = len(words) - len(words.lstrip("\xa0")), words.strip("\xa0")
        if not inner:
            return ""
        lost = len(words) - len(inner)
        x = float(re.search(r'\bx="([\d.]+)"', attributes)[1]) + lead * CELL  # type: ignore[index]
        length = float(re.search(r'textLength="([\d.]+)"', attributes)[1]) - lost * CELL  # type: ignore[index]
        attributes = re.sub(r'\bx="[\d.]+"', f'x="{x:.1f}"', attributes)
        attributes = re.sub(r'textLength="[\d.]+"', f'textLength="{length:.1f}"', attributes)
        return f"<text{attributes}>{inner.replace(chr(160), '&#160;')}</text>"

    return re.sub(r"<text([^>]*textLength[^>]*)>([^<]*)</text>", trimmed, svg)


async def shot(name: str, scene: Scene, size: tuple[int, int], demo: DemoFleet, manager: Manager) -> None:
    @contextlib.asynccontextmanager
    async def open_manager() -> AsyncIterator[Manager]:
        yield manager

    app = Console(open_manager=open_manager, label="DEMO")
    async with app.run_test(size=size) as pilot:
        stage = Stage(pilot, demo, manager)
        await stage.until(lambda: "connecting" not in stage.text())
        await scene(stage)
        await pilot.pause(0.6)
        base = FOLDER / f"{name}-{size[0]}x{size[1]}"
        base.with_suffix(".svg").write_text(for_rsvg(app.export_screenshot(title="lxdpm-tui")), encoding="utf-8")
        base.with_suffix(".txt").write_text(stage.text() + "\n", encoding="utf-8")
    if shutil.which("rsvg-convert"):
        command = ["rsvg-convert", "-o", base.with_suffix(".png"), base.with_suffix(".svg")]
        await asyncio.to_thread(subprocess.run, command, check=True)
    print(base.name)


async def main(wanted: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(Path(folder, "hosts.toml"), Path(folder, "state"))
        demo = DemoFleet(count=HOSTS, seed=SEED, activity=False)
        async with demo, Manager.open(paths, demo.hosts) as manager:
            manager.fleet.want_figures(True)
            running = [row for row in manager.inventory.all_instances() if row.status == "Running"]
            async with asyncio.timeout(60):
                while not running or sum(row.cpu >= 0 for row in running) < 0.6 * len(running):
                    await asyncio.sleep(0.5)
                    running = [row for row in manager.inventory.all_instances() if row.status == "Running"]
            for name, (scene, sizes) in SHOTS.items():
                for size in sizes:
                    if not wanted or name in wanted:
                        await shot(name, scene, size, demo, manager)
    if not shutil.which("rsvg-convert"):
        print("no PNG: rsvg-convert is not installed (Debian: librsvg2-bin)", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
