"""A TOML file with the lines of its keys, so that a mistake can be told as `file:line: ...`. tomllib tells no lines."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lxdpm_tui.config.hosts_file import ConfigError, Problem

_HEADER = re.compile(r"\s*\[+\s*[\"']?([^\]\"']+?)[\"']?\s*\]+")
_KEY = re.compile(r"\s*[\"']?([^=\"'#\s]+)[\"']?\s*=")


class Document:
    """data: the file's tables. `wrong` gathers mistakes; `done` raises them all as one ConfigError."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError: it cannot be read, or is no TOML."""
        self.path = path
        self.problems: list[Problem] = []
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "expected UTF-8 text"
            raise ConfigError([Problem(str(path), 0, "", f"cannot be read: {reason}")]) from None
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            at = re.search(r"\(at line (\d+), column \d+\)", str(error))
            line = int(at[1]) if at else len(text.splitlines())
            words = re.sub(r" *[(]at .*", "", str(error))
            raise ConfigError([Problem(str(path), line, "", f"not TOML: {words}")]) from None
        self._lines: dict[tuple[str, str], int] = {}
        table = ""
        for number, row in enumerate(text.splitlines(), 1):
            if header := _HEADER.fullmatch(row.partition("#")[0].rstrip()):
                table = header[1].strip()
                self._lines.setdefault((table, ""), number)
            elif key := _KEY.match(row):
                self._lines.setdefault((table, key[1]), number)

    def line(self, table: str, key: str = "") -> int:
        """The line of a key, else of its table, else 1."""
        return self._lines.get((table, key)) or self._lines.get((table, "")) or self._lines.get(("", table)) or 1

    def wrong(self, table: str, key: str, message: str) -> None:
        name = ".".join(filter(None, (table, key)))
        self.problems.append(Problem(str(self.path), self.line(table, key), name, message))

    def known(self, table: str, given: Iterable[str], known: Iterable[str]) -> None:
        """Complain of keys that mean nothing."""
        names = list(known)
        for key in given:
            if key not in names:
                close = difflib.get_close_matches(key, names, 1)
                hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}"
                self.wrong(table, key, f"unknown{hint}")

    def text(self, table: str, given: dict[str, Any], key: str, default: str = "") -> str:
        value = given.get(key, default)
        if isinstance(value, str):
            return value
        self.wrong(table, key, "expected a text in quotes")
        return default

    def flag(self, table: str, given: dict[str, Any], key: str, default: bool = False) -> bool:
        value = given.get(key, default)
        if isinstance(value, bool):
            return value
        self.wrong(table, key, "expected true or false")
        return default

    def texts(self, table: str, given: dict[str, Any], key: str) -> tuple[str, ...]:
        value = given.get(key, [])
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        self.wrong(table, key, 'expected a list of texts, as ["a", "b"]')
        return ()

    def tables(self) -> Iterable[tuple[str, dict[str, Any]]]:
        """The tables of the file by name; anything else at the top is a mistake."""
        for name, table in self.data.items():
            if isinstance(table, dict):
                yield name, table
            else:
                self.wrong("", name, f"expected a table: [{name}]")

    def done(self) -> None:
        """Raises ConfigError when something was wrong."""
        if self.problems:
            raise ConfigError(self.problems)
