"""One registry: every real action is reached by `:`, palette, help and `lxdpm-tui` alike, with the same words."""

from __future__ import annotations

import argparse

import pytest

from lxdpm_tui.actions import load_all
from lxdpm_tui.actions.registry import Danger, option, registry
from lxdpm_tui.cli import build_parser
from lxdpm_tui.console import keymap
from lxdpm_tui.console.acts import Acts, words
from lxdpm_tui.console.app import Console
from lxdpm_tui.console.command_line import complete, parse
from lxdpm_tui.console.deeds import DEEDS, WORDS
from lxdpm_tui.console.palette import offers
from lxdpm_tui.console.screens.helping import help_lines, usage
from tests.console.world import World, opener

load_all()
ACTIONS = sorted(registry.actions)


def subcommands() -> dict[str, argparse.ArgumentParser]:
    parser = build_parser()
    action = next(each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return dict(action.choices)


COMMANDS = subcommands()


@pytest.mark.parametrize("name", ACTIONS)
def test_an_action_is_everywhere(name: str) -> None:
    action = registry.actions[name]
    said = [name]
    for param in action.params:
        value = param.choices[0] if param.choices else "1"
        if param.positional:
            said.append(value)
        elif param.required:
            said += [option(param), value]
    command = parse(" ".join(said), registry, words())
    assert command.action is action
    assert name in complete(name[:2], registry, words(), lambda param: [])
    assert COMMANDS[name].description == action.help
    assert any(line.value.startswith(usage(action)) for line in help_lines("tasks", _schema(), registry))


@pytest.mark.parametrize("name", ACTIONS)
def test_its_options_are_the_same_on_the_line_and_on_the_command_line(name: str) -> None:
    action = registry.actions[name]
    known = {text for each in COMMANDS[name]._actions for text in each.option_strings}
    mine = {option(param) for param in action.params if not param.positional}
    assert mine <= known
    assert known - mine <= {"-h", "--help", "--json", "--yes", "--plan", "--save", "--dry-run"}
    assert ("--yes" in known) == (action.danger is not Danger.NONE)
    offered = complete(f"{name} --", registry, words(), lambda param: [])
    assert {f"{name} {each}" for each in mine} <= set(offered)


def test_every_key_does_something_and_every_word_is_no_action() -> None:
    own = {"next", "previous", "open", "mark", "mark-all", "filter", "command", "project", "sort", "reverse", "group",
           "back", "backward", "forward", "drill", "users", "its-events", "its-warnings",
           *keymap.PLACES}  # fmt: skip
    for key in keymap.KEYS:
        assert key.id in own or key.id in DEEDS or key.id in registry.actions, key.id
    assert not set(WORDS) & set(registry.actions)
    assert not set(keymap.PLACES) & set(registry.actions)


def _schema():  # type: ignore[no-untyped-def]
    from lxdpm_tui.console.resources.tasks import SCHEMA

    return SCHEMA


async def test_the_palette_has_all_real_actions() -> None:
    app = Console(open_manager=opener(World()))
    async with app.run_test(size=(80, 24)):
        titles = [offer.title.split()[0] for offer in offers(app.main)]
        assert {f":{name}" for name in ACTIONS} <= set(titles)
        assert isinstance(app.main.acts, Acts)
