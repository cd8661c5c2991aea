"""A console attached to a gateway: plans and previews are the gateway's own, and a bulk act is the same as at home."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from lxdpm_tui.actions.plan import Limits, State, read
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.config import HostConfig, Paths, UnixAddress
from lxdpm_tui.console.app import Console
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.screens.plan import PlanScreen
from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.manager import Manager
from lxdpm_tui.scheduler.model import Reservation
from tests.console.test_lab import PATIENCE, TRANSPORTS, form, there
from tests.console.world import shown, until
from tests.fleet.fleets import all_read
from tests.lab.lab import Lab
from tests.managing import done, paths_of

CUT = "h2"  # by https: its cable can be pulled
EACH = 2


@asynccontextmanager
async def served(lab: Lab, folder: Path) -> AsyncIterator[tuple[Manager, HostConfig]]:
    """The manager that serves the whole lab, and where."""
    async with Manager.open(paths_of(lab, folder), lab.hosts_config(TRANSPORTS)) as manager:
        await all_read(manager.fleet)
        async with Gateway.serve(manager, folder / "fleet.socket"):
            yield manager, HostConfig("local", UnixAddress(str(folder / "fleet.socket")))


def away(lab: Lab, folder: Path) -> Paths:
    """A state directory of somebody who only attaches."""
    state = folder / "away"
    state.mkdir(mode=0o700, exist_ok=True)
    for source in (lab.client_cert, lab.client_key):
        shutil.copy(source, state / source.name)
    return Paths(folder / "none.toml", state)


@asynccontextmanager
async def attached(lab: Lab, folder: Path, server: HostConfig) -> AsyncIterator[Pilot[int]]:
    """A console at 80x24 on that server; all its hosts are known."""
    app = Console(open_manager=lambda: Manager.attach(away(lab, folder), server))
    async with app.run_test(size=(80, 24)) as pilot:
        hosts = lambda: app.session.inventory.hosts.values()  # noqa: E731
        await until(pilot, lambda: len(hosts()) == 4 and all(host.scanned for host in hosts()), PATIENCE)
        yield pilot


async def running(lab: Lab) -> None:
    """EACH instances on every host, running."""

    def make(host: str) -> None:
        for number in range(EACH):
            body = {"name": f"{host}-{number}", "source": {"type": "image", "alias": "busybox"}}
            lab.hosts[host].api("POST", "/1.0/instances", body)
            lab.hosts[host].api("PUT", f"/1.0/instances/{host}-{number}/state", {"action": "start", "timeout": 30})

    await asyncio.gather(*(asyncio.to_thread(make, host) for host in TRANSPORTS))


async def planned(pilot: Pilot[int], *keys: str) -> PlanScreen:
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen))
    screen = pilot.app.screen
    assert isinstance(screen, PlanScreen)
    await until(pilot, lambda: screen.plan is not None and ("enter", "run it") in screen.offered(), PATIENCE)
    return screen


async def board_of(pilot: Pilot[int], task: str, offers: str) -> PlanScreen:
    """The board of a plan under way, out of the table of tasks, whatever else is in there."""
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    screen = pilot.app.screen
    assert isinstance(screen, MainScreen)
    await pilot.press("5")
    await until(pilot, lambda: screen.place == "tasks" and "paused" in shown(pilot), PATIENCE)
    screen.table.select(task)
    await until(pilot, lambda: screen.table.cursor_row.id == task)  # type: ignore[union-attr]
    await pilot.press("b")
    await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen) and offers in shown(pilot))
    board = pilot.app.screen
    assert isinstance(board, PlanScreen)
    return board


async def limits_are(pilot: Pilot[int], screen: PlanScreen, limits: Limits) -> None:
    """The server has made the plan with these."""
    await until(pilot, lambda: screen.plan is not None and screen.plan.limits == limits, PATIENCE)


@pytest.mark.timeout(400)
async def test_a_bulk_act_is_planned_paused_and_retried_there(clean_lab: Lab, tmp_path: Path) -> None:
    await running(clean_lab)
    async with served(clean_lab, tmp_path) as (manager, server), attached(clean_lab, tmp_path, server) as pilot:
        view, inventory = pilot.app.screen.table.view, pilot.app.session.inventory  # type: ignore[attr-defined]
        up = lambda: [row for row in inventory.all_instances() if row.status == "Running"]  # noqa: E731
        await until(pilot, lambda: len(view) == len(up()) == EACH * len(TRANSPORTS), PATIENCE)
        screen = await planned(pilot, "ctrl+a", "x")
        await until(pilot, lambda: "Stop 8 instances on 4 hosts (project default)" in shown(pilot))
        await pilot.press("f", "w", "w", "w")
        await limits_are(pilot, screen, Limits(wave=1))
        await until(pilot, lambda: "default), force" in shown(pilot) and "waves of 1 a host" in shown(pilot))

        await asyncio.to_thread(clean_lab.hosts[CUT].cut)
        await pilot.press("enter")
        await until(pilot, lambda: screen.state == "paused" and "Paused: " in shown(pilot), PATIENCE)
        [run] = manager.plans.values()
        assert run.task.id == screen.task_shown.id, "it runs there"  # type: ignore[union-attr]
        await until(pilot, lambda: not screen.plan.of(State.RUNNING), PATIENCE)  # type: ignore[union-attr]
        assert {item.host for item in screen.plan.of(State.FAILED)} == {CUT}  # type: ignore[union-attr]
        kept = tmp_path / "kept.json"
        await pilot.press("s")
        field = screen.query_one("#plan-input")
        await until(pilot, lambda: field.display and pilot.app.focused is field)
        field.value = str(kept)  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until(pilot, lambda: kept.exists() and kept.read_text().endswith("}\n"))
        assert {item.host for item in read(kept.read_text()).of(State.FAILED)} == {CUT}

        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        await asyncio.to_thread(clean_lab.hosts[CUT].heal)
        await until(pilot, lambda: inventory.hosts[CUT].usable and manager.inventory.hosts[CUT].usable, PATIENCE)
        await pilot.press("escape")
        board = await board_of(pilot, run.task.id, "r retry failed")
        await pilot.press("r")
        all_done = {State.DONE: EACH * len(TRANSPORTS)}
        await until(pilot, lambda: board.state == "done" and board.plan and board.plan.counts() == all_done, PATIENCE)
        for host in TRANSPORTS:
            found = await asyncio.to_thread(there, clean_lab, host, "/1.0/instances?recursion=1")
            assert [row["status"] for row in found] == ["Stopped"] * EACH


@pytest.mark.timeout(400)
async def test_a_plan_is_paused_skipped_and_cancelled_from_another_console(clean_lab: Lab, tmp_path: Path) -> None:
    await running(clean_lab)
    async with served(clean_lab, tmp_path) as (manager, server), attached(clean_lab, tmp_path, server) as pilot:
        await until(pilot, lambda: len(list(manager.inventory.all_instances())) == EACH * len(TRANSPORTS), PATIENCE)
        await asyncio.to_thread(clean_lab.hosts[CUT].cut)
        refs = [f"{host}:{host}-{number}" for host in TRANSPORTS for number in range(EACH)]
        task = await manager.run("bulk", act="stop", instances=refs, force=True, wave=1)
        await until(pilot, lambda: manager.plans[task.id].plan.state == "paused", PATIENCE)
        board = await board_of(pilot, task.id, "k skip failed")
        halted = lambda: board.state == "paused" and board.plan.of(State.FAILED)  # type: ignore[union-attr]  # noqa: E731
        left_out = lambda: len(board.plan.of(State.SKIPPED))  # type: ignore[union-attr]  # noqa: E731
        while board.state != "done":  # what fails in the second wave, too, unless the host was known to be gone by then
            await until(pilot, lambda: board.state == "done" or halted(), PATIENCE)
            before = left_out()
            await pilot.press(*"k" * (board.state == "paused"))
            await until(pilot, lambda before=before: board.state == "done" or left_out() > before, PATIENCE)  # type: ignore[misc]
        all_else = {State.SKIPPED: EACH, State.DONE: EACH * (len(TRANSPORTS) - 1)}
        await until(pilot, lambda: board.state == "done" and board.plan and board.plan.counts() == all_else, PATIENCE)
        await asyncio.to_thread(clean_lab.hosts[CUT].heal)


@pytest.mark.timeout(400)
async def test_what_the_server_refuses_is_said_in_the_plan(clean_lab: Lab, tmp_path: Path) -> None:
    """Names that are taken, as the server knows it: of a plan and of its run."""
    await running(clean_lab)
    async with served(clean_lab, tmp_path) as (manager, server), attached(clean_lab, tmp_path, server) as pilot:
        await until(pilot, lambda: "h1-0" in shown(pilot) and "h1-1" in shown(pilot), PATIENCE)
        await pilot.press("/", *"host:h1", "enter")
        await until(pilot, lambda: len(pilot.app.screen.table.view) == EACH, PATIENCE)  # type: ignore[attr-defined]
        await pilot.press("ctrl+a")
        copying = await form(pilot, "K")
        copying.field("new_name").value = "new-{n}"
        manager.claims.add(("default", "new-2"))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen))
        screen = pilot.app.screen
        assert isinstance(screen, PlanScreen)
        await until(pilot, lambda: screen.plan is not None, PATIENCE)
        await pilot.press("enter")
        await until(pilot, lambda: 'Instance "new-2" already exists' in shown(pilot), PATIENCE)
        manager.claims.clear()
        await pilot.press("enter")
        await until(pilot, lambda: screen.state == "done", PATIENCE)
        found = await asyncio.to_thread(there, clean_lab, "h1", "/1.0/instances?recursion=1")
        assert sorted(row["name"] for row in found) == ["h1-0", "h1-1", "new-1", "new-2"]


@pytest.mark.timeout(300)
async def test_the_preview_is_the_servers_own(clean_lab: Lab, tmp_path: Path) -> None:
    """What only the server knows, a reservation of somebody else's launch, decides where an instance would land."""
    async with served(clean_lab, tmp_path) as (manager, server), attached(clean_lab, tmp_path, server) as pilot:
        now = time.time()
        for host in ("h1", "h2", "h3"):
            held = Reservation(host, host, "default", f"soon-{host}", 1 << 50, now, now + 1000)
            await manager.store.add_reservation(held)
        await manager.scheduler.load()
        screen = await form(pilot, "n")
        for field, value in (("image", "busybox"), ("name", "c1"), ("strategy", "scatter")):
            screen.field(field).value = value
        await until(pilot, lambda: "→ i1" in shown(pilot), PATIENCE)
        screen.field("config").value = "limits.memory=64MiB"
        await until(pilot, lambda: "left out: " in shown(pilot), PATIENCE)

        def candidates() -> list[str]:
            [plan] = manager.plan(image="busybox", name="c1", strategy="scatter", config={"limits.memory": "64MiB"})
            return [verdict["host"] for verdict in plan["hosts"] if not verdict["reason"]]

        await until(pilot, lambda: candidates() == ["i1"], PATIENCE)
        screen.field("image").value = "nothing"
        await until(pilot, lambda: "Image 'nothing' not found" in shown(pilot), PATIENCE)


