"""A program of ours in tmux: what is on screen, how its terminal is set, keys for it."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.console.test_terminal import ROOT, Tmux
from tests.lab.lab import Lab
from tests.lab.run import until
from tests.managing import paths_of

STARTED = 90.0  # seconds: other work may share the machine


class Window(Tmux):
    """The console, or any command line of ours, over the lab."""

    def __init__(self, lab: Lab, folder: Path, *words: str, size: tuple[int, int] = (80, 24)) -> None:
        paths = paths_of(lab, folder)
        super().__init__(paths.state_dir, size)
        options = ["--hosts", str(paths.hosts_file), "--state", str(paths.state_dir)]
        self.program = shlex.join([sys.executable, "-m", "lxdpm_tui", *options, *words])

    def start(self) -> None:
        """In a shell, so that what is on the screen after its end can be seen."""
        columns, rows = map(str, self.size)
        self.run("new-session", "-d", "-x", columns, "-y", rows, "-c", str(ROOT), "exec sh")
        self.run("set-option", "-g", "remain-on-exit", "on")
        self.until(lambda screen: screen.strip())
        self.first = self.settings()
        self.keys("-l", f"PS1='$ '; clear; {self.program}; echo ended with $?\n")

    def settings(self) -> str:
        """`stty -a` of its terminal."""
        device = self.run("display-message", "-p", "#{pane_tty}").strip()
        return subprocess.run(["stty", "-a", "-F", device], capture_output=True, text=True, check=True).stdout

    def resize(self, columns: int, rows: int) -> None:
        """Returns once its terminal has that size: tmux tells it later."""
        self.run("resize-window", "-x", str(columns), "-y", str(rows))
        self.until(lambda _: f"rows {rows}; columns {columns};" in self.settings())

    def cells(self) -> list[str]:
        """The screen with its colours, without what tells of time, load and memory."""
        return [line.partition("Running")[0] for line in self.run("capture-pane", "-pe").splitlines()[2:-3]]

    def has(self, *words: str, seconds: float = 60.0) -> str:
        """The screen once all the words are on it."""
        return self.until(lambda screen: all(word in screen for word in words), seconds)

    def lacks(self, *words: str, seconds: float = 60.0) -> str:
        return self.until(lambda screen: not any(word in screen for word in words), seconds)

    def on(self, host: str, name: str) -> None:
        """Wait for the fleet, and put the cursor on an instance."""
        self.until(lambda screen: "4 hosts" in screen and "all well" in screen, STARTED)
        self.keys("/")
        self.keys("-l", f"name:={name} host:={host}")
        self.has("1 of ")
        self.keys("Enter")
        self.until(
            lambda screen: any(name in line and host in line and "Running" in line for line in screen.split("\n"))
        )

    def steady(self) -> list[str]:
        """The cells once they stay the same for two seconds."""
        deadline = time.monotonic() + 60
        before, same = self.cells(), 0
        while time.monotonic() < deadline:
            time.sleep(0.5)
            now = self.cells()
            same = same + 1 if now == before else 0
            if same == 4:
                return now
            before = now
        raise AssertionError("the screen is never steady")

    def again(self, cells: list[str]) -> None:
        """Wait until the screen is as it was."""
        self.until(lambda _: self.cells() == cells)


@contextmanager
def window(lab: Lab, folder: Path, *words: str, size: tuple[int, int] = (80, 24)) -> Iterator[Window]:
    made = Window(lab, folder, *words, size=size)
    made.start()
    try:
        yield made
    finally:
        made.run("kill-server")


def make(lab: Lab, host: str, name: str) -> None:
    """An instance that runs, made behind the console's back. LXD 5.0 may say for a moment after its start that it does
    not, and refuse a console."""
    api = lab.hosts[host].api
    api("POST", "/1.0/instances", {"name": name, "source": {"type": "image", "alias": "busybox"}})
    api("PUT", f"/1.0/instances/{name}/state", {"action": "start", "timeout": 30})
    until(lambda: api("GET", f"/1.0/instances/{name}")["status"] == "Running", 60, f"{host}: {name} runs")
