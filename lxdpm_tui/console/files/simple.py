"""keys.toml and aliases.toml: a name and what it stands for, a line each."""

from __future__ import annotations

from pathlib import Path

from lxdpm_tui.console.files.toml import Document
from lxdpm_tui.console.keymap import KEYS, PLACES

_SIGNS = {
    "?": "question_mark",
    "/": "slash",
    ":": "colon",
    "!": "exclamation_mark",
    "-": "minus",
    "+": "plus",
    "=": "equals_sign",
    ",": "comma",
    ".": "full_stop",
    ";": "semicolon",
    "@": "at",
    "#": "number_sign",
    "*": "asterisk",
    "_": "underscore",
    " ": "space",
    "esc": "escape",
    "[": "left_square_bracket",
    "]": "right_square_bracket",
}


def key_name(given: str) -> str:
    """A key as Textual names it: `?`, `esc` and `Ctrl+R` are understood too."""
    given = given.strip() or given
    if len(given) > 1:
        *held, last = given.replace("ctrl-", "ctrl+").replace("alt-", "alt+").split("+")
        return "+".join([*(part.lower() for part in held), _SIGNS.get(last, last.lower())])
    return _SIGNS.get(given, given)


def read_keys(path: Path) -> dict[str, str]:
    """Keys by the id of what they do, several with commas. Raises ConfigError."""
    document = Document(path)
    ids = [key.id for key in KEYS]
    found: dict[str, str] = {}
    document.known("", document.data, ids)
    for id, given in document.data.items():
        keys = [given] if isinstance(given, str) else given
        if not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key.strip() for key in keys):
            document.wrong("", id, 'expected a key, as "f5", or a list of keys')
            continue
        found[id] = ",".join(key_name(key) for key in keys)
    taken: dict[tuple[str, str], str] = {}
    told: set[tuple[str, str]] = set()
    for key in KEYS:
        for name in found.get(key.id, key.keys).split(","):
            for place in key.places or PLACES:
                other = taken.setdefault((name, place), key.id)
                mine, theirs = (key.id, other) if key.id in found else (other, key.id)
                if other != key.id and mine in found and (mine, theirs) not in told:
                    told.add((mine, theirs))
                    document.wrong("", mine, f"{name} is the key of {theirs} already")
    document.done()
    return found


def read_aliases(path: Path) -> dict[str, str]:
    """Lines by the word that stands for them. Raises ConfigError."""
    document = Document(path)
    for name, line in document.data.items():
        if not isinstance(line, str) or not line.strip():
            document.wrong("", name, "expected a command line in quotes")
        elif line.split()[0] == name:
            document.wrong("", name, "stands for itself")
    document.done()
    return {name: line.lstrip(": ").strip() for name, line in document.data.items()}
