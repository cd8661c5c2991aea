"""The help: made from the keys, the table and the registry, so that it says what is so."""

from __future__ import annotations

from collections.abc import Iterable

from lxdpm_tui.actions.registry import Action, Registry
from lxdpm_tui.console.command_line import flag_of
from lxdpm_tui.console.keymap import KEYS, MOVES, Place
from lxdpm_tui.console.resources.base import Line, heading
from lxdpm_tui.fleet.query import Schema


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
            words.append(f"[{flag_of(param)}{value}]")
    return " ".join(words)


def help_lines(place: Place, schema: Schema, registry: Registry) -> Iterable[Line]:
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
    for action in registry.actions.values():
        yield Line(":", usage(action))
        yield Line(" ", action.help, "dim")
