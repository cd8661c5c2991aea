"""Rows by host first, and by the chosen column among those of a host."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lxdpm_tui.fleet.view import natural


def by_host(
    host: Callable[[Any], str], sort: Callable[[Any], Any] | None, reverse: bool
) -> Callable[[Any], tuple[Any, ...]]:
    """A value to order rows by. host: of a row.  sort: of the column, None for unknown, which comes last in each host;
    None = by name.

    Hosts go from a to z also when the order is turned round.
    """
    if sort is None:
        return lambda row: (_rank(host(row), reverse),)

    def value(row: Any) -> tuple[Any, ...]:
        found = sort(row)
        return _rank(host(row), reverse), (found is None) != reverse, 0 if found is None else found

    return value


@lru_cache(maxsize=16384)
def _rank(host: str, reverse: bool) -> tuple[int, ...]:
    """Sorts as the name does; turned round, the other way: then the end of a name counts more than any letter."""
    letters = map(ord, natural(host))
    return (*(-letter for letter in letters), 1) if reverse else tuple(letters)
