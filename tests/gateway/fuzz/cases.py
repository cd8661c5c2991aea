"""Requests made of the OpenAPI description by schemathesis, the names in them those of things that are there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core import NotSet

from lxdpm_tui.gateway import routes
from lxdpm_tui.gateway.openapi import describe

MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
Names = Mapping[str, list[str]]  # path variable, or the one after a segment: "instances/{name}" -> names


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    pattern: str
    target: str
    body: bytes | None
    headers: dict[str, str]


def operations() -> list[Any]:
    """One of each handler's operations: /1.0/containers and /1.0/virtual-machines are the same as /1.0/instances."""
    schema = schemathesis.openapi.from_dict(describe(routes.table()))
    found = [result.ok() for result in schema.get_all_operations()]
    return [one for one in found if not one.path.startswith(("/1.0/containers", "/1.0/virtual-machines"))]


def requests(operation: Any, mode: GenerationMode, count: int, names: Names, random: Random) -> Iterator[Request]:
    """At most `count`; the same ones each time."""
    made: list[Any] = []

    @settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def collect(case: Any) -> None:
        made.append(case)

    try:
        collect()
    except Unsatisfiable:
        return  # there is nothing to get wrong about it
    for case in made[:count]:
        yield _request(case, names, random)


def _request(case: Any, names: Names, random: Random) -> Request:
    pattern = case.operation.path
    path = pattern
    for variable, value in (case.path_parameters or {}).items():
        known = names.get(f"{pattern.partition('{' + variable)[0]}{{{variable}}}") or names.get(variable) or []
        text = quote(random.choice(known), safe="") if known and random.random() < 0.7 else str(value)
        path = path.replace(f"{{{variable}}}", text if "%" in text else quote(text, safe=""))
    query = urlencode([(str(key), _text(value)) for key, value in (case.query or {}).items()])
    headers = {str(name): str(value) for name, value in (case.headers or {}).items() if str(value).isprintable()}
    headers = {name: value for name, value in headers.items() if (name + value).isascii() and ":" not in name}
    body = None
    if case.body is not None and not isinstance(case.body, NotSet):
        body = case.body if isinstance(case.body, bytes) else json.dumps(case.body, default=str).encode()
        headers["Content-Type"] = case.media_type or "application/json"
    return Request(case.method, pattern, f"{path}?{query}" if query else path, body, headers)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
