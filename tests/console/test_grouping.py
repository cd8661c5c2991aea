from __future__ import annotations

from typing import NamedTuple

import pytest

from lxdpm_tui.console.grouping import by_host


class Row(NamedTuple):
    host: str
    size: int | None


ROWS = [Row("h10", 1), Row("h1", 2), Row("h1", None), Row("h2", 5), Row("h1", 9), Row("h10", None), Row("h10", 7)]


@pytest.mark.parametrize(
    ("reverse", "sizes"), [(False, [2, 9, None, 1, 7, None, 5]), (True, [9, 2, None, 7, 1, None, 5])]
)
def test_hosts_go_from_a_to_z_and_the_unknown_is_last_in_each(reverse: bool, sizes: list[int | None]) -> None:
    rows = sorted(ROWS, key=by_host(lambda row: row.size, reverse), reverse=reverse)
    assert [row.host for row in rows] == ["h1"] * 3 + ["h10"] * 3 + ["h2"]
    assert [row.size for row in rows] == sizes


def test_without_a_column_the_order_in_a_host_stays() -> None:
    rows = sorted(ROWS, key=by_host(None, False))
    assert [row.size for row in rows] == [2, None, 9, 1, None, 7, 5]
