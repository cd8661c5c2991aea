"""Files, results of a command, editor and details through the console, on real daemons."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from lxdpm_tui.console.inside.browser import FilesScreen
from lxdpm_tui.console.inside.details import DetailsScreen
from lxdpm_tui.console.inside.results import ExecForm, ResultsScreen
from lxdpm_tui.console.screens.confirm import ConfirmScreen
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.screens.plan import PlanScreen
from tests.console.inside.window import make, window
from tests.console.test_lab import PATIENCE, opened
from tests.console.world import shown, until
from tests.lab.lab import Lab

# LXD 5.0 may lose what a command says right before its end: hence the pause.
SAYS_AND_FAILS = "echo I am $(hostname); sleep 0.2; [ $(hostname) != c-h3 ] || exit 42"


@pytest.mark.timeout(400)
async def test_one_command_in_all_marked(clean_lab: Lab, tmp_path: Path) -> None:
    for host in ("h1", "h3", "i1"):
        make(clean_lab, host, f"c-{host}")
    async with opened(clean_lab, tmp_path) as pilot:
        await until(pilot, lambda: shown(pilot).count("Running") == 3, PATIENCE)
        await pilot.press("ctrl+a", "X")
        await until(pilot, lambda: isinstance(pilot.app.screen, ExecForm))
        await pilot.pause()
        form = pilot.app.screen
        assert isinstance(form, ExecForm)
        form.field("run").value = SAYS_AND_FAILS
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen))
        board = pilot.app.screen
        assert isinstance(board, PlanScreen)
        await until(pilot, lambda: board.plan is not None and "Exec 3 instances on 3 hosts" in shown(pilot))
        await pilot.press("w", "w", "w", "c", "enter")  # one of a host in a wave, after a canary
        await until(pilot, lambda: board.state == "paused", PATIENCE)
        assert board.plan is not None
        assert board.plan.waves == [0, 1]
        await pilot.press("k")
        await until(pilot, lambda: board.state == "done", PATIENCE)
        await until(pilot, lambda: "I am c-h1" in shown(pilot))  # the board has the last lines
        await pilot.press("o")
        await until(pilot, lambda: isinstance(pilot.app.screen, ResultsScreen) and "1 left out" in shown(pilot))
        lines = shown(pilot).splitlines()
        first = next(number for number, line in enumerate(lines) if "c-h3" in line)
        assert "left out" in lines[first]
        assert "42" in lines[first]
        assert all(first < number for number, line in enumerate(lines) if "c-h1 " in line and "done" in line)
        await until(pilot, lambda: "I am c-h3" in shown(pilot))
        await pilot.press("down")
        await until(pilot, lambda: "I am c-h1" in "\n".join(shown(pilot).splitlines()[-16:]))
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is board)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen) and "marked" not in shown(pilot))
        await pilot.press("5")
        main = pilot.app.screen
        assert isinstance(main, MainScreen)
        await until(pilot, lambda: main.place == "tasks" and main.table.cursor_row is not None)
        await pilot.press("X")
        await until(pilot, lambda: isinstance(pilot.app.screen, ResultsScreen) and "I am c-h3" in shown(pilot))


@pytest.mark.timeout(400)
async def test_files_of_an_instance(clean_lab: Lab, tmp_path: Path) -> None:
    make(clean_lab, "h3", "c1")
    clean_lab.hosts["h3"].cli(
        "exec", "c1", "--", "sh", "-c", "mkdir -p /root/d/e; echo text > /root/d/file; ln -s file /root/d/l"
    )
    (tmp_path / "ours").write_text("from here")
    async with opened(clean_lab, tmp_path) as pilot:
        await until(pilot, lambda: "Running" in shown(pilot), PATIENCE)
        await pilot.press("f")
        await until(pilot, lambda: isinstance(pilot.app.screen, FilesScreen) and "d/" in shown(pilot))
        screen = pilot.app.screen
        assert isinstance(screen, FilesScreen)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "c1 (project default)  /root/d " in shown(pilot) and "d0755" in shown(pilot))
        await until(pilot, lambda: all(screen.entries.get(name) for name in ("e", "file", "l")))

        options = screen.query_one(OptionList)
        options.highlighted = options.get_option_index("/file")
        await asked(pilot, screen, "p")
        screen.input.value = str(tmp_path)
        await pilot.press("enter")
        pulled = tmp_path / "file"
        await until(pilot, lambda: pulled.exists() and pulled.read_text() == "text\n", PATIENCE)

        await asked(pilot, screen, "P")
        screen.input.value = str(tmp_path / "ours")
        await pilot.press("enter")
        await until(pilot, lambda: screen.entries.get("ours") and screen.entries.get("e"), PATIENCE)
        cli = clean_lab.hosts["h3"].cli
        assert await asyncio.to_thread(cli, "exec", "c1", "--", "cat", "/root/d/ours") == "from here"

        options.highlighted = options.get_option_index("/e")
        await pilot.press("D")
        await yes_to_directory(pilot, "e")
        await until(pilot, lambda: "e" not in screen.entries, PATIENCE)
        await pilot.press("backspace")
        await until(pilot, lambda: screen.path == "/root" and screen.here == "d")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


async def asked(pilot: Pilot[int], screen: FilesScreen, key: str) -> None:
    """The key opens the line at the bottom, which takes the next ones."""
    await pilot.press(key)
    await until(pilot, lambda: screen.input.display and pilot.app.focused is screen.input)


async def yes_to_directory(pilot: Pilot[int], name: str) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
    await pilot.pause()
    await pilot.press(*name, "enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, FilesScreen))


@pytest.mark.timeout(400)
async def test_all_of_an_instance(clean_lab: Lab, tmp_path: Path) -> None:
    make(clean_lab, "i1", "c1")
    async with opened(clean_lab, tmp_path) as pilot:
        await until(pilot, lambda: "Running" in shown(pilot), PATIENCE)
        await pilot.press("I")
        await until(pilot, lambda: isinstance(pilot.app.screen, DetailsScreen) and "image.os" in shown(pilot))
        await pilot.press("3")
        await until(pilot, lambda: "cpu time" in shown(pilot) and "127.0.0.1/8" in shown(pilot))
        await pilot.press("5")
        await until(pilot, lambda: "architecture: x86_64" in shown(pilot))
        patch = {"config": {"user.new": "thing"}}
        await asyncio.to_thread(clean_lab.hosts["i1"].api, "PATCH", "/1.0/instances/c1", patch)
        await pilot.press("6", "r")
        await until(pilot, lambda: "user.new: thing" in shown(pilot), PATIENCE)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


@pytest.mark.timeout(300)
async def test_where_the_terminal_cannot_be_given_away(clean_lab: Lab, tmp_path: Path) -> None:
    """As in a browser: it is said, and the console goes on."""
    make(clean_lab, "h1", "c1")
    async with opened(clean_lab, tmp_path) as pilot:
        await until(pilot, lambda: "Running" in shown(pilot), PATIENCE)
        await pilot.press("l")
        await until(pilot, lambda: "this needs a terminal" in shown(pilot), PATIENCE)
        await pilot.press("escape", "ctrl+e")
        await until(pilot, lambda: "this needs a terminal" in shown(pilot), PATIENCE)


EDITOR = """#!/bin/sh
# An editor that says what it was given and waits to be told what to do.
cp "$1" {folder}/given
printf '\\033[?1049hEDITING'
read line
printf '\\033[?1049l'
case "$line" in
    broken) echo 'config: [' > "$1" ;;
    mine) sed -i 's/^config:.*$/config:\\n  user.mine: yes/; s/user.mine: .*/user.mine: "yes"/' "$1" ;;
