"""The whole program in a real terminal: in tmux at 80x24 on the demo fleet, and its end by signals."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console.terminal import Terminal

ROOT = Path(__file__).parents[2]


class Tmux:
    """One window of a tmux server of its own."""

    def __init__(self, state: Path, size: tuple[int, int]) -> None:
        self.name = f"lxdpm-{uuid.uuid4().hex[:8]}"
        self.size = size
        self.state = state

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self.name, "-f", "/dev/null", *arguments], capture_output=True, text=True, timeout=60
        )
        return done.stdout

    def start(self) -> None:
        columns, rows = map(str, self.size)
        program = f"exec {sys.executable} -m lxdpm_tui --state {self.state} --demo 4"
        self.run("new-session", "-d", "-x", columns, "-y", rows, "-c", str(ROOT), program)
        self.run("set-option", "-g", "remain-on-exit", "on")

    @property
    def pid(self) -> int:
        return int(self.run("display-message", "-p", "#{pane_pid}"))

    def screen(self) -> str:
        return self.run("capture-pane", "-p")

    def keys(self, *names: str) -> None:
        self.run("send-keys", *names)

    def until(self, met: Callable[[str], object], seconds: float = 60.0) -> str:
        """The screen when the condition holds for it."""
        deadline = time.monotonic() + seconds
        while True:
            screen = self.screen()
            if met(screen):
                return screen
            if time.monotonic() > deadline:
                raise AssertionError(f"not reached in {seconds} s; on screen:\n{screen}")
            time.sleep(0.1)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.fail("tmux is not installed: these tests need it")
    tmux = Tmux(tmp_path / "state", (80, 24))
    tmux.start()
    try:
        yield tmux
    finally:
        tmux.run("kill-server")


def gone(pid: int, seconds: float = 60.0) -> bool:
    """Whether a process ends in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.timeout(180)
def test_a_walk_through_the_demo(tmux: Tmux) -> None:
    screen = tmux.until(lambda screen: "all well" in screen and "Running" in screen)
    assert "DEMO" in screen.splitlines()[0]
    assert "4 hosts" in screen.splitlines()[0]
    tmux.keys("1")
    tmux.until(lambda screen: screen.count("online") == 4)
    tmux.keys("2")
    tmux.keys("/")
    tmux.keys("-l", "status:running")
    tmux.until(lambda screen: "Stopped" not in screen and " of " in screen.splitlines()[-2])
    tmux.keys("Enter")
    tmux.until(lambda screen: "/status:running" in screen)
    tmux.keys("Escape")
    tmux.until(lambda screen: "/status:running" not in screen)
    tmux.keys("n")
    tmux.until(lambda screen: "Launch instances" in screen and "MiB" in screen)
    tmux.keys("Down")
    tmux.keys("Tab")
    tmux.keys("-l", "from-tmux")
    tmux.until(lambda screen: "(strategy random)" in screen)
    tmux.keys("C-s")
    tmux.until(lambda screen: "Done: Creating instance" in screen)
    tmux.keys("/")
    tmux.keys("-l", "from-tmux")
    tmux.until(lambda screen: any("from-tmux" in line and "Running" in line for line in screen.splitlines()))
    tmux.keys("Enter")
    tmux.keys("x")
    tmux.until(lambda screen: "Stop from-tmux on" in screen)
    tmux.keys("y")
    tmux.until(lambda screen: any("from-tmux" in line and "Stopped" in line for line in screen.splitlines()))
    tmux.keys("D")
    tmux.until(lambda screen: "Type  from-tmux  to go on" in screen)
    tmux.keys("-l", "from-tmux")
    tmux.keys("Enter")
    tmux.until(lambda screen: "0 of " in screen and "Done: Deleting" in screen)
    pid = tmux.pid
    tmux.keys("q")
    assert gone(pid)


@pytest.mark.timeout(120)
def test_a_closed_terminal_leaves_no_process(tmux: Tmux) -> None:
    tmux.until(lambda screen: "all well" in screen)
    pid = tmux.pid
    tmux.run("kill-server")
    assert gone(pid)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    state = tmp_path / "state"
    with Terminal("-m", "lxdpm_tui", "--state", str(state), "--demo", "2", size=(80, 24)) as terminal:
        terminal.until(b"all well")
        terminal.signal(number)
        assert terminal.ended() == 0
        assert b"\x1b[?1049l" in terminal.output
        assert b"Traceback" not in terminal.output
