"""The tables that are asked for, and the live events, on real daemons over all three transports."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lxdpm_tui.fleet.lookup import EVERY
from tests.console.test_going import line, main
from tests.console.test_lab import PATIENCE, opened
from tests.console.world import shown, until
from tests.lab.lab import Lab


@pytest.mark.timeout(400)
async def test_what_real_daemons_tell(clean_lab: Lab, tmp_path: Path) -> None:
    async with opened(clean_lab, tmp_path) as pilot:
        everyone = {"h1", "h2", "h3", "i1"}
        lookups = main(pilot).session.watching.lookups
        for place in ("networks", "storage", "projects", "warnings"):
            await line(pilot, place)
            kind = next(kind for kind in lookups if kind == place)
            await until(  # one that was too slow for its deadline is asked again
                pilot,
                lambda kind=kind: (
                    lookups[kind].asked  # type: ignore[misc]
                    and not lookups[kind].failed
                    and set(lookups[kind].rows) == everyone
                ),
                2 * EVERY + PATIENCE,
            )
        [default] = [row for key, row in lookups["projects"].rows["h1"].items() if key.name == "default"]
        assert default.config.get("features.images") == "true"
        for host, rows in lookups["storage"].rows.items():
            pools = {row.name for row in rows.values() if "driver" in row.body}
            assert pools == set(main(pilot).session.inventory.hosts[host].pools)
        for host, rows in lookups["networks"].rows.items():
            managed = {key.name for key, row in rows.items() if row.body.get("managed") and key.project == "default"}
            assert managed <= main(pilot).session.inventory.hosts[host].networks


@pytest.mark.timeout(400)
async def test_a_change_on_a_host_is_an_event_and_a_new_row(clean_lab: Lab, tmp_path: Path) -> None:
    async with opened(clean_lab, tmp_path) as pilot:
        await line(pilot, "projects")
        await until(pilot, lambda: main(pilot).session.watching.lookups["projects"].asked, PATIENCE)
        await asyncio.to_thread(clean_lab.hosts["h2"].api, "POST", "/1.0/projects", {"name": "shop", "config": {}})
        await until(pilot, lambda: "shop" in shown(pilot), EVERY * 0.6)  # told by its event, not found by a round
        await line(pilot, "events project-created @h2")
        await until(pilot, lambda: "project-created" in shown(pilot))
