from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lxdpm_tui.fleet.inventory import HostRecord, Instance, Inventory
from lxdpm_tui.scheduler.filters import left_out
from lxdpm_tui.scheduler.ledger import TTL, tally
from lxdpm_tui.scheduler.model import (
    UNLIMITED_ESTIMATE,
    Decision,
    Held,
    HostFacts,
    Needs,
    Request,
    Reservation,
    Snapshot,
    Strategy,
)
from lxdpm_tui.scheduler.scheduler import SETTING, Scheduler, SchedulerStore, decide, needs_on
from lxdpm_tui.scheduler.strategies import score
from lxdpm_tui.store import Store, StoreError
from tests.scheduler.world import GIB, MIB, Clock, Shelf, World, host

EQUAL = tuple(host(f"h{n}", instances=0, memory_free=8 * GIB) for n in range(4))


def scheduler(
    hosts: Sequence[HostFacts], store: SchedulerStore, clock: Clock | None = None, seed: int = 1
) -> Scheduler:
    return Scheduler(lambda: tuple(hosts), store, rng=random.Random(seed), clock=clock or Clock())


async def burst(planner: Scheduler, count: int, strategy: str, memory: int = 0) -> Counter[str | None]:
    """`count` launches at once; how many went where (None: nowhere)."""
    requests = [Request(instance=f"c{n}", memory=memory) for n in range(count)]
    results = await asyncio.gather(*(planner.place(request, strategy) for request in requests))
    assert all((decision.chosen is None) == (reservation is None) for decision, reservation in results)
    return Counter(decision.chosen for decision, _ in results)


# -- bursts


@pytest.mark.parametrize("memory", [0, 256 * MIB])
async def test_fifty_at_once_scatter_evenly_over_equal_hosts(store: Store, memory: int) -> None:
    planner = scheduler(EQUAL, store)
    spread = await burst(planner, 50, "scatter", memory)
    assert sorted(spread.values()) == [12, 12, 13, 13]
    assert len(planner.reservations) == len(await store.list_reservations()) == 50


async def test_scatter_weighs_unequal_hosts_as_the_formula_says(store: Store) -> None:
    hosts = (host("big", memory_total=64 * GIB, memory_free=60 * GIB, cpus=16, instances=0), host("small", instances=0))
    spread = await burst(scheduler(hosts, store), 50, "scatter")
    assert spread["big"] > spread["small"] > 0


async def test_fifty_at_once_gather_on_one_host_while_it_has_room(store: Store) -> None:
    hosts = [replace(h, memory_total=64 * GIB, memory_free=60 * GIB) for h in EQUAL]
    assert list((await burst(scheduler(hosts, store), 50, "gather")).values()) == [50]


@pytest.mark.parametrize("strategy", list(Strategy))
async def test_a_burst_larger_than_the_fleet_promises_no_byte_too_many(store: Store, strategy: Strategy) -> None:
    spread = await burst(scheduler(EQUAL, store), 50, strategy, GIB)
    assert spread == {"h0": 8, "h1": 8, "h2": 8, "h3": 8, None: 18}


async def test_random_bursts_do_not_herd(store: Store) -> None:
    """The seed drew anew from the second of the clock: all launches of one second went to the same host."""
    spread = await burst(scheduler(EQUAL, store), 50, "random")
    assert len(spread) == 4
    assert max(spread.values()) < 25


def test_random_is_uniform_over_the_candidates() -> None:
    planner = scheduler((*EQUAL, host("off", online=False)), Shelf(), seed=2017)
    counts = Counter(planner.plan(Request(), "random").chosen for _ in range(4000))
    assert counts.keys() == {h.name for h in EQUAL}
    assert sum((n - 1000) ** 2 / 1000 for n in counts.values()) < 16.27  # chi-square, 3 degrees of freedom, 0.1 %


# -- decisions


