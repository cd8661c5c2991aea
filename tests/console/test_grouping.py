from __future__ import annotations

from operator import attrgetter
from typing import NamedTuple

import pytest

from lxdpm_tui.console.grouping import by_host


class Row(NamedTuple):
    host: str
    size: int | None


HOST = attrgetter("host")
ROWS = [Row("h10", 1), Row("h1", 2), Row("h1", None), Row("h2", 5), Row("h1", 9), Row("h10", None), Row("h10", 7)]


@pytest.mark.parametrize(
    ("reverse", "sizes"), [(False, [2, 9, None, 5, 1, 7, None]), (True, [9, 2, None, 5, 7, 1, None])]
)
def test_hosts_go_from_a_to_z_and_the_unknown_is_last_in_each(reverse: bool, sizes: list[int | None]) -> None:
    rows = sorted(ROWS, key=by_host(HOST, lambda row: row.size, reverse), reverse=reverse)
    assert [row.host for row in rows] == ["h1"] * 3 + ["h2"] + ["h10"] * 3, "as people count"
    assert [row.size for row in rows] == sizes


def test_without_a_column_the_order_in_a_host_stays() -> None:
    rows = sorted(ROWS, key=by_host(HOST, None, False))
    assert [row.size for row in rows] == [2, None, 9, 5, 1, None, 7]