@pytest.mark.timeout(300)
async def test_what_is_asked_of_a_gateway(clean_lab: Lab, tmp_path: Path) -> None:
    async with served(clean_lab, tmp_path) as (manager, server):
        await done(manager, "launch", image="busybox", name="c1", target="h1", no_start=True)
        async with Manager.attach(away(clean_lab, tmp_path), server) as other:
            await all_read(other.fleet)
            [row] = other.inventory.find_instances("default", "c1")
            plan = other.plan_over("start", [row], {}, Limits(wave=3))
            assert not hasattr(plan, "items"), "the server makes it"
            found = await plan  # type: ignore[misc]
            assert (found.items[0].host, found.limits) == ("h1", Limits(wave=3))
            assert (await other.plan_of("start", {"instances": ["c1"]})).items == found.items
            for act, options, code, words in (
                ("start", {"colour": "red"}, 400, "start has no option 'colour'"),
                ("stop", {"force": "yes"}, 400, "stop: force cannot be 'yes'"),
                ("fly", {}, 404, "there is no bulk act 'fly'"),
            ):
                with pytest.raises(ActionError, match=words) as caught:
                    await other.plan_over(act, [row], options, Limits())  # type: ignore[misc]
                assert caught.value.code == code
            await done(manager, "delete", instances=["c1"])
            with pytest.raises(ActionError, match="Instance not found"):
                await other.plan_over("start", [row], {}, Limits())  # type: ignore[misc]
            file = tmp_path / "a file"
            file.write_text("whole")
            await done(manager, "launch", image="busybox", name="c2", target="i1")
            task = await done(other, "file-push", source=str(file), instances=["c2"], to="/root/")
            assert task.id in manager.tasks.tasks, "the same machine: it is done there"
            await done(other, "file-pull", instance="c2", path="/root/a file", to=str(tmp_path / "back"))
            assert (tmp_path / "back").read_text() == "whole"


