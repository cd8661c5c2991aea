"""The one list of everything that can be done: typed, named commands.

Keys, forms, the `:` line, the command line and help all read it; the gateway's routes call the same functions. An
action checks its arguments at once (ActionError) and then starts a Task, which it returns without waiting for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.task import Task


class ActionError(Exception):
    """The request itself is wrong. code: the HTTP status that LXD would give; text: one line for people."""

    def __init__(self, text: str, code: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Danger(StrEnum):
    """How an action is to be confirmed."""

    NONE = "none"
    CONFIRM = "confirm"
    TYPE_NAME = "type the name"


ParamKind = Literal["text", "flag", "integer", "choice", "mapping", "file"]
Completion = Literal["instance", "snapshot", "image", "profile", "host", "project", "pool", "network"]


@dataclass(frozen=True, slots=True)
class Param:
    """One argument of an action.

    positional: given by place on a command line.  many: a list.  mapping: dict of text from KEY=VALUE words.
    complete: what its values are names of.
    """

    name: str
    help: str
    kind: ParamKind = "text"
    positional: bool = False
    required: bool = False
    many: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    complete: Completion | None = None


Runner = Callable[..., Awaitable["Task"]]


@dataclass(frozen=True, slots=True)
class Action:
    """A command. `run(manager, **arguments)` starts it; arguments are named as the params are."""

    name: str
    help: str
    params: tuple[Param, ...]
    run: Runner
    danger: Danger = Danger.NONE
    subject: Completion | Literal["fleet"] = "fleet"


@dataclass(slots=True)
class Registry:
    """Actions by name (the command line's own words: `launch`, `snapshot-delete`)."""

    actions: dict[str, Action] = field(default_factory=dict)

    def action(
        self,
        name: str,
        help: str,
        *params: Param,
        danger: Danger = Danger.NONE,
        subject: Completion | Literal["fleet"] = "fleet",
    ) -> Callable[[Runner], Runner]:
        """Decorator: enter a coroutine function `async def f(manager, *, ...) -> Task` under a name."""

        def enter(run: Runner) -> Runner:
            if name in self.actions:
                raise ValueError(f"action {name} is there twice")
            self.actions[name] = Action(name, help, params, run, danger, subject)
            return run

        return enter

    async def run(self, manager: Manager, name: str, /, **arguments: Any) -> Task:
        """Start an action by name. Raises ActionError for an unknown name or argument, and what the action raises."""
        action = self.actions.get(name)
        if action is None:
            raise ActionError(f"there is no action {name!r}", 404)
        return await action.run(manager, **self.complete(action, arguments))

    @staticmethod
    def complete(action: Action, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with defaults filled in. Raises ActionError for unknown, missing or impossible ones."""
        known = {param.name for param in action.params}
        for given in arguments:
            if given not in known:
                raise ActionError(f"{action.name} has no argument {given!r}")
        full: dict[str, Any] = {}
        for param in action.params:
            value = arguments.get(param.name)
            if value is None:
                value = param.default
            if value is None and param.many:
                value = []
            if value is None and param.kind == "mapping":
                value = {}
            if value is None and param.kind == "flag":
                value = False
            if param.required and value in (None, "", []):
                raise ActionError(f"{action.name} needs {param.name}: {param.help}")
            if value is not None and not _fits(param, value):
                raise ActionError(f"{action.name}: {param.name} must be {_EXPECTED[_shape(param)]}")
            if param.kind == "choice" and value not in (None, "") and value not in param.choices:
                raise ActionError(f"{param.name} is one of {', '.join(param.choices)}, not {value!r}")
            full[param.name] = value
        return full


_EXPECTED = {
    "list": "a list of texts",
    "flag": "true or false",
    "integer": "a whole number",
    "mapping": "an object whose values are texts or objects",
    "text": "a text",
}


def _shape(param: Param) -> str:
    if param.many:
        return "list"
    return param.kind if param.kind in _EXPECTED else "text"


def _fits(param: Param, value: object) -> bool:
    """Whether the value is of the param's kind: arguments also come out of other people's JSON."""
    match _shape(param):
        case "list":
            return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
        case "flag":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "mapping":
            return isinstance(value, Mapping) and all(
                isinstance(key, str) and isinstance(each, str | Mapping) for key, each in value.items()
            )
        case _:
            return isinstance(value, str)


registry = Registry()


def option(param: Param) -> str:
    """Its name on a command line. What may be repeated is said in the singular: --profile a --profile b."""
    name = param.name
    if param.many or param.kind == "mapping":
        name = name.removesuffix("es") if name.endswith("ses") else name.removesuffix("s")
    return "--" + name.replace("_", "-")
