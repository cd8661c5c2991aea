"""Requests made of the OpenAPI description itself, valid and invalid ones, on a simulated fleet and on real daemons."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from schemathesis import GenerationMode

from tests.gateway.fuzz import cases
from tests.gateway.fuzz.target import PATIENCE, Target, simulated

COUNT = int(os.environ.get("LXDPM_FUZZ", "1"))  # requests of each operation and kind; more to search longer
LEFT = "kept-1"  # an instance that no request names


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with Target(tmp_path_factory.mktemp("fuzz")).running(simulated) as target:
        make_kept(target)
        yield target


def make_kept(target: Target) -> None:
    alias = target.get("/1.0/images/aliases")[0].rpartition("/")[2].replace("%2F", "/")
    body = {"name": LEFT, "description": "left alone", "source": {"type": "image", "alias": alias}}
    said = target.ask("POST", "/1.0/instances", json.dumps(body).encode())
    assert said.status == 202, said.text
    assert target.ask("GET", f"{json.loads(said.body)['operation']}/wait?timeout=90").status == 200


def names_of(target: Target) -> dict[str, list[str]]:
    instances = [url.rpartition("/")[2] for url in target.get("/1.0/instances")]
    fingerprints = [url.rpartition("/")[2] for url in target.get("/1.0/images")]
    members = [url.rpartition("/")[2] for url in target.get("/1.0/cluster/members")]
    return {
        "/1.0/instances/{name}": [name for name in instances if name != LEFT],
        "/1.0/profiles/{name}": ["default"],
        "/1.0/projects/{name}": ["default"],
        "/1.0/cluster/members/{name}": members,
        "/1.0/cluster/groups/{name}": ["default"],
        "/1.0/storage-pools/{name}": ["default"],
        "/1.0/networks/{name}": ["lxdbr0"],
        "network": ["lxdbr0"],
        "pool": ["default"],
        "type": ["custom", "container"],
        "fingerprint": fingerprints,
        "action": ["launch", "stop", "snapshot-create", "maintenance", "image-delete", "profile-create"],
    }


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")  # schemathesis' use of random
@pytest.mark.parametrize("mode", cases.MODES, ids=["valid", "invalid"])
def test_every_operation(target: Target, mode: GenerationMode) -> None:
    random = Random(3)
    members = set(target.get("/1.0/cluster/members"))
    wrong: list[Any] = []
    asked = 0
    names: dict[str, list[str]] = {}
    # What is invalid takes long to make up: of that some operations, unless more is asked for.
    share = 5 if mode is GenerationMode.NEGATIVE and COUNT == 1 else 1
    for number, operation in enumerate(cases.operations()[::share]):
        if number % 20 == 0:
            names = names_of(target)
        for request in cases.requests(operation, mode, COUNT, names, random):
            if request.pattern == "/1.0/operations/{id}/wait":
                request = replace(request, target=f"{request.target.partition('?')[0]}?timeout=1")
            began = time.monotonic()
            said = target.ask(request.method, request.target, request.body, request.headers)
            asked += 1
            found = said.complaints(request.method)
            if time.monotonic() - began > PATIENCE * 0.9:
                found.append("slow")
            if found:
                wrong.append((found, request, said.status, said.text))
    assert wrong == []
    assert asked > 30
    target.check()
    assert target.get("/1.0/instances/kept-1")["description"] == "left alone"
    assert set(target.get("/1.0/cluster/members")) == members