esac
"""


@pytest.mark.timeout(400)
def test_the_persons_own_editor(clean_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(clean_lab, "h2", "c1")
    script = tmp_path / "editor"
    script.write_text(EDITOR.format(folder=tmp_path))
    script.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(script))
    api = clean_lab.hosts["h2"].api
    given = tmp_path / "given"
    with window(clean_lab, tmp_path) as console:
        console.on("h2", "c1")
        settings = console.settings()
        console.keys("C-e")
        console.has("EDITING")
        assert "## instance h2:c1" in given.read_text()
        console.keys("broken", "Enter")
        console.until(lambda screen: "EDITING" in screen and "NOT TAKEN: line" in given.read_text())
        assert "config: [" in given.read_text()
        console.keys("mine", "Enter")
        console.has("Change instance h2:c1", "user.mine")
        api("PATCH", "/1.0/instances/c1", {"config": {"user.theirs": "x"}})
        console.keys("y")
        console.until(lambda screen: "EDITING" in screen and "somebody changed it" in given.read_text())
        assert "config.user.theirs: x (new)" in given.read_text()
        assert "user.mine" in given.read_text()
        console.keys("keep", "Enter")
        console.has("Change instance h2:c1", "user.theirs: removed")
        console.keys("y")
        console.has("Done: Updating instance")
        assert console.settings() == settings
        config = api("GET", "/1.0/instances/c1")["config"]
        assert config["user.mine"] == "yes"
        assert "user.theirs" not in config
        console.keys("q")
        console.has("ended with 0")
