"""shell, console, exec and files from the command line, on real daemons."""

from __future__ import annotations

import os
import pty
import termios
from pathlib import Path
from typing import Any

import pytest

from tests.cli.cli import Cli
from tests.console.inside.window import make
from tests.console.terminal import Terminal
from tests.lab.lab import Lab

HOSTS = ("h1", "h2", "h3", "i1")
# What commands say is followed by a pause: LXD 5.0 may lose what is said right before the end.


def unused() -> list[Any]:
    """The settings of a terminal before a program runs on it: one that does may have changed its own already."""
    ours, theirs = pty.openpty()
    try:
        return termios.tcgetattr(ours)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("host", HOSTS)
def test_exec_streams_and_gives_the_commands_own_exit_code(clean_lab: Lab, cli: Cli, host: str) -> None:
    make(clean_lab, host, "c1")
    cli.on(clean_lab)
    script = "cat; echo to stderr >&2; sleep 0.5; exit 7"
    done = cli.process("exec", f"{host}:c1", "--", "sh", "-c", script, stdin="from here\n")
    assert (done.code, done.out, done.err) == (7, "from here\n", "to stderr\n")
    assert cli.process("exec", "c1", "--", "true").code == 0  # the host is found
    done = cli.process("exec", "c1", "--", "sh", "-c", "exec 2>&-; head -c 3000000 /dev/zero | tr '\\0' x; sleep 0.5")
    assert (done.code, len(done.out)) == (0, 3_000_000)
    assert cli.process("exec", "c1", "--", "not-a-command").code == 127


def test_what_exec_refuses(clean_lab: Lab, cli: Cli) -> None:
    for host in ("h1", "h2"):
        make(clean_lab, host, "twin")
    cli.on(clean_lab)
    done = cli.process("exec", "twin", "--", "true")
    assert (done.code, "h1:twin and h2:twin" in done.err) == (1, True)
    assert "there is no instance nobody" in cli.process("exec", "nobody", "--", "true").err
    assert cli.process("exec", "nowhere:twin", "--", "true").code == 2
    assert cli.process("exec", "h1:twin").code == 2
    assert cli.process("console", "h1:twin").code == 2  # there is no terminal


def test_exec_on_several(clean_lab: Lab, cli: Cli) -> None:
    for host in ("h1", "i1"):
        make(clean_lab, host, f"c-{host}")
    cli.on(clean_lab)
    done = cli.process("exec", "c-h1", "c-i1", "--json", "--", "sh", "-c", "hostname; sleep 0.5")
    assert done.code == 0
    assert {label: found["stdout"] for label, found in done.json["metadata"]["exec"].items()} == {
        "h1:c-h1": "c-h1\n",
        "i1:c-i1": "c-i1\n",
    }
    done = cli.process("exec", "c-h1", "c-i1", "--", "sh", "-c", "hostname; sleep 0.5; [ $(hostname) = c-h1 ]")
    assert (done.code, done.out) == (1, "── h1:c-h1\nc-h1\n── i1:c-i1 (exit code 1)\nc-i1\n")


def test_files(clean_lab: Lab, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(clean_lab, "h3", "c1")
    cli.on(clean_lab)
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "a").write_text("content")
    monkeypatch.chdir(folder)
    cli.ok("file-push", "a", "c1", "--to", "/root/")
    cli.ok("file-pull", "c1", "/root/a", "b")
    assert (folder / "b").read_text() == "content"
    (folder / "a").unlink()
    cli.ok("file-pull", "c1", "/root/a")
    assert (folder / "a").read_text() == "content"


@pytest.mark.parametrize("host", HOSTS)
def test_a_shell_on_a_terminal(clean_lab: Lab, cli: Cli, host: str) -> None:
    make(clean_lab, host, "c1")
    cli.on(clean_lab)
    with Terminal("-m", "lxdpm_tui", *cli.options, "shell", f"{host}:c1", size=(90, 30)) as terminal:
        terminal.until(b"Leave with", 60)
        terminal.until(b"# ", 60)
        assert termios.tcgetattr(terminal.master) != unused()
        terminal.press(b"stty size\r")
        terminal.until(b"30 90", 60)
        terminal.press(b"exit 5\r")
        assert terminal.ended(60) == 5
        assert termios.tcgetattr(terminal.master) == unused()
    wait = ("sh", "-c", "echo there it is; sleep 100")
    with Terminal("-m", "lxdpm_tui", *cli.options, "shell", f"{host}:c1", "--", *wait) as terminal:
        terminal.until(b"there it is", 60)
        terminal.press(b"~.")
        assert terminal.ended(60) == 255
        assert termios.tcgetattr(terminal.master)[3] & termios.ICANON


@pytest.mark.parametrize("host", HOSTS)
def test_the_console_of_an_instance(clean_lab: Lab, cli: Cli, host: str) -> None:
    make(clean_lab, host, "c1")
    cli.on(clean_lab)
    for _ in range(2):  # it can be attached to again after it was left
        with Terminal("-m", "lxdpm_tui", *cli.options, "console", f"{host}:c1") as terminal:
            terminal.until(b"Console of", 60)
            terminal.quiet()
            terminal.press(b"\r~.")
            assert terminal.ended(60) == 0
            assert termios.tcgetattr(terminal.master) == unused()
