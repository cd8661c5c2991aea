"""themes/*.toml: colours of the person's own."""

from __future__ import annotations

from pathlib import Path

from textual.color import Color, ColorParseError
from textual.theme import Theme

from lxdpm_tui.console.files.toml import Document
from lxdpm_tui.console.theme import COLORS, LIGHT, completed


def read_theme(path: Path) -> Theme:
    """A theme; what it does not say is as in the console's own dark or light one. Raises ConfigError."""
    document = Document(path)
    data = document.data
    document.known("", data, ("name", "dark", "variables", *COLORS))
    given = {key: document.text("", data, key) for key in COLORS if key in data}
    variables = data.get("variables", {})
    if not isinstance(variables, dict) or not all(isinstance(each, str) for each in variables.values()):
        document.wrong("", "variables", "expected a table of texts")
        variables = {}
    for table, colors in (("", given), ("variables", variables)):
        for key, value in colors.items():
            try:
                Color.parse(value)
            except ColorParseError:
                document.wrong(table, key, f"{value!r} is no colour: #rrggbb, or a name as ansi_blue")
    dark = document.flag("", data, "dark", True)
    name = document.text("", data, "name") or path.stem
    document.done()
    return completed(name, None if dark else LIGHT, given, variables)
