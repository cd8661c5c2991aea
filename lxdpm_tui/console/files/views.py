"""views.toml: a table with its filter, order and columns, under a name; also written by `:save-view`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lxdpm_tui.config.hosts_file import ConfigError, Problem
from lxdpm_tui.console.files.toml import Document
from lxdpm_tui.console.keymap import PLACES, Place


class PathColumn(msgspec.Struct, frozen=True):
    """A column whose value is found in the object itself. path: `config.user.owner`, `state.network.eth0.hwaddr`."""

    path: str
    title: str
    width: int = 12

    @property
    def id(self) -> str:
        return f"path:{self.path}"


class SavedView(msgspec.Struct, frozen=True):
    """sort: id of a column, "" = as the table likes.  columns: ids or PathColumns, () = those of the table.
    grouped: by host first."""

    name: str
    place: Place
    filter: str = ""
    sort: str = ""
    reverse: bool = False
    columns: tuple[str | PathColumn, ...] = ()
    project: str = ""
    grouped: bool = False


_KEYS = ("place", "filter", "sort", "columns", "project", "grouped")


def read_views(path: Path) -> dict[str, SavedView]:
    """Raises ConfigError."""
    document = Document(path)
    found = {}
    for name, table in document.tables():
        document.known(name, table, _KEYS)
        given = document.text(name, table, "place", "instances")
        place = next((known for known in PLACES if known == given), None)
        if place is None:
            document.wrong(name, "place", f"there is no table {given}; there are {', '.join(PLACES)}")
            continue
        sort = document.text(name, table, "sort")
        columns = table.get("columns", [])
        if not isinstance(columns, list):
            document.wrong(name, "columns", "expected a list")
            columns = []
        made = tuple(column for each in columns if (column := _column(document, name, each)) is not None)
        found[name] = SavedView(
            name,
            place,
            document.text(name, table, "filter"),
            sort.removeprefix("-").removeprefix("+"),
            sort.startswith("-"),
            made,
            document.text(name, table, "project"),
            document.flag(name, table, "grouped"),
        )
    document.done()
    return found


def _column(document: Document, table: str, given: Any) -> str | PathColumn | None:
    if isinstance(given, str):
        if "." not in given:
            return given
        return PathColumn(given, given.rpartition(".")[2].upper())
    if isinstance(given, Mapping) and isinstance(given.get("path"), str):
        width = given.get("width", 12)
        if isinstance(width, int) and not isinstance(width, bool) and 1 <= width <= 200:
            title = given.get("title") or given["path"].rpartition(".")[2].upper()
            return PathColumn(given["path"], str(title), width)
    document.wrong(table, "columns", 'expected ids of columns, or {title = "OWNER", path = "config.user.owner"}')
    return None


def save_view(path: Path, view: SavedView) -> None:
    """Write a view into the file (made if absent), in place of one of that name. Raises ConfigError."""
    import tomlkit  # slow to import, and only for this

    if path.exists():
        read_views(path)  # a file with mistakes is not touched
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
        table = tomlkit.table()
        table["place"] = view.place
        for key, value in (("filter", view.filter), ("project", view.project)):
            if value:
                table[key] = value
        if view.sort:
            table["sort"] = f"-{view.sort}" if view.reverse else view.sort
        if view.grouped:
            table["grouped"] = True
        if view.columns:
            columns = tomlkit.array()
            for column in view.columns:
                if isinstance(column, str):
                    columns.append(column)
                else:
                    inline = tomlkit.inline_table()
                    inline.update(msgspec.to_builtins(column))
                    columns.append(inline)
            table["columns"] = columns
        document[view.name] = table
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(tomlkit.dumps(document))
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, "", f"cannot be written: {error.strerror}")]) from error
