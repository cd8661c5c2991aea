"""A program in a real pseudo-terminal: what it writes, counted, and keys for it. Standard library only."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path


class Terminal:
    """A child on a pty of a given size. Use as a context manager."""

    def __init__(self, *arguments: str, size: tuple[int, int] = (160, 45), **environment: str) -> None:
        """size: columns, rows."""
        self._arguments = [sys.executable, *arguments]
        self._size = size
        self._environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            self._environment.pop(name, None)
        self.output = b""

    def __enter__(self) -> Terminal:
        self.master, slave = pty.openpty()
        columns, rows = self._size
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.child = subprocess.Popen(
            self._arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=self._environment,
            start_new_session=True,
            cwd=Path(__file__).parents[2],
        )
        os.close(slave)
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        os.close(self.master)

    def read(self, seconds: float) -> bytes:
        """What it writes in that time."""
        found = b""
        deadline = time.monotonic() + seconds
        while True:  # what is there is read though the time be over: this process may have stalled
            left = max(0.0, deadline - time.monotonic())
            if select.select([self.master], [], [], left)[0]:
                try:
                    found += os.read(self.master, 65536)
                except OSError:
                    break
            if not left:
                break
        self.output += found
        return found

    def until(self, text: bytes, seconds: float = 60.0, *, after: bytes = b"") -> None:
        """Read until it wrote that, behind `after`; fails when it did not in time."""
        deadline = time.monotonic() + seconds
        while text not in self.output.partition(after)[2] if after else text not in self.output:
            if time.monotonic() > deadline or (self.child.poll() is not None and not self.read(0.2)):
                raise AssertionError(f"{text!r} never came; the end of what came: {self.output[-2000:]!r}")
            self.read(0.05)

    def quiet(self, seconds: float = 0.6, within: float = 60.0) -> None:
        """Read until nothing was written for that long; fails when it never stops."""
        deadline = time.monotonic() + within
        while self.read(seconds):
            if time.monotonic() > deadline:
                raise AssertionError("it never stops writing")

    def press(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def ended(self, seconds: float = 60.0) -> int:
        """Its exit code; fails when it is still there after that."""
        deadline = time.monotonic() + seconds
        while self.child.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"still running; the end of its output: {self.output[-2000:]!r}")
            self.read(0.05)
        while self.read(0.2):  # what it wrote last
            pass
        return self.child.returncode

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)
