"""Text for terminal cells: safe, cut to a width in cells, and numbers as people read them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from rich.cells import cell_len

_CONTROL = dict.fromkeys((*range(32), *range(127, 160)), "·")
# Marks that reorder or hide text: they could make a row say something else than it does.
_CONTROL |= dict.fromkeys((8206, 8207, *range(8234, 8239), *range(8294, 8298), 65279), "")


def clean(text: str) -> str:
    """The text without anything that moves the cursor or reorders the line; what is removed shows as a dot."""
    return text if text.isascii() and text.isprintable() else text.translate(_CONTROL)


@lru_cache(16384)
def fit(text: str, width: int, right: bool = False) -> str:
    """The text cleaned and cut or padded to exactly `width` cells; an ellipsis tells that it was cut.

    Wide characters take two cells and are never cut in half; combining marks stay with their letter.
    """
    if width <= 0:
        return ""
    text = clean(text)
    length = cell_len(text)
    if length > width:
        text = _cut(text, width - 1) + "…"
        length = cell_len(text)
    padding = " " * (width - length)
    return padding + text if right else text + padding


def _cut(text: str, width: int) -> str:
    """The longest head of at most `width` cells."""
    end = used = 0
    for position, letter in enumerate(text):
        size = 0 if unicodedata.combining(letter) else cell_len(letter)
        if used + size > width:
            break
        used += size
        end = position + 1
    while end and cell_len(text[:end]) > width:  # a sequence (flag, joined emoji) may be wider than its parts
        end -= 1
    return text[:end]


def size(amount: float) -> str:
    """Bytes in at most 5 cells: 512M, 3.1G, 16G."""
    if amount < 0:
        return ""
    for unit in ("", "K", "M", "G", "T", "P"):
        if amount < 999.5 or unit == "P":
            digits = f"{amount:.1f}" if amount < 9.95 and unit not in ("", "K", "M") else f"{amount:.0f}"
            return digits.removesuffix(".0") + (unit or "B")
        amount /= 1024
    return ""


def long_size(amount: float) -> str:
    """Bytes for sentences: 512 MiB, 3.1 GiB."""
    short = size(amount)
    unit = short[-1:]
    return f"{short[:-1]} {unit}iB" if unit in "KMGTP" and unit else f"{short[:-1]} B"


def score(value: object) -> str:
    """A placement score in at most 7 cells: 42.1, 60.3G (thousands, not 1024s)."""
    if not isinstance(value, int | float):
        return ""
    for unit in ("", "k", "M", "G", "T"):
        if abs(value) < 999.5 or unit == "T":
            return f"{value:.3g}{unit}"
        value /= 1000
    return ""


def span(seconds: float) -> str:
    """A length of time in at most 7 cells: 43 s, 12 min, 5 h, 3 d, 2 y."""
    seconds = max(0.0, seconds)
    for limit, length, unit in ((100, 1, "s"), (5940, 60, "min"), (172800, 3600, "h"), (63072000, 86400, "d")):
        if seconds < limit:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds // 31536000:.0f} y"


def percent(share: float) -> str:
    """A part of one as whole percent."""
    return f"{100 * share:.0f}%"


def meter(share: float, width: int) -> str:
    """A bar of `width` cells filled to a part of one."""
    if share < 0:
        return ""
    full = min(width, max(0, round(share * width)))
    return "━" * full + "╌" * (width - full)


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 host`, `3 hosts`, `2 copies`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def names(words: Iterable[str], most: int = 3) -> str:
    """`a, b, c and 4 more`."""
    items = list(words)
    if len(items) <= most:
        return ", ".join(items)
    return f"{', '.join(items[:most])} and {len(items) - most} more"
