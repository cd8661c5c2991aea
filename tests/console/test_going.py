"""Going about: one line for table, filter and host; back and forward; into a row and out; projects; used-by jumps."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.fleet.inventory import Instance
from tests.console.world import World, console, shown, until


def main(pilot: Pilot[int]) -> MainScreen:
    screen = pilot.app.screen
    assert isinstance(screen, MainScreen)
    return screen


async def line(pilot: Pilot[int], text: str) -> None:
    """Type a `:` line and enter."""
    await pilot.press("colon")
    await until(pilot, lambda: pilot.app.focused is main(pilot).prompt.input and main(pilot).prompt.sign == ":")
    main(pilot).prompt.input.value = text
    await pilot.press("enter")
    await pilot.pause()


def names(pilot: Pilot[int]) -> list[str]:
    return [key.name for key in main(pilot).table.view.keys]


async def test_one_line_says_table_filter_and_host(pilot: Pilot[int]) -> None:
    await line(pilot, "instances web-* /web status:stop @h2")
    assert main(pilot).place == "instances"
    assert names(pilot) == ["web-9", "web-12"]
    assert main(pilot).filters["instances"] == "web-* web status:stop @h2"


async def test_a_filter_on_the_line_keeps_its_quotes_and_backslashes(pilot: Pilot[int]) -> None:
    await line(pilot, r"instances ~^web-1\d")
    assert names(pilot)[:2] == ["web-10", "web-11"]
    await line(pilot, 'hosts "h1"')
    assert main(pilot).filters["hosts"] == '"h1"'


async def test_a_wrong_filter_is_told_and_nothing_changes(pilot: Pilot[int]) -> None:
    await line(pilot, "hosts")
    await line(pilot, "instances colour:red")
    await until(pilot, lambda: "there is no field colour" in shown(pilot))
    await pilot.press("escape")
    assert main(pilot).place == "hosts"


async def test_back_and_forward_with_crumbs(pilot: Pilot[int]) -> None:
    await line(pilot, "hosts @h")
    await line(pilot, "images")
    await until(pilot, lambda: "instances › hosts @h › images" in shown(pilot))
    await pilot.press("minus")
    assert (main(pilot).place, main(pilot).filters["hosts"]) == ("hosts", "@h")
    await pilot.press("left_square_bracket")
    assert main(pilot).place == "instances"
    await pilot.press("right_square_bracket", "equals_sign")
    assert main(pilot).place == "images"


async def test_brackets_scroll_the_detail_while_it_is_open(pilot: Pilot[int]) -> None:
    await line(pilot, "hosts")
    await line(pilot, "instances")
    await pilot.press("enter", "right_square_bracket")
    await until(pilot, lambda: main(pilot).detail.scroll_offset.y > 0)
    await pilot.press("left_square_bracket")
    await until(pilot, lambda: main(pilot).detail.scroll_offset.y == 0)
    assert main(pilot).place == "instances"


async def test_into_a_host_and_out_again(pilot: Pilot[int]) -> None:
    await pilot.press("1", "down", "i")
    assert main(pilot).place == "instances"
    assert names(pilot) == [f"web-{number}" for number in range(7, 13)]
    await pilot.press("escape")
    assert main(pilot).place == "hosts"
    await pilot.press("2")
    assert len(names(pilot)) == 6  # the table keeps its filter, as a tab does
    await pilot.press("escape")
    assert len(names(pilot)) == 24


@pytest.mark.parametrize(
    ("place", "query", "count"),
    [("hosts", "host:=h1", 6), ("profiles", "profile:=default project:=default", 24)],
)
async def test_the_instances_that_use_it(pilot: Pilot[int], place: str, query: str, count: int) -> None:
    await line(pilot, place)
    await pilot.press("u")
    assert main(pilot).filters["instances"] == query
    assert len(names(pilot)) == count
    await pilot.press("escape")
    assert main(pilot).place == place


async def test_one_project_only(pilot: Pilot[int], world: World) -> None:
    for host in ("h1", "h2"):
        world.inventory.update_host(host, projects=("default", "shop"))
    world.inventory.put("instances", Instance(host="h1", project="shop", name="till", status="Running"))
    await pilot.press("O")
    await until(pilot, lambda: main(pilot).prompt.input.value == "project " and "all  default  shop" in shown(pilot))
    await pilot.press(*"shop", "enter")
    await until(pilot, lambda: names(pilot) == ["till"] and "project shop" in shown(pilot))
    await line(pilot, "start till")
    await until(pilot, lambda: world.calls)
    assert world.last == ("start", {"instances": ["till"], "project": "shop"})
    await line(pilot, "project nowhere")
    await until(pilot, lambda: "there is no project nowhere" in shown(pilot))
    await pilot.press("escape")
    await line(pilot, "project all")
    assert len(names(pilot)) == 25


async def test_the_history_of_lines_is_there_the_next_day(world: World, tmp_path: Path) -> None:
    async with console(world, state_dir=tmp_path).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: world.figures)
        await line(pilot, "hosts site")
    async with console(world, state_dir=tmp_path).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(world.figures) == 3)
        await pilot.press("colon", "up")
        await until(pilot, lambda: main(pilot).prompt.input.value == "hosts site")


async def test_completion_of_filters_and_hosts(pilot: Pilot[int]) -> None:
    complete = main(pilot).acts.complete
    assert complete("instances web @") == [f"instances web @h{n}" for n in range(1, 5)]
    assert complete("instances sta") == ["instances status:"]
    assert complete("instances status:r") == ["instances status:running"]
    assert complete("instances !status:running,st") == ["instances !status:running,stopped"]
    assert complete("hosts cp") == ["hosts cpus>"]
    assert complete("instances profile:de") == ["instances profile:default"]
    assert complete("project d") == ["project default"]
    assert complete("sort me") == ["sort memory"]
