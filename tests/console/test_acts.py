"""Every key that does something: what is asked, and which action runs with which arguments."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot
from textual.widgets import Button

from lxdpm_tui.actions.plan import read
from lxdpm_tui.console.keymap import BY_ID, KEYS, PLACES
from lxdpm_tui.console.screens.confirm import ConfirmScreen
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.screens.reading import ReadingScreen
from lxdpm_tui.console.session import Session
from lxdpm_tui.fleet.inventory import HostStatus, Instance
from lxdpm_tui.tasks.task import Status, Task
from tests.console.world import World, console, key, shown, until


def main(pilot: Pilot[int]) -> MainScreen:
    screen = pilot.app.screen
    assert isinstance(screen, MainScreen)
    return screen


async def asked(pilot: Pilot[int], words: str = "") -> None:
    """A dialog opens, with these words in its question."""
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen) and words in shown(pilot))
    await pilot.pause()


async def test_start_needs_no_question(pilot: Pilot[int], world: World) -> None:
    await pilot.press("down", "down", "t")
    await until(pilot, lambda: world.calls)
    assert world.last == ("start", {"instances": ["h1:web-3"], "project": "default"})


async def test_stop_asks_naming_host_and_project(pilot: Pilot[int], world: World) -> None:
    await pilot.press("x")
    await asked(pilot, "Stop web-1 on h1 (project default)?")
    await pilot.press("y")
    await until(pilot, lambda: world.calls)
    assert world.last == ("stop", {"instances": ["h1:web-1"], "project": "default"})


async def test_enter_on_a_question_means_no(pilot: Pilot[int], world: World) -> None:
    await pilot.press("x")
    await asked(pilot)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    await pilot.press("x")
    await asked(pilot)
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    assert world.calls == []


async def test_force_is_a_choice(pilot: Pilot[int], world: World) -> None:
    await pilot.press("R")
    await asked(pilot)
    await pilot.press("shift+tab", "shift+tab", "right", "y")
    await until(pilot, lambda: world.calls)
    assert world.last == ("restart", {"instances": ["h1:web-1"], "project": "default", "force": True})


async def test_marked_rows_are_meant_together(pilot: Pilot[int], world: World) -> None:
    await pilot.press("space", "down", "down", "down", "down", "down", "space", "x")
    await until(pilot, lambda: "Stop 2 instances on 2 hosts (project default)" in shown(pilot))
    await pilot.press("y")
    await until(pilot, lambda: world.calls)
    plan = read(world.last[1]["plan"])
    assert [(item.host, item.name) for item in plan.items] == [("h1", "web-1"), ("h2", "web-7")]
    await pilot.press("escape")
    await until(pilot, lambda: not main(pilot).table.marks)


async def test_marked_rows_of_two_projects_are_one_plan(pilot: Pilot[int], world: World) -> None:
    world.inventory.put("instances", Instance(host="h1", project="shop", name="aaa", status="Stopped"))
    await until(pilot, lambda: "aaa" in shown(pilot))
    await pilot.press("home", "space", "space", "t")
    await until(pilot, lambda: "Start 2 instances on 1 host (2 projects: shop, default)" in shown(pilot))
    await pilot.press("enter")
    await until(pilot, lambda: world.calls)
    plan = read(world.last[1]["plan"])
    assert [(item.project, item.name) for item in plan.items] == [("shop", "aaa"), ("default", "web-1")]


async def test_freeze_thaws_what_is_frozen(pilot: Pilot[int], world: World) -> None:
    await pilot.press("z")
    await asked(pilot)
    await pilot.press("y")
    await until(pilot, lambda: world.calls)
    assert world.last[0] == "freeze"
    world.inventory.put("instances", Instance(host="h1", project="default", name="web-1", status="Frozen"))
    await pilot.press("z")
    await until(pilot, lambda: len(world.calls) == 2)
    assert world.last[0] == "unfreeze"


async def test_delete_wants_the_name_typed(pilot: Pilot[int], world: World) -> None:
    await pilot.press("down", "down", "D")
    await asked(pilot, "Delete web-3 on h1 (project default) with all snapshots?")
    await pilot.press("y", "enter")
    assert pilot.app.screen.query_one("#confirm-yes", Button).disabled
    assert world.calls == []
    await pilot.press("backspace", *"web-3", "enter")
    await until(pilot, lambda: world.calls)
    assert world.last == ("delete", {"instances": ["h1:web-3"], "project": "default"})


async def test_delete_of_several_wants_their_number(pilot: Pilot[int], world: World) -> None:
    await pilot.press("space", "space", "D")
    await until(pilot, lambda: "h1:web-1 is Running: stop it first, or use force" in shown(pilot))
    await pilot.press("enter", "f", "enter")
    await until(pilot, lambda: "Type  2  to go on" in shown(pilot))
    await pilot.press("1", "enter")
    assert not world.calls
    await pilot.press("backspace", "2", "enter")
    await until(pilot, lambda: world.calls)
    first = read(world.last[1]["plan"]).items[0]
    assert [call.text() for call in first.calls] == [
        'PUT /1.0/instances/web-1/state {"action":"stop","timeout":30,"force":true}',
        "DELETE /1.0/instances/web-1",
    ]


async def test_images_and_profiles_go_from_all_hosts(pilot: Pilot[int], world: World) -> None:
    await pilot.press("3", "D")
    await asked(pilot, "Delete image debian/12 on all hosts?")
    await pilot.press("y")
    await until(pilot, lambda: world.calls)
    assert world.calls == [("image-delete", {"fingerprint": "ab12" * 16, "project": "default"})]
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    await pilot.press("4", "end", "D")
    await asked(pilot, "Delete profile small on all hosts?")
    await pilot.press("y")
    await until(pilot, lambda: len(world.calls) == 2)
    assert world.last == ("profile-delete", {"name": "small", "project": "default"})


async def test_maintenance_goes_on_and_off(pilot: Pilot[int], world: World) -> None:
    await pilot.press("1", "m")
    await until(pilot, lambda: world.calls)
    assert world.last == ("maintenance", {"host": "h1", "on": "on"})
    world.inventory.update_host("h1", maintenance=True)
    await until(pilot, lambda: "maintenance" in shown(pilot).splitlines()[3])
    await pilot.press("m")
    await until(pilot, lambda: len(world.calls) == 2)
    assert world.last[1]["on"] == "off"


async def test_retry_asks_the_host_again_now(pilot: Pilot[int], world: World) -> None:
    await pilot.press("1", "down", "r")
    assert world.retried == []
    world.inventory.update_host("h2", status=HostStatus.UNREACHABLE, reason="gone")
    await until(pilot, lambda: "r retry" in shown(pilot))
    await pilot.press("r")
    await until(pilot, lambda: world.retried == ["h2"])
    await until(pilot, lambda: "Trying h2 again" in shown(pilot))


async def test_drilling_down_and_back(pilot: Pilot[int]) -> None:
    await pilot.press("1", "down", "i")
    await until(pilot, lambda: "6 of 24" in shown(pilot))
    assert main(pilot).place == "instances"
    assert {k.host for k in main(pilot).table.view.keys} == {"h2"}
    await pilot.press("escape")
    await until(pilot, lambda: main(pilot).place == "hosts")


async def test_transitional_state_then_outcome(pilot: Pilot[int], world: World) -> None:
    await pilot.press("x")
    await asked(pilot)
    await pilot.press("y")
    await until(pilot, lambda: "Stopping…" in shown(pilot))
    row = next(line for line in shown(pilot).splitlines() if " web-1 " in line)
    assert "Stopping…" in row
    await until(pilot, lambda: "Stop things: web-1" in shown(pilot).splitlines()[-2])
    world.task.finish(Status.SUCCESS)
    await until(pilot, lambda: "Done: Stop things: web-1" in shown(pilot))
    await until(pilot, lambda: "Stopping…" not in shown(pilot))


async def test_a_failure_stays_until_it_is_seen(pilot: Pilot[int], world: World) -> None:
    await pilot.press("t")
    await until(pilot, lambda: world.calls)
    world.task.finish(Status.FAILURE, "h1: no space left on device")
    await until(pilot, lambda: "no space left on device" in shown(pilot))
    await pilot.press("down", "1", "2")
    await until(pilot, lambda: shown(pilot).splitlines()[-2].endswith("esc seen"))
    assert "✗ Failed: Start things: web-1: h1: no space left on device" in shown(pilot).splitlines()[-2]
    await pilot.press("escape")
    await until(pilot, lambda: "no space left" not in shown(pilot))
    await pilot.press("exclamation_mark")
    await until(pilot, lambda: "no space left" in shown(pilot))


async def test_a_refusal_is_said(pilot: Pilot[int], world: World) -> None:
    world.refuse["start"] = "there is no instance web-1"
    await pilot.press("t")
    await until(pilot, lambda: "start: there is no instance web-1" in shown(pilot))


async def test_tasks_screen_shows_and_cancels(pilot: Pilot[int], world: World) -> None:
    task = world.tasks.add(Task(kind="image-import", description="Distributing image", owner="unix"))
    task.update(host="h1", status="done", progress=100)
    task.update(host="h2", status="running", progress=40)
    await pilot.press("5")
    await until(pilot, lambda: "Distributing image" in shown(pilot))

    def row() -> str:
        return next((line for line in shown(pilot).splitlines() if line.startswith("  Running")), "")

    await until(pilot, lambda: "70%" in row() and "2 hosts" in row())
    await pilot.press("enter")
    await until(pilot, lambda: "running 40%" in shown(pilot))
    await pilot.press("escape", "c")
    await until(pilot, lambda: task.status is Status.CANCELLING)
    task.update(host="h2", error="disk full")
    task.finish(Status.CANCELLED)
    await until(pilot, lambda: "Cancelled: Distributing image" in shown(pilot))
    await until(pilot, lambda: "c cancel" not in shown(pilot))


async def test_why_here_shows_the_decision(pilot: Pilot[int], world: World) -> None:
    await pilot.press("w")
    await until(pilot, lambda: "No placement is known" in shown(pilot))
    await pilot.press("escape")
    hosts = [
        {"host": "h1", "score": 12.5, "reason": "", "memory_free": 8 << 30, "instances": 3, "cpus": 8},
        {"host": "h2", "score": None, "reason": "in maintenance", "memory_free": 0, "instances": 0, "cpus": 8},
    ]
    entry = {"instance": "web-1", "strategy": "scatter", "chosen": "h1", "hosts": hosts}
    task = world.tasks.add(Task(kind="launch", description="Creating instance", metadata={"placement": [entry]}))
    task.finish(Status.SUCCESS)
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    await pilot.press("w")
    await until(pilot, lambda: isinstance(pilot.app.screen, ReadingScreen) and "12.5" in shown(pilot))
    text = shown(pilot)
    assert "Why is web-1 on h1?" in text
    assert "→ h1      12.5    8 GiB          3     8" in text
    assert "h2    left out: in maintenance" in text


async def test_command_line_runs_any_action(pilot: Pilot[int], world: World) -> None:
    await pilot.press("colon", *"stop web-2 --force", "enter")
    await asked(pilot, "stop web-2 on h1 (project default)?")
    await pilot.press("y")
    await until(pilot, lambda: world.calls)
    assert world.last == ("stop", {"instances": ["web-2"], "force": True})


async def test_command_line_says_what_is_wrong_and_stays(pilot: Pilot[int], world: World) -> None:
    await pilot.press("colon", *"fly", "enter")
    await until(pilot, lambda: "there is no command fly" in shown(pilot))
    assert main(pilot).prompt.opened
    await pilot.press("escape")
    await until(pilot, lambda: not main(pilot).prompt.opened)
    await pilot.press("x")
    await asked(pilot)


async def test_command_line_completes_and_remembers(pilot: Pilot[int], world: World) -> None:
    await pilot.press("colon", *"unf", "tab", *"web-1", "tab")
    await until(pilot, lambda: main(pilot).prompt.input.value == "unfreeze web-1")
    await until(pilot, lambda: "web-10" in shown(pilot).splitlines()[-2])
    await pilot.press("enter")
    await until(pilot, lambda: world.calls)
    assert world.last == ("unfreeze", {"instances": ["web-1"]})
    await pilot.press("colon", "up")
    await until(pilot, lambda: main(pilot).prompt.input.value == "unfreeze web-1")


async def test_command_line_goes_to_views(pilot: Pilot[int]) -> None:
    await pilot.press("colon", *"instances @h3", "enter")
    await until(pilot, lambda: "6 of 24" in shown(pilot))
    await pilot.press("colon", *"hosts", "enter")
    await until(pilot, lambda: main(pilot).place == "hosts")


async def test_themes_are_a_command_away(pilot: Pilot[int]) -> None:
    await pilot.press("colon", *"theme none", "enter")
    await until(pilot, lambda: "themes: " in shown(pilot))
    await pilot.press("escape", "colon", *"theme lxdpm-light", "enter")
    await until(pilot, lambda: pilot.app.theme == "lxdpm-light")
    assert not main(pilot).prompt.opened


async def test_filter_as_you_type(pilot: Pilot[int]) -> None:
    await pilot.press("slash", *"stopped")
    await until(pilot, lambda: len(main(pilot).table.view) == 8 and "8 of 24" in shown(pilot))
    await pilot.press(*" cpu>")
    assert len(main(pilot).table.view) == 8
    await pilot.press("z")
    await until(pilot, lambda: "is no value for cpu" in shown(pilot))
    await pilot.press("backspace", "backspace", "backspace", "backspace", "backspace", "enter")
    await until(pilot, lambda: "/stopped 8 of 24" in shown(pilot))
    await pilot.press("escape")
    await until(pilot, lambda: len(main(pilot).table.view) == 24)


async def test_sort_by_column_and_back(pilot: Pilot[int]) -> None:
    table = main(pilot).table
    await pilot.press("s", "s", "s")
    assert table.sort_column is not None
    assert table.sort_column.id == "cpu"
    assert table.view.reverse
    assert table.view.source.get(table.view.keys[0]).cpu == 37.5
    await pilot.press("S")
    assert table.view.source.get(table.view.keys[0]).cpu == 7.5


async def test_quit_asks_only_while_something_runs(world: World) -> None:
    app = console(world)
    async with app.run_test() as pilot:
        await until(pilot, lambda: world.figures)
        task = world.tasks.add(Task(kind="launch", description="Creating instance"))
        await pilot.press("q")
        await asked(pilot, "Leave while 1 task still runs?")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        task.finish(Status.SUCCESS)
        await pilot.press("q")
        await until(pilot, lambda: world.closed and app._exit)
    assert app.return_code == 0
    assert world.figures == [True, False]


@pytest.mark.parametrize("place", PLACES)
async def test_help_tells_every_key_that_works_there(pilot: Pilot[int], place: str) -> None:
    await pilot.press(BY_ID[place].keys, "question_mark")
    await until(pilot, lambda: isinstance(pilot.app.screen, ReadingScreen))
    screen = pilot.app.screen
    assert isinstance(screen, ReadingScreen)
    told = {(line.label, line.value.partition("  (marked")[0]) for line in screen.lines}
    for each in KEYS:
        assert ((each.shown, each.help) in told) == (not each.places or place in each.places)
    assert any(line.value.startswith("stop INSTANCES… [PROJECT" ) or line.value.startswith("stop INSTANCES…")
               for line in screen.lines)  # fmt: skip
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


def test_no_two_keys_clash_in_a_place() -> None:
    for place in PLACES:
        seen: dict[str, str] = {}
        for each in KEYS:
            if not each.places or place in each.places:
                for name in each.keys.split(","):
                    assert name not in seen, f"{name} is {seen.get(name)} and {each.id} in {place}"
                    seen[name] = each.id


def test_session_without_a_manager_refuses_in_words() -> None:
    session = Session()
    assert session.running() == []
    session.retry("h1")
    assert key("h1", "x").name == "x"
