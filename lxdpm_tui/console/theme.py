"""The console's own colours: calm surfaces, text of good contrast, colour only where it says something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from textual.theme import Theme

DARK = Theme(
    name="lxdpm-dark",
    primary="#7cb7ff",
    secondary="#8fd3e8",
    accent="#f2b866",
    foreground="#d7dde6",
    background="#10151c",
    surface="#1a212b",
    panel="#1e2733",
    success="#7fd39b",
    warning="#f0c674",
    error="#ff7b72",
    dark=True,
    variables={
        "text": "#d7dde6",
        "text-muted": "#8b98a9",
        "text-disabled": "#6b7788",
        "text-primary": "#7cb7ff",
        "text-secondary": "#8fd3e8",
        "text-success": "#7fd39b",
        "text-warning": "#f0c674",
        "text-error": "#ff7b72",
        "text-accent": "#f2b866",
        "block-cursor-background": "#26405f",
        "block-cursor-foreground": "#ffffff",
        "border": "#3b5575",
        "border-blurred": "#2a3442",
        "scrollbar": "#33404f",
        "scrollbar-hover": "#46566a",
        "scrollbar-background": "#10151c",
        "scrollbar-background-hover": "#10151c",
        "scrollbar-background-active": "#10151c",
        "scrollbar-corner-color": "#10151c",
        "input-cursor-background": "#d7dde6",
        "input-selection-background": "#34567f",
    },
)

LIGHT = Theme(
    name="lxdpm-light",
    primary="#0a5cad",
    secondary="#00728a",
    accent="#9a5b00",
    foreground="#1d2733",
    background="#fbfcfd",
    surface="#eef1f5",
    panel="#e3e8ee",
    success="#1a7f37",
    warning="#8a5a00",
    error="#c42b1c",
    dark=False,
    variables={
        "text": "#1d2733",
        "text-muted": "#5a6776",
        "text-disabled": "#8491a0",
        "text-primary": "#0a5cad",
        "text-secondary": "#00728a",
        "text-success": "#1a7f37",
        "text-warning": "#8a5a00",
        "text-error": "#c42b1c",
        "text-accent": "#9a5b00",
        "block-cursor-background": "#cfe2f8",
        "block-cursor-foreground": "#101820",
        "border": "#9db4cc",
        "border-blurred": "#ccd6e0",
        "scrollbar": "#c3ccd6",
        "scrollbar-background": "#fbfcfd",
        "scrollbar-background-hover": "#fbfcfd",
        "scrollbar-background-active": "#fbfcfd",
        "scrollbar-corner-color": "#fbfcfd",
    },
)


def completed(
    name: str, base: Theme | None, colors: Mapping[str, str], variables: Mapping[str, str], *, ansi: bool = False
) -> Theme:
    """A theme of some colours; the rest are those of `base` (None = the dark one)."""
    base = base or DARK
    meant = {
        "text": "foreground",
        "text-primary": "primary",
        "text-secondary": "secondary",
        "text-success": "success",
        "text-warning": "warning",
        "text-error": "error",
        "text-accent": "accent",
        "scrollbar-background": "background",
        "scrollbar-background-hover": "background",
        "scrollbar-background-active": "background",
        "scrollbar-corner-color": "background",
    }
    follow = {variable: colors[color] for variable, color in meant.items() if color in colors}
    return replace(base, name=name, variables={**base.variables, **follow, **variables}, ansi=ansi, **colors)  # type: ignore[arg-type]


ANSI = completed(
    "lxdpm-ansi",
    DARK,
    {
        "primary": "ansi_bright_blue",
        "secondary": "ansi_cyan",
        "accent": "ansi_yellow",
        "foreground": "ansi_default",
        "background": "ansi_default",
        "surface": "ansi_default",
        "panel": "ansi_default",
        "success": "ansi_green",
        "warning": "ansi_yellow",
        "error": "ansi_bright_red",
    },
    {
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "text-muted": "ansi_bright_black",
        "text-disabled": "ansi_bright_black",
        "block-cursor-background": "ansi_blue",
        "block-cursor-foreground": "ansi_bright_white",
        "border": "ansi_bright_black",
        "border-blurred": "ansi_bright_black",
        "scrollbar": "ansi_bright_black",
        "scrollbar-hover": "ansi_white",
        "input-cursor-background": "ansi_white",
        "input-selection-background": "ansi_blue",
    },
    ansi=True,
)
"""The terminal's own 16 colours, whatever they are."""

COLORS = (
    "primary",
    "secondary",
    "accent",
    "foreground",
    "background",
    "surface",
    "panel",
    "success",
    "warning",
    "error",
)
PLAIN = completed(
    "lxdpm-plain",
    DARK,
    dict.fromkeys(COLORS, "ansi_default"),
    dict.fromkeys((*DARK.variables, "ansi-background", "ansi-foreground"), "ansi_default"),
    ansi=True,
)
"""No colours at all (NO_COLOR): bold, italic and reverse say what is to be said."""


def text_colors(variables: Mapping[str, str]) -> Mapping[str, str]:
    """A theme's variables as Rich reads colours: `ansi_red` is `red` there, and `auto 60%` nothing at all."""
    return _TextColors(variables)


class _TextColors(Mapping[str, str]):
    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        found = self._variables[name]
        if found.startswith("ansi_"):
            return found.removeprefix("ansi_")
        return found if found.startswith("#") else self["foreground"]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
