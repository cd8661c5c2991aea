from __future__ import annotations

import time
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest
from textual.geometry import Region
from textual.pilot import Pilot

from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.widgets import live_table
from lxdpm_tui.console.widgets.live_table import HOLD, PAINT_EVERY, LiveTable
from lxdpm_tui.console.widgets.table_cells import GUTTER
from lxdpm_tui.fleet import view as view_module
from lxdpm_tui.fleet.inventory import HostRecord, Instance, Key
from tests.console.world import World, console, fill, key, shown, until


def table_of(pilot: Pilot[int]) -> LiveTable[Any]:
    screen = pilot.app.screen
    assert isinstance(screen, MainScreen)
    return screen.table


async def test_cursor_stays_on_its_key_when_rows_come_and_go(pilot: Pilot[int], world: World) -> None:
    table = table_of(pilot)
    await pilot.press("down", "down")
    assert table.cursor_key == key("h1", "web-3")
    world.inventory.put("instances", Instance(host="h1", project="default", name="aaa"))
    world.inventory.drop("instances", key("h1", "web-1"))
    await until(pilot, lambda: "aaa" in shown(pilot))
    assert table.cursor_key == key("h1", "web-3")
    world.inventory.drop("instances", key("h1", "web-3"))
    await until(pilot, lambda: table.cursor_key != key("h1", "web-3"))
    assert table.cursor_key in table.view.keys


async def test_rows_do_not_move_for_a_second_after_a_key(pilot: Pilot[int], world: World) -> None:
    table = table_of(pilot)
    cpu = next(column for column in table.columns if column.id == "cpu")
    table.sort_by(cpu, reverse=True)
    await pilot.pause()
    await pilot.press("down")
    before = list(table.view.keys)
    world.inventory.update_figures("h1", {key("h1", "web-1"): (1, 999.0)})
    await until(pilot, lambda: "999.0%" in shown(pilot))
    if time.monotonic() - table._last_key < HOLD * 0.9:
        assert table.view.keys == before
    await until(pilot, lambda: table.view.keys[0] == key("h1", "web-1"))
    assert time.monotonic() - table._last_key >= HOLD * 0.9


async def test_only_changed_cells_are_refreshed(pilot: Pilot[int], world: World) -> None:
    table = table_of(pilot)
    await pilot.pause(0.3)
    seen: list[Region] = []
    original = table.refresh

    def note(*regions: Region, **more: Any) -> Any:
        seen.extend(regions)
        return original(*regions, **more)

    table.refresh = note  # type: ignore[method-assign]
    world.inventory.update_figures("h1", {key("h1", "web-2"): (200 << 20, 77.0)})
    await until(pilot, lambda: "77.0%" in shown(pilot))
    assert [(region.height, region.width) for region in seen] == [(1, 6)]
    assert seen[0].y == 2


async def test_what_changes_between_a_paint_and_its_drawing_is_shown_by_the_next(
    pilot: Pilot[int], world: World
) -> None:
    """Only the cells that the paint told of go to the terminal: the others of the line are still to come."""
    table = table_of(pilot)
    await pilot.pause(0.3)
    seen: list[Region] = []
    original, drawn = table.refresh, table.render_line
    lines: list[int] = []

    def note(*regions: Region, **more: Any) -> Any:
        seen.extend(regions)
        return original(*regions, **more)

    def note_line(y: int) -> Any:
        lines.append(y)
        return drawn(y)

    table.refresh = note  # type: ignore[method-assign]
    table.render_line = note_line  # type: ignore[method-assign]
    row = table.view.source.get(key("h1", "web-2"))
    assert row is not None
    world.inventory.update_figures("h1", {key("h1", "web-2"): (row.memory, 77.0)})
    table.paint()
    table._last_paint = time.monotonic()  # the next one is some time off
    told = list(seen)
    seen.clear()
    world.inventory.update_figures("h1", {key("h1", "web-2"): (3 << 30, 77.0)})
    await until(pilot, lambda: 2 in lines)
    memory = next(slot for slot in table._slots if slot.column.id == "memory")
    at = memory.x + GUTTER

    def covers(region: Region) -> bool:
        return region.y == 2 and region.x <= at < region.right

    assert told
    assert not any(map(covers, told))
    await until(pilot, lambda: any(map(covers, seen)))
    await until(pilot, lambda: "77.0%    3G" in shown(pilot))


async def test_paints_are_four_a_second_at_most(pilot: Pilot[int], world: World) -> None:
    table = table_of(pilot)
    paints: list[float] = []
    original = table.paint

    def note() -> None:
        paints.append(table._last_paint)
        original()

    table.paint = note  # type: ignore[method-assign]
    value = 0.0

    def painted() -> bool:
        nonlocal value
        value += 1
        world.inventory.update_figures("h1", {key("h1", "web-1"): (1, value)})
        return len(paints) == 5

    await until(pilot, painted)
    assert value > 2 * len(paints)
    assert min(later - before for before, later in pairwise(paints)) >= PAINT_EVERY * 0.9


