"""Two consoles on one state directory, in real terminals: the second attaches to the first, and both see all work."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.test_terminal import ROOT, Tmux
from tests.lab import clients
from tests.lab.lab import Lab
from tests.managing import paths_of


class OnHosts(Tmux):
    """The console with these options."""

    def __init__(self, state: Path, *options: str) -> None:
        super().__init__(state, (110, 24))
        self.options = options

    def start(self) -> None:
        columns, rows = map(str, self.size)
        program = " ".join(["exec", sys.executable, "-m", "lxdpm_tui", "--state", str(self.state), *self.options])
        self.run("new-session", "-d", "-x", columns, "-y", rows, "-c", str(ROOT), program)
        self.run("set-option", "-g", "remain-on-exit", "on")

    def command(self, line: str) -> None:
        """Typed at `:`."""
        self.keys(":")
        self.run("send-keys", "-l", line)
        self.keys("Enter")


@contextlib.contextmanager
def console(state: Path, *options: str) -> Iterator[OnHosts]:
    assert shutil.which("tmux"), "tmux is not installed: these tests need it"
    window = OnHosts(state, *options)
    window.start()
    try:
        yield window
    finally:
        window.run("kill-server")


@pytest.mark.timeout(400)
def test_a_second_console_attaches(clean_lab: Lab, tmp_path: Path) -> None:
    state = paths_of(clean_lab, tmp_path).state_dir
    hosts = tmp_path / "hosts.toml"
    entries = clients.entries(clean_lab.layout, clean_lab.hosts, {"h1": "unix", "h2": "unix"})
    hosts.write_text(clients.hosts_toml(entries))
    options = ("--hosts", str(hosts))
    with contextlib.ExitStack() as windows:
        first = windows.enter_context(console(state, *options))
        first.until(lambda screen: "2 hosts" in screen and "all well" in screen)
        second = windows.enter_context(console(state, *options))
        second.until(lambda screen: "2 hosts" in screen and "all well" in screen)
        assert (state / "unix.socket").is_socket()
        assert (state / "unix.socket").stat().st_mode & 0o007 == 0
        first.command("launch busybox from-first --target h1 --no-start")
        second.until(lambda screen: "from-first" in screen and "Stopped" in screen)
        second.command("launch busybox from-second --target h2 --no-start")
        first.until(lambda screen: "from-second" in screen)
        first.keys("5")
        first.until(lambda screen: screen.count("Creating instance") == 2 and screen.count("Success") == 2)
        second.keys("5")
        second.until(lambda screen: screen.count("Creating instance") == 2 and screen.count("Success") == 2)
        first.keys("q")
        second.until(lambda screen: "unreachable" in screen)
        first.until(lambda _: first.run("display-message", "-p", "#{pane_dead}").strip() == "1")
        assert not (state / "unix.socket").exists()
        with console(state, *options) as third:
            third.until(lambda screen: "from-second" in screen and "all well" in screen)
            second.until(lambda screen: "all well" in screen, 90)
        second.keys("q")
