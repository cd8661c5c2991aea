"""The same nonsense with real daemons behind the gateway: they lose nothing by it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.config import HostConfig
from tests.actions.images import paths_of
from tests.gateway.fuzz.target import Target
from tests.gateway.fuzz.test_bodies import BODIES, wrong_ones
from tests.gateway.fuzz.test_http import PATHS, REFUSED
from tests.lab.lab import Lab

EVERY = 11  # of the wrong bodies this many-th: daemons take their time

_KEPT = ("instances", "images", "profiles", "projects", "networks", "storage-pools", "certificates")


@pytest.fixture
def target(clean_lab: Lab, tmp_path: Path) -> Iterator[Target]:
    @contextlib.asynccontextmanager
    async def daemons() -> AsyncIterator[Sequence[HostConfig]]:
        yield clean_lab.hosts_config()

    paths_of(clean_lab, tmp_path)  # a state directory with the certificate that the hosts trust
    with Target(tmp_path).running(daemons) as target:
        yield target


def state_of(lab: Lab) -> dict[str, Any]:
    return {f"{name} {kind}": host.api("GET", f"/1.0/{kind}") for name, host in lab.hosts.items() for kind in _KEPT}


def test_nothing_is_lost(target: Target, clean_lab: Lab) -> None:
    for host in ("h1", "i1"):
        body = {"name": f"kept-{host}", "source": {"type": "image", "alias": "busybox"}}
        clean_lab.hosts[host].api("POST", "/1.0/instances", body)
    before = state_of(clean_lab)
    places = {"i": "kept-h1", "f": clean_lab.image_fingerprint, "h": "h1"}
    wrong, number = [], 0
    for method, path, body in BODIES:
        if method == "POST" and path in ("/1.0/instances/{i}/snapshots", "/1.0/instances/{i}/rebuild"):
            continue  # what these lack is made up
        for changed in wrong_ones(json.loads(json.dumps(body).replace("{h}", "h1"))):
            number += 1
            if number % EVERY:
                continue
            sent = json.dumps(changed).encode()
            said = target.ask(method, path.format(**places), sent, {"Content-Type": "application/json"})
            if found := said.complaints(method):
                wrong.append((found, method, path, sent[:200], said.text))
    for method in ("GET", "PUT", "DELETE", "POST"):
        for path in PATHS:
            said = target.ask(method, path, None if method == "GET" else b"{}")
            if found := said.complaints(method):
                wrong.append((found, method, path[:200], said.text))
    for data in REFUSED.values():
        target.raw(data)
    assert wrong == []
    target.check()
    assert state_of(clean_lab) == before
