"""hosts.toml: reading tells all mistakes at once, each with its line; editing keeps the user's comments."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxdpm_tui.config.address import Address, parse_address

NAME_RULE = "expected a name like a hostname: 1 to 63 letters, digits, dots and hyphens, as in web-1"

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
_LABEL = re.compile(r"[\w.-]{1,63}")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_ENTRY_HEADER = re.compile(r"\s*\[\[\s*[\"']?hosts[\"']?\s*\]\]")
_OTHER_HEADER = re.compile(r"\s*\[")
_SUB_HEADER = re.compile(r"\s*\[\s*hosts\s*\.\s*([\w-]+)\s*\]")
_KEY = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*[=.]")


@dataclass(frozen=True, slots=True)
class HostConfig:
    """One [[hosts]] entry.

    labels: label -> value, "" for a bare label.  fingerprint: SHA-256 of the server certificate, 64 hex digits.
    identity_file, known_hosts: ssh only; None = what ~/.ssh/config and the usual files say.  read_only: every change is
    refused before it is sent.
    """

    name: str
    address: Address
    labels: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = None
    identity_file: str | None = None
    known_hosts: str | None = None
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. line: from 1, 0 = the file as a whole.  key: "" when it is about no single key."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class ConfigError(Exception):
    """A file of ours that cannot be used. problems: every mistake found, in the order of their lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__("\n".join(map(str, self.problems)))


def valid_name(name: str) -> bool:
    """Whether it can name a host. "none" is what standalone daemons say for "no location"."""
    return _NAME.fullmatch(name) is not None and name != "none"


def load_hosts(path: Path) -> list[HostConfig]:
    """The hosts of the file, in its order. Raises ConfigError with all mistakes at once."""
    return _parse(path, _read(path))


def check_host(path: Path, host: HostConfig) -> None:
    """Whether add_host could write it. Raises ConfigError: the file or the host has mistakes, or the name is taken."""
    problems: list[Problem] = []
    _entry(_as_table(host), path.parent, lambda key, message: problems.append(Problem(str(path), 0, key, message)))
    known = _parse(path, _read(path)) if path.exists() else []
    if any(other.name == host.name for other in known):
        problems.append(Problem(str(path), 0, "name", f"there is a host {host.name} already"))
    if problems:
        raise ConfigError(problems)


def add_host(path: Path, host: HostConfig) -> None:
    """Append the host to the file (made if absent). Raises ConfigError as check_host does."""
    import tomlkit  # slow to import, and only for edits
    from tomlkit.items import AoT, Array

    check_host(path, host)
    text = _read(path) if path.exists() else ""
    document = tomlkit.parse(text)
    entries = document.get("hosts")
    if isinstance(entries, Array) and len(entries):  # hosts = [{...}, {...}]
        inline = tomlkit.inline_table()
        inline.update(_as_table(host))
        entries.append(inline)
        _write(path, tomlkit.dumps(document))
        return
    if entries is not None and not isinstance(entries, AoT):  # hosts = []
        del document["hosts"]
        text = tomlkit.dumps(document)
    addition = tomlkit.dumps({"hosts": [_as_table(host)]})
    _write(path, f"{text.rstrip()}\n\n{addition}" if text.strip() else addition)


def remove_host(path: Path, name: str) -> None:
    """Take the host's entry out of the file; comments outside the entry stay. Raises ConfigError: no such host."""
    text = _read(path)
    hosts = _parse(path, text)
    index = next((index for index, host in enumerate(hosts) if host.name == name), None)
    if index is None:
        hint = _did_you_mean(name, [host.name for host in hosts])
        raise ConfigError([Problem(str(path), 0, "name", f"there is no host {name}{hint}")])
    # By lines first: tomlkit counts a comment above the next [[hosts]] to the table before it and would drop it.
    shorter = _without_entry(text, index)
    with contextlib.suppress(ConfigError):
        if _parse(path, shorter) == hosts[:index] + hosts[index + 1 :]:
            _write(path, shorter)
            return
    import tomlkit

    document = tomlkit.parse(text)
    document["hosts"].pop(index)
    _write(path, tomlkit.dumps(document))


