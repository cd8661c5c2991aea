from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lxdpm_tui.scheduler.model import Strategy
from lxdpm_tui.scheduler.strategies import choose, parse_strategy, score
from tests.scheduler.world import GIB

SCORES = st.lists(st.floats(0, 1e15), min_size=1, max_size=30)


def test_score_is_the_formula_of_the_thesis() -> None:
    assert score(8 * GIB, 4, 2) == 8 * GIB / 4 + (2 / 4) * (8 * GIB / 4)


def test_cpus_count_with_more_containers_than_cpus() -> None:
    """The seed's integer division made z/y zero here, so that CPUs no longer mattered."""
    assert score(8 * GIB, 10, 4) > score(8 * GIB, 10, 2)
    assert score(1001, 1000, 1) != score(1000, 1000, 1)


def test_nothing_counts_as_less_than_its_floor() -> None:
    assert score(GIB, 0, 0) == score(GIB, 1, 1)
    assert score(-GIB, 3, 2) == 0.0


@given(st.integers(0, 2**50), st.integers(1, 10_000), st.integers(1, 512))
def test_score_falls_with_instances_and_grows_with_memory_and_cpus(x: int, y: int, z: int) -> None:
    assert score(x, y + 1, z) <= score(x, y, z) <= score(x, y, z + 1)
    assert score(x, y, z) < score(x + GIB, y, z)


@given(SCORES, st.randoms(use_true_random=False))
def test_scatter_takes_a_greatest_and_gather_a_least_score(scores: list[float], rng: random.Random) -> None:
    assert scores[choose(Strategy.SCATTER, scores, rng)] == max(scores)
    assert scores[choose(Strategy.GATHER, scores, rng)] == min(scores)
    assert 0 <= choose(Strategy.RANDOM, scores, rng) < len(scores)


def chi_square(counts: Counter[int], cells: int) -> float:
    expected = counts.total() / cells
    return sum((counts[cell] - expected) ** 2 / expected for cell in range(cells))


def test_random_is_uniform_whatever_the_scores() -> None:
    rng = random.Random(2017)
    counts = Counter(choose(Strategy.RANDOM, [9.0, 1.0, 1.0, 0.0], rng) for _ in range(8000))
    assert chi_square(counts, 4) < 16.27  # 3 degrees of freedom, 0.1 %


@pytest.mark.parametrize(("strategy", "scores"), [(Strategy.SCATTER, [5, 1, 5, 5]), (Strategy.GATHER, [2, 7, 2, 2])])
def test_equals_share_the_load(strategy: Strategy, scores: list[float]) -> None:
    rng = random.Random(2017)
    counts = Counter(choose(strategy, scores, rng) for _ in range(6000))
    assert counts.keys() == {0, 2, 3}
    assert chi_square(Counter({0: counts[0], 1: counts[2], 2: counts[3]}), 3) < 13.82  # 2 degrees of freedom, 0.1 %


def test_nothing_to_choose_from() -> None:
    with pytest.raises(ValueError, match="nothing to choose from"):
        choose(Strategy.RANDOM, [], random.Random(1))


def test_names() -> None:
    assert [parse_strategy(name) for name in ("random", "scatter", "gather")] == list(Strategy)
    with pytest.raises(ValueError, match="unknown strategy 'Best': expected one of random, scatter, gather"):
        parse_strategy("Best")