def test_reservations_count_in_memory_and_in_instances_at_once() -> None:
    held = (Reservation("1", "h1", "default", "c1", GIB, 0, 1), Reservation("2", "h1", "default", "c2", 0, 0, 1))
    decision = decide(Snapshot((host(),), held), Request(), Strategy.SCATTER, random.Random(1))
    free = 6 * GIB - GIB - UNLIMITED_ESTIMATE
    assert decision.verdicts[0] == ("h1", score(free, 4, 4), "", free, 4, 4)


@pytest.mark.parametrize(("strategy", "order"), [("scatter", ["b", "c", "a"]), ("gather", ["a", "c", "b"])])
def test_the_explanation_names_every_host_best_first(strategy: str, order: list[str]) -> None:
    hosts = (
        host("z", maintenance=True),
        host("a", memory_free=1 * GIB),
        host("b", memory_free=5 * GIB),
        host("c", memory_free=3 * GIB),
        host("d", online=False, reason="no route"),
    )
    decision = scheduler(hosts, Shelf()).plan(Request(), strategy)
    assert decision.chosen == order[0]
    assert [v.host for v in decision.verdicts] == [*order, "d", "z"]
    assert [(v.score, v.reason) for v in decision.verdicts[3:]] == [
        (None, "not online: no route"),
        (None, "in maintenance"),
    ]
    shown = decision.to_dict()
    assert shown["strategy"] == strategy
    assert shown["hosts"][3] == {  # type: ignore[index]
        "host": "d",
        "score": None,
        "reason": "not online: no route",
        "memory_free": 6 * GIB,
        "instances": 2,
        "cpus": 4,
    }


def test_the_chosen_one_leads_its_equals() -> None:
    planner = scheduler(EQUAL, Shelf())
    for strategy in Strategy:
        for _ in range(8):
            decision = planner.plan(Request(), strategy)
            rest = sorted({"h0", "h1", "h2", "h3"} - {decision.chosen or ""})
            assert [v.host for v in decision.verdicts] == [decision.chosen, *rest]


async def test_nobody_passes(store: Store) -> None:
    planner = scheduler((host("a", online=False), host("b", maintenance=True)), store)
    decision, reservation = await planner.place(Request())
    assert (decision.chosen, reservation, planner.reservations) == (None, None, ())
    assert [v.host for v in decision.verdicts] == ["a", "b"]
    assert scheduler((), store).plan(Request()) == Decision(Strategy.RANDOM, None, ())


def test_what_the_profiles_of_each_host_come_to() -> None:
    request = Request(
        memory=GIB, pools=frozenset({"default"}), per_host={"h1": Needs(7 * GIB), "h2": Needs(pools=frozenset({"zfs"}))}
    )
    decision = scheduler((host("h1"), host("h2"), host("h3")), Shelf()).plan(request, "scatter")
    assert decision.chosen == "h3"
    assert [v.reason for v in decision.verdicts[1:]] == [
        "needs 7.0 GiB, 6.0 GiB left of 8.0 GiB (2.0 GiB in use, 0 B expected by launches under way)",
        "has no storage pool 'zfs'",
    ]


async def test_the_memory_of_the_chosen_host_is_what_is_reserved(store: Store) -> None:
    planner = scheduler((host("h1"),), store)
    _, reservation = await planner.place(Request(instance="c1", per_host={"h1": Needs(2 * GIB)}))
    assert reservation is not None
    assert (reservation.host, reservation.project, reservation.instance) == ("h1", "default", "c1")
    assert reservation.memory == 2 * GIB


def test_planning_holds_nothing_but_a_plan_for_several_counts_them() -> None:
    planner = scheduler(EQUAL, Shelf())
    plans = planner.plan_all([Request(memory=GIB)] * 40, "scatter")
    assert Counter(d.chosen for d in plans) == {"h0": 8, "h1": 8, "h2": 8, "h3": 8, None: 8}
    assert planner.reservations == ()


def test_an_unknown_strategy() -> None:
    with pytest.raises(ValueError, match="unknown strategy 'best'"):
        scheduler(EQUAL, Shelf()).plan(Request(), "best")


