"""Bodies that are right but for one thing: each value at each depth replaced by one of another type, or absurd."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.fuzz.target import Target, simulated

_IMAGE = {"type": "image", "alias": "busybox"}
_RULE = {"action": "allow", "state": "enabled"}
_WRONG: tuple[Any, ...] = (
    None, True, -1, 10**400, 1.5e308, "", "\0", "\ud800", "../x", "x" * 5000, [], [None], [{}], {}, {"": None},
    {"a": []},
)  # fmt: skip

# {i} an instance, {f} an image, {h} a host
BODIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("PUT", "/1.0", {"config": {"user.a": "b"}}),
    ("PATCH", "/1.0?target={h}", {"config": {"user.a": "b"}}),
    ("POST", "/1.0/certificates", {"name": "n", "token": True, "projects": ["p"], "restricted": True}),
    ("POST", "/1.0/certificates", {"certificate": "MII", "name": "n", "password": "p"}),
    ("PUT", "/1.0/planner", {"state": "random"}),
    ("POST", "/1.0/fleet/plan", {"image": "busybox", "name": "n", "count": 1}),
    ("POST", "/1.0/fleet/plans", {
        "act": "stop", "rows": [{"host": "{h}", "name": "{i}", "project": "default"}],
        "options": {"force": True, "timeout": 1}, "limits": {"per_host": 1, "wave": 2, "on_error": "pause"}}),
    ("POST", "/1.0/fleet/plans", {
        "act": "configure", "rows": [{"host": "{h}", "name": "{i}"}],
        "options": {"config": {"user.a": "b"}, "devices": {"e": {"type": "none"}}}}),
    ("POST", "/1.0/fleet/actions/warning-ack", {"warnings": ["nowhere:0"], "again": True}),
    ("POST", "/1.0/fleet/actions/stop", {"instances": ["nobody"], "force": True}),
    ("POST", "/1.0/instances", {
        "name": "no-such", "type": "container", "architecture": "x86_64", "profiles": ["default"], "ephemeral": False,
        "config": {"limits.memory": "1MiB"}, "devices": {"root": {"type": "disk", "path": "/", "pool": "default"}},
        "source": {**_IMAGE, "alias": "no-such", "properties": {"os": "x"}}, "start": False,
    }),
    ("POST", "/1.0/instances", {"name": "no-such", "source": {"type": "copy", "source": "no/s", "project": "p"}}),
    ("POST", "/1.0/instances", {"name": "no-such", "source": {
        "type": "migration", "mode": "pull", "operation": "https://127.0.0.1:1/1.0/operations/x",
        "secrets": {"fs": "x"}, "certificate": "x"}}),
    ("POST", "/1.0/instances/{i}", {"name": "bad name", "migration": False, "project": "default", "pool": "nope"}),
    ("PUT", "/1.0/instances?project=nope", {"state": {"action": "stop", "timeout": 1, "force": True}}),
    ("PUT", "/1.0/instances/{i}/state", {"action": "freeze", "timeout": 1, "force": True}),
    ("PATCH", "/1.0/instances/{i}", {"config": {"user.a": "b"}, "devices": {}, "description": "d"}),
    ("POST", "/1.0/instances/{i}/snapshots", {"name": "s", "stateful": False, "expires_at": None}),
    ("POST", "/1.0/instances/{i}/exec", {"command": ["true"], "environment": {"A": "b"}, "user": 0}),
    ("POST", "/1.0/instances/{i}/rebuild", {"source": {"type": "image", "alias": "no-such"}}),
    ("POST", "/1.0/images", {
        "source": {"type": "image", "server": "https://127.0.0.1:1", "alias": "x", "protocol": "lxd"},
        "aliases": [{"name": "a", "description": "d"}], "properties": {"a": "b"}, "profiles": ["p"]}),
    ("POST", "/1.0/images", {"source": {"type": "instance", "name": "nobody"}, "aliases": [{"name": "a"}]}),
    ("PATCH", "/1.0/images/{f}", {"properties": {"a": "b"}, "public": True, "profiles": ["p"], "expires_at": "x"}),
    ("POST", "/1.0/images/aliases", {"name": "a", "target": "0123", "description": "d"}),
    ("PUT", "/1.0/images/aliases/busybox", {"target": "0123", "description": "d"}),
    ("POST", "/1.0/images/{f}/export", {"target": "https://127.0.0.1:1", "secret": "s", "certificate": "c"}),
    ("POST", "/1.0/profiles", {"name": "default", "config": {"user.a": "b"}, "devices": {"e": {"type": "none"}}}),
    ("POST", "/1.0/profiles", {"hostname": "{h}", "profilesPost": {"name": "default", "config": {}, "devices": {}}}),
    ("PATCH", "/1.0/profiles/default", {"config": {"user.a": "b"}, "devices": {}, "description": "d"}),
    ("POST", "/1.0/profiles/nope", {"name": "other"}),
    ("POST", "/1.0/projects", {"name": "default", "config": {"features.images": "true"}, "description": "d"}),
    ("PATCH", "/1.0/projects/default", {"config": {"user.a": "b"}, "description": "d"}),
    ("POST", "/1.0/networks?target={h}", {"name": "lxdbr0", "type": "bridge", "config": {"ipv4.address": "none"}}),
    ("PATCH", "/1.0/networks/lxdbr0", {"config": {"user.a": "b"}, "description": "d"}),
    ("POST", "/1.0/network-acls", {"name": "a b", "ingress": [_RULE], "egress": [], "config": {}}),
    ("POST", "/1.0/storage-pools", {"name": "default", "driver": "dir", "config": {"user.a": "b"}}),
    ("PATCH", "/1.0/storage-pools/default", {"config": {"user.a": "b"}, "description": "d"}),
    ("POST", "/1.0/storage-pools/default/volumes/custom", {
        "name": "a/b", "config": {"size": "1MiB"}, "content_type": "filesystem",
        "source": {"type": "copy", "name": "nope", "pool": "default", "project": "default", "location": "x"}}),
    ("POST", "/1.0/storage-pools/default/volumes/custom/nope", {"name": "b", "pool": "default", "project": "default"}),
    ("POST", "/1.0/storage-pools/default/buckets", {"name": "", "config": {}}),
    ("PATCH", "/1.0/cluster/members/{h}", {"description": "d", "config": {"user.a": "b"}, "groups": ["default"]}),
    ("POST", "/1.0/cluster/members/{h}/state", {"action": "restore", "mode": "m", "force": True}),
    ("POST", "/1.0/cluster/groups", {"name": "g", "description": "d", "members": ["{h}"]}),
    ("PUT", "/1.0/warnings/00000000-0000-0000-0000-000000000000", {"status": "new"}),
)  # fmt: skip


def wrong_ones(body: Any) -> Iterator[Any]:
    """Each with one value replaced, at every depth, and the whole."""
    yield from _WRONG
    for path in _paths(body):
        for wrong in _WRONG:
            changed = copy.deepcopy(body)
            inner = changed
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = wrong
            yield changed


def _paths(value: Any) -> Iterator[list[Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, found in inner:
        yield [key]
        yield from ([key, *rest] for rest in _paths(found))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with Target(tmp_path_factory.mktemp("fuzz")).running(simulated) as target:
        yield target


def test_one_wrong_value_at_each_depth(target: Target) -> None:
    places = {
        "i": target.get("/1.0/instances")[0].rpartition("/")[2],
        "f": target.get("/1.0/images")[0].rpartition("/")[2],
        "h": target.get("/1.0/cluster/members")[0].rpartition("/")[2],
    }
    before = target.get("/1.0/instances"), target.get("/1.0/images"), target.get("/1.0/profiles")
    wrong = []
    asked = 0
    for method, path, body in BODIES:
        where = path.format(**places)
        for changed in wrong_ones(json.loads(json.dumps(body).replace("{h}", places["h"]))):
            sent = json.dumps(changed).encode()
            said = target.ask(method, where, sent, {"Content-Type": "application/json"})
            asked += 1
            found = said.complaints(method)
            if found:
                wrong.append((found, method, where, sent[:200], said.text))
    assert wrong == []
    assert asked > 2000
    target.check()
    after = target.get("/1.0/instances"), target.get("/1.0/images"), target.get("/1.0/profiles")
    assert all(set(was) <= set(now) for was, now in zip(before, after, strict=True))  # some bodies do make a thing
