"""What goes over the wire, counted on a real pseudo-terminal of 160x45: over SSH bytes decide how it feels."""

from __future__ import annotations

import time

import pytest

from tests.console.terminal import Terminal

AT_REST = 3.0  # seconds without a byte
PER_ARROW = 700
PER_TICK = 3000


def answer(terminal: Terminal) -> int:
    """Bytes of what it writes next, whenever that is."""
    found = b""
    deadline = time.monotonic() + 30.0
    while not found and time.monotonic() < deadline:
        found = terminal.read(0.05)
    while more := terminal.read(0.4):
        found += more
    return len(found)


@pytest.mark.timeout(200)
def test_nothing_is_written_at_rest_and_little_per_arrow() -> None:
    with Terminal("-m", "tests.console.scene", "still") as terminal:
        terminal.until(b"web-40")
        terminal.quiet(AT_REST)
        costs = []
        for _ in range(6):
            terminal.press(b"\x1b[B")
            costs.append(answer(terminal))
        assert 0 < sorted(costs)[len(costs) // 2] <= PER_ARROW, costs
        terminal.press(b"q")
        assert terminal.ended() == 0


@pytest.mark.timeout(200)
def test_a_second_in_which_every_row_changes_costs_little() -> None:
    with Terminal("-m", "tests.console.scene", "tick") as terminal:
        terminal.until(b"web-40")
        terminal.read(3.0)
        seconds: list[int] = []
        deadline = time.monotonic() + 60.0
        while len(seconds) < 7 and time.monotonic() < deadline:
            if cost := len(terminal.read(1.0)):  # none where the machine was elsewhere for a second
                seconds.append(cost)
        assert 200 < sorted(seconds)[len(seconds) // 2] <= PER_TICK, seconds
