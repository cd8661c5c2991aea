from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lxdpm_tui.console.memory import LINES_KEPT, Memory, TableMemory


def test_what_is_saved_is_there_the_next_time(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "state")
    memory.table("instances", TableMemory("memory", True, ["name", "memory"]))
    memory.use_theme("lxdpm-light")
    memory.line("stop web-1")
    memory.line("hosts")
    memory.line("stop web-1")
    memory.save()
    again = Memory(tmp_path / "state")
    assert again.tables == {"instances": TableMemory("memory", True, ["name", "memory"])}
    assert again.theme == "lxdpm-light"
    assert again.lines == ["hosts", "stop web-1"]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "state")
    memory.line("hosts")
    memory.save()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    for name in ("console.json", "console.history"):
        assert stat.S_IMODE((tmp_path / "state" / name).stat().st_mode) == 0o600


def test_nothing_is_written_while_nothing_changed(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.save()
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_no_history_and_it_is_bounded(tmp_path: Path) -> None:
    memory = Memory(tmp_path)
    memory.line("host add x --token abc")
    assert memory.lines == []
    for number in range(LINES_KEPT + 10):
        memory.line(f"filter {number}")
    assert len(memory.lines) == LINES_KEPT
    assert memory.lines[0] == "filter 10"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tables": 3}', '{"tables": {"hosts": {"reverse": "x"}}}'])
def test_a_broken_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "console.json").write_text(text)
    (tmp_path / "console.history").write_bytes(b"\xff\xfe")
    memory = Memory(tmp_path)
    assert memory.tables == {}
    assert memory.lines == []


def test_without_a_directory_it_remembers_while_it_lives() -> None:
    memory = Memory()
    memory.line("hosts")
    memory.save()
    assert memory.lines == ["hosts"]
