"""The `:` line: a view or any action of the registry by name, with its arguments, completed. No widgets."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lxdpm_tui.actions.registry import Action, Param, Registry, option
from lxdpm_tui.console.completion import Candidate


class CommandError(ValueError):
    """The line cannot be run. `text` says why in one line."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Command:
    """What a line means. Either an action with its arguments, or a word of the console with the words after it.

    confirmed: `--yes` was said.  shown: `--show` was: say what the line is elsewhere, and do nothing.
    """

    word: str
    action: Action | None = None
    arguments: dict[str, Any] | None = None
    rest: tuple[str, ...] = ()
    confirmed: bool = False
    shown: bool = False


def parse(line: str, registry: Registry, words: Sequence[str]) -> Command:
    """Read a line. words: what the console itself knows (`hosts`, `quit`). Raises CommandError."""
    try:
        parts = shlex.split(line)
    except ValueError as error:
        raise CommandError(f"{error}".lower()) from error
    if not parts:
        raise CommandError("")
    name, rest = parts[0], parts[1:]
    action = registry.actions.get(name)
    if action is not None:
        own = [word for word in rest if word in ("--yes", "--show")]
        arguments = _arguments(action, [word for word in rest if word not in own])
        return Command(name, action, arguments, (), "--yes" in own, "--show" in own)
    if name in words:
        return Command(name, rest=tuple(rest))
    matches = [known for known in (*registry.actions, *words) if known.startswith(name)]
    if len(matches) == 1:
        return parse(" ".join([matches[0], *map(shlex.quote, rest)]), registry, words)
    near = f"; did you mean {' or '.join(sorted(matches)[:4])}?" if matches else ""
    raise CommandError(f"there is no command {name}{near}")


def _arguments(action: Action, words: Sequence[str]) -> dict[str, Any]:
    places = [param for param in action.params if param.positional]
    by_flag = _flags(action)
    given: dict[str, Any] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            param = by_flag.get(flag)
            if param is None:
                raise CommandError(f"{action.name} has no {flag}; it has {', '.join(sorted(by_flag)) or 'no options'}")
            if param.kind == "flag":
                given[param.name] = True
                continue
            if not equals:
                if not queue:
                    raise CommandError(f"{flag} needs a value: {param.help}")
                value = queue.pop(0)
            _put(given, param, value)
        else:
            param = next((p for p in places if p.many or p.name not in given), None)
            if param is None:
                raise CommandError(f"{action.name}: {word!r} is one word too many")
            _put(given, param, word)
    for param in action.params:
        if param.required and param.name not in given:
            raise CommandError(f"{action.name} needs {param.name}: {param.help}")
    return given


def _flags(action: Action) -> dict[str, Param]:
    """Options by name: as on the command line, and by the argument's own name."""
    return {f"--{p.name.replace('_', '-')}": p for p in action.params} | {option(p): p for p in action.params}


def _put(given: dict[str, Any], param: Param, value: str) -> None:
    if param.kind == "mapping":
        key, equals, text = value.partition("=")
        if not equals:
            raise CommandError(f"{option(param)} wants KEY=VALUE, not {value!r}")
        given.setdefault(param.name, {})[key] = text
    elif param.many:
        given.setdefault(param.name, []).append(value)
    elif param.kind == "integer":
        if not value.lstrip("-").isdigit():
            raise CommandError(f"{param.name} is a whole number, not {value!r}")
        given[param.name] = int(value)
    elif param.kind == "choice" and value not in param.choices:
        raise CommandError(f"{param.name} is one of {', '.join(param.choices)}, not {value!r}")
    else:
        given[param.name] = value


def complete(
    line: str, registry: Registry, words: Sequence[str], values: Callable[[Param], Sequence[Candidate]]
) -> list[str]:
    """Whole lines that the line may become, the likeliest first."""
    head, space, tail = line.rpartition(" ")
    if not space:
        return [name for name in (*sorted(registry.actions), *words) if name.startswith(line)]
    parts = head.split()
    action = registry.actions.get(parts[0]) if parts else None
    if action is None:
        return []
    by_flag = {option(param): param for param in action.params}
    named = _flags(action)
    before = parts[-1]
    if before in named and named[before].kind != "flag":
        found = _values(named[before], values)
    elif tail.startswith("-"):
        found = sorted(by_flag)
    else:
        taken, skip = 0, False
        for part in parts[1:]:
            if skip:
                skip = False
            elif part.startswith("--"):
                skip = part in named and named[part].kind != "flag"
            else:
                taken += 1
        places = [param for param in action.params if param.positional]
        many = bool(places) and places[-1].many
        place = places[taken] if taken < len(places) else places[-1] if many else None
        found = _values(place, values) if place else sorted(by_flag)
    return [f"{head} {word}" for word in found if word.startswith(tail)]


def _values(param: Param, values: Callable[[Param], Sequence[Candidate]]) -> list[str]:
    return list(param.choices) if param.choices else [candidate.value for candidate in values(param)]
