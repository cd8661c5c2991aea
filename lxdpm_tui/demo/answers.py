"""Requests and answers as LXD reads and writes them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from lxdpm_tui.demo.operations import Operation
from lxdpm_tui.demo.state import Instance, Project, State
from lxdpm_tui.demo.variants import JSON, Problem


@dataclass(slots=True, kw_only=True)
class Call:
    """One request. parts: the variables of its path, unescaped. kind: how the path calls instances."""

    state: State
    request: web.BaseRequest
    parts: dict[str, str] = field(default_factory=dict)
    kind: str = "instances"

    def query(self, name: str, default: str = "") -> str:
        return str(self.request.query.get(name, default))

    def flag(self, name: str) -> bool:
        return self.query(name).lower() in ("1", "true", "yes", "on")

    @property
    def recursion(self) -> int:
        text = self.query("recursion")
        return int(text) if text.isdigit() else 0

    @property
    def project(self) -> str:
        return self.query("project", "default")

    def scope(self, extension: str = "") -> str | None:
        """The project asked for, None = all of them. Without the extension, all-projects means nothing."""
        if self.flag("all-projects") and (not extension or self.state.variant.has(extension)):
            if "project" in self.request.query:
                raise Problem(400, "Cannot specify a project when requesting all projects")
            return None
        return self.project

    def projects(self, extension: str, missing: str) -> list[Project]:
        """Those that a list covers. missing: the text when there is no such project."""
        scope = self.scope(extension)
        return list(self.state.projects.values()) if scope is None else [self.state.project(scope, missing)]

    def instance(self) -> Instance:
        return self.state.find(self.project, self.parts["name"])

    def holder(self, feature: str, missing: str = "Project not found") -> Project:
        return self.state.holder(feature, self.state.project(self.project, missing))

    async def body(self) -> JSON:
        """The JSON object sent. Raises Problem with the texts of Go's decoder."""
        return decode(await self.request.content.read())

    def header(self, name: str, default: str = "") -> str:
        return str(self.request.headers.get(self.state.variant.headers + name, default))

    def check_etag(self, etag: str) -> None:
        given = self.request.headers.get("If-Match", "").strip('"')
        if given and given != etag:
            raise Problem(412, f"ETag doesn't match: {etag} vs {given}")


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


def decode(data: bytes) -> JSON:
    """The first JSON value, which must be an object; what follows it is not looked at."""
    try:
        text = data.decode().lstrip()
        if not text:
            raise Problem(400, "EOF")
        value, _ = json.JSONDecoder().raw_decode(text)
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))  # no lone surrogates
    except UnicodeDecodeError:
        raise Problem(400, "invalid character '\\ufffd' looking for beginning of value") from None
    except json.JSONDecodeError as error:
        raise Problem(400, _go_text(error)) from None
    if not isinstance(value, dict):
        kind = {list: "array", str: "string", bool: "bool", type(None): "null"}.get(type(value), "number")
        raise Problem(400, f"json: cannot unmarshal {kind} into Go value of type api.Request")
    _check_types(value)
    return value


_FIELDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("name", "description", "action", "type", "target", "restore", "status", "pool", "project"), str),
    **dict.fromkeys(("config", "properties", "environment", "devices"), dict),
    **dict.fromkeys(("profiles", "command", "aliases", "members", "ingress", "egress"), list),
    **dict.fromkeys(("force", "stateful", "ephemeral", "public", "migration", "interactive"), bool),
    **dict.fromkeys(("timeout", "width", "height", "user", "group"), int),
    "source": dict,
}


def _check_types(value: JSON) -> None:
    """As Go's decoder refuses a field of another type; null is no value to it. It takes no half of a character either:
    the daemon stores another one then."""
    for name, found in value.items():
        wanted = _FIELDS.get(name)
        fits = found is None or wanted is None or isinstance(found, wanted)
        if fits and isinstance(found, dict) and name in ("config", "properties", "environment"):
            fits = all(isinstance(each, str) for each in found.values())
        if fits and isinstance(found, dict) and name == "devices":
            fits = all(isinstance(e, dict) and all(isinstance(x, str) for x in e.values()) for e in found.values())
        if fits and isinstance(found, list) and name in ("profiles", "command", "members"):
            fits = all(isinstance(each, str) for each in found)
        if not fits or (wanted is int and isinstance(found, int) and abs(found) >= 1 << 63):
            raise Problem(400, f"json: cannot unmarshal value into Go struct field Request.{name}")
        if name == "source" and isinstance(found, dict):
            _check_types({**found, "source": None})  # the name of what is copied, in there


def _go_text(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].lstrip()
    if not rest or error.msg.startswith("Unterminated"):
        return "unexpected EOF"
    if error.msg.startswith("Expecting property name"):
        return f"invalid character '{rest[0]}' looking for beginning of object key string"
    if error.msg.startswith("Expecting ',' delimiter"):
        return f"invalid character '{rest[0]}' after object key:value pair"
    if error.msg.startswith("Expecting ':' delimiter"):
        return f"invalid character '{rest[0]}' after object key"
    return f"invalid character '{rest[0]}' looking for beginning of value"


def _json(value: JSON, status: int, headers: dict[str, str] | None = None) -> web.Response:
    text = json.dumps(value, separators=(",", ":")) + "\n"
    return web.Response(body=text.encode(), status=status, content_type="application/json", headers=headers)


def envelope(metadata: Any) -> JSON:
    return {
        "type": "sync",
        "status": "Success",
        "status_code": 200,
        "operation": "",
        "error_code": 0,
        "error": "",
        "metadata": metadata,
    }


def failure(problem: Problem) -> JSON:
    return {
        "type": "error",
        "status": "",
        "status_code": 0,
        "operation": "",
        "error_code": problem.code,
        "error": problem.text,
        "metadata": None,
    }


def sync(metadata: Any, etag: str = "", headers: dict[str, str] | None = None) -> web.Response:
    more = dict(headers or {})
    if etag:
        more["Etag"] = f'"{etag}"'
    return _json(envelope(metadata), 200, more)


def done() -> web.Response:
    """A change was made and there is nothing to tell."""
    return sync({})


def created(location: str) -> web.Response:
    return _json(envelope(None), 201, {"Location": location})


def accepted(operation: Operation) -> web.Response:
    value = envelope(operation.render())
    value |= {"type": "async", "status": "Operation created", "status_code": 100, "operation": operation.url}
    return _json(value, 202, {"Location": operation.url})


def error(problem: Problem) -> web.Response:
    return _json(failure(problem), problem.code, {"X-Content-Type-Options": "nosniff"})


def file(data: bytes, request: web.BaseRequest, headers: dict[str, str]) -> web.Response:
    """A file's bytes, or the range of them that was asked for."""
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"} | headers
    wanted = request.http_range
    if "Range" not in request.headers:
        return web.Response(body=data, headers=headers)
    start, stop, _ = wanted.indices(len(data))
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return web.Response(body=data[start:stop], status=206, headers=headers)


async def stream(
    request: web.BaseRequest, chunks: Iterable[bytes], size: int, headers: dict[str, str]
) -> web.StreamResponse:
    """`size` bytes, a piece at a time."""
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"} | headers)
    response.content_length = size
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):  # whoever read has gone
        for chunk in chunks:
            await response.write(chunk)
        await response.write_eof()
    return response
