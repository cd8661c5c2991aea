"""From the inventory to what is decided on."""

from __future__ import annotations

from typing import Any

import pytest

from lxdpm_tui.fleet.inventory import HostRecord, HostStatus, Instance, Inventory, Pool, Profile
from lxdpm_tui.scheduler.facts import FRESH_FOR, Facts
from lxdpm_tui.scheduler.model import HostFacts
from tests.scheduler.world import GIB, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inventory(clock: Clock) -> Inventory:
    inventory = Inventory()
    inventory.add_host(record("h1", clock))
    return inventory


def record(name: str, clock: Clock, **changes: Any) -> HostRecord:
    fields: dict[str, Any] = {
        "status": HostStatus.ONLINE,
        "event_stream": True,
        "scanned": clock.now,
        "reached": clock.now,
        "labels": {"site": "a"},
        "architectures": ("x86_64", "i686"),
        "instance_types": ("container",),
        "extensions": frozenset({"projects"}),
        "cpus": 4,
        "memory_total": 8 * GIB,
        "memory_used": 3 * GIB,
        "pools": {"default": Pool("default", "dir")},
        "networks": frozenset({"lxdbr0"}),
        "projects": ("default",),
    }
    return HostRecord(name=name, **{**fields, **changes})


def only(facts: Facts) -> HostFacts:
    [one] = facts()
    return one


def test_what_the_inventory_knows(inventory: Inventory, clock: Clock) -> None:
    inventory.replace(
        "instances",
        "h1",
        [Instance(host="h1", project="default", name=f"c{n}", memory_limit=GIB, status="Running") for n in range(2)],
    )
    inventory.update_host("h1", maintenance=True)
    assert only(Facts(inventory, clock)) == HostFacts(
        name="h1",
        online=True,
        fresh=True,
        maintenance=True,
        architectures=("x86_64", "i686"),
        instance_types=frozenset({"container"}),
        extensions=frozenset({"projects"}),
        labels={"site": "a"},
        cpus=4,
        memory_total=8 * GIB,
        memory_free=5 * GIB,
        memory_promised=2 * GIB,
        instances=2,
        pools=frozenset({"default"}),
        networks=frozenset({"lxdbr0"}),
        profiles={},
        projects=frozenset({"default"}),
    )


@pytest.mark.parametrize(
    ("change", "online", "fresh", "reason"),
    [
        ({}, True, True, ""),
        ({"status": HostStatus.CONNECTING}, False, True, ""),
        ({"status": HostStatus.UNREACHABLE, "reason": "gone", "event_stream": False}, False, False, "gone"),
        ({"status": HostStatus.UNTRUSTED, "reason": "no", "event_stream": False}, False, False, "no"),
        ({"status": HostStatus.SLOW, "reason": "answers in 1.5 s"}, True, True, "answers in 1.5 s"),
        ({"status": HostStatus.SLOW, "reason": "no answer", "overdue": True}, True, True, "slow: no answer"),
        ({"scanned": 0.0}, True, False, "not read yet"),
        ({"memory_total": 0}, True, False, "not read yet"),
        ({"event_stream": False}, True, False, ""),
    ],
)
def test_what_counts_as_known(
    inventory: Inventory, clock: Clock, change: dict[str, Any], online: bool, fresh: bool, reason: str
) -> None:
    inventory.update_host("h1", **change)
    facts = only(Facts(inventory, clock))
    assert (facts.online, facts.fresh, facts.reason) == (online, fresh, reason)
    assert facts.overdue is change.get("overdue", False)


def test_figures_grow_stale(inventory: Inventory, clock: Clock) -> None:
    facts = Facts(inventory, clock)
    clock.now += FRESH_FOR - 1
    assert only(facts).fresh
    clock.now += 1
    assert not only(facts).fresh
    inventory.update_host("h1", reached=clock.now)
    assert only(facts).fresh


def test_no_host_has_less_than_nothing(inventory: Inventory, clock: Clock) -> None:
    inventory.update_host("h1", memory_used=9 * GIB, cpus=0)
    facts = only(Facts(inventory, clock))
    assert (facts.memory_free, facts.cpus) == (0, 1)


def profile(name: str, project: str = "default", host: str = "h1", **more: Any) -> Profile:
    return Profile(host=host, project=project, name=name, **more)


def test_profiles_by_project_follow_the_inventory(inventory: Inventory, clock: Clock) -> None:
    """Those that a project borrows from default are in the inventory under its own name."""
    inventory.add_host(record("h2", clock))
    facts = Facts(inventory, clock)
    assert only_profiles(facts) == {"h1": {}, "h2": {}}
    inventory.replace("profiles", "h1", [profile("default"), profile("web"), profile("default", "p")])
    inventory.replace("profiles", "h2", [profile("default", host="h2")])
    assert only_profiles(facts) == {
        "h1": {"default": {"default", "web"}, "p": {"default"}},
        "h2": {"default": {"default"}},
    }
    kept = {one.name: one.profiles for one in facts()}
    inventory.put("profiles", profile("db", host="h2"))
    inventory.drop("profiles", profile("web").key)
    assert only_profiles(facts)["h1"] == {"default": {"default"}, "p": {"default"}}
    assert only_profiles(facts)["h2"] == {"default": {"default", "db"}}
    again = {one.name: one.profiles for one in facts()}
    inventory.update_host("h1", load=1.0)
    assert {one.name: one.profiles for one in facts()}["h1"] is again["h1"], "gathered only when they change"
    assert kept["h1"] is not again["h1"]
    inventory.remove_host("h2")
    assert set(only_profiles(facts)) == {"h1"}


def only_profiles(facts: Facts) -> dict[str, dict[str, set[str]]]:
    return {one.name: {project: set(names) for project, names in one.profiles.items()} for one in facts()}
