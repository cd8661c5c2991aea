"""The command line under test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lxdpm_tui.manager import caller
from tests.cli.cli import Cli


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    token = caller.set("local")
    yield Cli(tmp_path, capsys)
    caller.reset(token)
