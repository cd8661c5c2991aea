"""The help: made from the keys, the table and the registry, so that it says what is so."""

from __future__ import annotations

from collections.abc import Iterable

from lxdpm_tui.actions.registry import Action, Registry, option
from lxdpm_tui.console import keymap
from lxdpm_tui.console.files import Files
from lxdpm_tui.console.keymap import KEYS, MOVES, Place
from lxdpm_tui.console.resources.base import Line, heading
from lxdpm_tui.fleet.query import Schema

WORDS = {
    "TABLE [FILTER]": "a table: :instances prod-* /web status:error @h1",
    "project NAME": "look at one project only; `all` for all",
    "view NAME": "a saved view; :save-view NAME keeps what is shown",
    "sort COLUMN": "order by a column; -COLUMN for downwards",
    "columns [IDS]": "choose the columns; an id may be a path: config.user.owner",
    "filter WORDS": "filter this table",
    "export FILE": "this table as FILE.csv or FILE.json",
    "dump FILE": "the screen as FILE.svg or FILE.txt",
    "theme NAME": "other colours",
    "keys": "the ids of all keys, for keys.toml",
}


def usage(action: Action) -> str:
    """`stop INSTANCES… [--force] [--timeout N]`."""
    words = [action.name]
    for param in action.params:
        name = param.name.upper().replace("_", "-")
        if param.positional:
            words.append((name if param.required else f"[{name}]") + ("…" if param.many else ""))
    for param in action.params:
        if not param.positional:
            value = {"flag": "", "mapping": " KEY=VALUE", "integer": " N"}.get(param.kind, f" {param.name.upper()}")
            words.append(f"[{option(param)}{value}]")
    return " ".join(words)


def help_lines(place: Place, schema: Schema, registry: Registry, files: Files | None = None) -> Iterable[Line]:
    """What can be done in a table: its keys first, then the keys everywhere, filters and commands."""
    yield heading(f"in {place}")
    for key in KEYS:
        if place in key.places:
            marked = "  (marked rows too)" if key.needs == "rows" else ""
            yield Line(key.shown, key.help + marked)
    yield Line()
    yield heading("everywhere")
    for key in KEYS:
        if not key.places:
            yield Line(key.shown, key.help)
    for keys, words in MOVES:
        yield Line(keys, words)
    yield Line("in forms", "ctrl+s does it; esc leaves, and keeps what was typed for the next time; ctrl+l clears")
    for plugin in files.plugins.values() if files else ():
        if not plugin.places or place in plugin.places:
            yield Line(keymap.sign(plugin.key) if plugin.key else f":{plugin.name}", f"{plugin.help}  (a plugin)")
    yield Line()
    yield heading("filter  (all words must fit)")
    yield Line("web !db", "rows with web in them, without db")
    yield Line("web-* ~^web-\\d", "a glob on the name, a regular expression on the row")
    yield Line("@lyon", "on hosts with lyon in their name")
    yield Line("field:word", "also field:=exact, field:one,other, field:~regex")
    numbers = [name for name, field in schema.fields.items() if field.kind != "text"]
    texts = [name for name, field in schema.fields.items() if field.kind == "text"]
    yield Line("words", ", ".join(texts))
    yield Line("numbers", ", ".join(numbers) + "   as in cpu>80  mem>=4G  age<2h")
    if schema.config is not None:
        yield Line("config keys", "user.tag:web  limits.memory:4G")
    yield Line()
    yield heading("commands  (: and a name; tab completes)")
    for word, words in WORDS.items():
        yield Line(f":{word}", words)
    for word, line in files.aliases.items() if files else ():
        yield Line(f":{word}", f"{line}  (an alias)")
    for name in files.views if files else ():
        yield Line(f":view {name}", "a saved view")
    yield Line(":ACTION --show", "the action as a lxdpm-tui, a lxc and an API call, without doing it")
    for action in registry.actions.values():
        yield Line(":", usage(action))
        yield Line(" ", action.help, "dim")
