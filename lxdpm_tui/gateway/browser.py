"""What browsers need: the files of a web front end under /ui/, CORS as LXD has it, and a check of origins.

The browser shows the user's certificate whoever asks, so a foreign page must not be able to use the API: websockets and
changes are refused when their Origin is neither our own nor allowed by core.https_allowed_origin, and, as current
daemons do, everything that the browser marks as asked for by a page from elsewhere.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aiohttp import web

from lxdpm_tui.actions.registry import ActionError

ORIGIN = "core.https_allowed_origin"
_CORS = {
    "Access-Control-Allow-Methods": "core.https_allowed_methods",
    "Access-Control-Allow-Headers": "core.https_allowed_headers",
}
CREDENTIALS = "core.https_allowed_credentials"
KEYS = frozenset({ORIGIN, CREDENTIALS, *_CORS.values()})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def allowed_origins(config: Mapping[str, str]) -> list[str]:
    return [text.strip() for text in config.get(ORIGIN, "").split(",") if text.strip()]


def cors_headers(request: web.BaseRequest, config: Mapping[str, str]) -> dict[str, str]:
    """Headers for a cross-origin caller that the configuration allows; {} for everybody else."""
    origin = request.headers.get("Origin")
    allowed = allowed_origins(config)
    if not origin or not allowed or ("*" not in allowed and origin not in allowed):
        return {}
    headers = {"Access-Control-Allow-Origin": origin if "*" not in allowed else "*", "Vary": "Origin"}
    headers.update({name: config[key] for name, key in _CORS.items() if config.get(key)})
    if config.get(CREDENTIALS) == "true":
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Allow-Credentials"] = "true"
    return headers


def check_origin(request: web.BaseRequest, config: Mapping[str, str]) -> None:
    """Raises ActionError 403 for a change or a websocket that a page of another origin asks for, and for all that the
    browser itself says a foreign page asks for."""
    origin = request.headers.get("Origin")
    foreign = request.headers.get("Sec-Fetch-Site", "") in ("cross-site", "same-site")
    if not foreign and (not origin or (request.method in _SAFE and "Upgrade" not in request.headers)):
        return
    if origin and not foreign and _server_of(origin) == request.headers.get("Host", "").lower():
        return
    allowed = allowed_origins(config)
    if not origin or ("*" not in allowed and origin not in allowed):
        raise ActionError(f"{f'Origin {origin}' if origin else 'A page from elsewhere'} is not allowed here", 403)


def _server_of(origin: str) -> str:
    """Host and port of an origin; "" for what is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def wants_page(request: web.BaseRequest) -> bool:
    """Whether a browser asks for something to show, not for data."""
    return "Mozilla" in request.headers.get("User-Agent", "") and "text/html" in request.headers.get("Accept", "")


def ui_file(directory: Path, path: str) -> web.StreamResponse:
    """A file of the front end; whatever is none is one of its own routes and gets its index.html, as LXD does it.

    Raises ActionError 404 for paths outside, or when there is no index.html.
    """
    base = directory.resolve()
    try:
        wanted = (base / unquote(path).lstrip("/")).resolve()
    except ValueError:  # a null byte
        raise ActionError("not found", 404) from None
    if not wanted.is_relative_to(base):
        raise ActionError("not found", 404)
    if not wanted.is_file():
        wanted = base / "index.html"
        if not wanted.is_file():
            raise ActionError("not found", 404)
    kind, _ = mimetypes.guess_type(wanted.name)
    headers = {
        "Content-Type": kind or "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",  # a new front end is seen at once; what has not changed is not sent again
    }
    return web.FileResponse(wanted, headers=headers)
