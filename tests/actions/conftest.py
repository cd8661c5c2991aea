from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lxdpm_tui.fleet import watch
from lxdpm_tui.manager import Manager
from tests.actions.images import managed
from tests.lab.lab import Lab


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose heartbeat is late because the machine stalls has things placed on it all the same."""
    monkeypatch.setattr(watch, "SLOW_AFTER", 30.0)


@pytest.fixture
async def manager(clean_lab: Lab, tmp_path: Path) -> AsyncIterator[Manager]:
    async with managed(clean_lab, tmp_path) as manager:
        yield manager
        assert [file.name for file in (manager.paths.state_dir / "spool").glob("*")] == []
