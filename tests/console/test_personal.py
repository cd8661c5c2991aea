"""The person's own files in the running console: read when they change, and at work at once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from lxdpm_tui.console import keymap
from lxdpm_tui.console.memory import TableMemory
from lxdpm_tui.console.personal import FirstView, variables_of
from lxdpm_tui.console.screens.inputs import InputsScreen
from lxdpm_tui.console.screens.reading import ReadingScreen
from tests.console.test_going import line, main, names
from tests.console.world import World, console, key, shown, until


@pytest.fixture
async def own(world: World, tmp_path: Path) -> AsyncIterator[Pilot[int]]:
    """A console with a directory for the person's files, and one for its memory."""
    async with console(world, state_dir=tmp_path / "state", config_dir=tmp_path).run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: world.figures)
        await pilot.pause()
        yield pilot
    keymap.CUSTOM.clear()


def write(path: Path, text: str, number: int = 1) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (number, number))


async def test_other_keys_at_once_and_in_footer_and_help(own: Pilot[int], world: World, tmp_path: Path) -> None:
    write(tmp_path / "keys.toml", 'start = "f5"\n')
    await until(own, lambda: "f5 start" in shown(own))
    await own.press("t")
    await own.press("f5")
    await until(own, lambda: world.calls)
    assert [call for call, _ in world.calls] == ["start"]
    await own.press("question_mark")
    await until(own, lambda: isinstance(own.app.screen, ReadingScreen))
    screen = own.app.screen
    assert isinstance(screen, ReadingScreen)
    assert any((each.label, each.value) == ("f5", "start  (marked rows too)") for each in screen.lines)


async def test_a_mistake_is_said_with_its_line_and_can_be_read_again(own: Pilot[int], tmp_path: Path) -> None:
    write(tmp_path / "keys.toml", '\nfly = "f5"\n')
    await until(own, lambda: "keys.toml:2: fly: unknown" in " ".join(shown(own).split()))
    assert main(own).session.messages.log[-1].severity == "bad"


async def test_aliases(own: Pilot[int], tmp_path: Path) -> None:
    write(tmp_path / "aliases.toml", 'dead = "instances status:stopped"\n')
    await until(own, lambda: main(own).personal.files.aliases)
    await line(own, "dead @h1")
    assert names(own) == ["web-3", "web-6"]
    assert main(own).acts.complete("de") == ["delete", "dead"]


async def test_a_view_is_saved_and_opened_again(own: Pilot[int], tmp_path: Path) -> None:
    await line(own, "instances status:running")
    await line(own, "sort -name")
    await line(own, "columns name,user.nothing,config.user.tag,host")
    await until(own, lambda: "TAG" in shown(own) and "web" in shown(own))
    await line(own, "save-view mine")
    await line(own, "instances web-1")
    await line(own, "sort memory")
    await line(own, "view mine")
    assert names(own)[:2] == ["web-23", "web-22"]
    table = main(own).table
    assert [column.id for column in table.columns] == ["name", "path:user.nothing", "path:config.user.tag", "host"]
    assert 'filter = "status:running"' in (tmp_path / "views.toml").read_text()
    await line(own, "view nothing")
    await until(own, lambda: "there is no view nothing; there are mine" in shown(own))


async def test_the_command_line_names_a_view(world: World, tmp_path: Path) -> None:
    write(tmp_path / "views.toml", '[mine]\nplace = "hosts"\nsort = "-memory"\n')
    first = FirstView("mine", "label:lyon")
    async with console(world, config_dir=tmp_path, first=first).run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: world.figures)
        await until(pilot, lambda: [key.host for key in main(pilot).table.view.keys] == ["h3", "h1"])
        assert main(pilot).place == "hosts"


async def test_order_columns_and_theme_are_remembered(world: World, tmp_path: Path) -> None:
    async with console(world, state_dir=tmp_path).run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: world.figures)
        await line(pilot, "sort memory")
        await pilot.press("H")
        await line(pilot, "columns name,memory")
        await line(pilot, "theme lxdpm-light")
        await until(pilot, lambda: "instances" in main(pilot).ordering.memory.tables)
    async with console(world, state_dir=tmp_path).run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(world.figures) == 3)
        table = main(pilot).table
        assert [column.id for column in table.columns] == ["name", "memory"]
        assert table.sort_column is not None
        assert (table.sort_column.id, table.view.reverse, table.grouped) == ("memory", True, True)
        rows = [table.view.source.get(key) for key in table.view.keys]
        assert [row.host for row in rows] == sorted(row.host for row in rows)
        assert pilot.app.theme == "lxdpm-light"
        assert main(pilot).ordering.memory.tables == {
            "instances": TableMemory("memory", True, ["name", "memory"], True)
        }


