from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lxdpm_tui.console.inside.log_buffer import LONGEST, LogBuffer, plain


def lines(buffer: LogBuffer) -> list[str]:
    return [entry.text for entry in buffer.since(0)]


def test_it_is_bounded_in_lines_and_in_bytes() -> None:
    buffer = LogBuffer(lines=10, size=10_000)
    for number in range(100):
        buffer.add("a", b"%d\n" % number)
    assert lines(buffer) == [str(number) for number in range(90, 100)]
    assert (buffer.dropped, buffer.end) == (90, 100)
    for _ in range(20):
        buffer.add("a", b"x" * 3000 + b"\n")
    assert len(buffer) == 3
    buffer.add("a", b"y" * (3 * LONGEST))
    assert len(buffer) == 1  # no end of line in sight: it is cut
    assert len(lines(buffer)[0]) == LONGEST


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_pieces_make_the_same_lines_however_they_come(pieces: list[bytes]) -> None:
    whole, cut = LogBuffer(), LogBuffer()
    whole.add("a", b"".join(pieces))
    for piece in pieces:
        cut.add("a", piece)
    assert lines(cut) == lines(whole)
    cut.flush()
    whole.flush()
    assert lines(cut) == lines(whole)


def test_sources_do_not_mix_their_halves() -> None:
    buffer = LogBuffer()
    buffer.add("a", b"from ")
    buffer.add("b", b"other\n")
    buffer.add("a", b"a\n")
    assert [(entry.source, entry.text) for entry in buffer.since(0)] == [("b", "other"), ("a", "from a")]


def test_search_goes_both_ways_and_sees_through_colours() -> None:
    buffer = LogBuffer(lines=5)
    buffer.add("a", b"zero\nerr\x1b[31mor\x1b[0m 1\ntwo\nERROR 3\nfour\nfive\n")
    assert buffer.get(0) is None
    assert buffer.find("error", 5, -1) == 3
    assert buffer.find("error", 2, -1) == 1
    assert buffer.find("error", 4, 1) is None
    assert buffer.find("zero", 5, -1) is None
    assert plain("err\x1b[31mor\x1b[0m \x1b]0;title\x07x") == "error x"
    assert "error 1\n" in buffer.text()
