"""What the console remembers from one day to the next: the order and columns of tables, the theme, the `:` lines.

Two small files in the state directory, for its owner only. A memory without a directory remembers while it lives.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

LINES_KEPT = 500


class TableMemory(msgspec.Struct):
    """sort: id of a column, "" = by name.  columns: ids in their order, None = all there are.
    grouped: by host first."""

    sort: str = ""
    reverse: bool = False
    columns: list[str] | None = None
    grouped: bool = False


class Memory:
    """Changed by its methods, written by `save`. A broken file is as good as none."""

    def __init__(self, directory: Path | None = None) -> None:
        self.tables: dict[str, TableMemory] = {}
        self.theme = ""
        self.lines: list[str] = []
        self._directory = directory
        self._dirty = False
        if directory is not None:
            self._read(directory)

    def table(self, place: str, memory: TableMemory) -> None:
        """The order and columns of a table as they are now."""
        if self.tables.get(place) != memory:
            self.tables[place] = memory
            self._dirty = True

    def forget(self, place: str) -> None:
        """Back to how the table was made."""
        if self.tables.pop(place, None) is not None:
            self._dirty = True

    def use_theme(self, name: str) -> None:
        if name != self.theme:
            self.theme = name
            self._dirty = True

    def line(self, line: str) -> None:
        """A `:` line was given. One that says a secret is not kept."""
        if any(word in line for word in ("--token", "--password")):
            return
        if line in self.lines:
            self.lines.remove(line)
        self.lines.append(line)
        del self.lines[:-LINES_KEPT]
        self._dirty = True

    def save(self) -> None:
        """Write what changed. Raises OSError."""
        if self._directory is None or not self._dirty:
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        tables = {place: msgspec.to_builtins(table) for place, table in self.tables.items()}
        _write(self._directory / "console.json", json.dumps({"theme": self.theme, "tables": tables}, indent=1) + "\n")
        _write(self._directory / "console.history", "".join(f"{line}\n" for line in self.lines))
        self._dirty = False

    def _read(self, directory: Path) -> None:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = (directory / "console.history").read_text(encoding="utf-8")
            self.lines = [line for line in text.splitlines() if line.strip()][-LINES_KEPT:]
        with contextlib.suppress(OSError, ValueError, msgspec.ValidationError):
            kept: Any = json.loads((directory / "console.json").read_text(encoding="utf-8"))
            if isinstance(kept, Mapping):
                self.theme = str(kept.get("theme") or "")
                self.tables = msgspec.convert(kept.get("tables") or {}, dict[str, TableMemory])


def _write(path: Path, text: str) -> None:
    """Replace a file at once; only its owner may read it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
