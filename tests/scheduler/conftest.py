"""Fixtures of the scheduler's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lxdpm_tui.store import Store
from tests import properties  # noqa: F401  how property tests run


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(tmp_path / "manager.db")
    await opened.open()
    yield opened
    await opened.close()
