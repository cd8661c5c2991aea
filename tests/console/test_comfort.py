"""Copying, exporting, dumping, columns by key, equivalents, the palette; and looking only."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from textual.command import Command, CommandList, CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.console import keymap
from lxdpm_tui.console.acts import words
from lxdpm_tui.console.palette import offers
from lxdpm_tui.console.screens.columns import ColumnsScreen
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.screens.reading import ReadingScreen
from tests.console.test_going import line, main
from tests.console.world import World, console, shown, until


async def test_names_and_lxc_lines_are_copied(pilot: Pilot[int]) -> None:
    await pilot.press("y")
    await until(pilot, lambda: "Copied: web-1" in shown(pilot))
    assert pilot.app.clipboard == "web-1"
    await pilot.press("space", "space", "y")
    await until(pilot, lambda: "Copied: 2 names" in shown(pilot))
    assert pilot.app.clipboard == "web-1\nweb-2"
    await pilot.press("escape", "ctrl+y")
    await until(pilot, lambda: "Copied: lxc config show fleet:web-3" in shown(pilot))


@pytest.mark.parametrize("format", ["csv", "json"])
async def test_the_table_is_exported_as_it_is_shown(pilot: Pilot[int], tmp_path: Path, format: str) -> None:
    await line(pilot, "instances @h1 status:running")
    await line(pilot, "sort -memory")
    await line(pilot, "columns name,memory,limit")
    path = tmp_path / f"a table.{format}"
    await line(pilot, f"export '{path}'")
    await until(pilot, lambda: "4 rows in" in " ".join(m.text for m in main(pilot).session.messages.log))
    if format == "csv":
        rows = list(csv.reader(path.read_text().splitlines()))
        assert rows[:2] == [["NAME", "MEM", "LIMIT"], ["web-5", "500M", "2G"]]
    else:
        assert json.loads(path.read_text())[0] == {"name": "web-5", "memory": 500 << 20, "limit": 2 << 30}
    await line(pilot, f"export '{path}'")
    await until(pilot, lambda: main(pilot).session.messages.log[-1].text.endswith("is there already"))


async def test_a_cell_is_no_formula_in_a_spreadsheet(pilot: Pilot[int], world: World, tmp_path: Path) -> None:
    row = next(iter(world.inventory.instances["h1"].values()))
    row.image = "=1+1"
    await line(pilot, "columns name,image")
    await line(pilot, f"export {tmp_path / 'x.csv'}")
    await until(pilot, lambda: (tmp_path / "x.csv").exists() and (tmp_path / "x.csv").read_text().endswith("\n"))
    assert "'=1+1" in (tmp_path / "x.csv").read_text()


@pytest.mark.parametrize(("name", "begins"), [("s.txt", " lxdpm-tui"), ("s.svg", "<svg")])
async def test_the_screen_is_dumped_without_the_prompt(
    pilot: Pilot[int], tmp_path: Path, name: str, begins: str
) -> None:
    await line(pilot, f"dump {tmp_path / name}")
    await until(pilot, lambda: "The screen is in" in " ".join(m.text for m in main(pilot).session.messages.log))
    text = (tmp_path / name).read_text()
    assert text.startswith(begins)
    assert "web-1" in text
    assert "dump" not in text


@pytest.mark.parametrize("given", ["export", "export x.doc", "dump x.gif", "save-view", "sort nothing", "columns none"])
async def test_mistakes_are_told_in_the_line(pilot: Pilot[int], given: str) -> None:
    await line(pilot, given)
    await until(pilot, lambda: main(pilot).prompt.has_class("-wrong"))
    assert main(pilot).prompt.opened


async def test_columns_are_chosen_by_key(pilot: Pilot[int]) -> None:
    await pilot.press("C")
    await until(pilot, lambda: isinstance(pilot.app.screen, ColumnsScreen))
    await pilot.press("down", "space", "K", "enter")  # host away, then state over the hidden host
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    ids = [column.id for column in main(pilot).table.columns]
    assert ids[:2] == ["name", "state"]
    assert "host" not in ids
    await pilot.press("C", "d")
    await until(pilot, lambda: "host" in [column.id for column in main(pilot).table.columns])
    assert "instances" not in main(pilot).ordering.memory.tables


async def test_a_table_keeps_at_least_a_column(pilot: Pilot[int]) -> None:
    await pilot.press("C")
    await until(pilot, lambda: isinstance(pilot.app.screen, ColumnsScreen))
    count = len(before := shown_columns(pilot))
    await pilot.press(*["space"] * count, "enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    assert shown_columns(pilot) == before


def shown_columns(pilot: Pilot[int]) -> list[str]:
    screen = next(screen for screen in pilot.app.screen_stack if isinstance(screen, MainScreen))
    return [column.id for column in screen.table.columns]


async def test_what_is_shown_as_other_lines(pilot: Pilot[int]) -> None:
    await line(pilot, "instances @h1")
    await pilot.press("E")
    await until(pilot, lambda: isinstance(pilot.app.screen, ReadingScreen))
    screen = pilot.app.screen
    assert isinstance(screen, ReadingScreen)
    lines = [each.value for each in screen.lines]
    assert "lxdpm-tui --view instances --filter @h1" in lines
    assert "GET /1.0/instances/web-1" in lines


async def test_an_action_as_other_lines_is_not_done(pilot: Pilot[int], world: World) -> None:
    await line(pilot, "stop web-1 --force --show")
    await until(pilot, lambda: "lxc stop fleet:web-1 --force" in shown(pilot))
    assert "lxdpm-tui stop web-1 --force" in shown(pilot)
    assert world.calls == []


async def test_the_palette_finds_and_does(pilot: Pilot[int]) -> None:
    await pilot.press("ctrl+p")
    await until(pilot, lambda: isinstance(pilot.app.screen, CommandPalette))
    pilot.app.screen.query_one(Input).value = "tasks: running and finished"
    await chosen(pilot, "tasks: running and finished")
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen) and main(pilot).place == "tasks")


async def chosen(pilot: Pilot[int], begins: str) -> None:
    """The palette's search has ended, and its cursor is on that."""

    def there() -> bool:
        option = pilot.app.screen.query_one(CommandList).highlighted_option
        searching = any(worker.node is pilot.app.screen and not worker.is_finished for worker in pilot.app.workers)
        return isinstance(option, Command) and (option.hit.text or "").startswith(begins) and not searching

    await until(pilot, there)