async def test_rows_by_host_first(own: Pilot[int]) -> None:
    def hosts() -> list[str]:
        return [key.host for key in main(own).table.view.keys]

    await line(own, "sort memory")
    apart = hosts()
    assert apart != sorted(apart)
    await own.press("H")
    await until(own, lambda: "HOST≡" in shown(own))
    assert hosts() == sorted(apart)
    await line(own, "save-view by-host")
    await own.press("H")
    await until(own, lambda: "HOST≡" not in shown(own))
    assert hosts() == apart
    await line(own, "view by-host")
    await until(own, lambda: "HOST≡" in shown(own))
    assert (hosts(), main(own).table.view.reverse) == (sorted(apart), True)


async def test_rows_that_are_on_no_one_host_are_not_grouped_by_it(own: Pilot[int], tmp_path: Path) -> None:
    write(tmp_path / "views.toml", '[mine]\nplace = "hosts"\ngrouped = true\n')
    await until(own, lambda: main(own).personal.files.views)
    await line(own, "view mine")
    await until(own, lambda: "view mine: hosts cannot be grouped by host" in shown(own))
    assert [key.host for key in main(own).table.view.keys] == ["h1", "h2", "h3", "h4"]


async def test_a_click_on_a_header_is_remembered_too(own: Pilot[int]) -> None:
    x = next(slot.x for slot in main(own).table._slots if slot.column.id == "host")
    await own.click(main(own).table, offset=(x + 3, 0))
    await until(own, lambda: "instances" in main(own).ordering.memory.tables)
    assert main(own).ordering.memory.tables["instances"].sort == "host"


async def test_a_plugin_behind_the_console_gets_the_row_in_its_environment(own: Pilot[int], tmp_path: Path) -> None:
    write(
        tmp_path / "plugins.toml",
        '[say]\ncommand = ["sh", "-c", "echo $NAME on $HOST says $1 and $how", "x", "$how"]\nkey = "f7"\n'
        'terminal = false\nplaces = ["instances"]\ninputs = [{name = "how", default = "hello"}]\n',
    )
    await until(own, lambda: main(own).personal.files.plugins)
    await own.press("down", "f7")
    await until(own, lambda: isinstance(own.app.screen, InputsScreen) and own.app.focused is not None)
    own.app.screen.query_one(Input).value = "$(id); ls"
    await own.press("enter")
    await until(own, lambda: "say: web-2 on h1 says $(id); ls and $(id); ls" in shown(own))
    await line(own, "hosts")
    await line(own, "say")
    await until(own, lambda: "say works in instances" in shown(own))


async def test_a_plugin_that_is_not_there_is_told(own: Pilot[int], tmp_path: Path) -> None:
    write(tmp_path / "plugins.toml", '[no]\ncommand = ["/nonexistent/program"]\nterminal = false\nconfirm = true\n')
    await until(own, lambda: main(own).personal.files.plugins)
    await line(own, "no")
    await until(own, lambda: "Run no?" in shown(own))
    await own.press("y")
    await until(own, lambda: "No such file or directory" in shown(own))


async def test_a_theme_of_ones_own(own: Pilot[int], tmp_path: Path) -> None:
    write(tmp_path / "themes" / "sea.toml", 'primary = "#00ffff"\n')
    await until(own, lambda: "sea" in own.app.available_themes)
    await line(own, "theme sea")
    assert own.app.theme_variables["primary"] == "#00FFFF"
    await line(own, "theme lake")
    await until(own, lambda: "themes: " in shown(own))


async def test_sixteen_colours(world: World) -> None:
    async with console(world).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: world.figures)
        await line(pilot, "theme lxdpm-ansi")
        await until(pilot, lambda: "web-1" in shown(pilot))
        assert pilot.app.theme_variables["primary"] == "ansi_bright_blue"


async def test_no_colours_where_none_are_wanted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console(world).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: world.figures and "web-1" in shown(pilot))
        assert pilot.app.theme == "lxdpm-plain"
        colours = {
            colour.name
            for strip in pilot.app.screen._compositor.render_strips()
            for segment in strip
            if segment.style is not None
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour is not None
        }
        assert colours <= {"default"}


def test_variables(world: World) -> None:
    row = world.inventory.instances["h1"][key("h1", "web-1")]
    found = variables_of("instances", row, "web")
    assert (found["NAME"], found["HOST"], found["IP"], found["FILTER"]) == ("web-1", "h1", "10.1.1.1", "web")
    assert variables_of("hosts", world.inventory.hosts["h1"], "")["HOST"] == "h1"
    assert variables_of("tasks", None, "")["NAME"] == ""
