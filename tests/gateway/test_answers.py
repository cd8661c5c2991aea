from __future__ import annotations

import json
from typing import Any

import msgspec
from aiohttp import web

from lxdpm_tui.gateway import answers


def body(response: web.Response) -> dict[str, Any]:
    assert isinstance(response.body, bytes)
    assert response.content_type == "application/json"
    found: dict[str, Any] = json.loads(response.body)
    return found


def test_sync() -> None:
    response = answers.sync(["a"], headers={"X-A": "b"})
    assert (response.status, response.headers["X-A"], "ETag" in response.headers) == (200, "b", False)
    assert body(response) == {
        "type": "sync",
        "status": "Success",
        "status_code": 200,
        "operation": "",
        "error_code": 0,
        "error": "",
        "metadata": ["a"],
    }


def test_what_is_raw_stays_as_it_is() -> None:
    raw = msgspec.Raw(b'{"z":1,"a":null,"big":18446744073709551615,"t":"0001-01-01T00:00:00.000000001Z"}')
    response = answers.sync([raw])
    assert isinstance(response.body, bytes)
    assert bytes(raw) in response.body


def test_etag() -> None:
    one, two = {"a": 1, "b": {"c": 2}}, {"b": {"c": 2}, "a": 1}
    assert answers.etag_of(one) == answers.etag_of(two) == answers.sync({}, etag=one).headers["ETag"]
    assert answers.etag_of(one) != answers.etag_of({**one, "a": 2})
    assert answers.etag_of(one).startswith('"')


def test_created() -> None:
    response = answers.created("/1.0/profiles/p")
    assert (response.status, response.headers["Location"]) == (201, "/1.0/profiles/p")
    assert body(response)["status_code"] == 200


def test_operation() -> None:
    response = answers.operation({"id": "x", "status": "Running"})
    found = body(response)
    assert (response.status, response.headers["Location"]) == (202, "/1.0/operations/x")
    assert (found["type"], found["operation"], found["status"], found["status_code"]) == (
        "async",
        "/1.0/operations/x",
        "Operation created",
        100,
    )
    assert found["metadata"]["id"] == "x"


def test_error() -> None:
    response = answers.error(404, "no such thing")
    found = body(response)
    assert (response.status, found["type"], found["error_code"], found["error"]) == (404, "error", 404, "no such thing")
    assert found["metadata"] is None
    assert body(answers.error(503, ""))["error"] == "Service Unavailable"
