"""guards.toml at work: whatever way an act takes, its guard asks or refuses."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import TextArea

from lxdpm_tui.actions.plan import State, read
from lxdpm_tui.actions.plan_make import make
from lxdpm_tui.console.screens.confirm import ConfirmScreen
from lxdpm_tui.console.screens.plan import PlanScreen
from lxdpm_tui.console.screens.settings import SettingsScreen
from lxdpm_tui.tasks.task import Task
from tests.console.test_going import line, main
from tests.console.world import World, console, shown, until

GUARDS = """
[live]
filter = "name:=web-1"
acts = ["stop", "start", "delete"]
why = "people use it"

[kept]
filter = "name:=web-2"
ask = "never"

[settled]
filter = "name:=web-3"
acts = ["edit"]
ask = "never"
"""


@pytest.fixture
async def guarded(world: World, tmp_path: Path) -> AsyncIterator[Pilot[int]]:
    """A console whose guards hold; nothing was asked for yet."""
    (tmp_path / "guards.toml").write_text(GUARDS)
    async with console(world, config_dir=tmp_path).run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: world.figures and main(pilot).personal.files.guards)
        yield pilot


async def asked(pilot: Pilot[int]) -> ConfirmScreen:
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, ConfirmScreen)
    return screen


async def test_a_name_is_typed_where_else_nothing_is_asked(guarded: Pilot[int], world: World) -> None:
    await guarded.press("slash", *"name:=web-1", "enter", "t")
    screen = await asked(guarded)
    assert (screen.question, screen.expect) == ("Start web-1 on h1?", "web-1")
    assert "guard live: people use it" in shown(guarded)
    assert not world.calls
    await guarded.press(*"web-1", "enter")
    await until(guarded, lambda: world.calls)
    assert world.last[0] == "start"


async def test_no_is_no_and_is_said(guarded: Pilot[int], world: World) -> None:
    await line(guarded, "start web-1")
    await asked(guarded)
    await guarded.press("escape")
    await until(guarded, lambda: "not confirmed, as guard live" in shown(guarded))
    assert not world.calls


async def test_what_was_typed_already_is_not_asked_for_again(guarded: Pilot[int], world: World) -> None:
    await guarded.press("slash", *"name:=web-1", "enter", "D")
    screen = await asked(guarded)
    assert screen.expect == "web-1"
    await guarded.press(*"web-1", "enter")
    await until(guarded, lambda: world.calls)
    assert world.last[0] == "delete"


@pytest.mark.parametrize(
    "words",
    [
        "stop web-2 --yes",
        "delete web-2 --yes",
        "stop web-1 web-2 --yes",
        "bulk stop web-2 --yes",
        "bulk stop --filter name:~web-2$ --yes",
        "edit instance web-2 x --yes",
        "edit instance h1:web-2 x --yes",
    ],
)
async def test_what_is_held_back_runs_on_no_way(guarded: Pilot[int], world: World, words: str) -> None:
    await line(guarded, words)
    await until(guarded, lambda: "held back by guard kept" in shown(guarded))
    assert not world.calls


async def test_a_plan_in_a_file_is_held_back_by_what_is_left_of_it(
    guarded: Pilot[int], world: World, tmp_path: Path
) -> None:
    file = tmp_path / "stop.json"
    rows = [row for row in world.inventory.all_instances() if row.name in ("web-2", "web-5")]
    plan = make(world.inventory, "stop", rows, {})
    file.write_text(plan.to_json())
    await line(guarded, f"run {file}")
    await until(guarded, lambda: "held back by guard kept" in shown(guarded))
    assert not world.calls
    next(item for item in plan.items if item.name == "web-2").state = State.DONE
    file.write_text(plan.to_json())
    await line(guarded, f"run {file}")
    await until(guarded, lambda: world.calls)
    assert read(world.last[1]["plan"]) == plan


@pytest.mark.parametrize("word", ["plan-retry", "plan-resume", "plan-skip"])
async def test_a_plan_that_goes_on_is_held_back_by_what_goes_on(guarded: Pilot[int], world: World, word: str) -> None:
    """A guard may be newer than the plan."""
    rows = [row for row in world.inventory.all_instances() if row.name in ("web-2", "web-5")]
    plan = make(world.inventory, "stop", rows, {})
    plan.state = "paused"
    kept, other = sorted(plan.items, key=lambda item: item.name)
    kept.state, other.state = State.FAILED, State.WAITING
    task = world.tasks.add(Task("stop", "Stopping", metadata={"plan": plan.to_dict()}, hosts={}))
    line_said = f"{word} {task.id}"
    if word != "plan-retry":  # what failed stays failed
        await line(guarded, line_said)
        await until(guarded, lambda: world.calls)
        assert world.last == (word, {"task": task.id})
        world.calls.clear()
        kept.state = State.WAITING
        task.update(metadata={"plan": plan.to_dict()})
    await line(guarded, line_said)
    await until(guarded, lambda: "held back by guard kept" in shown(guarded))
    assert not world.calls
    kept.state = State.DONE
    task.update(metadata={"plan": plan.to_dict()})
    await line(guarded, line_said)
    await until(guarded, lambda: world.calls)
    assert world.last == (word, {"task": task.id})


async def test_settings_are_guarded_on_every_way_to_them(guarded: Pilot[int], world: World) -> None:
    await guarded.press("slash", *"name:=web-3", "enter", "c")
    await until(guarded, lambda: isinstance(guarded.app.screen, SettingsScreen))
    guarded.app.screen.query_one("#field-config TextArea", TextArea).text = "user.a=b"
    await guarded.press("ctrl+s")
    await until(guarded, lambda: isinstance(guarded.app.screen, PlanScreen))
    await guarded.press("enter")
    await until(guarded, lambda: "held back by guard settled" in shown(guarded))
    assert not world.calls


async def test_a_guard_over_an_act_that_only_plans_have_is_no_mistake(guarded: Pilot[int], tmp_path: Path) -> None:
    (tmp_path / "guards.toml").write_text('[a]\nfilter = ""\nacts = ["configure", "snapshot"]\n')
    os.utime(tmp_path / "guards.toml", (1, 1))
    await until(guarded, lambda: list(main(guarded).personal.files.guards) == ["a"])
    assert "there is no action" not in shown(guarded)


async def test_a_bulk_act_is_held_back_and_others_go_on(guarded: Pilot[int], world: World) -> None:
    await guarded.press("space", "space", "x")
    await until(guarded, lambda: "Stop 2 instances" in shown(guarded))
    await guarded.press("enter")
    await until(guarded, lambda: "held back by guard kept" in " ".join(shown(guarded).split()))
    assert not world.calls
    await guarded.press("escape")
    await line(guarded, "start web-2")  # asks for nothing by itself, and the guard names no acts
    await until(guarded, lambda: world.calls)


async def test_a_guard_over_acts_that_are_not_there_is_told(guarded: Pilot[int], tmp_path: Path) -> None:
    (tmp_path / "guards.toml").write_text('[a]\nfilter = ""\nacts = ["delte"]\n')
    os.utime(tmp_path / "guards.toml", (1, 1))
    await until(guarded, lambda: "a.acts: there is no action delte" in " ".join(shown(guarded).split()))
