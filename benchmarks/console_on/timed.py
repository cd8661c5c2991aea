"""A program on a pseudo-terminal that is timed: when what it writes comes, over a link of a given speed."""

from __future__ import annotations

import json
import os
import select
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.console.terminal import Terminal

ASKED, ANSWER = b"\x1b[?2026$p", b"\x1b[?2026;2$y"  # whether a frame may be sent as a whole
PIECE = 0.02  # seconds between two reads over a slow link


class Timed(Terminal):
    """`python -m benchmarks.console_on.child` with these words, or any other command line of Python's.

    rate: bytes a second that are read; 0 = as they come.
    """

    def __init__(self, *words: str, size: tuple[int, int], rate: int = 0, program: tuple[str, ...] = ()) -> None:
        descriptor, name = tempfile.mkstemp(prefix="lxdpm-bench-")
        os.close(descriptor)
        self.file = Path(name)
        super().__init__(*(program or ("-m", "benchmarks.console_on.child", name)), *words, size=size)
        self.rate = rate
        self.count = 0
        self._answered = False
        self._free = 0.0

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.file.unlink(missing_ok=True)

    def take(self, seconds: float) -> bytes:
        """What comes next, within that time; b"" when nothing does."""
        deadline = time.perf_counter() + seconds
        most = 65536
        if self.rate:
            most = max(1, round(self.rate * PIECE))
            wait = self._free - time.perf_counter()
            if wait > 0:
                time.sleep(min(wait, seconds))
                if wait >= seconds:
                    return b""
        if not select.select([self.master], [], [], max(0.0, deadline - time.perf_counter()))[0]:
            return b""
        try:
            found = os.read(self.master, most)
        except OSError:
            return b""
        if self.rate:
            self._free = max(self._free, time.perf_counter() - PIECE) + len(found) / self.rate
        self.count += len(found)
        self.output = (self.output + found)[-200_000:]
        if not self._answered and ASKED in self.output:
            self._answered = True
            os.write(self.master, ANSWER)
        return found

    def run_for(self, seconds: float) -> int:
        """Bytes that come in that time."""
        before, deadline = self.count, time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            self.take(left)
        return self.count - before

    def wait_for(self, text: bytes, seconds: float) -> float:
        """Milliseconds until it writes that; counted from now, and what came before does not count. inf: it did not."""
        began = time.perf_counter()
        tail = b""
        while (left := began + seconds - time.perf_counter()) > 0:
            tail = tail[-len(text) :] + self.take(left)
            if text in tail:
                return 1000 * (time.perf_counter() - began)
            if self.child.poll() is not None:
                raise AssertionError(f"it ended: {self.output[-2000:]!r}")
        return float("inf")

    def timed(self, keys: bytes, mark: bytes, seconds: float = 8.0) -> float:
        """Milliseconds from the keys to the mark."""
        while self.take(0.0):
            pass
        self.press(keys)
        return self.wait_for(mark, seconds)

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def report(self, seconds: float = 40.0) -> dict[str, Any]:
        """Quit it; what it saw of itself."""
        self.press(b"q")
        deadline = time.perf_counter() + seconds
        while self.child.poll() is None and time.perf_counter() < deadline:
            self.take(0.1)
        text = self.file.read_text()
        found: dict[str, Any] = json.loads(text) if text else {}
        return found
