from __future__ import annotations

import pytest

from lxdpm_tui.console.command_line import CommandError, complete, parse
from lxdpm_tui.console.completion import Candidate
from tests.console.world import make_registry

REGISTRY = make_registry()
WORDS = ("hosts", "instances", "quit")


def test_an_action_with_places_and_flags() -> None:
    command = parse("stop web-1 h2:web-2 --force --timeout 5 --yes", REGISTRY, WORDS)
    assert command.action is REGISTRY.actions["stop"]
    assert command.arguments == {"instances": ["web-1", "h2:web-2"], "force": True, "timeout": 5}
    assert command.confirmed


def test_mappings_lists_and_equals() -> None:
    line = "launch debian/12 web --config limits.memory=1GiB --config a=b=c --profiles x --profiles=y --no-start"
    command = parse(line, REGISTRY, WORDS)
    assert command.arguments == {
        "image": "debian/12",
        "name": "web",
        "config": {"limits.memory": "1GiB", "a": "b=c"},
        "profiles": ["x", "y"],
        "no_start": True,
    }


def test_words_of_the_console() -> None:
    command = parse("instances status:run @h1", REGISTRY, WORDS)
    assert (command.word, command.rest) == ("instances", ("status:run", "@h1"))


def test_a_beginning_is_enough_when_it_is_the_only_one() -> None:
    assert parse("unf web-1", REGISTRY, WORDS).word == "unfreeze"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("fly", "there is no command fly"),
        ("sta", None),
        ("s web-1", "did you mean"),
        ("stop", "stop needs instances"),
        ("stop web-1 --harder", "stop has no --harder"),
        ("stop web-1 --timeout", "needs a value"),
        ("stop web-1 --timeout soon", "whole number"),
        ("launch x --config memory", "KEY=VALUE"),
        ("maintenance h1 perhaps", "on is one of on, off"),
        ("rename web-1 web-2 web-3", "one word too many"),
        ("stop 'web-1", "no closing quotation"),
    ],
)
def test_mistakes_are_told(line: str, says: str | None) -> None:
    if says is None:
        with pytest.raises(CommandError, match="needs instances"):
            parse(line, REGISTRY, WORDS)
        return
    with pytest.raises(CommandError, match=says):
        parse(line, REGISTRY, WORDS)


def values(param):  # type: ignore[no-untyped-def]
    return [Candidate("web-1"), Candidate("web-2")] if param.complete == "instance" else []


def test_completion_knows_names_values_and_flags() -> None:
    assert complete("sto", REGISTRY, WORDS, values) == ["stop"]
    assert complete("ins", REGISTRY, WORDS, values) == ["instances"]
    assert complete("stop web", REGISTRY, WORDS, values) == ["stop web-1", "stop web-2"]
    assert complete("stop web-1 w", REGISTRY, WORDS, values) == ["stop web-1 web-1", "stop web-1 web-2"]
    assert complete("stop web-1 --f", REGISTRY, WORDS, values) == ["stop web-1 --force"]
    assert complete("maintenance h1 ", REGISTRY, WORDS, values) == ["maintenance h1 on", "maintenance h1 off"]
    assert complete("hosts x", REGISTRY, WORDS, values) == []
