from __future__ import annotations

import pytest

from lxdpm_tui.hosts import requestor as module
from lxdpm_tui.hosts.requestor import Changes, requestor

ANN = {"username": "ann", "protocol": "tls", "address": "10.0.0.1:5"}
BOB = {"username": "bob", "protocol": "unix", "address": "@"}


def noted(changes: Changes, who: dict[str, str] | None, target: str, *, reads: bool = False) -> None:
    token = requestor.set(who)
    with changes.under_way(target, reads=reads):
        pass
    requestor.reset(token)


def test_who_changed_a_thing_or_made_it() -> None:
    changes = Changes()
    noted(changes, ANN, "/1.0/instances/c1/state?project=p")
    noted(changes, BOB, "/1.0/profiles")
    noted(changes, None, "/1.0/networks")
    assert changes.by("/1.0/instances/c1") == ANN
    assert changes.by("/1.0/profiles/small") == BOB
    assert changes.by("/1.0/instances/c10") is None
    assert changes.by("/1.0/networks/n") is None


def test_the_nearest_counts_and_nobody_is_guessed() -> None:
    changes = Changes()
    noted(changes, ANN, "/1.0/instances")
    noted(changes, BOB, "/1.0/instances/c1")
    assert changes.by("/1.0/instances/c1") == BOB
    noted(changes, BOB, "/1.0/instances")
    assert changes.by("/1.0/instances/c2") is None


def test_reads_count_where_an_event_tells_of_them() -> None:
    changes = Changes()
    noted(changes, ANN, "/1.0/instances/c1", reads=True)
    assert changes.by("/1.0/instances/c1") is None
    noted(changes, ANN, "/1.0/instances/c1/files?path=/etc", reads=True)
    assert changes.by("/1.0/instances/c1") == ANN


def test_what_is_long_over_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = Changes()
    noted(changes, ANN, "/1.0/instances/c1")
    monkeypatch.setattr(module, "AFTERWARDS", -1.0)
    assert changes.by("/1.0/instances/c1") is None
