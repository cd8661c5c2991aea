"""What is on screen, as text, at the sizes that matter."""

from __future__ import annotations

import time

import pytest
from textual.pilot import Pilot

from lxdpm_tui.fleet.inventory import HostStatus, Instance
from tests.console.world import World, console, shown, until


async def test_80x24_instances(pilot: Pilot[int]) -> None:
    lines = shown(pilot).splitlines()
    assert len(lines) == 24
    assert lines[0].split() == "lxdpm-tui DEMO 4 hosts · 16 running of 24 instances all well".split()
    assert lines[1].split() == "1 Hosts 2 Instances 3 Images 4 Profiles 5 Tasks".split()
    assert lines[2].split() == "NAME▲ HOST STATE CPU MEM ADDRESS".split()
    assert lines[3].split() == "web-1 h1 Running 7.5% 100M 10.1.1.1".split()
    assert lines[5].split() == "web-3 h1 Stopped".split()
    assert lines[-1].strip().startswith("enter details  t start  x stop  R restart  p snapshot")
    assert lines[-1].endswith("? help")
    assert all(len(line) <= 80 for line in lines)


async def test_80x24_hosts(pilot: Pilot[int], world: World) -> None:
    now = time.time()
    world.inventory.update_host(
        "h2", status=HostStatus.UNREACHABLE, reason="connection refused", since=now - 43, retry_at=now + 12
    )
    await pilot.press("1")
    await until(pilot, lambda: "connection refused" in shown(pilot))
    lines = shown(pilot).splitlines()
    assert lines[0].endswith("h2 unreachable")
    assert "3 of 4 hosts" in lines[0]
    row = next(line for line in lines if line.startswith("  h2"))
    assert "unreachable" in row
    assert "38%" in row
    await pilot.press("down")
    await until(pilot, lambda: "r retry" in shown(pilot).splitlines()[-1])


async def test_stale_rows_stay_with_their_age(pilot: Pilot[int], world: World) -> None:
    for row in list(world.inventory.instances["h2"].values()):
        row.seen = time.time() - 4.5 * 3600
    world.inventory.update_host("h2", status=HostStatus.UNREACHABLE, reason="no answer")
    await until(pilot, lambda: "SEEN" in shown(pilot))
    line = next(line for line in shown(pilot).splitlines() if "web-8 " in line)
    assert line.count("4 h old") == 1
    fresh = next(line for line in shown(pilot).splitlines() if "web-1 " in line)
    assert "old" not in fresh
    world.inventory.update_host("h2", status=HostStatus.ONLINE, reason="")
    await until(pilot, lambda: "SEEN" not in shown(pilot))


async def test_wide_and_broken_names_keep_the_columns_straight(pilot: Pilot[int], world: World) -> None:
    world.inventory.put(
        "instances",
        Instance(
            host="h1", project="default", name="日本語サーバー一号機の名前", status="Running", cpu=1.5, memory=1 << 20
        ),
    )
    world.inventory.put(
        "instances",
        Instance(host="h1", project="default", name="a\x1b[31mred\n", status="Running", cpu=2.5, memory=1 << 20),
    )
    await pilot.press("slash", *"1m")
    await pilot.press("escape")
    await until(pilot, lambda: "·[31mred·" in shown(pilot))
    from rich.cells import cell_len

    lines = shown(pilot).splitlines()
    header = lines[2]
    for line in lines[3:8]:
        before = line[: line.index("Running")] if "Running" in line else line[: line.index("Stopped")]
        assert cell_len(before) == header.index("STATE")


async def test_200x60_shows_the_detail_beside_the_table(world: World) -> None:
    async with console(world).run_test(size=(200, 60)) as pilot:
        await until(pilot, lambda: world.figures)
        await pilot.press("enter")
        await until(pilot, lambda: "config from profiles" in shown(pilot))
        lines = shown(pilot).splitlines()
        assert len(lines) == 60
        row = next(line for line in lines if line.strip().startswith("web-1 "))
        assert row.index("web-1") < 10
        assert any("user.tag" in line and line.index("user.tag") > 100 for line in lines)


async def test_80x24_shows_the_detail_instead_of_the_table(pilot: Pilot[int]) -> None:
    await pilot.press("enter")
    await until(pilot, lambda: "root pool" in shown(pilot))
    assert "web-2" not in shown(pilot)
    await pilot.press("escape")
    await until(pilot, lambda: "web-2" in shown(pilot))


async def test_the_table_has_the_keys_again_behind_the_detail(pilot: Pilot[int]) -> None:
    table = pilot.app.screen.table  # type: ignore[attr-defined]
    await pilot.press("enter")
    await until(pilot, lambda: pilot.app.focused is None)
    await pilot.press("escape", "down")
    await until(pilot, lambda: table.cursor_key.name == "web-2")
    await pilot.press("enter")
    await until(pilot, lambda: pilot.app.focused is None)
    await pilot.resize_terminal(160, 40)
    await until(pilot, lambda: pilot.app.focused is table)
    await pilot.press("down")
    await until(pilot, lambda: table.cursor_key.name == "web-3")


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (132, 43)])
async def test_any_size_is_survived(world: World, size: tuple[int, int]) -> None:
    async with console(world).run_test(size=size) as pilot:
        await until(pilot, lambda: world.figures)
        for key in ("1", "2", "3", "4", "5", "enter", "question_mark"):
            await pilot.press(key)
        assert len(shown(pilot).splitlines()) == size[1]


async def test_an_empty_fleet_says_so() -> None:
    async with console(World()).run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "No instances. n makes one." in shown(pilot))
        await pilot.press("1")
        await until(pilot, lambda: "No hosts." in shown(pilot))
        assert "x stop" not in shown(pilot)


async def test_no_color_is_honoured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = console(world)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: world.figures)
        await pilot.pause()
        for strip in app.screen._compositor.render_strips():
            for segment in strip.apply_filter(app._filters[0], app.screen.background_colors[1]):
                for color in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                    if color is not None and color.triplet is not None:
                        assert len(set(color.triplet)) == 1


async def test_images_and_profiles_have_one_row_for_all_hosts(pilot: Pilot[int], world: World) -> None:
    await pilot.press("3")
    await until(pilot, lambda: "debian/12" in shown(pilot))
    assert shown(pilot).count("debian/12") == 1
    assert "everywhere" in shown(pilot)
    world.inventory.drop("images", next(iter(world.inventory.images["h1"])))
    await until(pilot, lambda: "3 of 4" in shown(pilot))
    await pilot.press("enter")
    await until(pilot, lambda: "does not have it" in shown(pilot))
    for host in ("h2", "h3", "h4"):
        world.inventory.replace("images", host, [])
    await until(pilot, lambda: "debian/12" not in shown(pilot))
    await pilot.press("escape", "4")
    await until(pilot, lambda: "differs" in shown(pilot))
    row = next(line for line in shown(pilot).splitlines() if line.startswith("  small"))
    assert row.split()[:3] == ["small", "everywhere", "differs"]
