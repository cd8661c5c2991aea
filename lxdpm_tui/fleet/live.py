"""What running instances are asked for besides their configuration: when, and what comes of it. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lxdpm_tui.fleet.inventory import Key

FIRST = 0.5  # seconds until an instance without an address is asked for one
GROWTH = 1.5  # each next pause is that much longer
LONGEST = 60.0
AT_ONCE = 10  # instances asked in one round


class AddressHunt:
    """Which instances without an address are to be asked for one. An answer costs the daemon about 12 ms."""

    def __init__(self) -> None:
        self._due: dict[Key, tuple[float, float]] = {}  # when, and the pause after that

    def due(self, missing: Iterable[Key], now: float) -> list[Key]:
        """Those to ask now, at most AT_ONCE. missing: all that have none now; the others are forgotten."""
        self._due = {key: self._due.get(key, (now + FIRST, GROWTH * FIRST)) for key in missing}
        asked = [key for key, (when, _) in self._due.items() if when <= now][:AT_ONCE]
        for key in asked:
            pause = self._due[key][1]
            self._due[key] = (now + pause, min(LONGEST, GROWTH * pause))
        return asked

    def pause(self, now: float) -> float | None:
        """Seconds until the next one is due; None when none is missing."""
        return max(0.0, min(when for when, _ in self._due.values()) - now) if self._due else None


class CpuShares:
    """Percent of one CPU, out of counters of CPU seconds read one after the other."""

    def __init__(self) -> None:
        self._before: dict[Key, tuple[float, float]] = {}

    def take(self, seconds: Mapping[Key, float], now: float) -> dict[Key, float]:
        """now: in seconds, of any clock that goes on. -1 where nothing can be said yet (first seen, restarted)."""
        shares = {}
        for key, used in seconds.items():
            then, was = self._before.get(key, (now, used))
            shares[key] = round(100 * (used - was) / (now - then), 1) if now > then and used >= was else -1.0
        self._before = {key: (now, used) for key, used in seconds.items()}
        return shares
