"""The list of actions: what is asked is checked before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from lxdpm_tui.actions import load_all
from lxdpm_tui.actions.registry import Action, ActionError, Danger, Param, Registry, registry

load_all()


async def remember(manager: Any, **arguments: Any) -> Any:
    manager.append(arguments)
    return arguments


@pytest.fixture
def actions() -> Registry:
    actions = Registry()
    actions.action(
        "paint",
        "Paint things",
        Param("things", "what", positional=True, required=True, many=True),
        Param("colour", "which", kind="choice", choices=("red", "blue"), default="red"),
        Param("coats", "how many", kind="integer", default=1),
        Param("wet", "paint on wet paint", kind="flag"),
        Param("notes", "KEY=VALUE", kind="mapping"),
        Param("on", "a place"),
    )(remember)
    return actions


async def test_defaults_are_filled_in(actions: Registry) -> None:
    seen: list[Any] = []
    full = {"things": ["a"], "colour": "red", "coats": 1, "wet": False, "notes": {}, "on": None}
    assert await actions.run(seen, "paint", things=["a"]) == full  # type: ignore[arg-type]
    assert seen == [full]
    given = {"things": ["a", "b"], "colour": "blue", "coats": 2, "wet": True, "notes": {"x": "1"}, "on": "h1"}
    assert await actions.run(seen, "paint", **given) == given  # type: ignore[arg-type]
    assert (await actions.run(seen, "paint", things=["a"], on=""))["on"] == ""  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "arguments", "code", "text"),
    [
        ("polish", {}, 404, "there is no action 'polish'"),
        ("paint", {}, 400, "paint needs things: what"),
        ("paint", {"things": []}, 400, "paint needs things: what"),
        ("paint", {"things": ["a"], "colour": "pink"}, 400, "colour is one of red, blue, not 'pink'"),
        ("paint", {"things": ["a"], "size": 1}, 400, "paint has no argument 'size'"),
        ("paint", {"things": "a"}, 400, "things"),
        ("paint", {"things": ["a", 1]}, 400, "things"),
        ("paint", {"things": ["a"], "coats": "two"}, 400, "coats"),
        ("paint", {"things": ["a"], "coats": True}, 400, "coats"),
        ("paint", {"things": ["a"], "wet": "no"}, 400, "wet"),
        ("paint", {"things": ["a"], "notes": ["x"]}, 400, "notes"),
        ("paint", {"things": ["a"], "on": {"host": "h1"}}, 400, "on"),
    ],
)
async def test_what_is_refused(actions: Registry, name: str, arguments: dict[str, Any], code: int, text: str) -> None:
    """Arguments also come out of JSON bodies, so that they may be of any kind."""
    seen: list[Any] = []
    with pytest.raises(ActionError) as caught:
        await actions.run(seen, name, **arguments)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert text in caught.value.text
    assert seen == []


def test_no_name_is_given_twice(actions: Registry) -> None:
    with pytest.raises(ValueError, match="action paint is there twice"):
        actions.action("paint", "again")(remember)


@pytest.mark.parametrize("action", registry.actions.values(), ids=lambda action: action.name)
def test_the_actions_that_there_are(action: Action) -> None:
    assert action.help
    assert action.help[0].isupper()
    assert not action.help.endswith(".")
    names = [param.name for param in action.params]
    assert len(names) == len(set(names))
    assert all(param.help for param in action.params)
    for param in action.params:
        assert not (param.required and param.default is not None)
        assert (param.kind == "choice") == bool(param.choices)
        assert param.kind != "flag" or not param.positional
    given_by_place = [param for param in action.params if param.positional]
    assert [p.required for p in given_by_place] == sorted((p.required for p in given_by_place), reverse=True)
    if action.name.endswith("delete") or action.name in ("stop", "restart", "restore"):
        assert action.danger is not Danger.NONE
