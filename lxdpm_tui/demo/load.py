"""How busy simulated things are: smooth curves of the time, so that nothing needs to be ticked or stored.

Everything follows from a seed and the clock: asked twice for the same moment, the answer is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from random import Random

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Load:
    """The appetite of one instance. memory: bytes it uses on average; cpu: CPUs it uses on average."""

    memory: int
    cpu: float
    period: float
    phase: float
    swing: float

    @classmethod
    def of(cls, seed: int, memory_limit: int) -> Load:
        """memory_limit: bytes it may use."""
        return _load(seed, memory_limit)

    @classmethod
    def _of(cls, seed: int, memory_limit: int) -> Load:
        random = Random(seed)
        ceiling = memory_limit or 2048 * MIB
        memory = int(ceiling * random.uniform(0.12, 0.55))
        cpu = min(4.0, random.paretovariate(1.1) * 0.03)
        return cls(memory, cpu, random.uniform(40, 240), random.uniform(0, math.tau), random.uniform(0.1, 0.75))

    def memory_at(self, now: float) -> int:
        """Bytes, page cache left out."""
        slow = math.sin(math.tau * now / (self.period * 3) + self.phase)
        fast = math.sin(math.tau * now / self.period + 2 * self.phase)
        return int(self.memory * (1 + 0.22 * slow + 0.06 * fast))

    def cpu_at(self, now: float) -> float:
        """CPUs in use at that moment."""
        return self.cpu * (1 + self.swing * math.sin(math.tau * now / self.period + self.phase))

    def cpu_seconds(self, since: float, now: float) -> float:
        """CPU time used between two moments: the integral of cpu_at, so it only grows."""
        omega = math.tau / self.period
        wave = math.cos(omega * since + self.phase) - math.cos(omega * now + self.phase)
        return max(0.0, self.cpu * ((now - since) + self.swing / omega * wave))


@lru_cache(1 << 17)
def _load(seed: int, memory_limit: int) -> Load:
    """Seeding a generator takes longer than all that is then asked of the load."""
    return Load._of(seed, memory_limit)


def parse_size(text: str) -> int:
    """Bytes of LXD's "512MiB", "2GB", "1024". Raises ValueError."""
    units = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    units |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
    digits = text.rstrip("kKMGTiB")
    return int(digits) * units[text[len(digits) :]] if text[len(digits) :] in units else int("")
