from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from lxdpm_tui.console.collector import SELDOM, THRESHOLDS, Collector


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class Cycle:
    alive = 0

    def __init__(self) -> None:
        self.me = self
        Cycle.alive += 1

    def __del__(self) -> None:
        Cycle.alive -= 1


def test_rows_that_came_are_set_aside_and_garbage_is_taken_up_when_nobody_types() -> None:
    rows, typing = [1], True
    gc.unfreeze()
    collector = Collector(lambda: rows[0], lambda: typing)
    assert gc.get_threshold() == THRESHOLDS
    collector.look()
    frozen = gc.get_freeze_count()
    assert frozen > 1000
    rows[0] = 2
    kept = [[] for _ in range(5000)]  # type: ignore[var-annotated]
    collector.look()
    assert gc.get_freeze_count() >= frozen + len(kept) - 500  # some of those set aside before went meanwhile
    Cycle()
    for _ in range(SELDOM + 1):
        collector.look()
    assert Cycle.alive == 1, "a round waits until nobody types"
    typing = False
    collector.look()
    assert Cycle.alive == 0
