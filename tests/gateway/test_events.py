from __future__ import annotations

import pytest

from lxdpm_tui.gateway.events import QUEUE, TYPES, Subscriber


@pytest.mark.parametrize(
    ("types", "project", "kind", "of", "wanted"),
    [
        ({"operation"}, "default", "operation", "default", True),
        ({"operation"}, "default", "lifecycle", "default", False),
        ({"operation"}, "default", "operation", "other", False),
        ({"operation"}, "default", "operation", "", True),  # of the server itself
        ({"operation"}, None, "operation", "other", True),
        (TYPES, None, "logging", "", True),
    ],
)
def test_what_a_client_wants(types: set[str], project: str | None, kind: str, of: str, wanted: bool) -> None:
    assert Subscriber(frozenset(types), project).wants(kind, of) is wanted


def test_in_order() -> None:
    client = Subscriber(TYPES, None)
    for number in range(10):
        client.put(b"%d" % number)
    assert [client.queue.get_nowait() for _ in range(10)] == [b"%d" % number for number in range(10)]


def test_a_slow_client_is_dropped() -> None:
    """It would take more and more memory; dropped, it knows that it missed something."""
    slow, quick = Subscriber(TYPES, None), Subscriber(TYPES, None)
    for number in range(QUEUE + 10):
        slow.put(b"%d" % number)
        quick.put(b"%d" % number)
        assert quick.queue.get_nowait() == b"%d" % number
    assert slow.ended
    assert slow.queue.get_nowait() is None
    assert slow.queue.empty()
    assert not quick.ended


def test_nothing_after_the_end() -> None:
    client = Subscriber(TYPES, None)
    client.put(b"1")
    client.end()
    client.put(b"2")
    assert client.queue.get_nowait() is None
    assert client.queue.empty()
