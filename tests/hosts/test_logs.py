from __future__ import annotations

import pytest

from lxdpm_tui.hosts.logs import _added, _start


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        (b"", b"all", b"all"),
        (b"one\n", b"one\ntwo\n", b"two\n"),
        (b"one\n", b"one\n", b""),
        (b"x" * 9000 + b"end", b"x" * 5000 + b"end and more", b" and more"),  # the ring went round
        (b"one\n", b"", b""),
        (b"one\n", b"entirely other\n", b"entirely other\n"),
    ],
)
def test_what_a_ring_has_more_than_before(before: bytes, now: bytes, new: bytes) -> None:
    assert _added(before, now) == new


def test_ranges() -> None:
    assert _start("bytes 368-417/418") == 368
    assert _start("") == 0
