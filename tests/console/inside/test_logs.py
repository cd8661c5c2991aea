"""Logs followed on real daemons, through the console."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from lxdpm_tui.console.inside.log_screen import LogScreen
from tests.console.inside.window import make
from tests.console.test_lab import PATIENCE, opened
from tests.console.world import shown, until
from tests.lab.lab import Lab


def log(pilot: Pilot[int]) -> LogScreen:
    assert isinstance(pilot.app.screen, LogScreen)
    return pilot.app.screen


def write(lab: Lab, host: str, words: str) -> None:
    """A line in the log inside c1 of a host."""
    lab.hosts[host].cli("exec", "c1", "--", "sh", "-c", f"echo {words} >> /tmp/log")


async def follow(pilot: Pilot[int], command: str) -> None:
    await pilot.press("o")
    await until(pilot, lambda: isinstance(pilot.app.screen, LogScreen))
    await pilot.pause()
    await pilot.press("c")
    log(pilot).input.value = command
    await pilot.press("enter")


@pytest.mark.timeout(200)
async def test_several_instances_in_one_log(clean_lab: Lab, tmp_path: Path) -> None:
    for host in ("h3", "i1"):
        make(clean_lab, host, "c1")
        write(clean_lab, host, f"first of {host}")
    async with opened(clean_lab, tmp_path) as pilot:
        await until(pilot, lambda: shown(pilot).count("Running") == 2, PATIENCE)
        await pilot.press("ctrl+a")
        await follow(pilot, "tail -n +1 -F /tmp/log")
        for host in ("h3", "i1"):
            await until(pilot, lambda host=host: f"{host}:c1" in shown(pilot) and f"first of {host}" in shown(pilot))  # type: ignore[misc]
        assert "following" in shown(pilot)

        clean_lab.hosts["h3"].cli(
            "exec", "c1", "--", "sh", "-c", "for n in $(seq 30); do echo line $n; done >> /tmp/log"
        )
        await until(pilot, lambda: "line 30" in shown(pilot))
        await pilot.press("space")
        before = log(pilot).view.plain
        for number in range(40):
            write(clean_lab, "h3" if number % 2 else "i1", f"more {number}")
        await until(pilot, lambda: "40 new" in shown(pilot), PATIENCE)
        assert log(pilot).view.plain == before
        await pilot.press("space")
        await until(pilot, lambda: "more 39" in shown(pilot))

        await pilot.press("slash")
        log(pilot).input.value = "more 5"
        await pilot.press("enter")
        await until(pilot, lambda: "more 5" in shown(pilot) and "paused" in shown(pilot))

        path = tmp_path / "saved.log"
        await pilot.press("s")
        log(pilot).input.value = str(path)
        await pilot.press("enter")
        await until(pilot, path.exists)
        assert path.read_text().count(" h3:c1 more ") == 20
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, LogScreen))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("host", ["h1", "i1"])
async def test_the_hosts_own_log_of_an_instance(clean_lab: Lab, tmp_path: Path, host: str) -> None:
    make(clean_lab, host, "c1")
    async with opened(clean_lab, tmp_path) as pilot:
        await until(pilot, lambda: "Running" in shown(pilot), PATIENCE)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(pilot.app.screen, LogScreen))
        await pilot.press("2")
        await until(pilot, lambda: "log file of" in shown(pilot))
        clean_lab.hosts[host].api("PUT", "/1.0/instances/c1/state", {"action": "stop", "force": True})
        file = clean_lab.hosts[host].cli("query", "/1.0/instances/c1/logs")
        assert "lxc.log" in file
        await until(pilot, lambda: log(pilot).buffer and log(pilot).view.plain, PATIENCE)
        words = log(pilot).view.plain
        await pilot.press("w", "t")
        assert words
        await until(pilot, lambda: "wrap time" in shown(pilot))


@pytest.mark.timeout(120)
async def test_a_command_quicker_than_the_screen_stays_bounded(clean_lab: Lab, tmp_path: Path) -> None:
    make(clean_lab, "h2", "c1")
    async with opened(clean_lab, tmp_path) as pilot:
        await until(pilot, lambda: "Running" in shown(pilot), PATIENCE)
        await follow(pilot, "yes flood")
        await until(pilot, lambda: log(pilot).buffer.dropped > 100_000, PATIENCE)
        assert len(log(pilot).buffer) <= 20_000
        await pilot.press("space")
        assert "paused" in shown(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, LogScreen))
        gone = lambda: "yes" not in clean_lab.hosts["h2"].cli("exec", "c1", "--", "ps")  # noqa: E731
        await until(pilot, gone, PATIENCE)