facts_ = st.builds(
    host,
    st.sampled_from([f"h{n}" for n in range(12)]),
    online=st.sampled_from([True, True, True, False]),
    fresh=st.sampled_from([True, True, True, False]),
    maintenance=st.sampled_from([False, False, False, True]),
    cpus=st.integers(0, 64),
    instances=st.integers(0, 50),
    memory_total=st.integers(0, 16).map(lambda n: n * GIB),
    memory_free=st.integers(0, 16).map(lambda n: n * GIB),
    memory_promised=st.integers(0, 16).map(lambda n: n * GIB),
    pools=st.sets(st.sampled_from(["default", "fast"])).map(frozenset),
)
fleets = st.lists(facts_, max_size=12, unique_by=lambda h: h.name).map(tuple)
asked = st.builds(
    Request,
    memory=st.integers(0, 8).map(lambda n: n * GIB),
    pools=st.sets(st.sampled_from(["default", "fast"]), max_size=1).map(frozenset),
    exclude=st.dictionaries(st.sampled_from(["h1", "h2"]), st.just("failed"), max_size=2),
)
held_ = st.lists(
    st.builds(
        Reservation,
        st.uuids().map(str),
        st.sampled_from([f"h{n}" for n in range(12)]),
        st.just("default"),
        st.just(""),
        st.integers(0, 3).map(lambda n: n * GIB),
        st.just(0.0),
        st.just(1.0),
    ),
    max_size=8,
).map(tuple)


@given(fleets, asked, held_, st.sampled_from(Strategy), st.randoms(use_true_random=False))
def test_every_decision_is_sound(
    hosts: tuple[HostFacts, ...],
    request: Request,
    reservations: tuple[Reservation, ...],
    strategy: Strategy,
    rng: random.Random,
) -> None:
    decision = decide(Snapshot(hosts, reservations), request, strategy, rng)
    held = tally(reservations)
    reasons = {h.name: left_out(h, request, needs_on(request, h.name), held.get(h.name, Held())) for h in hosts}
    assert {v.host: v.reason or None for v in decision.verdicts} == reasons  # every host, once, with its reason
    candidates = [v for v in decision.verdicts if not v.reason]
    assert list(decision.verdicts[: len(candidates)]) == candidates
    if not candidates:
        assert decision.chosen is None
        return
    assert decision.chosen == candidates[0].host
    scores = [v.score or 0.0 for v in candidates]
    if strategy is Strategy.SCATTER:
        assert scores == sorted(scores, reverse=True)
    elif strategy is Strategy.GATHER:
        assert scores == sorted(scores)


# -- the life of a reservation


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["place", "place", "burst", "appear", "appear", "release", "delete", "expire"]),
            st.integers(1, 12).map(lambda n: n * GIB // 2),
            st.sampled_from(Strategy),
        ),
        max_size=40,
    ),
    st.integers(0, 2**32),
)
def test_limits_promised_and_reserved_never_exceed_the_hosts_memory(
    steps: list[tuple[str, int, Strategy]], seed: int
) -> None:
    async def run() -> None:
        world = World((host("a"), host("b", memory_free=2 * GIB), host("c", memory_total=32 * GIB)), seed)
        for step in steps:
            await world.step(*step)
            held = tally(world.planner.reservations)
            for h in world.hosts.values():
                assert h.memory_promised + held.get(h.name, Held()).memory <= h.memory_total

    asyncio.run(run())


async def test_the_next_best_host_after_a_failure(store: Store) -> None:
    planner = scheduler(
        (host("a", memory_free=5 * GIB), host("b", memory_free=4 * GIB), host("c", online=False)), store
    )
    first, reservation = await planner.place(Request(instance="c1"), "scatter")
    assert first.chosen == "a"
    assert reservation is not None
    await planner.release(reservation)
    second, _ = await planner.place(Request(instance="c1", exclude={"a": "disk full"}), "scatter")
    assert second.chosen == "b"
    assert {v.host: v.reason for v in second.verdicts} == {"b": "", "a": "tried already: disk full", "c": "not online"}
    assert [r.host for r in planner.reservations] == ["b"]


