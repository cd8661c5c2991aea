"""What browsers need: the files of a web front end under /ui/, CORS as LXD has it, and a check of origins.

The API answers browsers with the caller's own certificate, so a foreign page must not be able to use it: websockets and
changes are refused when their Origin is neither our own nor allowed by core.https_allowed_origin.
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
    """Raises ActionError 403 for a change or a websocket that a page of another origin asks for."""
    origin = request.headers.get("Origin")
    if not origin or (request.method in _SAFE and "Upgrade" not in request.headers):
        return
    if urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower():
        return
    allowed = allowed_origins(config)
    if "*" not in allowed and origin not in allowed:
        raise ActionError(f"Origin {origin} is not allowed here", 403)


def wants_page(request: web.BaseRequest) -> bool:
    """Whether a browser asks for something to show, not for data."""
    return "Mozilla" in request.headers.get("User-Agent", "") and "text/html" in request.headers.get("Accept", "")


def ui_file(directory: Path, path: str) -> web.StreamResponse:
    """A file of the front end; paths that are none are the front end's own routes and get its index.html.

    Raises ActionError 404 for paths outside, or when there is no index.html.
    """
    base = directory.resolve()
    wanted = (base / unquote(path).lstrip("/")).resolve()
    if not wanted.is_relative_to(base):
        raise ActionError("not found", 404)
    if not wanted.is_file():
        if Path(wanted).suffix and not wanted.is_dir():
            raise ActionError("not found", 404)
        wanted = base / "index.html"
        if not wanted.is_file():
            raise ActionError("not found", 404)
    kind, _ = mimetypes.guess_type(wanted.name)
    headers = {"Content-Type": kind or "application/octet-stream", "X-Content-Type-Options": "nosniff"}
    return web.FileResponse(wanted, headers=headers)
