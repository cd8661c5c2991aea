"""What goes over the wire, counted on a real pseudo-terminal of 160x45: over SSH bytes decide how it feels."""

from __future__ import annotations

import pytest

from tests.console.terminal import Terminal

AT_REST = 0
PER_ARROW = 700
PER_TICK = 3000


@pytest.mark.timeout(90)
def test_nothing_is_written_at_rest_and_little_per_arrow() -> None:
    with Terminal("-m", "tests.console.scene", "still") as terminal:
        terminal.until(b"web-40")
        terminal.quiet(1.5)
        assert len(terminal.read(3.0)) == AT_REST
        costs = []
        for _ in range(6):
            terminal.press(b"\x1b[B")
            costs.append(len(terminal.read(0.4)))
        assert 0 < sorted(costs)[len(costs) // 2] <= PER_ARROW, costs
        terminal.press(b"q")
        assert terminal.ended() == 0


@pytest.mark.timeout(90)
def test_a_second_in_which_every_row_changes_costs_little() -> None:
    with Terminal("-m", "tests.console.scene", "tick") as terminal:
        terminal.until(b"web-40")
        terminal.read(3.0)
        seconds = [len(terminal.read(1.0)) for _ in range(6)]
        assert 200 < sum(seconds) / len(seconds) <= PER_TICK, seconds
