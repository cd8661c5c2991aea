"""The tables that are asked for, and the live events, on real daemons over all three transports."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.console.test_going import line, main
from tests.console.test_lab import PATIENCE, opened
from tests.console.world import shown, until
from tests.lab.lab import Lab


@pytest.mark.timeout(240)
async def test_what_real_daemons_tell(clean_lab: Lab, tmp_path: Path) -> None:
    async with opened(clean_lab, tmp_path) as pilot:
        lookups = main(pilot).session.watching.lookups
        for place in ("networks", "storage", "projects", "warnings"):
            await line(pilot, place)
            kind = next(kind for kind in lookups if kind == place)
            await until(pilot, lambda kind=kind: lookups[kind].asked, PATIENCE)  # type: ignore[misc]
            assert lookups[kind].failed == {}
            assert set(lookups[kind].rows) == {"h1", "h2", "h3", "i1"}
        [default] = [row for key, row in lookups["projects"].rows["h1"].items() if key.name == "default"]
        assert default.config.get("features.images") == "true"
        for host, rows in lookups["storage"].rows.items():
            pools = {row.name for row in rows.values() if "driver" in row.body}
            assert pools == set(main(pilot).session.inventory.hosts[host].pools)
        for host, rows in lookups["networks"].rows.items():
            managed = {key.name for key, row in rows.items() if row.body.get("managed") and key.project == "default"}
            assert managed <= main(pilot).session.inventory.hosts[host].networks


@pytest.mark.timeout(240)
async def test_a_change_on_a_host_is_an_event_and_a_new_row(clean_lab: Lab, tmp_path: Path) -> None:
    async with opened(clean_lab, tmp_path) as pilot:
        await line(pilot, "projects")
        await until(pilot, lambda: main(pilot).session.watching.lookups["projects"].asked, PATIENCE)
        clean_lab.hosts["h2"].api("POST", "/1.0/projects", {"name": "shop", "config": {}})
        await until(pilot, lambda: "shop" in shown(pilot), 8.0)  # told by its event, not found by the slow round
        await line(pilot, "events project-created @h2")
        await until(pilot, lambda: "project-created" in shown(pilot))