def set_labels(path: Path, name: str, labels: Mapping[str, str]) -> None:
    """Give a host of the file other labels; comments stay. Raises ConfigError: no such host, no such labels."""
    import tomlkit

    table = tomlkit.inline_table()
    table.update(dict(labels))
    _set(path, name, "labels", table)


def rename_host(path: Path, name: str, new_name: str) -> None:
    """Call a host of the file otherwise; comments stay. Raises ConfigError: no such host, a name taken or no name."""
    _set(path, name, "name", new_name)


def _set(path: Path, name: str, key: str, value: object) -> None:
    import tomlkit

    text = _read(path)
    index = next((index for index, host in enumerate(_parse(path, text)) if host.name == name), None)
    if index is None:
        raise ConfigError([Problem(str(path), 0, "name", f"there is no host {name}")])
    document = tomlkit.parse(text)
    document["hosts"][index][key] = value
    changed = tomlkit.dumps(document)
    _parse(path, changed)
    _write(path, changed)


# -- reading


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(path), 0, "", "expected UTF-8 text")]) from None
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, "", f"cannot be read: {error.strerror}")]) from None


def _parse(path: Path, text: str) -> list[HostConfig]:
    file = str(path)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = int(at[1]) if at else len(text.splitlines())
        raise ConfigError([Problem(file, line, "", f"not TOML: {re.sub(r' *[(]at .*', '', str(error))}")]) from None
    places = _Places(text)
    problems: list[Problem] = []
    for key in data:
        if key != "hosts":
            problems.append(Problem(file, places.top(key), key, f"unknown key{_did_you_mean(key, ['hosts'])}"))
    entries = data.get("hosts", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError([*problems, Problem(file, places.top("hosts"), "hosts", "expected [[hosts]] tables")])
    hosts: list[HostConfig] = []
    first_line: dict[str, int] = {}
    for index, entry in enumerate(entries):

        def complain(key: str, message: str, index: int = index) -> None:
            problems.append(Problem(file, places.of(index, key), key, message))

        host = _entry(entry, path.parent, complain)
        if host:
            hosts.append(host)
        name = entry.get("name")
        if isinstance(name, str):
            if name in first_line:
                complain("name", f"{name} is the name of the host at line {first_line[name]} already")
            first_line.setdefault(name, places.of(index, "name"))
    if problems:
        raise ConfigError(problems)
    return hosts


_KEYS = ("name", "address", "labels", "fingerprint", "identity_file", "known_hosts", "read_only")


def _entry(entry: Mapping[str, Any], directory: Path, complain: Callable[[str, str], None]) -> HostConfig | None:
    """The entry as a HostConfig; None when it complained of something that is needed."""

    def text(key: str, needed: bool = False) -> str | None:
        value = entry.get(key)
        if value is None and not needed:
            return None
        if not isinstance(value, str) or not value.strip():
            complain(key, "is missing" if value is None else "expected a text in quotes")
            return None
        return value.strip()

    for key in entry:
        if key not in _KEYS:
            complain(key, f"unknown key{_did_you_mean(key, _KEYS)}")
    name, address_text, fingerprint = text("name", True), text("address", True), text("fingerprint")
    if name is not None and not valid_name(name):
        complain("name", NAME_RULE)
    address: Address | None = None
    if address_text is not None:
        try:
            address = parse_address(address_text)
        except ValueError as error:
            complain("address", str(error))
    if fingerprint is not None:
        fingerprint = fingerprint.replace(":", "").lower()
        if not _FINGERPRINT.fullmatch(fingerprint):
            complain("fingerprint", "expected the SHA-256 of the server certificate: 64 hex digits")
    files: dict[str, str | None] = {}
    for key in ("identity_file", "known_hosts"):
        value = text(key)
        files[key] = str(directory / Path(value).expanduser()) if value else None
        if value and address and address.scheme != "ssh":
            complain(key, "is for ssh:// addresses only")
    labels = _labels(entry.get("labels", {}), complain)
    read_only = entry.get("read_only", False)
    if not isinstance(read_only, bool):
        complain("read_only", "expected true or false")
    if name is None or address is None:
        return None
    identity_file, known_hosts = files["identity_file"], files["known_hosts"]
    return HostConfig(name, address, labels, fingerprint, identity_file, known_hosts, read_only is True)


def _labels(value: object, complain: Callable[[str, str], None]) -> dict[str, str]:
    if isinstance(value, list) and all(isinstance(label, str) for label in value):
        labels = dict.fromkeys(value, "")
    elif isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
        labels = value
    else:
        complain("labels", 'expected a table of texts, as {site = "a"}, or a list of texts, as ["ssd"]')
        return {}
    for label in labels:
        if not _LABEL.fullmatch(label):
            complain("labels", f"expected letters, digits, '.', '_' and '-' in a label, not {label!r}")
    return labels


class _Places:
    """Lines of keys, by a scan of headers and `key =`: tomllib tells no positions.

    A key that it cannot see (inline tables) is said to be at its table's line.
    """

    def __init__(self, text: str) -> None:
        self._top: dict[str, int] = {}
        self._entries: list[dict[str, int]] = []
        current: dict[str, int] | None = self._top
        nested = False
        for number, line in enumerate(text.splitlines(), 1):
            if _ENTRY_HEADER.match(line):
                self._top.setdefault("hosts", number)
                current, nested = {"": number}, False
                self._entries.append(current)
            elif (match := _SUB_HEADER.match(line)) and self._entries:
                current, nested = self._entries[-1], True
                current.setdefault(match[1], number)
            elif _OTHER_HEADER.match(line) and (match := re.match(r"\s*\[+\s*[\"']?([\w-]+)", line)):
                self._top.setdefault(match[1], number)
                current = None
            elif current is not None and not nested and (match := _KEY.match(line)):
                current.setdefault(match[1], number)

    def top(self, key: str) -> int:
        return self._top.get(key, 1)

    def of(self, index: int, key: str) -> int:
        """The key's line in that entry, else the entry's."""
        if index >= len(self._entries):
            return self.top("hosts")
        entry = self._entries[index]
        return entry.get(key, entry[""])


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


# -- writing


def _as_table(host: HostConfig) -> dict[str, Any]:
    table: dict[str, Any] = {"name": host.name, "address": str(host.address)}
    for key in ("fingerprint", "identity_file", "known_hosts"):
        if value := getattr(host, key):
            table[key] = value
    if host.read_only:
        table["read_only"] = True
    if host.labels:
        table["labels"] = dict(host.labels) if any(host.labels.values()) else list(host.labels)
    return table


def _without_entry(text: str, index: int) -> str:
    """The text without the lines of that [[hosts]] entry; blank and comment lines at its end stay."""
    lines = text.splitlines(keepends=True)
    headers = [number for number, line in enumerate(lines) if _ENTRY_HEADER.match(line)]
    if index >= len(headers):
        return text
    start = headers[index]
    end = start + 1
    last = start
    while end < len(lines) and not (_OTHER_HEADER.match(lines[end]) and not _SUB_HEADER.match(lines[end])):
        stripped = lines[end].strip()
        if stripped and not stripped.startswith("#"):
            last = end
        end += 1
    return "".join(lines[:start] + lines[last + 1 :]).lstrip("\n")


def _write(path: Path, text: str) -> None:
    """Replace the file at once (readers see the old or the new one), its mode and a symbolic link to it kept."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o7777 if path.exists() else 0o644
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
