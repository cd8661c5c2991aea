"""Property tests are the same in every run: derandomised, no example database, no time limit on a busy machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lxdpm_tui.store import Store

settings.register_profile(
    "lxdpm", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lxdpm")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(tmp_path / "manager.db")
    await opened.open()
    yield opened
    await opened.close()
