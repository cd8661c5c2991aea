from __future__ import annotations

import msgspec
import pytest

from lxdpm_tui.fleet.decode import EventWire
from lxdpm_tui.fleet.happenings import Happenings, subject_of


def wire(metadata: object, type: str = "lifecycle", project: str = "") -> EventWire:
    return EventWire(type, "2026-11-22T10:00:00.5Z", msgspec.Raw(msgspec.json.encode(metadata)), project=project)


def test_an_event_is_told_with_what_it_is_about() -> None:
    changes: list[tuple[frozenset[int], frozenset[int]]] = []
    told: list[tuple[str, str]] = []
    ring = Happenings(lambda new, gone: changes.append((new, gone)))
    ring.also_tell(lambda host, action: told.append((host, action)))
    requestor = {"username": "ab" * 32, "protocol": "tls"}
    source = "/1.0/instances/web-1/snapshots/s%2F0?project=shop"
    ring.take("h1", b"", wire({"action": "instance-snapshot-created", "source": source, "requestor": requestor}))
    [row] = ring.rows.values()
    assert (row.host, row.kind, row.name, row.project) == ("h1", "instances", "web-1/s/0", "shop")
    assert row.by == "abababababab (tls)"
    assert changes == [(frozenset({1}), frozenset())]
    assert told == [("h1", "instance-snapshot-created")]
    assert ring.about("h1", "shop", "web-1") == [row]
    assert ring.about("h2", "shop", "web-1") == []


def test_only_the_last_are_kept() -> None:
    changes: list[tuple[frozenset[int], frozenset[int]]] = []
    ring = Happenings(lambda new, gone: changes.append((new, gone)), kept=3)
    for number in range(5):
        ring.take("h1", b"", wire({"action": f"a-{number}", "source": "/1.0"}))
    assert list(ring.rows) == [3, 4, 5]
    assert changes[-1] == (frozenset({5}), frozenset({2}))


@pytest.mark.parametrize("event", [wire({"x": 1}, type="operation"), wire([1, 2]), wire({"action": 3})])
def test_what_is_no_lifecycle_event_is_left_out(event: EventWire) -> None:
    ring = Happenings(lambda new, gone: None)
    ring.take("h1", b"", event)
    assert not ring.rows


@pytest.mark.parametrize(
    ("url", "about"),
    [
        ("/1.0/instances/web-1?project=x", ("instances", "web-1", "x")),
        ("/1.0/storage-pools/fast/volumes/custom/data", ("volumes", "fast/data", "default")),
        ("/1.0/profiles/a%20b", ("profiles", "a b", "default")),
        ("/1.0/cluster/members/h1", ("members", "h1", "default")),
        ("/1.0", ("", "", "default")),
        ("", ("", "", "default")),
    ],
)
def test_the_subject_of_a_url(url: str, about: tuple[str, str, str]) -> None:
    assert subject_of(url) == about
