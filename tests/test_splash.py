"""The last screen, kept and shown: what is written, when, and that it costs nothing that was not loaded anyway."""

from __future__ import annotations

import asyncio
import json
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lxdpm_tui import splash
from lxdpm_tui.console import terminal_io
from lxdpm_tui.console.app import COVERED, SOON, Console
from lxdpm_tui.fleet.inventory import HostRecord, HostStatus
from tests.console.terminal import Terminal
from tests.console.world import World, opener, shown, until

SHOW = "import sys\nfrom lxdpm_tui import splash\nsplash.begin_for(['--state', sys.argv[1]])\nsplash.end()\n"


def on_terminal(directory: Path, size: tuple[int, int]) -> bytes:
    """What is written at a start on a terminal of that size."""
    with Terminal("-c", SHOW, str(directory), size=size) as terminal:
        assert terminal.ended(60) == 0
        terminal.read(0.2)
        return terminal.output


def test_a_screen_is_kept_for_its_owner_and_shown_with_its_age(tmp_path: Path) -> None:
    began = time.time()
    splash.keep(tmp_path, ["NAME   STATE", "web-1  Running", "日本   Running", "keys"], (40, 4))
    assert stat.S_IMODE((tmp_path / splash.FILE).stat().st_mode) == 0o600
    written = on_terminal(tmp_path, (40, 4)).decode()
    assert written.startswith(splash.ALTERNATE)
    assert "\x1b[2;1Hweb-1  Running\x1b[3;1H日本   Running\x1b[4;1H" in written
    age = re.search(r"as it was (\d+) s ago", written)
    assert age
    assert 0 <= int(age[1]) <= time.time() - began + 1
    assert "keys" not in written
    assert written.endswith(splash.BACK)


def is_frame(written: bytes, columns: int) -> bool:
    """Whether the console's frame was shown, and the terminal given back after that."""
    first, second = splash.frame(columns)
    text = written.decode()
    return f"\x1b[1;1H{first}\x1b[2;1H{second}" in text and text.endswith(splash.BACK)


def test_another_size_shows_the_frame_only(tmp_path: Path) -> None:
    splash.keep(tmp_path, ["kept"], (40, 4))
    written = on_terminal(tmp_path, (41, 4))
    assert is_frame(written, 41)
    assert b"kept" not in written


def test_a_terminal_that_is_too_small_shows_nothing(tmp_path: Path) -> None:
    assert on_terminal(tmp_path, (40, 3)) == b""


@pytest.mark.parametrize("text", ["", "junk", "lxdpm-tui screen 1 40 4", "lxdpm-tui screen 2 40 4 1\nx", "\xff"])
def test_a_broken_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / splash.FILE).write_bytes(text.encode("latin-1"))
    written = on_terminal(tmp_path, (40, 4))
    assert is_frame(written, 40)
    assert b"junk" not in written


def test_what_would_move_the_cursor_is_not_shown(tmp_path: Path) -> None:
    splash.keep(tmp_path, ["a\x1b[2Jb"], (40, 4))
    written = on_terminal(tmp_path, (40, 4))
    assert is_frame(written, 40)
    assert b"\x1b[2J" not in written


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (110, 30), (160, 45)])
async def test_the_frame_is_what_the_console_shows_first(size: tuple[int, int]) -> None:
    gate = asyncio.Event()
    app = Console(open_manager=opener(World(), gate), label="DEMO")
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "connecting…" in shown(pilot))
        title, tabs = terminal_io.screen_text(app)[:2]
        first, second = splash.frame(size[0], demo=True)
        assert first == title.replace("DEMO    connecting", "DEMO    starting")
        assert second == re.sub(r" 0\b", "", tabs), "without the numbers, which nobody knows yet"
        gate.set()


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
        ("--demo 8", ""),
        ("--demo", ""),
        ("--demo --read-only", ""),
        ("--demo --state /s", "/s"),
        ("--demo 0", None),
        ("--demo 1001", None),
        ("--demo 8 --demo-instances 2000", None),
        ("--filter -x", None),
        ("--view", None),
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


