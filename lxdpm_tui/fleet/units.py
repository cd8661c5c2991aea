"""LXD's way of writing sizes: "2GiB", "512MB", "1048576", "50%"."""

from __future__ import annotations

_UNITS: dict[str, int] = {
    "": 1,
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGTPE", start=1)},
}


def parse_size(text: str, whole: int = 0) -> int:
    """Bytes of an LXD size (doc/reference/instance_units). A percentage is of `whole`. "" is 0.

    Raises ValueError naming the text and the units that are known.
    """
    text = text.strip()
    if not text:
        return 0
    if text.endswith("%"):
        number = text[:-1]
        if number.isdigit():
            return whole * int(number) // 100
    else:
        digits = text.rstrip("BiKkMGTPE")
        unit = text[len(digits) :]
        if digits.isdigit() and unit in _UNITS:
            return int(digits) * _UNITS[unit]
    raise ValueError(f"{text!r} is not a size: a whole number with B, kB, MB, GB, TB, KiB, MiB, GiB, TiB or %")


def show_size(count: int) -> str:
    """Bytes for people: three figures at most and a binary unit ("1.5 GiB")."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
