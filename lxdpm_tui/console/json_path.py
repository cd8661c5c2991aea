"""Columns that show a part of the object itself: `config.user.owner`, `expanded_devices.root.pool`. No widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from lxdpm_tui.console.columns import Column
from lxdpm_tui.console.files.views import PathColumn


def body_of(row: Any) -> Mapping[str, Any]:
    """The object as its host tells it; {} where none is kept."""
    raw = getattr(row, "raw", None)
    if isinstance(raw, bytes):
        return _decoded(raw)
    body = getattr(row, "body", None)
    if isinstance(body, Mapping):
        return body
    if hasattr(row, "to_operation"):
        found: Mapping[str, Any] = row.to_operation()
        return found
    made = msgspec.to_builtins(row, enc_hook=str) if isinstance(row, msgspec.Struct) else {}
    return made if isinstance(made, Mapping) else {}


@lru_cache(256)  # a screen of rows
def _decoded(raw: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(raw) if raw else {}
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, Mapping) else {}


def find(body: Any, path: str) -> Any:
    """What is at a dotted path, None when nothing is. Keys may have dots themselves: the longest one counts."""
    if not path:
        return body
    words = path.split(".")
    if isinstance(body, Mapping):
        for length in range(len(words), 0, -1):
            key = ".".join(words[:length])
            if key in body:
                return find(body[key], ".".join(words[length:]))
    if isinstance(body, Sequence) and not isinstance(body, str) and words[0].isdigit() and int(words[0]) < len(body):
        return find(body[int(words[0])], ".".join(words[1:]))
    return None


def shown(value: Any) -> str:
    """A value as a cell says it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    return msgspec.json.encode(value).decode()


def column(spec: PathColumn) -> Column:
    """A column of a path; it sorts as text, or as numbers where they are."""

    def sort(row: Any) -> Any:
        value = find(body_of(row), spec.path)
        return None if value is None else (0, value, "") if isinstance(value, int | float) else (1, 0, shown(value))

    return Column(
        spec.id,
        spec.title,
        lambda row, look: shown(find(body_of(row), spec.path)),
        spec.width,
        grow=1,
        most=max(spec.width, 60),
        drop=3,
        sort=sort,
    )
