"""The OpenAPI description of what is served, made from the route table: what is described is what is there."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from lxdpm_tui import __version__
from lxdpm_tui.gateway import openapi_schemas as schemas
from lxdpm_tui.gateway.routing import Access, Route

_VARIABLE = re.compile(r"\{(\w+)(?:\.\.\.)?\}")
_ALIASES = re.compile(r"^(containers|virtual-machines)(?=/|$)")
_SERVER_WIDE = ("", "certificates", "warnings", "planner", "fleet", "auth", "openapi.json", "replicators")
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """An OpenAPI 3.1 document. Answers are LXD's envelope; bodies are LXD's own objects."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _VARIABLE.sub(r"{\1}", route.pattern)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lxdpm-tui gateway",
            "version": __version__,
            "description": "LXD's REST API over a fleet of independent LXD and Incus hosts.",
        },
        "paths": paths,
        "components": {
            "schemas": {
                "Sync": _envelope("sync", {}),
                "Urls": _envelope("sync", {"type": ["array", "object", "null"]}),
                "Async": _envelope("async", {"type": "object", "required": ["id", "class", "status"]}),
                "Error": _envelope("error", {"type": "null"}),
                **schemas.SCHEMAS,
            },
            "securitySchemes": {"certificate": {"type": "mutualTLS"}},
        },
        "security": [{"certificate": []}],
    }


def _operation(route: Route, path: str) -> dict[str, Any]:
    short = _ALIASES.sub("instances", path.removeprefix("/1.0").strip("/"))
    found: dict[str, Any] = {
        "operationId": f"{route.method.lower()} {path}",
        "summary": _summary(route),
        "tags": [path.split("/")[2] if path.count("/") > 1 else "server"],
        "parameters": [
            *(_parameter(name, "path", schemas.NAMED, True) for name in _VARIABLE.findall(route.pattern)),
            *(_parameter(name, "query", schema, needed) for name, schema, needed in _query(route, short)),
        ],
        "responses": _responses(route, short),
        "x-access": route.access.value,
    }
    if route.access is Access.PUBLIC:
        found["security"] = []
    body = _body(route.method, short)
    if body is not None:
        found["requestBody"] = body
    return found


def _parameter(name: str, where: str, schema: schemas.Schema, needed: bool) -> dict[str, Any]:
    return {"name": name, "in": where, "required": needed, "schema": schema}


def _query(route: Route, short: str) -> list[tuple[str, schemas.Schema, bool]]:
    """(name, schema, whether it is needed) of what the query may say."""
    if route.pattern == "/":
        return []
    found = [(name, schema, needed) for name, (schema, needed) in schemas.QUERIES.get(short, {}).items()]
    if short.partition("/")[0] not in _SERVER_WIDE:
        found.append(("project", schemas.TEXT, False))
    if route.method != "HEAD":
        found.append(("target", schemas.TEXT, False))
    if route.lists and short != "events":
        found += [(name, schema, False) for name, schema in schemas.OF_LISTS.items()]
    return found


def _body(method: str, short: str) -> dict[str, Any] | None:
    if method not in ("POST", "PUT", "PATCH"):
        return None
    content: dict[str, Any] = {}
    if (method, short) not in schemas.ONLY_BYTES:
        name = body_of(method, short)
        schema = {"$ref": f"#/components/schemas/{name}"} if name else {"type": "object"}
        content["application/json"] = {"schema": schema}
    if (method, short) in schemas.STREAMS:
        content |= _BYTES
    return {"required": False, "content": content}


def body_of(method: str, short: str) -> str:
    """The name of the body's schema; "" when it is any object. short: the pattern below /1.0."""
    if not short:
        return schemas.BODIES["="].get(method, "")
    parts = short.split("/")
    for length in range(len(parts), 0, -1):
        methods = schemas.BODIES.get("/".join(parts[:length]))
        if methods is not None:
            return methods.get(method, "")
    return ""


def _responses(route: Route, short: str) -> dict[str, Any]:
    found: dict[str, Any] = {"default": {"description": "Refused", "content": _json("Error")}}
    if short == "openapi.json":
        found["200"] = {"description": "This document", "content": {"application/json": {"schema": {"type": "object"}}}}
    elif short == "metrics":
        found["200"] = {"description": "OpenMetrics", "content": {"text/plain": {"schema": {"type": "string"}}}}
    elif route.method == "HEAD":
        found["200"] = {"description": "Headers alone"}
    else:
        content = _json("Urls" if route.lists else "Sync")
        found["200"] = {"description": "Done", "content": {**content, **(_BYTES if short in schemas.BYTES else {})}}
    if short.endswith(("/websocket", "/sftp", "/nbd", "/port-forward")) or short == "events":
        found["101"] = {"description": "A websocket, or a byte connection, from now on"}
    if route.method == "POST":
        found["201"] = {"description": "Made", "content": _json("Sync")}
    if route.method not in ("GET", "HEAD"):
        found["202"] = {"description": "Started", "content": _json("Async")}
    return dict(sorted(found.items()))


def _summary(route: Route) -> str:
    text = (route.handler.__doc__ or "").strip()
    return re.split(r"(?<=[.;])\s|\n\n", text, maxsplit=1)[0].replace("\n", " ").strip() or route.handler.__name__


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _envelope(kind: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "error_code", "error", "metadata"],
        "properties": {
            "type": {"const": kind},
            "status": {"type": "string"},
            "status_code": {"type": "integer"},
            "operation": {"type": ["string", "null"]},
            "error_code": {"type": "integer"},
            "error": {"type": "string"},
            "metadata": metadata,
        },
    }
