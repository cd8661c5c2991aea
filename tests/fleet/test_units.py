"""Sizes as LXD writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lxdpm_tui.fleet.units import parse_size, show_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", 0),
        (" ", 0),
        ("0", 0),
        ("1048576", 1048576),
        ("7B", 7),
        ("3kB", 3000),
        ("3MB", 3 * 10**6),
        ("2GB", 2 * 10**9),
        ("2TB", 2 * 10**12),
        ("1PB", 10**15),
        ("1EB", 10**18),
        ("3KiB", 3072),
        ("512MiB", 512 << 20),
        ("2GiB", 2 << 30),
        ("2TiB", 2 << 40),
        ("1PiB", 1 << 50),
        ("1EiB", 1 << 60),
        (" 2GiB ", 2 << 30),
        ("50%", 500),
        ("33%", 330),
        ("0%", 0),
        ("100%", 1000),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text, whole=1000) == size


@pytest.mark.parametrize(
    "text", ["GiB", "2 GiB", "-1", "1.5GiB", "2gib", "2KB", "2G", "%", "-5%", "1.5%", "0x10", "many"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size: a whole number with B, kB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (100 << 10, "100 KiB"),
        (3 << 29, "1.5 GiB"),
        (5 << 40, "5.0 TiB"),
        (5 << 50, "5120 TiB"),
    ],
)
def test_shown_to_people(count: int, text: str) -> None:
    assert show_size(count) == text


@given(st.integers(0, 1 << 60), st.sampled_from(["", "B", "kB", "MB", "GB", "KiB", "MiB", "GiB", "TiB"]))
def test_a_number_and_a_unit_is_always_a_size(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") >= number


@given(st.integers(1, 1 << 50))
def test_what_is_shown_is_near_the_truth(count: int) -> None:
    number, unit = show_size(count).split()
    power = ["B", "KiB", "MiB", "GiB", "TiB"].index(unit)
    assert abs(float(number) * 1024**power - count) <= 0.06 * count
