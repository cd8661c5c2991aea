"""What is done behind the first paint."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from lxdpm_tui.console import later


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    interval = sys.getswitchinterval()
    yield
    gc.enable()
    gc.unfreeze()
    sys.setswitchinterval(interval)


def test_the_collector_comes_back_and_leaves_alone_what_was_loaded() -> None:
    gc.unfreeze()
    gc.disable()
    later.first_paint_done()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 1000
    assert sys.getswitchinterval() == pytest.approx(later.SWITCH)


def test_where_it_was_on_nothing_is_set_aside() -> None:
    gc.unfreeze()
    later.first_paint_done()
    assert gc.get_freeze_count() == 0


async def test_modules_that_are_not_there_are_told() -> None:
    await later.load(["json", "lxdpm_tui.console.theme"])
    with pytest.raises(ImportError):
        await later.load(["lxdpm_tui.console.nothing"])
