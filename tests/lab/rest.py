"""A daemon's REST API over its unix socket, blocking: for setting up and cleaning, not for what is under test."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class RestError(RuntimeError):
    """The daemon's own error, or a failed operation: `code` and the daemon's text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def envelope(
    socket_path: Path,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> dict[str, Any]:
    """One request; the whole answer. `body` is sent raw when bytes, else as JSON.

    RestError for the daemon's error; OSError (also TimeoutError) or http.client.HTTPException when it does not answer.
    """
    head = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        head["Content-Type"] = "application/json"
    connection = _UnixConnection(socket_path, timeout)
    try:
        connection.request(method, path, body, head)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if answer.get("type") == "error":
        raise RestError(answer.get("error_code", 0), answer.get("error", ""))
    return answer


def call(
    socket_path: Path,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> Any:
    """One request; its metadata. An operation is followed to its end, and its failure is a RestError."""
    answer = envelope(socket_path, method, path, body, headers, timeout)
    if answer.get("type") != "async":
        return answer.get("metadata")
    url, _, query = answer["operation"].partition("?")
    done = envelope(socket_path, "GET", f"{url}/wait?{query}", timeout=timeout)["metadata"]
    if done["status_code"] != 200:
        raise RestError(done["status_code"], done["err"])
    return done
