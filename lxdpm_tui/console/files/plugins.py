"""plugins.toml: a command of the person's own on a row, as a list of words; no shell has a hand in it.

[ssh]
command = ["ssh", "$USER@$IP"]       # words; $NAME and the like are put in as they are
key = "f6"                           # without one: only `:ssh`
places = ["instances"]               # tables where it works; everywhere when left out
help = "log in by ssh"
inputs = [{ name = "user", help = "as whom", default = "root" }]
confirm = false                      # ask first
wait = true                          # wait for a key afterwards, so that what it said can be read
terminal = true                      # false: run it behind the console, its output becomes a message

The environment, and so $..., has for the row: NAME HOST PROJECT IP STATUS FINGERPRINT FILTER, and INPUT's own names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import msgspec

from lxdpm_tui.console.files.simple import key_name
from lxdpm_tui.console.files.toml import Document
from lxdpm_tui.console.keymap import PLACES, Place


class PluginInput(msgspec.Struct, frozen=True):
    """One thing asked for before."""

    name: str
    help: str = ""
    default: str = ""


class Plugin(msgspec.Struct, frozen=True):
    """One command."""

    name: str
    command: tuple[str, ...]
    key: str = ""
    places: tuple[Place, ...] = ()
    help: str = ""
    inputs: tuple[PluginInput, ...] = ()
    confirm: bool = False
    wait: bool = True
    terminal: bool = True


_KEYS = ("command", "key", "places", "help", "inputs", "confirm", "wait", "terminal")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish"})
_NAME = re.compile(r"[a-z][a-z0-9-]*")


def read_plugins(path: Path) -> dict[str, Plugin]:
    """Raises ConfigError."""
    document = Document(path)
    found = {}
    for name, table in document.tables():
        document.known(name, table, _KEYS)
        if not _NAME.fullmatch(name):
            document.wrong(name, "", "expected a name of small letters, digits and hyphens")
            continue
        command = document.texts(name, table, "command")
        if not command:
            document.wrong(name, "command", 'is missing: a list of words, as ["ping", "$IP"]')
            continue
        places = document.texts(name, table, "places")
        known = tuple(place for place in PLACES if place in places)
        for place in set(places) - set(known):
            document.wrong(name, "places", f"there is no table {place}; there are {', '.join(PLACES)}")
        key = document.text(name, table, "key")
        found[name] = Plugin(
            name,
            command,
            key_name(key) if key else "",
            known,
            document.text(name, table, "help") or " ".join(command),
            _inputs(document, name, table.get("inputs", [])),
            document.flag(name, table, "confirm"),
            document.flag(name, table, "wait", True),
            document.flag(name, table, "terminal", True),
        )
    document.done()
    return found


def _inputs(document: Document, table: str, given: Any) -> tuple[PluginInput, ...]:
    found = []
    for each in given if isinstance(given, list) else [None]:
        words = {"name": each} if isinstance(each, str) else each
        if not isinstance(words, Mapping) or not re.fullmatch(r"[A-Za-z_]\w*", str(words.get("name", ""))):
            document.wrong(table, "inputs", 'expected a list of names, or of {name = "user", help = "as whom"}')
            continue
        found.append(PluginInput(str(words["name"]), str(words.get("help", "")), str(words.get("default", ""))))
    return tuple(found)


def words_of(plugin: Plugin, variables: Mapping[str, str]) -> list[str]:
    """The words to run. A variable that is not known is empty; what it holds is never split or read again.

    A shell's script (`sh -c SCRIPT`) is left as it is: the shell has the variables in its environment, and what they
    hold would be read as script.
    """

    def filled(word: str) -> str:
        return _VARIABLE.sub(lambda found: variables.get(found[1] or found[2], ""), word)

    words = list(plugin.command)
    shell = PurePath(words[0]).name in SHELLS
    script = words.index("-c") + 1 if shell and "-c" in words else -1
    return [word if number == script else filled(word) for number, word in enumerate(words)]
