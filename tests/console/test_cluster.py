"""A console attached to a real LXD cluster: its members, launches and moves, and the work of others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lxdpm_tui.config import Paths
from lxdpm_tui.console.app import Console
from lxdpm_tui.manager import Manager
from tests.console.world import shown, until
from tests.fleet.test_cluster import create, entry
from tests.lab.lab import Lab

SOON = 60.0  # seconds: less than until all is read again in any case, so that it was told by an event


@pytest.mark.timeout(300)
async def test_members_launches_and_moves(clean_cluster: Lab, tmp_path: Path) -> None:
    paths = Paths(tmp_path / "hosts.toml", tmp_path / "state")
    app = Console(open_manager=lambda: Manager.attach(paths, entry(clean_cluster)))
    async with app.run_test(size=(110, 24)) as pilot:
        await until(
            pilot,
            lambda: [host for host, record in app.session.inventory.hosts.items() if record.scanned] == ["h1", "h2"],
            60,
        )
        await pilot.press("1")
        await until(pilot, lambda: "h1" in shown(pilot) and "h2" in shown(pilot))
        await pilot.press("2")
        await asyncio.to_thread(create, clean_cluster, "moving", "h2")

        def on(host: str) -> bool:
            return any(
                "moving" in line and f" {host} " in line and "Stopped" in line for line in shown(pilot).splitlines()
            )

        await until(pilot, lambda: on("h2"), SOON)
        move = {"name": "moving", "migration": True}
        await asyncio.to_thread(clean_cluster.hosts["h1"].api, "POST", "/1.0/instances/moving?target=h1", move)
        await until(pilot, lambda: on("h1"), SOON)
        await pilot.press("5")
        await until(pilot, lambda: "Migrating instance: mov" in shown(pilot), SOON)
        await until(pilot, lambda: shown(pilot).count("Success") == 2, SOON)
        assert "lxd-move-of" not in shown(pilot)
        assert shown(pilot).count("Success") == 2, "the steps of the move are no tasks"
