"""The command line under test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lxdpm_tui.manager import caller
from tests.cli.cli import Cli


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of this process goes on without no host that is only slow: the machine may stall."""
    monkeypatch.setattr("lxdpm_tui.cli.actions.WAIT_FOR_HOSTS", 60.0)


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    token = caller.set("local")
    yield Cli(tmp_path, capsys)
    caller.reset(token)
