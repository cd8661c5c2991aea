from __future__ import annotations

from itertools import islice

from lxdpm_tui.hosts.backoff import backoff


def test_it_doubles_up_to_the_most() -> None:
    assert list(islice(backoff(1, 5, draw=lambda: 0.0), 5)) == [1, 2, 4, 5, 5]


def test_jitter_shortens_by_up_to_a_half() -> None:
    assert list(islice(backoff(1, 5, draw=lambda: 1.0), 4)) == [0.5, 1, 2, 2.5]
    waits = [next(backoff(1, 5)) for _ in range(200)]
    assert min(waits) >= 0.5
    assert max(waits) <= 1
    assert len(set(waits)) > 100
