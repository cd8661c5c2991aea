"""LXD's kinds of answer, and its way of writing them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from lxdpm_tui.actions.registry import ActionError

_STATUS_TEXT = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    412: "Precondition Failed",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


def sync(metadata: Any, *, headers: Mapping[str, str] | None = None, etag: Any = None) -> web.Response:
    """200 with metadata (anything msgspec encodes, Raw included). etag: what the ETag is taken over."""
    sent = dict(headers or {})
    if etag is not None:
        sent["ETag"] = etag_of(etag)
    return _json(200, sync_envelope(metadata), sent)


def created(location: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """201 for a thing made synchronously. location: its URL."""
    envelope = sync_envelope({})
    return _json(201, envelope, {"Location": location, **(headers or {})})


def operation(found: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    """202 for an operation; its URL carries no query, since some clients append to it."""
    url = f"/1.0/operations/{found['id']}"
    envelope = _envelope("async", 100, found)
    envelope["status"], envelope["operation"] = "Operation created", url
    return _json(202, envelope, {"Location": url, **(headers or {})})


def error(code: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """LXD's error envelope, the same code in HTTP and in the body."""
    return _json(code, error_envelope(code, text), dict(headers or {}))


def error_envelope(code: int, text: str) -> dict[str, Any]:
    return {
        "type": "error",
        "status": "",
        "status_code": 0,
        "operation": "",
        "error_code": code,
        "error": text or _STATUS_TEXT.get(code, "error"),
        "metadata": None,
    }


def etag_of(value: Any) -> str:
    """Quoted SHA-256, as LXD writes it."""
    return f'"{hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()}"'


def check_match(request: web.BaseRequest, value: Any, what: str) -> None:
    """Raises ActionError 412 when the client had read something else than `value`. what: "the member"."""
    match = request.headers.get("If-Match", "").strip('"')
    if match and match != etag_of(value).strip('"'):
        raise ActionError(f"Precondition failed: {what} has changed, read it again", 412)


def sync_envelope(metadata: Any) -> dict[str, Any]:
    return _envelope("sync", 200, metadata)


def _envelope(kind: str, code: int, metadata: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "Success",
        "status_code": code,
        "operation": "",
        "error_code": 0,
        "error": "",
        "metadata": metadata,
    }


def _json(status: int, body: Mapping[str, Any], headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), headers=headers, content_type="application/json")
