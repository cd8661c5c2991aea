"""Every action as a subcommand, made from the registry, and the arguments read back from it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lxdpm_tui.actions import load_all
from lxdpm_tui.actions.instances import PLANNERS
from lxdpm_tui.actions.registry import Action, Danger, Param, option, registry


def add_actions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """One subcommand an action, and `plan`, which is `launch` as a dry run."""
    load_all()
    for action in registry.actions.values():
        _add(commands, action.name, action.help, action)
    _add(commands, "plan", "Show where a launch would go and why, without doing it", registry.actions["launch"])


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str, action: Action) -> None:
    parser = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
    for param in action.params:
        _add_param(parser, param)
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    if action.danger is not Danger.NONE and name != "plan":
        parser.add_argument("--yes", action="store_true", help="do not ask")
    if name == "run":
        parser.add_argument("--dry-run", action="store_true", help="show what would be sent, do nothing")
        parser.add_argument("--save", type=Path, metavar="FILE", help="keep the plan with what came of it")
    elif action.name in PLANNERS or name == "bulk":
        parser.add_argument("--plan", dest="show_plan", action="store_true", help="show what would be sent, do nothing")
        parser.add_argument("--save", type=Path, metavar="FILE", help="save the plan for `run`, do nothing")
    parser.set_defaults(action=action.name)


def _add_param(parser: argparse.ArgumentParser, param: Param) -> None:
    keywords: dict[str, Any] = {"help": param.help}
    if param.kind == "flag":
        parser.add_argument(option(param), dest=param.name, action="store_true", help=param.help)
        return
    if param.kind == "integer":
        keywords["type"] = int
    if param.choices:
        keywords["choices"] = [str(choice) for choice in param.choices]
    if param.positional:
        nargs = "+" if param.many and param.required else "*" if param.many else None if param.required else "?"
        parser.add_argument(param.name, nargs=nargs, default=param.default, metavar=param.name.upper(), **keywords)
        return
    if param.kind == "mapping" or param.many:
        keywords["action"] = "append"
    name = option(param)
    parser.add_argument(name, dest=param.name, default=None, **keywords)


def arguments_of(action: Action, given: argparse.Namespace) -> dict[str, Any]:
    """The action's arguments out of a parsed line. Raises ValueError for a word that is no KEY=VALUE."""
    arguments: dict[str, Any] = {}
    for param in action.params:
        value = getattr(given, param.name)
        if value is None:
            continue
        if param.kind == "mapping":
            pairs = {}
            for word in value:
                key, equals, text = word.partition("=")
                if not equals or not key:
                    raise ValueError(f"{option(param)}: expected KEY=VALUE, not {word!r}")
                pairs[key] = text
            value = pairs
        arguments[param.name] = value
    return arguments
