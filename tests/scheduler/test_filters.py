from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lxdpm_tui.scheduler.filters import FILTERS, left_out, memory_left
from lxdpm_tui.scheduler.model import UNLIMITED_ESTIMATE, Held, HostFacts, Needs, Request
from tests.scheduler.world import GIB, MIB, host

CASES: list[tuple[HostFacts, Request, Needs, str]] = [
    (host(), Request(targets=frozenset({"h2"})), Needs(), "not among the hosts asked for"),
    (host(), Request(exclude={"h1": "no space left"}), Needs(), "tried already: no space left"),
    (host(online=False), Request(), Needs(), "not online"),
    (host(online=False, reason="connection refused"), Request(), Needs(), "not online: connection refused"),
    (host(fresh=False), Request(), Needs(), "nothing recent is known of it"),
    (host(fresh=False, reason="silent"), Request(), Needs(), "nothing recent is known of it: silent"),
    (host(overdue=True, reason="slow"), Request(), Needs(), "nothing recent is known of it: slow"),
    (
        host(overdue=True),
        Request(targets=frozenset({"h1"}), by_group=True),
        Needs(),
        "nothing recent is known of it",
    ),
    (host(maintenance=True), Request(), Needs(), "in maintenance"),
    (host(), Request(project="web"), Needs(), "has no project 'web'"),
    (host(), Request(architecture="aarch64"), Needs(), "runs x86_64, i686, not aarch64"),
    (host(architectures=()), Request(architecture="aarch64"), Needs(), "runs no known architecture, not aarch64"),
    (
        host(instance_types=frozenset({"container"})),
        Request(type="virtual-machine"),
        Needs(),
        "runs no instances of type virtual-machine",
    ),
    (host(), Request(extensions=frozenset({"b", "a"})), Needs(), "lacks the API extensions 'a', 'b'"),
    (host(), Request(profiles=("web", "db")), Needs(), "has no profile 'db' in project 'default'"),
    (host(), Request(project="lab", profiles=("web",)), Needs(), "has no profile 'web' in project 'lab'"),
    (host(), Request(), Needs(problem="no root disk"), "no root disk"),
    (host(), Request(), Needs(pools=frozenset({"zfs", "fast"})), "has no storage pool 'zfs'"),
    (host(), Request(), Needs(networks=frozenset({"br1", "br0"})), "has no networks 'br0', 'br1'"),
    (host(memory_total=0, memory_free=0), Request(), Needs(), "its memory is not known yet"),
]


@pytest.mark.parametrize(("facts", "request_", "needs", "reason"), CASES)
def test_reasons(facts: HostFacts, request_: Request, needs: Needs, reason: str) -> None:
    assert left_out(facts, request_, needs, Held()) == reason


def test_a_host_that_has_everything_passes() -> None:
    request = Request(
        architecture="i686",
        type="virtual-machine",
        profiles=("default", "web"),
        extensions=frozenset({"projects"}),
        targets=frozenset({"h1", "h2"}),
        exclude={"h2": "tried"},
    )
    needs = Needs(memory=6 * GIB, pools=frozenset({"fast"}), networks=frozenset({"eth0"}))
    assert left_out(host(), request, needs, Held()) is None


def test_who_names_a_slow_host_alone_gets_it() -> None:
    slow = host(overdue=True)
    assert left_out(slow, Request(targets=frozenset({"h1"})), Needs(), Held()) is None
    assert left_out(slow, Request(targets=frozenset({"h1", "h2"})), Needs(), Held()) == "nothing recent is known of it"


def test_no_profiles_asked_for_is_no_reason() -> None:
    assert left_out(host(profiles={}), Request(profiles=()), Needs(), Held()) is None


def reason(needs: int, held: Held = Held(), **facts: Any) -> str | None:  # noqa: B008 - an immutable tuple
    return left_out(host(**facts), Request(), Needs(memory=needs), held)


