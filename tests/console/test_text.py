from __future__ import annotations

import pytest
from rich.cells import cell_len

from lxdpm_tui.console import text


@pytest.mark.parametrize(
    ("given", "width", "gives"),
    [
        ("web", 5, "web  "),
        ("web-server", 6, "web-s…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日… "),
        ("e\u0301te\u0301", 3, "e\u0301te\u0301"),
        ("e\u0301te\u0301s", 3, "e\u0301t…"),
        ("a\nb\tc", 5, "a·b·c"),
        ("\x1b[2Jx", 6, "·[2Jx "),
        ("", 2, "  "),
        ("x", 0, ""),
    ],
)
def test_fit_is_exactly_that_wide(given: str, width: int, gives: str) -> None:
    assert text.fit(given, width) == gives
    assert cell_len(text.fit(given, width)) == width


@pytest.mark.parametrize("sample", ["👨‍👩‍👧‍👦 family", "🇫🇷🇩🇪 flags", "ﷺ long", "ｗｉｄｅ", "שלום"])
@pytest.mark.parametrize("width", range(1, 12))
def test_fit_holds_for_odd_letters(sample: str, width: int) -> None:
    assert cell_len(text.fit(sample, width)) == width


def test_fit_right() -> None:
    assert text.fit("7", 3, True) == "  7"


def test_clean_takes_out_what_reorders() -> None:
    assert text.clean("abc\u202edcba\u202c") == "abcdcba"


@pytest.mark.parametrize(
    ("amount", "short", "long"),
    [
        (0, "0B", "0 B"),
        (900, "900B", "900 B"),
        (100 << 20, "100M", "100 MiB"),
        (1 << 30, "1G", "1 GiB"),
        (int(3.14 * (1 << 30)), "3.1G", "3.1 GiB"),
        (16 << 30, "16G", "16 GiB"),
        (1000 << 30, "1T", "1 TiB"),
    ],
)
def test_sizes(amount: int, short: str, long: str) -> None:
    assert text.size(amount) == short
    assert text.long_size(amount) == long


def test_unknown_size_is_empty() -> None:
    assert text.size(-1) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (43.9, "43 s"),
        (99, "99 s"),
        (100, "1 min"),
        (5939, "98 min"),
        (5940, "1 h"),
        (172800, "2 d"),
        (1e9, "31 y"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    assert text.span(seconds) == words


def test_meter() -> None:
    assert text.meter(0.5, 4) == "━━╌╌"
    assert text.meter(2.0, 4) == "━━━━"
    assert text.meter(-1, 4) == ""


def test_words() -> None:
    assert text.count(1, "host") == "1 host"
    assert text.count(2, "copy", "copies") == "2 copies"
    assert text.names("abcde", 2) == "a, b and 3 more"