@pytest.mark.timeout(400)
def test_the_console_keeps_its_screen_and_takes_its_place_the_next_time(tmp_path: Path) -> None:
    state = tmp_path / "state"
    program = ("-m", "lxdpm_tui", "--demo", "2", "--state", str(state))
    for start in (1, 2):
        with Terminal(*program, size=(80, 24)) as terminal:
            begin = time.monotonic()
            terminal.until(b"as it was" if start == 2 else b"connecting", 60)
            terminal.until(b"\x1b[38;2;" if start == 2 else b"Running", 60)  # the splash has no colours
            covered = time.monotonic() - begin
            terminal.until(b"Running", 60, after=b"as it was" if start == 2 else b"connecting")
            terminal.quiet(1.5)
            assert terminal.output.count(splash.ALTERNATE.encode()) == 1, "what was shown first is not wiped"
            if start == 2 and covered < COVERED - 1:  # longer it does not stay, be there rows or not
                assert "connecting…".encode() not in terminal.output
            terminal.press(b"q")
            assert terminal.ended(60) == 0
            assert terminal.output.rstrip().endswith(b"h") or splash.BACK.encode() in terminal.output
        assert stat.S_IMODE((state / splash.FILE).stat().st_mode) == 0o600


@pytest.mark.timeout(300)
def test_the_first_start_shows_its_frame_before_textual_is_there(tmp_path: Path) -> None:
    with Terminal("-m", "lxdpm_tui", "--demo", "2", "--state", str(tmp_path / "state"), size=(80, 24)) as terminal:
        terminal.until("connecting…".encode(), 60)
        frame, _, live = terminal.output.partition(b"\x1b[38;2;")
        assert frame.startswith(splash.ALTERNATE.encode())
        assert "starting…".encode() in frame
        assert splash.ALTERNATE.encode() not in live
        terminal.until(b"Running", 60)
        terminal.press(b"q")
        assert terminal.ended(60) == 0


def test_a_mistake_in_a_file_is_told_on_the_screen_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "hosts.toml").write_text("[[hosts]]\nname = 3\n")
    words = ("--hosts", str(tmp_path / "hosts.toml"), "--state", str(tmp_path / "state"))
    with Terminal("-m", "lxdpm_tui", *words, size=(80, 24)) as terminal:
        assert terminal.ended(60) == 2
        terminal.read(0.2)
        shown, back, said = terminal.output.partition(splash.BACK.encode())
        assert shown.startswith(splash.ALTERNATE.encode())
        assert back
        assert b"hosts.toml" in said
        assert b"hosts.toml" not in shown


BROKEN = """
import sys
sys.argv = ["lxdpm-tui", "--state", sys.argv[1]]
sys.modules["lxdpm_tui.cli"] = None
from lxdpm_tui.__main__ import main
main()
"""


def test_the_terminal_is_given_back_when_loading_ends_halfway(tmp_path: Path) -> None:
    """An interrupt as well as what this stands for: a module that is not there."""
    with Terminal("-c", BROKEN, str(tmp_path), size=(80, 24)) as terminal:
        assert terminal.ended() == 1
        terminal.read(0.2)
        shown, _, told = terminal.output.decode().partition(splash.BACK)
    assert splash.ALTERNATE in shown
    assert "ModuleNotFoundError" in told


async def test_the_cover_stays_until_there_is_something_to_see(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the hosts take: with no rows yet the last ones are worth more; a key shows what there is."""
    monkeypatch.setattr(splash, "_showing", "rows")
    world = World()
    world.inventory.add_host(HostRecord(name="h1", status=HostStatus.CONNECTING))
    app = Console(open_manager=opener(world))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: not app.main.connecting)
        await pilot.pause(10 * SOON)
        assert app._covered
        world.inventory.update_host("h1", status=HostStatus.UNREACHABLE)
        await until(pilot, lambda: not app._covered)


async def test_a_key_lifts_the_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splash, "_showing", "rows")
    gate = asyncio.Event()
    app = Console(open_manager=opener(World(), gate))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "connecting…" in shown(pilot))
        assert app._covered
        await pilot.press("down")
        await until(pilot, lambda: not app._covered)
        gate.set()
