"""The last screen, kept and shown: what is written, when, and that it costs nothing that was not loaded anyway."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lxdpm_tui import splash
from tests.console.terminal import Terminal

SHOW = "import sys\nfrom lxdpm_tui import splash\nsplash.begin_for(['--state', sys.argv[1]])\nsplash.end()\n"


def on_terminal(directory: Path, size: tuple[int, int]) -> bytes:
    """What is written at a start on a terminal of that size."""
    with Terminal("-c", SHOW, str(directory), size=size) as terminal:
        assert terminal.ended() == 0
        terminal.read(0.2)
        return terminal.output


def test_a_screen_is_kept_for_its_owner_and_shown_with_its_age(tmp_path: Path) -> None:
    splash.keep(tmp_path, ["NAME   STATE", "web-1  Running", "日本   Running", "keys"], (40, 4))
    assert stat.S_IMODE((tmp_path / splash.FILE).stat().st_mode) == 0o600
    written = on_terminal(tmp_path, (40, 4)).decode()
    assert written.startswith(splash.ALTERNATE)
    assert "\x1b[2;1Hweb-1  Running\x1b[3;1H日本   Running\x1b[4;1H" in written
    assert "as it was 0 s ago" in written or "as it was 1 s ago" in written
    assert "keys" not in written
    assert written.endswith(splash.BACK)


def test_another_size_shows_nothing(tmp_path: Path) -> None:
    splash.keep(tmp_path, ["x"], (40, 4))
    assert on_terminal(tmp_path, (41, 4)) == b""


@pytest.mark.parametrize("text", ["", "junk", "lxdpm-tui screen 1 40 4", "lxdpm-tui screen 2 40 4 1\nx", "\xff"])
def test_a_broken_file_shows_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / splash.FILE).write_bytes(text.encode("latin-1"))
    assert on_terminal(tmp_path, (40, 4)) == b""


def test_what_would_move_the_cursor_is_not_shown(tmp_path: Path) -> None:
    splash.keep(tmp_path, ["a\x1b[2Jb"], (40, 4))
    assert on_terminal(tmp_path, (40, 4)) == b""


def test_no_terminal_no_splash(tmp_path: Path) -> None:
    splash.keep(tmp_path, ["x"], (80, 24))
    done = subprocess.run([sys.executable, "-c", SHOW, str(tmp_path)], capture_output=True, check=True, timeout=60)
    assert done.stdout + done.stderr == b""


@pytest.mark.parametrize(
    ("line", "directory"),
    [
        ("--state /s", "/s"),
        ("--hosts /h --state /s --view hosts --read-only", "/s"),
        ("--state /s --demo 8", "/s"),
        ("--demo 8", None),
        ("--demo", None),
        ("--state", None),
        ("--state /s launch x", None),
        ("--serve --state /s", None),
        ("--help", None),
        ("--connect unix:///x --state /s", None),
        ("--state /s --demo x", None),
    ],
)
def test_only_lines_that_open_the_console_and_cannot_be_wrong(line: str, directory: str | None) -> None:
    assert splash.directory_for(line.split()) == directory


def test_without_a_word_it_is_the_persons_own_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert splash.directory_for([]) == str(tmp_path / "lxdpm-tui")


def test_it_comes_before_everything_slow(tmp_path: Path) -> None:
    splash.keep(tmp_path, ["x"], (80, 24))
    told = "print(json.dumps(sorted(set(sys.modules) - before)))"
    program = f"import sys, json\nbefore = set(sys.modules)\n{SHOW}{told}"
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=True, timeout=60)
    assert set(json.loads(done.stdout)) == {"__future__", "lxdpm_tui", "lxdpm_tui.splash"}


def test_the_console_keeps_its_screen_and_takes_its_place_the_next_time(tmp_path: Path) -> None:
    state = tmp_path / "state"
    program = ("-m", "lxdpm_tui", "--demo", "2", "--state", str(state))
    for start in (1, 2):
        with Terminal(*program, size=(80, 24)) as terminal:
            terminal.until(b"as it was" if start == 2 else b"connecting", 60)
            terminal.until(b"\x1b[38;2;" if start == 2 else b"running of", 60)  # the splash has no colours
            terminal.quiet(1.5)
            if start == 2:
                assert terminal.output.count(splash.ALTERNATE.encode()) == 1, "the table is not wiped in between"
                assert b"connecting" not in terminal.output
                live = terminal.output.partition(b"as it was")[2]
                assert b"Running" in live
            terminal.press(b"q")
            assert terminal.ended(30) == 0
            assert terminal.output.rstrip().endswith(b"h") or splash.BACK.encode() in terminal.output
        assert stat.S_IMODE((state / splash.FILE).stat().st_mode) == 0o600