async def test_marks_and_ranges(pilot: Pilot[int]) -> None:
    table = table_of(pilot)
    await pilot.press("space", "down", "shift+down", "shift+down")
    assert {k.name for k in table.marks} == {"web-1", "web-3", "web-4", "web-5"}
    assert [k.name for k, _ in table.targets()] == ["web-1", "web-3", "web-4", "web-5"]
    assert "4 marked" in shown(pilot)
    await pilot.press("ctrl+a")
    assert len(table.marks) == 24
    await pilot.press("ctrl+a")
    assert not table.marks


async def test_paging_and_edges(pilot: Pilot[int]) -> None:
    table = table_of(pilot)
    await pilot.press("end")
    assert table.cursor_key == key("h4", "web-24")
    assert "web-24" in shown(pilot)
    await pilot.press("home")
    assert table.cursor_key == key("h1", "web-1")
    await pilot.press("pagedown")
    assert table.cursor_key == key("h4", "web-20")
    await pilot.press("j", "k", "k")
    assert table.cursor_key == key("h4", "web-19")


async def test_click_selects_and_a_second_one_opens(pilot: Pilot[int]) -> None:
    await pilot.click("#table-instances", offset=(6, 4))
    assert table_of(pilot).cursor_key == key("h1", "web-4")
    await pilot.click("#table-instances", offset=(6, 0))
    assert table_of(pilot).view.reverse
    assert table_of(pilot).cursor_key == key("h1", "web-4")


async def test_a_hundred_thousand_rows_cost_a_screenful() -> None:
    world = World()
    for number in range(100):
        name = f"h{number}"
        world.inventory.add_host(HostRecord(name=name, status="online"))  # type: ignore[arg-type]
        world.inventory.replace(
            "instances",
            name,
            [Instance(host=name, project="default", name=f"i{number}-{n}", cpu=1.0) for n in range(1000)],
        )
    async with console(world).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: world.figures, 30)
        table = table_of(pilot)
        await until(pilot, lambda: len(table.view) == 100_000, 30)
        await pilot.press("end")
        assert table.cursor_key == Key("h99", "default", "i99-999")
        assert len(table._shown) <= 24
        costs = []
        for _ in range(20):
            begin = time.process_time()
            table.paint()
            costs.append(time.process_time() - begin)
        assert sorted(costs)[5] < 0.02, costs


@pytest.fixture
async def many(monkeypatch: pytest.MonkeyPatch, world: World) -> AsyncIterator[Pilot[int]]:
    """A console over 1,600 rows that takes them for many: in slices of 64."""
    for name, value in {"MANY": 50, "SLICE": 64, "RUN": 64, "WAYS": 2}.items():
        monkeypatch.setattr(view_module, name, value)
    monkeypatch.setattr(live_table, "ARRANGE_EVERY", 0.3)
    fill(world.inventory, hosts=4, each=400)
    async with console(world).run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: world.figures and len(table_of(pilot).view) == 1600)
        yield pilot


async def test_a_filter_over_many_rows_shows_the_first_of_them_at_once(many: Pilot[int]) -> None:
    table = table_of(many)
    lengths: list[int] = []
    original = table.rows_changed

    def note() -> None:
        lengths.append(len(table.view))
        original()

    table.rows_changed = note  # type: ignore[method-assign]
    await many.press("/", "w")
    await until(many, lambda: "1600 of 1600" in shown(many) and not table._slices.busy)
    assert 0 < lengths[0] < 1600 == len(table.view)
    await many.press("e", "b", "-", "1", "2")
    await until(many, lambda: "of 1600" in shown(many) and len(table.view) == 111)
    assert all("web-12" in key.name for key in table.view.keys)
    assert f"{len(table.view)} of 1600" in shown(many)


async def test_many_rows_are_ordered_in_slices_and_not_while_keys_come(many: Pilot[int], world: World) -> None:
    table = table_of(many)
    cpu = next(column for column in table.columns if column.id == "cpu")
    table.sort_by(cpu, reverse=True)
    await until(many, lambda: table.view.keys[0] == key("h1", "web-400"))
    await until(many, lambda: not table._slices.busy)
    await many.press("down")
    world.inventory.update_figures("h1", {key("h1", "web-2"): (1, 9999.0)})
    await until(many, lambda: table.view.keys[0] == key("h1", "web-2"))
    assert time.monotonic() - table._last_key >= HOLD * 0.9
    assert table.view.keys[table._cursor_index] == table.cursor_key


async def test_the_cursor_stays_on_its_row_through_a_filter_over_many(many: Pilot[int]) -> None:
    table = table_of(many)
    table.select(key("h3", "web-1000"))
    await many.press("/", "0")
    await until(many, lambda: "of 1600" in shown(many) and not table._slices.busy)
    assert table.cursor_key == key("h3", "web-1000")
    assert "web-1000 " in shown(many)
