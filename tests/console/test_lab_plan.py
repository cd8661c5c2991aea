"""A bulk act by keys on real daemons: planned, one host cut in the middle, left, come back to, retried."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lxdpm_tui.actions.plan import State
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.screens.plan import PlanScreen
from tests.console.test_lab import PATIENCE, TRANSPORTS, opened, there
from tests.console.world import shown, until
from tests.lab.lab import Lab

CUT = "h2"  # by https: its cable can be pulled
EACH = 5  # in waves of one: most of them are still to come when the host is cut
ALL = EACH * len(TRANSPORTS)


@pytest.mark.timeout(400)
async def test_a_host_is_cut_in_the_middle_of_a_bulk_act(clean_lab: Lab, tmp_path: Path) -> None:
    def make(host: str) -> None:
        for number in range(EACH):
            body = {"name": f"{host}-{number}", "source": {"type": "image", "alias": "busybox"}}
            clean_lab.hosts[host].api("POST", "/1.0/instances", body)
            state = {"action": "start", "timeout": 30}
            clean_lab.hosts[host].api("PUT", f"/1.0/instances/{host}-{number}/state", state)

    await asyncio.gather(*(asyncio.to_thread(make, host) for host in TRANSPORTS))
    async with opened(clean_lab, tmp_path) as pilot:
        view, inventory = pilot.app.screen.table.view, pilot.app.session.inventory  # type: ignore[attr-defined]
        running = lambda: [row for row in inventory.all_instances() if row.status == "Running"]  # noqa: E731
        await until(pilot, lambda: len(view) == len(running()) == ALL, PATIENCE)
        await pilot.press("ctrl+a", "x")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen))
        screen = pilot.app.screen
        assert isinstance(screen, PlanScreen)
        await until(pilot, lambda: f"Stop {ALL} instances on 4 hosts (project default)" in shown(pilot))
        await pilot.press("f", "w", "w", "w")  # 16, all, one of a host in a wave
        await until(pilot, lambda: "waves of 1 a host" in shown(pilot))
        assert {item.wave for item in screen.plan.items} == set(range(1, EACH + 1))  # type: ignore[union-attr]
        await pilot.press("enter")
        await until(pilot, lambda: f"Type  {ALL}  to go on" in shown(pilot))
        await pilot.press(*str(ALL), "enter")
        plans = pilot.app.session.backend.plans  # type: ignore[attr-defined]
        await until(pilot, lambda: any((run.plan.wave or 0) >= 2 for run in plans.values()), PATIENCE)
        clean_lab.hosts[CUT].cut()  # not in a thread: meanwhile the run would go on to its end
        await until(pilot, lambda: screen.state == "paused" and "Paused: " in shown(pilot), PATIENCE)
        await until(pilot, lambda: not screen.plan.of(State.RUNNING), PATIENCE)  # type: ignore[union-attr]
        failed = screen.plan.of(State.FAILED)  # type: ignore[union-attr]
        assert {item.host for item in failed} == {CUT}
        await until(pilot, lambda: f"failed: {len(failed)}" in shown(pilot))

        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
        await asyncio.to_thread(clean_lab.hosts[CUT].heal)
        hosts = pilot.app.session.inventory.hosts  # type: ignore[attr-defined]
        await until(pilot, lambda: hosts[CUT].usable, PATIENCE)
        await pilot.press("escape", "5")
        await until(pilot, lambda: "paused" in shown(pilot))
        await pilot.press("b")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlanScreen) and "r retry failed" in shown(pilot))
        await pilot.press("r")
        board = pilot.app.screen
        assert isinstance(board, PlanScreen)
        done = {State.DONE: ALL}
        await until(pilot, lambda: board.state == "done" and board.plan and board.plan.counts() == done, PATIENCE)
        for host in TRANSPORTS:
            found = await asyncio.to_thread(there, clean_lab, host, "/1.0/instances?recursion=1")
            assert [row["status"] for row in found] == ["Stopped"] * EACH
