"""LXD's API filter (doc/rest-api: Filtering): `[not] FIELD eq|ne VALUE [and|or ...]`, left to right.

On text, eq is a case-insensitive regular expression, anchored unless it says ^ or $ itself. An unknown field is no
error: it just does not match.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from lxdpm_tui.actions.registry import ActionError

Predicate = Callable[[Mapping[str, Any]], bool]


def parse(text: str) -> Predicate | None:
    """A predicate over decoded objects; None for an empty filter. Raises ActionError 400 for what is none."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ActionError(f"Invalid filter: {error}") from error
    if not words:
        return None
    clauses: list[tuple[str, bool, str, str, str]] = []
    joint = "and"
    index = 0
    while index < len(words):
        negated = words[index].lower() == "not"
        index += negated
        if len(words) - index < 3:
            raise ActionError("Invalid filter: expected [not] FIELD eq|ne VALUE")
        field, operator, value = words[index], words[index + 1].lower(), words[index + 2]
        if operator not in ("eq", "ne"):
            raise ActionError(f"Invalid filter: unknown operator {operator!r}")
        clauses.append((joint, negated, field, operator, value))
        index += 3
        if index < len(words):
            joint = words[index].lower()
            if joint not in ("and", "or") or index + 1 == len(words):
                raise ActionError("Invalid filter: expected and or or between clauses")
            index += 1

    def matches(row: Mapping[str, Any]) -> bool:
        result = True
        for joint, negated, field, operator, value in clauses:
            met = _equal(_value(row, field), value) != (operator == "ne")
            met = met != negated
            result = (result and met) if joint == "and" else (result or met)
        return result

    return matches


def _value(row: Mapping[str, Any], field: str) -> Any:
    found: Any = row
    parts = field.split(".")
    for index, part in enumerate(parts):
        if not isinstance(found, Mapping):
            return None
        rest = ".".join(parts[index:])
        if rest in found:
            return found[rest]  # config keys have dots themselves
        found = found.get(part)
    return found


def _equal(found: Any, value: str) -> bool:
    if isinstance(found, bool):
        return value.lower() == str(found).lower()
    if isinstance(found, int):
        return value == str(found)
    if isinstance(found, str):
        pattern = value if "^" in value or "$" in value else f"^{value}$"
        try:
            return re.search(pattern, found, re.IGNORECASE) is not None
        except re.error:
            return value.lower() == found.lower()
    return False
