"""The garbage collector's rounds, kept away from the rows: one over a hundred thousand of them stops everything."""

from __future__ import annotations

import gc
from collections.abc import Callable

OFTEN = 2.0  # seconds between two looks at whether rows came
SELDOM = 30  # looks between two whole rounds, over what came since the rows were set aside
THRESHOLDS = (10_000, 5, 1_000)


class Collector:
    """Call `look` every OFTEN seconds. rows: how many there are.  busy: whether a person is just typing."""

    def __init__(self, rows: Callable[[], int], busy: Callable[[], bool]) -> None:
        self._rows = rows
        self._busy = busy
        self._frozen = -1
        self._looks = 0
        gc.set_threshold(*THRESHOLDS)

    def look(self) -> None:
        """Set aside what was loaded; now and then, when nobody types, take up what is left of the rest."""
        self._looks += 1
        rows = self._rows()
        if rows != self._frozen:
            self._frozen = rows
            gc.freeze()  # without a round before: what is garbage among it is little, and the round would be long
        elif self._looks >= SELDOM and not self._busy():
            self._looks = 0
            gc.collect()
