from __future__ import annotations

import random

import pytest

from lxdpm_tui.fleet.fields import INSTANCES
from lxdpm_tui.fleet.inventory import ChangeSet, HostRecord, Instance, Inventory, Key
from lxdpm_tui.fleet.query import EVERYTHING, parse
from lxdpm_tui.fleet.view import InventorySource, MappingSource, View, by_name, natural


def key(name: str, host: str = "h1") -> Key:
    return Key(host, "default", name)


def instance(name: str, host: str = "h1", cpu: float = 0.0, status: str = "Running") -> Instance:
    return Instance(host=host, project="default", name=name, cpu=cpu, status=status)


class Fleet:
    """An inventory and a view that follows it."""

    def __init__(self) -> None:
        self.inventory = Inventory()
        self.view: View[Key] = View(InventorySource(self.inventory, "instances"), identity=by_name)
        self.inventory.subscribe(self._changed)
        for host in ("h1", "h2"):
            self.inventory.add_host(HostRecord(name=host))

    def _changed(self, change: ChangeSet) -> None:
        if change.kind == "instances":
            self.view.apply(change.changed, change.removed)

    @property
    def names(self) -> list[str]:
        return [key.name for key in self.view.keys]


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet()
    fleet.inventory.replace(
        "instances", "h1", [instance("web-10", cpu=5), instance("web-2", cpu=90), instance("db", cpu=50)]
    )
    fleet.inventory.replace("instances", "h2", [instance("web-1", "h2", cpu=-1)])
    fleet.view.settle()
    return fleet


def by_cpu(row: Instance) -> float | None:
    return row.cpu if row.cpu >= 0 else None


def test_names_sort_as_people_count(fleet: Fleet) -> None:
    assert fleet.names == ["db", "web-1", "web-2", "web-10"]
    assert sorted(["h10", "h9", "h"], key=natural) == ["h", "h9", "h10"]


def test_order_by_value_unknown_last_both_ways(fleet: Fleet) -> None:
    fleet.view.set_order(by_cpu)
    assert fleet.names == ["web-10", "db", "web-2", "web-1"]
    fleet.view.set_order(by_cpu, reverse=True)
    assert fleet.names == ["web-2", "db", "web-10", "web-1"]
    fleet.view.set_order(None, reverse=True)
    assert fleet.names == ["web-10", "web-2", "web-1", "db"]


def test_changes_show_after_settle_only(fleet: Fleet) -> None:
    fleet.view.set_order(by_cpu, reverse=True)
    fleet.inventory.update_figures("h1", {key("web-10"): (0, 99.0)})
    assert fleet.names[0] == "web-2"
    assert fleet.view.stale
    assert fleet.view.settle()
    assert fleet.names[0] == "web-10"
    assert not fleet.view.settle()


def test_a_change_of_another_value_leaves_the_order_alone(fleet: Fleet) -> None:
    fleet.inventory.update_figures("h1", {key("web-10"): (0, 99.0)})
    assert not fleet.view.stale


def test_hold_moves_nothing_but_takes_the_gone(fleet: Fleet) -> None:
    fleet.view.set_order(by_cpu, reverse=True)
    fleet.inventory.update_figures("h1", {key("web-10"): (0, 99.0)})
    fleet.inventory.put("instances", instance("aaa", cpu=100))
    fleet.inventory.drop("instances", key("db"))
    fleet.view.settle(hold=True)
    assert fleet.names == ["web-2", "web-10", "web-1", "aaa"]
    fleet.view.settle()
    assert fleet.names == ["aaa", "web-10", "web-2", "web-1"]


def test_filter_lets_in_and_out_as_rows_change(fleet: Fleet) -> None:
    fleet.view.set_query(parse("status:running", INSTANCES))
    assert len(fleet.view) == 4
    fleet.inventory.put("instances", instance("web-2", status="Stopped"))
    fleet.view.settle()
    assert "web-2" not in fleet.names
    assert fleet.view.total == 4
    fleet.inventory.put("instances", instance("web-2"))
    fleet.view.settle()
    assert "web-2" in fleet.names
    fleet.view.set_query(EVERYTHING)
    assert len(fleet.view) == 4


def test_a_host_that_goes_takes_its_rows(fleet: Fleet) -> None:
    fleet.inventory.remove_host("h1")
    fleet.view.settle()
    assert fleet.names == ["web-1"]
    assert fleet.view.total == 1


def test_changes_during_a_sliced_filter_are_not_lost(fleet: Fleet) -> None:
    fleet.inventory.replace("instances", "h1", [instance(f"web-{n}") for n in range(5000)])
    fleet.view.settle()
    steps = fleet.view.filter_slices(parse("web", INSTANCES))
    next(steps)
    fleet.inventory.put("instances", instance("web-late"))
    fleet.inventory.drop("instances", key("web-0"))
    for _ in steps:
        pass
    fleet.view.settle()
    assert "web-late" in fleet.names
    assert "web-0" not in fleet.names
    assert len(fleet.view) == 5001


def test_a_new_filter_ends_the_one_under_way(fleet: Fleet) -> None:
    fleet.inventory.replace("instances", "h1", [instance(f"web-{n}") for n in range(5000)])
    fleet.view.settle()
    steps = fleet.view.filter_slices(parse("nothing", INSTANCES))
    next(steps)
    fleet.view.set_query(parse("web-499", INSTANCES))
    assert list(steps) == []
    assert len(fleet.view) == 11


def test_narrowing_gives_what_filtering_anew_gives(fleet: Fleet) -> None:
    fleet.inventory.replace("instances", "h1", [instance(f"web-{n}") for n in range(300)])
    fleet.view.settle()
    for source in ("w", "web", "web-1", "web-12", "web-12 @h1", "web-1", ""):
        fleet.view.set_query(parse(source, INSTANCES))
        narrow = list(fleet.view.keys)
        fleet.view.reload()
        assert fleet.view.keys == narrow


def test_random_changes_end_where_a_fresh_view_begins(fleet: Fleet) -> None:
    dice = random.Random(7)
    fleet.view.set_order(by_cpu, reverse=True)
    fleet.view.set_query(parse("cpu>20", INSTANCES))
    for _ in range(500):
        name, host = f"web-{dice.randrange(40)}", dice.choice(["h1", "h2"])
        if dice.random() < 0.3:
            fleet.inventory.drop("instances", key(name, host))
        else:
            fleet.inventory.put("instances", instance(name, host, cpu=float(dice.randrange(100))))
        if dice.random() < 0.3:
            fleet.view.settle(hold=dice.random() < 0.5)
    fleet.view.settle()
    fresh: View[Key] = View(fleet.view.source, identity=by_name)
    fresh.set_order(by_cpu, reverse=True)
    fresh.query = fleet.view.query
    fresh.reload()
    assert fleet.view.keys == fresh.keys
    assert fleet.view.total == fresh.total


def test_any_mapping_can_be_viewed() -> None:
    rows = {"b": 2, "a": 1}
    view: View[str] = View(MappingSource(rows), identity=str)
    view.reload()
    assert view.keys == ["a", "b"]
    rows["c"] = 0
    view.set_order(lambda value: value)
    view.apply(["c"])
    view.settle()
    assert view.keys == ["c", "a", "b"]
