from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lxdpm_tui.console.inside.escape import Escape, Leftovers


@pytest.mark.parametrize(
    ("typed", "passed", "leaves"),
    [
        (b"~.", b"", True),
        (b"ls\r~.", b"ls\r", True),
        (b"ls ~.\r", b"ls ~.\r", False),
        (b"~~.\r", b"~.\r", False),
        (b"~x", b"~x", False),
        (b"cd ~\r", b"cd ~\r", False),
        (b"\r~\r~.", b"\r~\r", True),
        (b"a\n~.never", b"a\n", True),
    ],
)
def test_the_way_out(typed: bytes, passed: bytes, leaves: bool) -> None:
    assert Escape().feed(typed) == (passed, leaves)
    escape, out, left = Escape(), b"", False
    for letter in typed:  # one at a time, as a person types
        if not left:
            part, left = escape.feed(bytes([letter]))
            out += part
    assert (out, left) == (passed, leaves)


@given(st.binary())
def test_nothing_else_is_changed(typed: bytes) -> None:
    passed, left = Escape().feed(b" " + typed.replace(b"~", b"-"))
    assert (passed, left) == (b" " + typed.replace(b"~", b"-"), False)


def test_a_program_that_was_cut_off_leaves_nothing_behind() -> None:
    leftovers = Leftovers()
    leftovers.feed(b"text\x1b[?1049h\x1b[?1;25l\x1b[2;5r\x1b=\x1b[?1000;1006h\x1b[>5u\x1b[?2004h")
    undone = leftovers.undo(cut=True)
    assert undone.startswith(b"\x18")
    for part in (b"[?1049l", b"[?25h", b"[r", b"\x1b>", b"[?1000l", b"[?1006l", b"[<1u", b"[?2004l", b"[0m"):
        assert part in undone, part
    assert undone.index(b"[?1000l") < undone.index(b"[?1049l")
    assert b"[?1l" not in undone


def test_a_program_that_cleaned_up_is_left_alone() -> None:
    leftovers = Leftovers()
    leftovers.feed(b"\x1b[?1049h\x1b[?25l\x1b[1;24r\x1b[?25h\x1b[r\x1b[?1049l\x1b[?2004h$ \x1b[?2004l")
    assert leftovers.undo() == b""
    leftovers.feed(b"\x1b[?1049h\x1b[2;3r\x1b=\x1bc")
    assert leftovers.undo() == b""


@given(st.lists(st.integers(1, 9)))
def test_sequences_are_seen_in_pieces_too(cuts: list[int]) -> None:
    output = b"ab\x1b[?1049hcd\x1b[2;5r\x1b[?2004;1000hef\x1b[?2004l"
    whole, cut = Leftovers(), Leftovers()
    whole.feed(output)
    at = 0
    for size in cuts:
        cut.feed(output[at : at + size])
        at += size
    cut.feed(output[at:])
    assert cut.undo() == whole.undo()
