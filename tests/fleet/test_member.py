"""What is sent towards a cluster's member, and what of a list is its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lxdpm_tui.fleet.member import aim, rows_at


@pytest.mark.parametrize(
    ("method", "target", "aimed"),
    [
        ("GET", "/1.0", "/1.0?target=h2"),
        ("GET", "/1.0/resources", "/1.0/resources?target=h2"),
        ("GET", "/1.0/metrics?project=web", "/1.0/metrics?project=web&target=h2"),
        ("GET", "/1.0/storage-pools/fast/resources", "/1.0/storage-pools/fast/resources?target=h2"),
        ("POST", "/1.0/storage-pools/a%2Fb/volumes/custom", "/1.0/storage-pools/a%2Fb/volumes/custom?target=h2"),
        ("GET", "/1.0/networks/lxdbr0/state", "/1.0/networks/lxdbr0/state?target=h2"),
        ("POST", "/1.0/instances?project=web", "/1.0/instances?project=web&target=h2"),
    ],
)
def test_what_is_each_members_own_is_aimed(method: str, target: str, aimed: str) -> None:
    assert aim(method, target, "h2") == aimed


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/1.0/instances?recursion=1"),
        ("PUT", "/1.0/instances/c1/state"),
        ("POST", "/1.0/instances/c1"),
        ("POST", "/1.0/images"),
        ("GET", "/1.0/storage-pools/fast"),
        ("PUT", "/1.0/storage-pools/fast"),
        ("GET", "/1.0/networks/lxdbr0"),
        ("GET", "/1.0/operations/5"),
        ("POST", "/1.0/instances?target=h3"),
        ("POST", "/1.0/instances?project=default&target="),
    ],
)
def test_what_is_found_by_name_or_names_a_member_stays(method: str, target: str) -> None:
    assert aim(method, target, "h2") == target


def test_a_members_name_is_encoded() -> None:
    assert aim("GET", "/1.0/resources", "dc1/h2") == "/1.0/resources?target=dc1%2Fh2"


def rows(metadata: Any, member: str) -> Any:
    return json.loads(rows_at(json.dumps({"type": "sync", "metadata": metadata}).encode(), member))["metadata"]


def test_lists_have_the_members_own_rows_only() -> None:
    one, two = {"name": "a", "location": "h1"}, {"name": "b", "location": "h2", "x": None}
    assert rows([one, two], "h2") == [two]
    assert rows({"running": [one], "success": [two]}, "h1") == {"running": [one], "success": []}
    assert rows([], "h1") == []
    assert rows(None, "h1") is None
    assert rows(["/1.0/instances/a"], "h1") == ["/1.0/instances/a"], "URLs do not tell where they are"
