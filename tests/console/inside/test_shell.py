"""The terminal goes to a shell of an instance and comes back as it was, on real daemons, in a real terminal (tmux)."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import pytest

from tests.console.inside.window import Window, make, window
from tests.lab.lab import Lab

HOSTS = ("h1", "h2", "h3", "i1")  # a unix socket, HTTPS, SSH, Incus by HTTPS
_numbers = itertools.count()


def enter(console: Window) -> None:
    """Into a shell that answers: the words and the prompt of an earlier one are still on the screen."""
    console.keys("l")
    console.has("Leave with")
    console.until(lambda screen: screen.rstrip().endswith("#"))
    number = next(_numbers)
    say(console, f"echo in''side{number}")
    console.has(f"inside{number}")
    console.until(lambda screen: screen.rstrip().endswith("#"))


def say(console: Window, line: str) -> None:
    console.keys("-l", line)
    console.keys("Enter")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("host", HOSTS)
def test_there_and_back(clean_lab: Lab, tmp_path: Path, host: str) -> None:
    make(clean_lab, host, "c1")
    with window(clean_lab, tmp_path) as console:
        console.on(host, "c1")
        cells, settings = console.steady(), console.settings()

        enter(console)
        say(console, "stty size; echo $TERM")
        console.has("24 80", "-256color")
        console.resize(90, 30)
        # The size goes another way than what is typed, and may come later.
        say(console, "until [ \"$(stty size)\" = '30 90' ]; do sleep 0.2; done; echo si''zed")
        console.has("sized")
        say(console, "exit 3")
        console.has("Shell of", "ended with exit code 3")
        console.resize(80, 24)
        console.has("name:=c1", "? help")
        console.keys("Escape")  # a letter right behind it would be one key with it: until it took the filter away
        console.until(lambda screen: "5 Tasks" in screen and "name:=c1" not in screen and "c1" in screen)
        assert console.settings() == settings
        console.again(cells)

        enter(console)  # and out of it from within a program that holds the terminal in every way
        say(console, r"printf '\033[?1049h\033[?1000h\033[?25l\033[2;5r\033[31m'; yes")
        console.has("y\ny\ny\ny")
        console.keys("Enter")
        console.keys("-l", "~.")
        console.has(f"Shell of {host}:c1 left")
        assert console.settings() == settings
        console.again(cells)
        console.keys("Down", "Up")
        console.keys("q")
        console.has("ended with 0")


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("host", "fault"), [("h1", "killed"), ("h2", "killed"), ("h2", "cut_off"), ("h3", "cut_off")])
def test_the_host_dies_meanwhile(clean_lab: Lab, tmp_path: Path, host: str, fault: str) -> None:
    make(clean_lab, host, "c1")
    with window(clean_lab, tmp_path) as console:
        console.on(host, "c1")
        settings = console.settings()
        enter(console)
        say(console, r"printf '\033[?1049h\033[?25l'; while :; do echo line; sleep 0.1; done")
        console.has("line\nline")
        with getattr(clean_lab.hosts[host], fault)():
            console.has(f"Shell of {host}:c1 ended", seconds=80)
            assert console.settings() == settings
            console.keys("1")  # keys work, and the other hosts are there
            console.until(lambda screen: screen.count("online") >= 3)
            console.keys("2")
            console.has("c1")
        console.keys("q")
        console.has("ended with 0")


@pytest.mark.timeout(400)
def test_a_person_need_not_wait_for_a_dead_host(clean_lab: Lab, tmp_path: Path) -> None:
    make(clean_lab, "h3", "c1")
    with window(clean_lab, tmp_path) as console:
        console.on("h3", "c1")
        took: list[float] = []
        while len(took) < 4 and (not took or min(took) > 3):  # again only where the machine was elsewhere
            console.until(lambda screen: "4 hosts" in screen and "all well" in screen)
            enter(console)
            with clean_lab.hosts["h3"].cut_off():
                console.keys("-l", "lost words")
                console.keys("Enter")
                console.keys("-l", "~.")
                began = time.monotonic()
                console.has("Shell of h3:c1 left")
                took.append(time.monotonic() - began)
        assert min(took) < 3, took


@pytest.mark.timeout(400)
def test_twenty_megabytes(clean_lab: Lab, tmp_path: Path) -> None:
    make(clean_lab, "h1", "c1")
    with window(clean_lab, tmp_path) as console:
        console.on("h1", "c1")
        cells, settings = console.steady(), console.settings()
        enter(console)
        say(console, "dd if=/dev/zero bs=65536 count=320 2>/dev/null | tr '\\0' 'x' | fold -w 78; echo EN''D")
        console.has("END", seconds=200)
        say(console, "exit")
        console.has("Shell of h1:c1 ended")
        assert console.settings() == settings
        console.again(cells)


@pytest.mark.timeout(300)
def test_the_terminal_is_closed_in_the_shell(clean_lab: Lab, tmp_path: Path) -> None:
    make(clean_lab, "h1", "c1")
    with window(clean_lab, tmp_path) as console:
        console.on("h1", "c1")
        enter(console)
        pid = int(console.run("display-message", "-p", "#{pane_pid}"))
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        [program] = [int(child) for child in children]
        os.kill(program, signal.SIGTERM)
        console.has("ended with 0")
        assert console.settings() == console.first


@pytest.mark.timeout(300)
def test_a_stopped_instance_has_no_shell(clean_lab: Lab, tmp_path: Path) -> None:
    make(clean_lab, "h1", "c1")
    with window(clean_lab, tmp_path) as console:
        console.on("h1", "c1")
        clean_lab.hosts["h1"].api("PUT", "/1.0/instances/c1/state", {"action": "stop", "force": True})
        console.has("Stopped")
        console.keys("l")
        console.has("Instance is not running")
