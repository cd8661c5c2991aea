"""The plan before it runs, the board while it runs, left and come back to; the forms that lead there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot

from lxdpm_tui.actions.plan import Call, Item, Limits, Plan, State, read
from lxdpm_tui.console import plan_words
from lxdpm_tui.console.screens.form import FormScreen
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.screens.plan import PlanScreen
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.tasks.task import Status, Task
from tests.console.test_comfort import chosen
from tests.console.world import World, shown, until

CALL = (Call("PUT", "/1.0/instances/x/state", {"action": "stop"}),)


def plan_screen(pilot: Pilot[int]) -> PlanScreen:
    screen = pilot.app.screen
    assert isinstance(screen, PlanScreen)
    return screen


async def opened(pilot: Pilot[int], *keys: str) -> PlanScreen:
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen))
    await pilot.pause()
    return plan_screen(pilot)


def keys(screen: PlanScreen) -> list[str]:
    return [key for key, _ in screen.offered()]


def make(states: Sequence[State], hosts: int = 2, **limits: int) -> Plan:
    """A plan to stop w0, w1, … on h1, h2, … in turn."""
    items = [Item(f"h{n % hosts + 1}", f"w{n}", CALL, state=state) for n, state in enumerate(states)]
    plan = Plan("stop", "Stopping instances", items, Limits(**limits))  # type: ignore[arg-type]
    plan.arrange()
    return plan


# -- before it runs


async def test_limits_are_chosen_before_it_runs(pilot: Pilot[int], world: World) -> None:
    screen = await opened(pilot, "ctrl+a", "x")
    await until(pilot, lambda: "Stop 24 instances on 4 hosts (project default)" in shown(pilot))
    assert keys(screen) == ["enter", "f", "w", "h", "c", "e", "s", "esc"]
    await pilot.press("w", "w", "c", "c", "h", "e", "f")
    await until(
        pilot,
        lambda: (
            "4 canaries first, one wave, 8 at once on a host; on error continue" in shown(pilot)
            and '"force":true' in shown(pilot)
        ),
    )
    assert "canary: 4 instances" in shown(pilot)
    await pilot.press("enter")
    await until(pilot, lambda: "Type  24  to go on" in shown(pilot))  # many: typed although it can be taken back
    await pilot.press("2", "4", "enter")
    await until(pilot, lambda: world.calls)
    plan = read(world.last[1]["plan"])
    assert plan.limits == Limits(per_host=8, wave=0, canary=4, on_error="continue")
    assert (plan.waves, len(plan.items)) == ([0, 1], 24)


async def test_no_means_that_nothing_is_done_and_the_marks_stay(pilot: Pilot[int], world: World) -> None:
    await opened(pilot, "space", "space", "t")
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    assert not world.calls
    await until(pilot, lambda: "2 marked" in shown(pilot))


async def test_a_refused_run_is_said_and_the_plan_stays(pilot: Pilot[int], world: World) -> None:
    world.refuse["run"] = "the fleet is closed"
    screen = await opened(pilot, "space", "space", "t")
    await pilot.press("enter")
    await until(pilot, lambda: "the fleet is closed" in shown(pilot))
    assert screen.state == "ready"


async def test_the_plan_is_saved_as_run_takes_it(pilot: Pilot[int], tmp_path: Path) -> None:
    screen = await opened(pilot, "space", "space", "t")
    await pilot.press("s")
    field = screen.query_one("#plan-input")
    await until(pilot, lambda: field.display and pilot.app.focused is field)
    assert field.value.startswith("start-2-")  # type: ignore[attr-defined]
    field.value = str(tmp_path / "p.json")  # type: ignore[attr-defined]
    await pilot.press("enter")
    await until(pilot, lambda: (tmp_path / "p.json").exists() and (tmp_path / "p.json").read_text().endswith("}\n"))
    assert read((tmp_path / "p.json").read_text()) == screen.plan
    await pilot.press("s")
    await until(pilot, lambda: field.display and pilot.app.focused is field)
    field.value = "/nowhere/p.json"  # type: ignore[attr-defined]
    await pilot.press("enter")
    await until(pilot, lambda: "/nowhere/p.json: No such file" in shown(pilot))


# -- while it runs


@pytest.fixture
async def task(world: World) -> Task:
    """One that stops six instances on two hosts; half done, one failed, and it waits."""
    plan = make([State.DONE, State.DONE, State.DONE, State.FAILED, State.WAITING, State.WAITING], wave=2)
    plan.items[3].error, plan.items[3].unsure = "h2: it was lost in the middle of it: no route", True
    plan.state, plan.why = "paused", "1 failed: h2: it was lost in the middle of it: no route"
    task = Task("stop", "Stopping instances", metadata={"plan": plan.to_dict()}, hosts={"h1": {}, "h2": {}})
    return world.tasks.add(task)


async def test_a_pause_is_said_and_its_board_is_in_the_tasks(pilot: Pilot[int], world: World, task: Task) -> None:
    task.update()
    await until(pilot, lambda: "Stopping instances: 1 failed: h2: it was lost" in shown(pilot))
    await pilot.press("5")
    await until(pilot, lambda: "paused: 1 fa" in shown(pilot))
    screen = await opened(pilot, "b")
    await until(pilot, lambda: "Paused: 1 failed: h2" in shown(pilot) and "wave 2 (2 of 2)" in shown(pilot))
    text = shown(pilot)
    assert "wave 2 (2 of 2), 3 of 6 done, 1 failed" in text
    assert "Paused: 1 failed: h2: it was lost in the middle of it: no route" in text
    rows = [line.strip("│ ").split() for line in text.splitlines()]
    assert ["HOST", "wave", "1", "wave", "2"] in rows
    assert ["h1", "2/2", "0/1"] in rows
    assert ["h2", "1/2", "!1", "0/1"] in rows
    assert "(it may have worked)" in " ".join(text.replace("│", " ").split())
    assert keys(screen) == ["r", "k", "p", "x", "s", "v", "esc"]
    for key, action in (("r", "plan-retry"), ("k", "plan-skip"), ("p", "plan-resume")):
        number = len(world.calls)
        await pilot.press(key)
        await until(pilot, lambda number=number: len(world.calls) > number)  # type: ignore[misc]
        assert world.last == (action, {"task": task.id})
    await pilot.press("v")
    await until(pilot, lambda: "h1         PUT /1.0/instances/x/state" in shown(pilot))
    await pilot.press("v", "escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    assert not task.status.final, "to leave the board is not to end the act"


async def test_the_board_follows_the_run(pilot: Pilot[int], world: World, task: Task) -> None:
    screen = await opened(pilot, "5", "b")
    plan = read(task.metadata["plan"])
    plan.state = "running"
    plan.items[3].state, plan.items[4].state = State.DONE, State.RUNNING
    task.update(metadata={"plan": plan.to_dict()})
    await until(pilot, lambda: "0/1 …1" in shown(pilot) and "Paused" not in shown(pilot))
    assert keys(screen) == ["p", "x", "s", "v", "esc"]
    await pilot.press("p")
    await until(pilot, lambda: world.calls)
    assert world.last == ("plan-pause", {"task": task.id})
    await pilot.press("x")
    await until(pilot, lambda: task.status is Status.CANCELLING)
    plan.items[4].state, plan.state = State.FAILED, "done"
    task.update(metadata={"plan": plan.to_dict()})
    task.finish(Status.CANCELLED)
    await until(pilot, lambda: screen.state == "done")
    assert keys(screen) == ["r", "s", "v", "esc"]


async def test_only_a_bulk_act_has_a_board(pilot: Pilot[int], world: World) -> None:
    world.tasks.add(Task("launch", "Creating instance"))
    await pilot.press("5", "b")
    await until(pilot, lambda: "Only a bulk act has a board." in shown(pilot))


async def test_a_saved_plan_is_shown_before_it_runs(pilot: Pilot[int], world: World, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text(make([State.DONE, State.WAITING], wave=0).to_json())
    await pilot.press("colon", *f"plan {file}", "enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen))
    await until(pilot, lambda: "one wave" in shown(pilot))
    await pilot.press("enter")
    await until(pilot, lambda: world.calls)
    assert [item.state for item in read(world.last[1]["plan"]).items] == [State.DONE, State.WAITING]
    await pilot.press("escape")
    await pilot.press("colon", *"plan /nowhere", "enter")
    await until(pilot, lambda: "/nowhere: No such file" in shown(pilot))


# -- from the line


async def test_bulk_on_the_line_shows_its_plan_first(pilot: Pilot[int], world: World) -> None:
    await pilot.press("colon", *"bulk stop web-1 h1:web-2 --wave 2 --on-error stop", "enter")
    await until(pilot, lambda: "Stop 2 instances on 1 host (project default)" in shown(pilot))
    screen = plan_screen(pilot)
    assert screen.limits == Limits(wave=2, on_error="stop")
    assert "waves of 2 a host, 4 at once on a host; on error stop" in shown(pilot)
    await pilot.press("f", "h")
    await until(pilot, lambda: "default), force" in shown(pilot) and "8 at once" in shown(pilot))
    await pilot.press("enter")
    await until(pilot, lambda: world.calls)
    plan = read(world.last[1]["plan"])
    assert [item.name for item in plan.items] == ["web-1", "web-2"]
    assert plan.items[0].calls[0].body == {"action": "stop", "timeout": 30, "force": True}
    assert plan.limits == Limits(per_host=8, wave=2, on_error="stop")


async def test_bulk_without_names_is_about_the_marked_rows(pilot: Pilot[int], world: World) -> None:
    await pilot.press("space", "space", "colon", *"bulk snapshot --name s-{n}", "enter")
    await until(pilot, lambda: '"name":"s-2"' in shown(pilot))
    await pilot.press("enter")
    await until(pilot, lambda: world.calls)
    assert [item.name for item in read(world.last[1]["plan"]).items] == ["web-1", "web-2"]
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    await until(pilot, lambda: "marked" not in shown(pilot))


async def test_bulk_over_an_empty_table_says_so(pilot: Pilot[int], world: World) -> None:
    await pilot.press("slash", *"nothing", "enter", "colon", *"bulk stop", "enter")
    await until(pilot, lambda: "bulk: no instances to stop" in shown(pilot))


async def test_bulk_by_a_filter_and_what_it_refuses(pilot: Pilot[int], world: World) -> None:
    await pilot.press("colon", *"bulk start --filter host:=h2", "enter")
    await until(pilot, lambda: "Start 6 instances on 1 host (project default)" in shown(pilot))
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    await pilot.press("colon", *"bulk fly web-1", "enter")
    await until(pilot, lambda: "there is no bulk act 'fly'" in " ".join(shown(pilot).split()))
    assert not keys(plan_screen(pilot)) or "enter" not in keys(plan_screen(pilot))
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    await pilot.press("colon", *"bulk start web-1 --yes", "enter")
    await until(pilot, lambda: world.calls)
    assert world.last[0] == "bulk", "who says yes has no plan shown"


async def test_the_palette_leads_to_the_plan(pilot: Pilot[int], world: World) -> None:
    await pilot.press("ctrl+p", *":bulk")
    await until(pilot, lambda: "does bulk" in shown(pilot))
    await chosen(pilot, ":bulk")
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen) and ":bulk" in shown(pilot))
    await pilot.press(*"start web-1 web-2", "enter")
    await until(pilot, lambda: "Start 2 instances on 1 host (project default)" in shown(pilot))


async def test_a_command_in_marked_instances_goes_by_a_plan(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "space", "space", "X")
    screen.field("run").value = "uptime"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "Exec 2 instances on 1 host (project default)" in shown(pilot))
    await pilot.press("enter")
    await until(pilot, lambda: world.calls)
    plan = read(world.last[1]["plan"])
    assert plan.items[0].calls[0].body == {"command": ["sh", "-c", "uptime"], "timeout": 600}
    said = {"return": 0, "stdout": "up 3 days\n", "stderr": "", "lost": 0, "seconds": 0.2, "error": ""}
    bad = {**said, "return": 3, "stdout": "", "stderr": "no such thing"}
    plan.items[0].state, plan.items[0].result = State.DONE, said
    plan.items[1].state, plan.items[1].result = State.FAILED, bad
    plan.items[1].error, plan.state, plan.why = "h1: exit code 3", "paused", "1 failed: h1: exit code 3"
    world.task.update(metadata={"plan": plan.to_dict()})
    await until(pilot, lambda: "up 3 days" in shown(pilot) and "no such thing" in shown(pilot))
    await until(pilot, lambda: "o output" in shown(pilot) and "esc leave it" in shown(pilot))
    await pilot.press("o")
    await until(pilot, lambda: "1 failed, 1 done" in shown(pilot) and "sh -c uptime" in shown(pilot))
    await until(pilot, lambda: "no such thing" in shown(pilot))
    await pilot.press("down")
    await until(pilot, lambda: "no such thing" not in "\n".join(shown(pilot).splitlines()[9:]))
    assert "up 3 days" in "\n".join(shown(pilot).splitlines()[9:])


async def test_a_command_in_one_instance_needs_no_plan(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "X")
    screen.field("run").value = "uptime"
    screen.field("shell").value = "no"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: world.calls)
    expected = {"run": "uptime", "cwd": "", "timeout": 600, "instances": ["h1:web-1"], "project": "default"}
    assert world.last == ("exec", expected)


# -- forms that lead there


async def form(pilot: Pilot[int], *keys: str) -> FormScreen:
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, FormScreen))
    await pilot.pause()
    assert isinstance(pilot.app.screen, FormScreen)
    return pilot.app.screen


async def test_copies_are_named_by_a_pattern(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "space", "space", "K")
    await until(pilot, lambda: "web-1 → web-1-copy" in shown(pilot))
    screen.field("new_name").value = "same"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "they would all have one name" in screen.error)
    screen.field("new_name").value = "web-{n}"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "there is an instance web-1 already" in screen.error)
    screen.field("new_name").value = "new-{n}"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: '"name":"new-2"' in shown(pilot))
    await pilot.press("enter")
    await until(pilot, lambda: world.calls)
    assert [item.makes for item in read(world.last[1]["plan"]).items] == ["new-1", "new-2"]


async def test_one_copy_needs_no_plan(pilot: Pilot[int], world: World) -> None:
    await form(pilot, "K")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: world.calls)
    arguments = {"instance": "h1:web-1", "project": "default", "new_name": "{name}-copy"}
    assert world.last == ("copy", {**arguments, "instance_only": False, "start": False})


async def test_an_image_of_an_instance(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "B")
    await until(pilot, lambda: "Not stopped: web-1" in shown(pilot))
    screen.field("hosts").value = "h9"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "there is no host h9" in screen.error)
    screen.field("hosts").value = "h2"
    screen.field("properties").value = "os=Debian"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: world.calls)
    assert world.last[0] == "publish"
    assert (world.last[1]["aliases"], world.last[1]["hosts"]) == (["{name}"], ["h2"])
    assert world.last[1]["property"] == {"os": "Debian"}


async def test_marked_rows_go_back_together(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "space", "space", "b")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "which snapshot?" in screen.error)
    screen.field("snapshot").value = "daily"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: 'PUT /1.0/instances/web-2 {"restore":"daily"}' in shown(pilot))


KEYS = {
    "configs": {
        "instance": {
            "resource-limits": {
                "keys": [
                    {"limits.memory": {"type": "string", "shortdesc": "Usage limit for memory"}},
                    {"limits.cpu.priority": {"type": "integer", "condition": "container"}},
                ]
            }
        },
        "devices": {"disk": {"keys": [{"path": {"type": "string", "required": "yes"}}]}},
    }
}


async def test_settings_are_checked_by_what_the_host_knows(pilot: Pilot[int], world: World) -> None:
    own = {"config": {"limits.memory": "1GiB", "user.a": "1", "volatile.uuid": "x"}, "devices": {"d": {"type": "none"}}}
    world.answers["/1.0/metadata/configuration"] = KEYS
    row = Instance(host="h1", project="default", name="aaa", status="Stopped", raw=json.dumps(own).encode())
    world.inventory.put("instances", row)
    world.inventory.update_host("h1", version="6.99")
    await until(pilot, lambda: "aaa" in shown(pilot))
    screen = await form(pilot, "home", "c")
    assert screen.field("config").value == "limits.memory=1GiB\nuser.a=1"
    await until(pilot, lambda: "Nothing is changed yet." in shown(pilot))
    screen.field("config").value = "limits.memroy=2GiB"
    await until(pilot, lambda: "lxd 6.99 has no key limits.memroy; limits.memory?" in shown(pilot))
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "has no key limits.memroy" in screen.error)
    screen.field("config").value = "limits.memory=2GiB\nlimits.cpu.priority=high"
    await until(pilot, lambda: "limits.cpu.priority: a whole number, not 'high'" in shown(pilot))
    screen.field("config").value = "limits.memory=2GiB"
    screen.field("devices").value = "x: type=disk, source=/srv"
    await until(pilot, lambda: "device x: disk needs path" in shown(pilot))
    screen.field("devices").value = "x: type=disk, source=/srv, path=/x"
    await until(pilot, lambda: "Usage limit for memory" in shown(pilot))
    await pilot.press("ctrl+s")
    await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen))
    await pilot.press("enter")
    await until(pilot, lambda: world.calls)
    [item] = read(world.last[1]["plan"]).items
    assert item.calls[0].merge
    assert item.calls[0].body == {
        "config": {"limits.memory": "2GiB", "user.a": None},
        "devices": {"x": {"type": "disk", "source": "/srv", "path": "/x"}, "d": None},
    }


# -- words


def test_a_board_of_many_waves_shows_those_around_the_one_under_way() -> None:
    plan = make([State.DONE] * 30 + [State.RUNNING] + [State.WAITING] * 29, hosts=1, wave=2)
    plan.state = "running"
    lines = [line.value for line in plan_words.board(plan, 70)]
    header = next(line for line in lines if line.startswith("HOST"))
    assert "wave 16" in header
    assert "+24" in header
    assert all(len(line) <= 70 for line in lines)


@pytest.mark.parametrize(
    ("act", "number", "typed"),
    [("delete", 1, "w0"), ("delete", 3, "3"), ("stop", 3, ""), ("stop", 20, "20"), ("start", 50, "")],
)
def test_what_is_typed_goes_by_the_danger(act: str, number: int, typed: str) -> None:
    plan = make([State.WAITING] * number)
    plan.act = act
    assert plan_words.expected(plan) == typed
