"""Logs followed on real daemons, through the console."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.pilot import Pilot

from lxdpm_tui.console.inside.log_screen import LogScreen
from tests.console.inside.window import make
from tests.console.test_lab import PATIENCE, holds, opened
from tests.console.world import shown, until
from tests.lab.lab import Lab


def log(pilot: Pilot[int]) -> LogScreen:
    assert isinstance(pilot.app.screen, LogScreen)
    return pilot.app.screen


def write(lab: Lab, host: str, words: str) -> None:
    """A line in the log inside c1 of a host."""
    lab.hosts[host].cli("exec", "c1", "--", "sh", "-c", f"echo {words} >> /tmp/log")


def many(lab: Lab, host: str, numbers: str, word: str) -> None:
    """A line for each of the numbers."""
    loop = f"for n in {numbers}; do echo {word} $n; done >> /tmp/log"
    lab.hosts[host].cli("exec", "c1", "--", "sh", "-c", loop)


async def asked(pilot: Pilot[int], key: str) -> None:
    """The key opens the line at the bottom, which takes the next ones."""
    await pilot.press(key)
    await until(pilot, lambda: log(pilot).input.display and pilot.app.focused is log(pilot).input)


async def follow(pilot: Pilot[int], command: str) -> None:
    await pilot.press("o")
    await until(pilot, lambda: isinstance(pilot.app.screen, LogScreen))
    await pilot.pause()
    await asked(pilot, "c")
    log(pilot).input.value = command
    await pilot.press("enter")


@pytest.mark.timeout(400)
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
        await until(pilot, lambda: "following" in shown(pilot))

        await asyncio.to_thread(many, clean_lab, "h3", "$(seq 30)", "line")
        await until(pilot, lambda: "line 30" in shown(pilot))
        await pilot.press("space")
        await until(pilot, lambda: "paused" in shown(pilot))
        before = log(pilot).view.plain
        await asyncio.to_thread(many, clean_lab, "i1", "$(seq 0 2 38)", "more")
        await until(pilot, lambda: "20 new" in shown(pilot), PATIENCE)
        await asyncio.to_thread(many, clean_lab, "h3", "$(seq 1 2 39)", "more")
        await until(pilot, lambda: "40 new" in shown(pilot), PATIENCE)
        assert log(pilot).view.plain == before
        await pilot.press("space")
        await until(pilot, lambda: "more 39" in shown(pilot))

        await asked(pilot, "slash")
        log(pilot).input.value = "more 5"
        await pilot.press("enter")
        await until(pilot, lambda: "more 5" in shown(pilot) and "paused" in shown(pilot))

        path = tmp_path / "saved.log"
        await asked(pilot, "s")
        log(pilot).input.value = str(path)
        await pilot.press("enter")
        await until(pilot, lambda: path.exists() and path.read_text().count(" h3:c1 more ") == 20)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, LogScreen))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("host", ["h1", "i1"])
async def test_the_hosts_own_log_of_an_instance(clean_lab: Lab, tmp_path: Path, host: str) -> None:
    make(clean_lab, host, "c1")
    async with opened(clean_lab, tmp_path) as pilot:
        await until(pilot, lambda: "Running" in shown(pilot), PATIENCE)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(pilot.app.screen, LogScreen))
        await pilot.press("2")
        await until(pilot, lambda: "log file of" in shown(pilot))
        daemon = clean_lab.hosts[host]
        await asyncio.to_thread(daemon.api, "PUT", "/1.0/instances/c1/state", {"action": "stop", "force": True})
        file = await asyncio.to_thread(daemon.cli, "query", "/1.0/instances/c1/logs")
        assert "lxc.log" in file
        await until(pilot, lambda: log(pilot).buffer and log(pilot).view.plain, PATIENCE)
        words = log(pilot).view.plain
        await pilot.press("w", "t")
        assert words
        await until(pilot, lambda: "wrap time" in shown(pilot))


@pytest.mark.timeout(300)
async def test_a_command_quicker_than_the_screen_stays_bounded(clean_lab: Lab, tmp_path: Path) -> None:
    make(clean_lab, "h2", "c1")
    async with opened(clean_lab, tmp_path) as pilot:
        await until(pilot, lambda: "Running" in shown(pilot), PATIENCE)
        await follow(pilot, "yes flood")
        await until(pilot, lambda: log(pilot).buffer.dropped > 100_000, PATIENCE)
        assert len(log(pilot).buffer) <= 20_000
        await pilot.press("space")
        await until(pilot, lambda: "paused" in shown(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, LogScreen))
        await holds(pilot, lambda: "yes" not in clean_lab.hosts["h2"].cli("exec", "c1", "--", "ps"))