async def test_a_confirmed_launch_counts_until_the_inventory_shows_it(store: Store) -> None:
    clock = Clock()
    planner = scheduler((host("h1"),), store, clock)
    _, reservation = await planner.place(Request(instance="c1"))
    assert reservation is not None
    clock.now += TTL - 1
    await planner.confirm(reservation)
    clock.now += TTL - 1
    assert [r.id for r in planner.reservations] == [reservation.id]
    clock.now += 1
    assert planner.reservations == ()


async def test_confirming_what_was_seen_before_brings_nothing_back(store: Store) -> None:
    planner = scheduler((host("h1"),), store)
    _, reservation = await planner.place(Request(instance="c1"))
    assert reservation is not None
    assert planner.seen("h1", "default", "c1")
    await planner.confirm(reservation)
    await planner.release(reservation)
    assert await planner.renew(reservation) is None
    assert planner.reservations == ()
    assert await store.list_reservations() == []


async def test_seen_reaches_the_store_at_the_latest_when_closing(store: Store) -> None:
    planner = scheduler((host("h1"),), store)
    await planner.place(Request(instance="c1"))
    planner.seen("h1", "default", "c1")
    await planner.close()
    assert await store.list_reservations() == []


async def test_the_inventory_and_the_reservation_never_count_together(store: Store) -> None:
    """As the manager wires it: the listener releases in the turn in which the row arrives."""
    inventory = Inventory()
    inventory.add_host(HostRecord(name="h1"))
    planner = Scheduler(lambda: (host("h1", instances=len(inventory.instances["h1"])),), store, clock=Clock())

    def listen(change: object) -> None:
        for key in getattr(change, "changed", ()):
            planner.seen(key.host, key.project, key.name)

    inventory.subscribe(listen)

    def deployed() -> int:
        return planner.plan(Request()).verdicts[0].instances

    await planner.place(Request(instance="c0"))
    await planner.place(Request(instance="c1"))
    assert deployed() == 2
    inventory.put("instances", Instance(host="h1", project="default", name="c1"))
    assert deployed() == 2
    inventory.replace("instances", "h1", [Instance(host="h1", project="default", name=f"c{n}") for n in range(3)])
    assert deployed() == 3


async def test_a_store_that_cannot_write_fails_the_launch_and_holds_nothing(store: Store) -> None:
    planner = scheduler(EQUAL, store)
    await store.close()
    with pytest.raises(StoreError):
        await planner.place(Request(instance="c1"))
    assert planner.reservations == ()


# -- settings


async def test_a_restart_keeps_the_strategy_and_the_reservations(tmp_path: Path) -> None:
    clock = Clock()
    first = Store(tmp_path / "db")
    await first.open()
    planner = scheduler(EQUAL, first, clock)
    await planner.load()
    assert planner.strategy is Strategy.RANDOM
    assert await planner.set_strategy("gather") is Strategy.GATHER
    _, reservation = await planner.place(Request(instance="c1", memory=GIB))
    await first.close()

    second = Store(tmp_path / "db")
    await second.open()
    again = scheduler(EQUAL, second, clock)
    await again.load()
    assert again.strategy is Strategy.GATHER
    assert again.reservations == (reservation,)
    decision = again.plan(Request())
    assert decision.strategy is Strategy.GATHER
    assert decision.chosen == (reservation.host if reservation else None)
    await second.close()


async def test_an_unknown_stored_strategy_falls_back_to_random(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    await store.set_setting(SETTING, "fastest")
    planner = scheduler(EQUAL, store)
    with caplog.at_level(logging.WARNING):
        await planner.load()
    assert planner.strategy is Strategy.RANDOM
    assert "unknown strategy 'fastest'" in caplog.text


async def test_an_unknown_or_unstorable_strategy_changes_nothing(store: Store) -> None:
    planner = scheduler(EQUAL, store)
    await planner.set_strategy(Strategy.SCATTER)
    with pytest.raises(ValueError, match="unknown strategy 'fastest'"):
        await planner.set_strategy("fastest")
    await store.close()
    with pytest.raises(StoreError):
        await planner.set_strategy("gather")
    assert planner.strategy is Strategy.SCATTER
