"""The OpenAPI description of what is served, made from the route table: what is described is what is there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lxdpm_tui import __version__
from lxdpm_tui.gateway.routing import Access, Route

_VARIABLE = re.compile(r"\{(\w+)(?:\.\.\.)?\}")
_QUERY = {
    "GET": ("project", "target", "recursion", "filter", "all-projects"),
    "POST": ("project", "target"),
    "PUT": ("project", "target"),
    "PATCH": ("project", "target"),
    "DELETE": ("project", "target"),
    "HEAD": ("project",),
}


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """An OpenAPI 3.1 document. Answers are LXD's envelope; bodies are LXD's own objects."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        names = _VARIABLE.findall(route.pattern)
        path = _VARIABLE.sub(r"{\1}", route.pattern)
        operation: dict[str, Any] = {
            "summary": _summary(route),
            "tags": [path.split("/")[2] if path.count("/") > 1 else "server"],
            "parameters": [
                *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names),
                *(
                    {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}
                    for name in _QUERY.get(route.method, ())
                ),
            ],
            "responses": {
                "200": {"description": "Done", "content": _json("Sync")},
                "202": {"description": "Started", "content": _json("Async")},
                "default": {"description": "Refused", "content": _json("Error")},
            },
            "x-access": route.access.value,
        }
        if route.access is Access.PUBLIC:
            operation["security"] = []
        if route.method in ("POST", "PUT", "PATCH"):
            operation["requestBody"] = {
                "required": False,
                "content": {"application/json": {"schema": {"type": "object"}}},
            }
        paths.setdefault(path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lxdpm-tui gateway",
            "version": __version__,
            "description": "LXD's REST API over a fleet of independent LXD and Incus hosts.",
        },
        "paths": paths,
        "components": {
            "schemas": {name: _envelope(name) for name in ("Sync", "Async", "Error")},
            "securitySchemes": {"certificate": {"type": "mutualTLS"}},
        },
        "security": [{"certificate": []}],
    }


def _summary(route: Route) -> str:
    text = (route.handler.__doc__ or "").strip()
    return re.split(r"(?<=[.;])\s|\n\n", text, maxsplit=1)[0].replace("\n", " ").strip() or route.handler.__name__


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _envelope(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "error_code", "error", "metadata"],
        "properties": {
            "type": {"const": name.lower()},
            "status": {"type": "string"},
            "status_code": {"type": "integer"},
            "operation": {"type": ["string", "null"]},
            "error_code": {"type": "integer"},
            "error": {"type": "string"},
            "metadata": {},
        },
    }