@pytest.mark.timeout(400)
async def test_the_fleets_warnings_are_the_servers(clean_lab: Lab, tmp_path: Path) -> None:
    """Each is shown once, as the server has it; what is acknowledged here is acknowledged there."""
    async with served(clean_lab, tmp_path) as (manager, server), attached(clean_lab, tmp_path, server) as pilot:

        def rows() -> list[tuple[str, str, str]]:
            view = pilot.app.screen.table.view  # type: ignore[attr-defined]
            found = [row for key in view.keys if (row := view.source.get(key)) is not None]
            return sorted((row.host if hasattr(row, "host") else "", row.text("type"), row.text("status"))
                          for row in found)  # fmt: skip

        await asyncio.to_thread(clean_lab.hosts["h3"].kill)
        await until(pilot, lambda: not manager.inventory.hosts["h3"].usable, PATIENCE)
        await pilot.press("9")
        down = "Host cannot be asked"
        said = lambda: [row for row in rows() if row[1] == down]  # noqa: E731
        of_others = lambda: any(host == "h1" for host, _, _ in rows())  # noqa: E731
        await until(pilot, lambda: said() == [("", down, "new")] and of_others(), PATIENCE)
        await pilot.press("slash", *"cannot", "enter")
        await until(pilot, lambda: rows() == [("", down, "new")], PATIENCE)
        await pilot.press("home", "a")
        await until(pilot, lambda: rows() == [("", down, "acknowledged")], PATIENCE)
        [there_too] = [row for row in await manager.fleet_warnings() if row["type"] == down]
        assert there_too["status"] == "acknowledged"
        await pilot.press("D")
        await until(pilot, lambda: "Delete the warning of h3?" in shown(pilot))
        await pilot.press("y")
        await until(pilot, lambda: rows() == [], PATIENCE)
        assert not [row for row in await manager.fleet_warnings() if row["type"] == down]
