"""The inventory: what changes tell, and that they tell all of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lxdpm_tui.fleet.inventory import (
    ChangeSet,
    HostRecord,
    HostStatus,
    Image,
    Instance,
    Inventory,
    Key,
    Kind,
    Profile,
    Record,
)


@pytest.fixture
def inventory() -> Inventory:
    inventory = Inventory()
    inventory.add_host(HostRecord(name="h1", status=HostStatus.ONLINE))
    inventory.add_host(HostRecord(name="h2", status=HostStatus.ONLINE))
    return inventory


def listen(inventory: Inventory) -> list[ChangeSet]:
    seen: list[ChangeSet] = []
    inventory.subscribe(seen.append)
    return seen


def instance(name: str, host: str = "h1", **more: Any) -> Instance:
    return Instance(host=host, project="default", name=name, **more)


def key(name: str, host: str = "h1") -> Key:
    return Key(host, "default", name)


# -- hosts


def test_a_host_that_did_not_change_is_not_told_of(inventory: Inventory) -> None:
    seen = listen(inventory)
    inventory.update_host("h1", reason="x", load=1.0)
    inventory.update_host("h1", reason="x", load=1.0)
    inventory.update_host("nobody", reason="x")
    assert seen == [ChangeSet("hosts", "h1", frozenset({Key("h1", "", "")}))]


def test_a_field_that_is_none_is_our_mistake(inventory: Inventory) -> None:
    with pytest.raises(AttributeError):
        inventory.update_host("h1", colour="red")


def test_removing_a_host_takes_its_rows_along(inventory: Inventory) -> None:
    inventory.put("instances", instance("c1"))
    inventory.put("images", Image(host="h1", project="default", fingerprint="f"))
    inventory.put("profiles", Profile(host="h1", project="default", name="web"))
    inventory.put("instances", instance("c1", "h2"))
    seen = listen(inventory)
    inventory.remove_host("h1")
    assert [(change.kind, change.host, change.removed) for change in seen] == [
        ("instances", "h1", frozenset({key("c1")})),
        ("images", "h1", frozenset({key("f")})),
        ("profiles", "h1", frozenset({key("web")})),
        ("hosts", "h1", frozenset({Key("h1", "", "")})),
    ]
    assert [row.host for row in inventory.all_instances()] == ["h2"]
    seen.clear()
    inventory.remove_host("h1")
    inventory.put("instances", instance("late"))
    inventory.replace("images", "h1", [])
    inventory.drop("profiles", key("web"))
    assert seen == []
    assert list(inventory.instances) == ["h2"]


def test_what_is_stale(inventory: Inventory) -> None:
    assert not inventory.is_stale("h1")
    inventory.update_host("h1", status=HostStatus.SLOW)
    assert not inventory.is_stale("h1")
    for status in (HostStatus.UNREACHABLE, HostStatus.UNTRUSTED, HostStatus.IDENTITY_CHANGED, HostStatus.CONNECTING):
        inventory.update_host("h1", status=status)
        assert inventory.is_stale("h1")
    assert inventory.is_stale("nobody")


# -- rows


def test_only_what_really_changed_is_told(inventory: Inventory) -> None:
    inventory.replace("instances", "h1", [instance("a", seen=1.0), instance("b", seen=1.0)])
    seen = listen(inventory)
    inventory.replace("instances", "h1", [instance("b", seen=2.0, status="Running"), instance("a", seen=2.0)])
    assert seen[0] == ChangeSet("instances", "h1", frozenset({key("b")}))
    assert inventory.instances["h1"][key("a")].seen == 2.0, "it was looked at"
    seen.clear()
    inventory.put("instances", instance("a", seen=3.0))
    assert seen == []
    assert inventory.instances["h1"][key("a")].seen == 3.0
    inventory.drop("instances", key("a"))
    inventory.drop("instances", key("a"))
    assert [change.removed for change in seen if change.kind == "instances"] == [frozenset({key("a")})]


def test_a_hosts_counters_follow_its_rows(inventory: Inventory) -> None:
    record = inventory.hosts["h1"]
    inventory.replace(
        "instances", "h1", [instance("a", status="Running", memory_limit=5), instance("b", memory_limit=7)]
    )
    assert (record.instances, record.running, record.memory_promised) == (2, 1, 12)
    inventory.put("instances", instance("b", status="Running", memory_limit=1))
    assert (record.instances, record.running, record.memory_promised) == (2, 2, 6)
    inventory.drop("instances", key("a"))
    assert (record.instances, record.running, record.memory_promised) == (1, 1, 1)
    assert inventory.hosts["h2"].instances == 0


def test_live_figures_stay_as_long_as_it_runs(inventory: Inventory) -> None:
    def read(status: str = "Running", used: str = "t1", **more: Any) -> Instance:
        inventory.put("instances", instance("a", status=status, last_used_at=used, **more))
        return inventory.instances["h1"][key("a")]

    read()
    inventory.update_figures("h1", {key("a"): (100, 1.5), key("gone"): (1, 1.0)})
    inventory.update_addresses(key("a"), ("10.0.0.1",))
    row = read(description="edited")
    assert (row.memory, row.cpu, row.addresses) == (100, 1.5, ("10.0.0.1",))
    row = read(memory=7, addresses=("10.0.0.2",))
    assert (row.memory, row.addresses) == (7, ("10.0.0.2",)), "what it says itself wins"
    row = read(used="t2")
    assert (row.memory, row.cpu, row.addresses) == (-1, -1.0, ()), "restarted: another lease, another process"
    inventory.update_addresses(key("a"), ("10.0.0.3",))
    assert read("Stopped").addresses == ()
    assert read().addresses == ()


def test_figures_that_stay_the_same_are_not_told(inventory: Inventory) -> None:
    inventory.replace("instances", "h1", [instance("a"), instance("b")])
    seen = listen(inventory)
    inventory.update_figures("h1", {key("a"): (1, 1.0), key("b"): (-1, -1.0)})
    inventory.update_figures("h1", {key("a"): (1, 1.0)})
    inventory.update_figures("nobody", {key("a", "nobody"): (1, 1.0)})
    inventory.update_addresses(key("a"), ("10.0.0.1",))
    inventory.update_addresses(key("a"), ("10.0.0.1",))
    inventory.update_addresses(key("none"), ("10.0.0.1",))
    of_figures = ChangeSet("instances", "h1", frozenset({key("a")}), figures=True)
    assert seen == [of_figures, ChangeSet("instances", "h1", frozenset({key("a")}))]


def test_a_row_read_again_without_a_change_stays_the_same_record(inventory: Inventory) -> None:
    inventory.replace("instances", "h1", [instance("a", seen=1.0), instance("b", seen=1.0)])
    rows = inventory.instances["h1"]
    kept = rows[key("a")]
    inventory.replace("instances", "h1", [instance("a", seen=2.0), instance("b", seen=2.0, status="Running")])
    inventory.put("instances", instance("a", seen=3.0))
    assert inventory.instances["h1"][key("a")] is kept
    assert kept.seen == 3.0
    assert inventory.instances["h1"][key("b")] is not rows[key("b")]


def test_twins_are_found(inventory: Inventory) -> None:
    inventory.put("instances", instance("a"))
    inventory.put("instances", instance("a", "h2"))
    inventory.put("instances", instance("b", "h2"))
    assert [row.host for row in inventory.find_instances("default", "a")] == ["h1", "h2"]
    assert [row.host for row in inventory.find_instances("default", "b")] == ["h2"]
    assert inventory.find_instances("other", "a") == []


def test_nobody_listens_any_more(inventory: Inventory) -> None:
    seen: list[ChangeSet] = []

    def once(change: ChangeSet) -> None:
        seen.append(change)
        undo()

    undo = inventory.subscribe(once)
    later = listen(inventory)
    inventory.put("instances", instance("a"))
    assert [change.kind for change in seen] == ["instances"]
    assert [change.kind for change in later] == ["instances", "hosts"], "it is not left out when another goes"


# -- whatever happens, the changes tell it all

KINDS: list[Kind] = ["instances", "images", "profiles"]
NAMES = ["a", "b", "c"]
HOSTS = ["h1", "h2"]
NAME, HOST, KIND, TEXT = map(st.sampled_from, (NAMES, HOSTS, KINDS, ["", "x", "xy"]))
STEP = st.one_of(
    st.tuples(st.just("replace"), KIND, HOST, st.dictionaries(NAME, TEXT)),
    st.tuples(st.just("put"), KIND, HOST, st.tuples(NAME, TEXT)),
    st.tuples(st.just("drop"), KIND, HOST, NAME),
    st.tuples(st.just("figures"), st.just("instances"), HOST, st.tuples(NAME, st.integers(-1, 2))),
)


def row(kind: Kind, host: str, name: str, text: str) -> Record:
    if kind == "instances":
        return instance(name, host, description=text, status="Running" if text else "Stopped", memory_limit=len(text))
    if kind == "images":
        return Image(host=host, project="default", fingerprint=name, description=text)
    return Profile(host=host, project="default", name=name, description=text)


@given(st.lists(STEP, max_size=30))
def test_a_copy_that_follows_the_changes_stays_the_same(steps: list[tuple[str, Kind, str, Any]]) -> None:
    inventory = Inventory()
    for host in HOSTS:
        inventory.add_host(HostRecord(name=host))
    copy: dict[tuple[Kind, Key], Any] = {}

    def fields(record: Record) -> tuple[Any, ...]:
        return tuple(getattr(record, name) for name in ("description", "memory", "cpu") if hasattr(record, name))

    def follow(change: ChangeSet) -> None:
        assert change.changed or change.removed
        if change.kind == "hosts":
            return
        table: dict[str, dict[Key, Record]] = getattr(inventory, change.kind)
        for each in change.removed:
            assert each not in table[change.host]
            del copy[change.kind, each]
        for each in change.changed:
            now = fields(table[change.host][each])
            assert copy.get((change.kind, each)) != now
            copy[change.kind, each] = now

    inventory.subscribe(follow)
    for step, kind, host, value in steps:
        if step == "replace":
            inventory.replace(kind, host, [row(kind, host, name, text) for name, text in value.items()])
        elif step == "put":
            inventory.put(kind, row(kind, host, *value))
        elif step == "drop":
            inventory.drop(kind, key(value, host))
        else:
            name, figure = value
            inventory.update_figures(host, {key(name, host): (figure, float(figure))})
    real = {
        (kind, each): fields(record)
        for kind in KINDS
        for rows in getattr(inventory, kind).values()
        for each, record in rows.items()
    }
    assert copy == real
    for host in HOSTS:
        rows = inventory.instances[host].values()
        record = inventory.hosts[host]
        assert record.instances == len(rows)
        assert record.running == sum(r.status == "Running" for r in rows)
        assert record.memory_promised == sum(r.memory_limit for r in rows)
