from __future__ import annotations

import pytest
from aiohttp import web

from lxdpm_tui.gateway import routes
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.routing import MethodUnknown, Route, Router, collapse


async def handler(call: Call) -> web.StreamResponse:
    raise AssertionError("only matched here")


def router(*patterns: str) -> Router:
    return Router([Route(*pattern.split(" "), handler) for pattern in patterns])


@pytest.mark.parametrize(
    ("path", "collapsed"),
    [("/", "/"), ("", "/"), ("//", "/"), ("//1.0//instances/", "/1.0/instances"), ("/1.0/a%2Fb/", "/1.0/a%2Fb")],
)
def test_collapse(path: str, collapsed: str) -> None:
    assert collapse(path) == collapsed


def test_exact_segments_win() -> None:
    table = router("GET /1.0/images/{fingerprint}", "GET /1.0/images/aliases", "GET /1.0/images/aliases/{name...}")
    found = {
        path: (match.route.pattern, match.vars)
        for path in ("/1.0/images/abc", "/1.0/images/aliases", "/1.0/images/aliases/a")
        if (match := table.match("GET", path))
    }
    assert found == {
        "/1.0/images/abc": ("/1.0/images/{fingerprint}", {"fingerprint": "abc"}),
        "/1.0/images/aliases": ("/1.0/images/aliases", {}),
        "/1.0/images/aliases/a": ("/1.0/images/aliases/{name...}", {"name": "a"}),
    }


@pytest.mark.parametrize(
    ("path", "name"),
    [("a/b", "a/b"), ("a%2Fb", "a/b"), ("a%20b/c%2Fd", "a b/c/d"), ("%C3%A9", "é")],
)
def test_the_rest_of_a_path(path: str, name: str) -> None:
    match = router("GET /1.0/aliases/{name...}").match("GET", f"/1.0/aliases/{path}")
    assert match is not None
    assert match.vars == {"name": name}


def test_a_segment_keeps_its_encoded_slash() -> None:
    table = router("GET /1.0/volumes/{name}", "GET /1.0/volumes/{name}/state")
    match = table.match("GET", "/1.0/volumes/a%2Fstate")
    assert match is not None
    assert match.vars == {"name": "a/state"}


def test_unknown_paths_and_methods() -> None:
    table = router("GET /1.0/a", "POST /1.0/a", "GET /1.0/a/{b}", "GET /1.0/c/{rest...}")
    assert table.match("GET", "/1.0/b") is None
    assert table.match("GET", "/1.0/a/b/c") is None
    assert table.match("GET", "/1.0/c") is None
    with pytest.raises(MethodUnknown):
        table.match("DELETE", "/1.0/a")
    with pytest.raises(MethodUnknown):
        table.match("POST", "/1.0/a/b")


def test_an_open_second_segment() -> None:
    table = router("GET /1.0/a", "GET /1.0/{any}", "GET /", "GET /1.0/{any}/b", "GET /1.0/a/c")
    found = {
        path: match.route.pattern
        for path in ("/", "/1.0/a", "/1.0/x", "/1.0/a/b", "/1.0/x/b", "/1.0/a/c", "/1.0")
        if (match := table.match("GET", path))
    }
    assert found == {
        "/": "/",
        "/1.0/a": "/1.0/a",
        "/1.0/x": "/1.0/{any}",
        "/1.0/a/b": "/1.0/{any}/b",
        "/1.0/x/b": "/1.0/{any}/b",
        "/1.0/a/c": "/1.0/a/c",
    }


@pytest.mark.parametrize("path", ["/1.0/a/..", "/1.0/a/%2e%2E", "/1.0/c/x/../y", "/1.0/c/x%2F..%2Fy", "/1.0/a/%00"])
def test_paths_that_climb_are_unknown(path: str) -> None:
    """On the way to a host they would become the path of something else."""
    assert router("GET /1.0/a/{b}", "GET /1.0/c/{rest...}").match("GET", path) is None


def test_no_route_twice() -> None:
    seen = [(route.method, route.pattern) for route in routes.table()]
    assert len(seen) == len(set(seen))
