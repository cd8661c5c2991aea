"""A plugin that has the terminal (`terminal = true`): it reads and writes there; the console comes back as it was."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.test_terminal import ROOT, Tmux

TALK = """
import os, sys
print("tty", sys.stdin.isatty(), sys.stdout.isatty(), *os.get_terminal_size(), flush=True)
print("row", os.environ["NAME"], "word", sys.argv[1], flush=True)
try:
    print("heard", input("say: "), flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(5)
sys.exit(3)
"""


class OnDemo(Tmux):
    """The console on the demo fleet, with the person's own files beside hosts.toml."""

    def start(self) -> None:
        columns, rows = map(str, self.size)
        hosts = self.state.parent / "hosts.toml"
        options = f"--hosts {hosts} --state {self.state} --demo 2"
        program = f"env COLUMNS=70 LINES=20 {sys.executable} -m lxdpm_tui {options}"
        # The shell says how it ended: tmux 3.3 may lose a status (`pane_dead_status`) that comes while the pane closes.
        program = f"trap : INT; {program}; echo console ended with $?"
        self.run("new-session", "-d", "-x", columns, "-y", rows, "-c", str(ROOT), program)
        self.run("set-option", "-g", "remain-on-exit", "on")

    def told(self, name: str) -> str:
        """A format of tmux: `alternate_on`."""
        return self.run("display-message", "-p", f"#{{{name}}}").strip()

    def settings(self) -> str:
        """`stty -a` of its terminal."""
        done = subprocess.run(["stty", "-a", "-F", self.told("pane_tty")], capture_output=True, text=True, check=True)
        return done.stdout


@pytest.fixture
def console(tmp_path: Path) -> Iterator[OnDemo]:
    assert shutil.which("tmux"), "tmux is not installed: these tests need it"
    (tmp_path / "talk.py").write_text(TALK)
    command = [sys.executable, str(tmp_path / "talk.py"), "$HOST/$NAME"]
    (tmp_path / "plugins.toml").write_text(
        f'[talk]\ncommand = {command!r}\nkey = "f6"\nplaces = ["instances"]\nhelp = "talk to it"\n\n'
        f"[brief]\ncommand = {command!r}\nwait = false\nterminal = true\n"
    )
    window = OnDemo(tmp_path / "state", (90, 24))
    window.start()
    try:
        window.until(lambda screen: "all well" in screen and "Running" in screen)
        yield window
    finally:
        window.run("kill-server")


def row_of(screen: str) -> str:
    """`row NAME word HOST/NAME` as the plugin said it."""
    return next(line for line in screen.splitlines() if line.startswith("row "))


@pytest.mark.timeout(180)
def test_a_plugin_has_the_terminal_and_gives_it_back(console: OnDemo) -> None:
    before = (console.settings(), console.told("alternate_on"), console.told("mouse_any_flag"))
    assert before[1] == "1"
    console.keys("F6")
    screen = console.until(lambda screen: "say:" in screen)
    assert "tty True True 90 24" in screen
    assert console.told("alternate_on") == "0", "it writes on the terminal's own screen"
    assert console.told("mouse_any_flag") == "0"
    assert " icanon " in console.settings()
    assert " echo " in console.settings()
    words = row_of(screen).split()
    assert words[3].endswith(f"/{words[1]}")
    console.keys("-l", "hello there")
    console.keys("Enter")
    screen = console.until(lambda screen: "[enter: back to the console]" in screen)
    assert "heard hello there" in screen, "what it says stays to be read"
    console.keys("Enter")
    screen = console.until(lambda screen: "talk ended with 3" in screen and "all well" in screen)
    assert "heard" not in screen
    assert (console.settings(), console.told("alternate_on"), console.told("mouse_any_flag")) == before
    console.keys("1")
    console.until(lambda screen: screen.count("online") == 2)


@pytest.mark.timeout(180)
def test_an_interrupt_is_the_plugins_own(console: OnDemo) -> None:
    console.keys(":")
    console.keys("-l", "brief")
    console.keys("Enter")
    console.until(lambda screen: "say:" in screen)
    console.keys("C-c")
    screen = console.until(lambda screen: "brief ended with 5" in screen and "all well" in screen)
    assert "back to the console" not in screen, "wait = false"
    console.keys("q")
    screen = console.until(lambda screen: re.search(r"console ended with \d+\n", screen))
    assert "console ended with 0\n" in screen


@pytest.mark.timeout(180)
def test_a_window_that_gets_another_size_meanwhile(console: OnDemo) -> None:
    """Whatever COLUMNS and LINES say, which a shell may have told at the start."""
    console.keys("F6")
    console.until(lambda screen: "say:" in screen)
    console.run("resize-window", "-x", "100", "-y", "30")
    console.until(lambda _: "rows 30; columns 100;" in console.settings())
    console.keys("Enter")
    console.until(lambda screen: "[enter: back to the console]" in screen)
    console.keys("Enter")
    console.until(lambda screen: "all well" in screen and "? help" in screen.splitlines()[-1][90:])
    console.run("resize-window", "-x", "80", "-y", "24")
    console.until(lambda screen: "? help" in screen.splitlines()[23])
