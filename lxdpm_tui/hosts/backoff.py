"""How long to leave a host alone after it failed. Pure: no clock, no loop."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator


def backoff(first: float = 0.5, most: float = 30.0, draw: Callable[[], float] = random.random) -> Iterator[float]:
    """Seconds to wait after the 1st, 2nd, ... failure in a row, without end.

    Doubles from `first` to `most`, each shortened at random by up to a half, so that hosts that failed together (one
    switch) are not dialled together again. draw: gives numbers in [0, 1).
    """
    longest = first
    while True:
        yield longest * (1 - draw() / 2)
        longest = min(most, longest * 2)
