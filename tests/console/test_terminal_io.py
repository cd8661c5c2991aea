"""The private parts of Textual that the console leans on: a new version that changes one fails here."""

from __future__ import annotations

import inspect
import io
import os
import queue

import pytest
import textual
from rich.console import Console as RichConsole
from rich.segment import Segment
from textual._compositor import ChopsUpdate
from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver
from textual.pilot import Pilot
from textual.strip import Strip

from lxdpm_tui.console import terminal_io
from tests.console.terminal import Terminal


def test_the_version_that_was_looked_at() -> None:
    assert textual.__version__.startswith("8.2.")


def test_a_partial_update_sends_only_what_it_covers() -> None:
    terminal_io.install_crop()
    terminal_io.install_crop()
    update = ChopsUpdate([{0: Strip([Segment("0123456789")])}], [(0, 4, 7)], [[10]])
    text = update.render_segments(RichConsole())
    assert text == "\x1b[1;5H456"


def test_the_crop_keeps_wide_letters_whole() -> None:
    update = ChopsUpdate([{0: Strip([Segment("日本語 ok")]), 9: Strip([Segment("next")])}], [(0, 4, 11)], [[9, 13]])
    text = terminal_io._render_cropped(update, RichConsole())
    assert "語 ok" in text
    assert "日" not in text
    assert text.endswith("\x1b[1;10Hne")


def test_the_writer_has_the_queue_that_backlog_looks_at() -> None:
    assert isinstance(WriterThread(io.StringIO())._queue, queue.Queue)
    assert "_writer_thread" in inspect.getsource(LinuxDriver)


async def test_without_a_writer_nothing_waits(pilot: Pilot[int]) -> None:
    assert terminal_io.backlog(pilot.app) == 0


async def test_the_screen_can_be_read_as_text(pilot: Pilot[int]) -> None:
    assert len(terminal_io.screen_text(pilot.app)) == 24


@pytest.mark.timeout(150)
def test_a_terminal_that_goes_without_a_signal_ends_it_too() -> None:
    """As it is when it was not the controlling one: nobody sends SIGHUP, and reading gives nothing, for ever."""
    with Terminal("-m", "tests.console.scene", "still") as terminal:
        terminal.until(b"web-40")
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, terminal.master)
        os.close(nowhere)
        assert terminal.child.wait(60) == 0