async def test_every_action_and_word_is_in_the_palette_and_the_help(pilot: Pilot[int]) -> None:
    screen = main(pilot)
    titles = [offer.title for offer in offers(screen)]
    for name in (*screen.session.registry.actions, *words()):
        assert any(title == f":{name}" or title.startswith(f":{name} ") for title in titles), name
    for key in keymap.here("instances"):
        if screen.can(key) and key.id not in ("palette", "next", "previous"):
            assert f"{key.label}: {key.help}" in titles
    await pilot.press("question_mark")
    await until(pilot, lambda: isinstance(pilot.app.screen, ReadingScreen))
    reading = pilot.app.screen
    assert isinstance(reading, ReadingScreen)
    told = [line.value for line in reading.lines]
    for name in screen.session.registry.actions:
        assert any(value == name or value.startswith(f"{name} ") for value in told), name


async def test_keys_are_told_by_their_ids(pilot: Pilot[int]) -> None:
    await line(pilot, "keys")
    await until(pilot, lambda: "launch           n" in shown(pilot))


async def test_looking_only(world: World) -> None:
    async with console(world, read_only=True).run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: world.figures and "read only" in shown(pilot))
        await pilot.press("t")
        await until(pilot, lambda: "this console only reads" in shown(pilot))
        with pytest.raises(ActionError):
            await main(pilot).session.run("start", instances=["h1:web-1"])
    assert world.calls == []
