"""The way to the terminal: what it measures, and what follows for the pace of paints."""

from __future__ import annotations

import inspect
import io
import os
import termios
import time

import pytest
from textual.drivers.headless_driver import HeadlessDriver
from textual.drivers.linux_driver import LinuxDriver
from textual.pilot import Pilot

from lxdpm_tui import splash
from lxdpm_tui.console.driver import FORGET, SELDOM, ConsoleDriver, Link, Metered, driver_class, link_of


def test_a_link_that_was_never_full_paints_as_often_as_it_may() -> None:
    link = Link()
    link.passed(3000, 0.0001)
    assert (link.sent, link.slow, link.paint_every(0.25)) == (3000, False, 0.25)
    assert "faster than what was sent" in link.words(0, 0.25)


def test_a_slow_link_keeps_room_for_keys() -> None:
    link = Link()
    link.passed(1600, 0.1)
    assert link.slow
    assert link.rate == pytest.approx(16000)
    every = link.paint_every(0.25)
    assert every == 0.25, "a paint takes a tenth of a second of it: four a second leave room"
    for _ in range(30):
        link.passed(400, 0.1)
    assert link.rate == pytest.approx(4000, rel=0.01)
    assert 0.8 < link.paint_every(0.25) < 1.1
    for _ in range(60):
        link.passed(100, 0.5)
    assert link.paint_every(0.25) == SELDOM
    assert "200 B/s when full, 19 KiB sent, 2 frames waiting, data painted every 2 s" in link.words(2, 0.25)


def test_a_link_that_is_free_again_is_forgiven() -> None:
    link = Link()
    link.passed(100, 1.0)
    link.full = time.monotonic() - FORGET - 1
    assert not link.slow
    assert link.paint_every(0.25) == 0.25


def test_what_passes_is_counted_when_it_is_flushed() -> None:
    class Slow(io.StringIO):
        def flush(self) -> None:
            time.sleep(0.02)

    link, file = Link(), Slow()
    metered = Metered(file, link)
    metered.write("hello ")
    metered.write("world")
    assert link.sent == 0
    metered.flush()
    assert (link.sent, file.getvalue()) == (11, "hello world")
    assert 0 < link.rate < 11 / 0.02


def test_only_a_real_terminal_gets_it() -> None:
    assert driver_class(LinuxDriver) is ConsoleDriver
    assert driver_class(HeadlessDriver) is HeadlessDriver


def test_textual_still_has_what_it_leans_on() -> None:
    assert f'self.write("{splash.ALTERNATE}")'.encode("unicode_escape").decode() in inspect.getsource(LinuxDriver)
    assert "WriterThread(self._file)" in inspect.getsource(LinuxDriver)


async def test_nothing_is_metered_without_a_terminal(pilot: Pilot[int]) -> None:
    assert link_of(pilot.app) is None


def test_a_serial_line_knows_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("LINES", "30")
    ours, theirs = os.openpty()
    try:
        driver = ConsoleDriver.__new__(ConsoleDriver)
        driver.fileno = theirs
        assert driver._get_terminal_size() == (90, 30)
        termios.tcsetwinsize(theirs, (24, 80))
        assert driver._get_terminal_size() == (80, 24)
    finally:
        os.close(ours)
        os.close(theirs)
