"""The score of a host, and how each strategy chooses among the hosts that passed the filters. Pure functions."""

from __future__ import annotations

import random
from collections.abc import Sequence

from lxdpm_tui.scheduler.model import Strategy

INITIAL = Strategy.RANDOM


def parse_strategy(text: str) -> Strategy:
    """The strategy of that name. Raises ValueError listing the names there are."""
    try:
        return Strategy(text)
    except ValueError:
        known = ", ".join(Strategy)
        raise ValueError(f"unknown strategy {text!r}: expected one of {known}") from None


def score(free: int, instances: int, cpus: int) -> float:
    """f(x, y, z) = x/y + (z/y)·(x/y): memory per instance, plus the same weighed by CPUs per instance.

    x free memory in bytes, page cache counting as free; y instances deployed; z CPUs; y and z count as at least 1,
    x as at least 0.  Source: the master's thesis "LXD platform manager" (2017), whose code (grycap/lxdpm) divided
    integers, which made the CPU term 0 as soon as a host had more containers than CPUs; here all is in real numbers.
    """
    x, y, z = max(0, free), max(1, instances), max(1, cpus)
    return x / y + (z / y) * (x / y)


def choose(strategy: Strategy, scores: Sequence[float], rng: random.Random) -> int:
    """Index of the host taken: the greatest score (scatter), the least (gather), or any with equal chance (random).

    Equals share the load: among equal best scores each has the same chance.  Raises ValueError for no scores.
    """
    if not scores:
        raise ValueError("nothing to choose from")
    if strategy is Strategy.RANDOM:
        return rng.randrange(len(scores))
    best = max(scores) if strategy is Strategy.SCATTER else min(scores)
    equals = [index for index, value in enumerate(scores) if value == best]
    return equals[0] if len(equals) == 1 else rng.choice(equals)
