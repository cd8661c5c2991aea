from __future__ import annotations

import pytest

from lxdpm_tui.console.columns import Look, lay_out
from lxdpm_tui.console.keymap import PLACES
from lxdpm_tui.console.resources import resources
from lxdpm_tui.console.session import Session


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("width", [40, 60, 77, 100, 157, 197])
def test_columns_share_the_width_and_never_overlap(place: str, width: int) -> None:
    columns = resources(Session())[place].columns  # type: ignore[index]
    slots = lay_out(columns, width, Look(outage=True, projects=True))
    end = -1
    for slot in slots:
        assert slot.x > end
        end = slot.x + slot.width - 1
    assert end < width or width < 50
    assert slots[0].column is columns[0]


def test_the_least_needed_goes_first() -> None:
    columns = resources(Session())["instances"].columns
    narrow = {slot.column.id for slot in lay_out(columns, 77, Look())}
    wide = {slot.column.id for slot in lay_out(columns, 197, Look())}
    assert {"name", "host", "state", "cpu", "memory"} <= narrow
    assert narrow < wide
    assert "snapshots" in wide


def test_ages_are_there_only_in_an_outage() -> None:
    columns = resources(Session())["instances"].columns
    assert "seen" not in {slot.column.id for slot in lay_out(columns, 77, Look())}
    assert "seen" in {slot.column.id for slot in lay_out(columns, 77, Look(outage=True))}