def test_memory_bound_by_promises() -> None:
    facts = {"memory_promised": 6 * GIB + 100 * MIB, "memory_free": 7 * GIB}
    held = Held(1, 700 * MIB, 700 * MIB)
    assert reason(4 * GIB, held, **facts) == (
        "needs 4.0 GiB, 1.2 GiB left of 8.0 GiB (6.1 GiB promised, 700 MiB reserved)"
    )
    assert reason(8 * GIB - 6 * GIB - 800 * MIB, held, **facts) is None
    assert reason(8 * GIB - 6 * GIB - 800 * MIB + 1, held, **facts) is not None


def test_memory_bound_by_use() -> None:
    """Instances without a limit promise nothing, but what they use cannot be promised to others."""
    held = Held(1, 0, UNLIMITED_ESTIMATE)
    assert reason(2 * GIB, held, memory_promised=GIB, memory_free=1536 * MIB) == (
        "needs 2.0 GiB, 1.4 GiB left of 8.0 GiB (6.5 GiB in use, 128 MiB expected by launches under way)"
    )
    assert reason(1408 * MIB, held, memory_promised=GIB, memory_free=1536 * MIB) is None


def test_what_a_limited_instance_uses_is_not_counted_twice() -> None:
    """4 GiB promised and 3 of them in use leave 4 GiB, not 1."""
    assert reason(4 * GIB, memory_promised=4 * GIB, memory_free=5 * GIB) is None


def test_a_gap_too_small_for_rounding_is_shown_in_bytes() -> None:
    assert reason(2 * GIB + 1, memory_promised=6 * GIB) == (
        "needs 2147483649 bytes, 2147483648 left of 8.0 GiB (6.0 GiB promised, 0 B reserved)"
    )


def test_an_over_promised_host_has_nothing_left_rather_than_less() -> None:
    text = reason(GIB, memory_promised=9 * GIB)
    assert text == "needs 1.0 GiB, 0 B left of 8.0 GiB (9.0 GiB promised, 0 B reserved)"


def test_without_a_limit_only_a_full_host_is_left_out() -> None:
    assert reason(0, memory_promised=9 * GIB, memory_free=1) is None
    assert reason(0, memory_free=0) == (
        "no memory free of 8.0 GiB (8.0 GiB in use, 0 B expected by launches under way)"
    )
    assert reason(0, Held(2, 0, 2 * UNLIMITED_ESTIMATE), memory_free=2 * UNLIMITED_ESTIMATE) == (
        "no memory free of 8.0 GiB (7.8 GiB in use, 256 MiB expected by launches under way)"
    )


sizes = st.integers(0, 16 * GIB)


@given(sizes, sizes, sizes, sizes, sizes)
def test_what_passes_keeps_every_promise(total: int, free: int, promised: int, reserved: int, asked: int) -> None:
    facts = host(memory_total=total, memory_free=free, memory_promised=promised)
    held = Held(1, reserved, reserved)
    passed = left_out(facts, Request(), Needs(memory=asked), held) is None
    if passed and asked:
        assert promised + reserved + asked <= total
        assert reserved + asked <= free
    if asked and total:
        assert passed == (asked <= memory_left(facts, held))


def test_every_filter_passes_a_plain_request() -> None:
    assert [check(host(), Request(), Needs(), Held()) for check in FILTERS] == [None] * len(FILTERS)


@pytest.mark.parametrize(
    ("placement", "targets", "by_group", "refused"),
    [
        ("all", (), False, False),
        ("manual", (), False, True),
        ("manual", ("h1",), False, False),
        ("manual", ("h1",), True, True),
        ("group", (), False, True),
        ("group", ("h1",), True, False),
        ("group", ("h1",), False, False),
    ],
)
def test_hosts_that_take_only_what_names_them(
    placement: str, targets: tuple[str, ...], by_group: bool, refused: bool
) -> None:
    request = Request(targets=frozenset(targets), by_group=by_group)
    found = left_out(host(name="h1", placement=placement), request, Needs(), Held())
    assert (f"scheduler.instance={placement}" in (found or "")) is refused
