from __future__ import annotations

import random
import weakref

import pytest

from lxdpm_tui.fleet import view as view_module
from lxdpm_tui.fleet.fields import INSTANCES
from lxdpm_tui.fleet.inventory import ChangeSet, HostRecord, Instance, Inventory, Key
from lxdpm_tui.fleet.query import EVERYTHING, parse
from lxdpm_tui.fleet.view import InventorySource, MappingSource, View, by_name, natural, record_name


def key(name: str, host: str = "h1") -> Key:
    return Key(host, "default", name)


def instance(name: str, host: str = "h1", cpu: float = 0.0, status: str = "Running") -> Instance:
    return Instance(host=host, project="default", name=name, cpu=cpu, status=status)


class Fleet:
    """An inventory and a view that follows it."""

    def __init__(self) -> None:
        self.inventory = Inventory()
        self.view: View[Key] = View(
            InventorySource(self.inventory, "instances"), identity=by_name, text=INSTANCES.small
        )
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


def test_changes_during_a_sliced_filter_are_not_lost(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "SLICE", 1000)
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


def test_a_new_filter_ends_the_one_under_way(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "SLICE", 1000)
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


# -- many rows, in slices


def many(fleet: Fleet, count: int = 20_000) -> None:
    dice = random.Random(3)
    for host in ("h1", "h2"):
        rows = [
            instance(f"web-{n}", host, cpu=dice.choice([-1.0, float(dice.randrange(100))])) for n in range(count // 2)
        ]
        fleet.inventory.replace("instances", host, rows)
    fleet.view.settle()


def fresh(view: View[Key]) -> list[Key]:
    """What a view made anew shows."""
    other: View[Key] = View(view.source, identity=by_name)
    other.set_order(view._sort, reverse=view.reverse)
    other.query = view.query
    other.reload()
    return other.keys


@pytest.mark.parametrize("reverse", [False, True])
def test_ordering_in_slices_gives_what_ordering_at_once_gives(fleet: Fleet, reverse: bool) -> None:
    many(fleet)
    fleet.view.set_order(by_cpu, reverse=reverse)
    assert fleet.view.many
    assert fleet.view.stale, "so many are not ordered at once"
    assert sum(1 for _ in fleet.view.arrange()) > 5
    assert not fleet.view.stale
    assert fleet.view.keys == fresh(fleet.view)


def test_an_order_given_up_halfway_is_still_due(fleet: Fleet) -> None:
    many(fleet)
    before = list(fleet.view.keys)
    fleet.view.set_order(by_cpu)
    steps = fleet.view.arrange()
    for _ in range(3):
        next(steps)
    steps.close()
    assert fleet.view.keys == before
    assert fleet.view.stale
    fleet.view.settle()
    assert fleet.view.keys == fresh(fleet.view)


def test_rows_that_come_and_go_between_slices_end_in_place(fleet: Fleet) -> None:
    many(fleet)
    fleet.view.set_order(by_cpu, reverse=True)
    for number, _ in enumerate(fleet.view.arrange()):
        fleet.inventory.put("instances", instance(f"new-{number}", cpu=50.0))
        fleet.inventory.drop("instances", key(f"web-{number}"))
    fleet.view.settle()
    assert fleet.view.keys == fresh(fleet.view)
    for number, _ in enumerate(fleet.view.filter_slices(parse("web cpu>10", INSTANCES))):
        fleet.inventory.put("instances", instance(f"web-late-{number}", cpu=99.5))
        fleet.inventory.drop("instances", key(f"web-{1000 + number}", "h2"))
        fleet.view.settle()
    fleet.view.settle()
    assert fleet.view.keys == fresh(fleet.view)
    assert fleet.view.total == len(list(fleet.view.source.items()))


def test_a_filter_given_up_halfway_leaves_the_next_one_whole(fleet: Fleet) -> None:
    many(fleet)
    next(fleet.view.filter_slices(parse("web-1", INSTANCES)))
    fleet.view.set_query(parse("web-1 cpu>50", INSTANCES))
    assert fleet.view.keys == fresh(fleet.view)
    next(fleet.view.filter_slices(parse("web-11", INSTANCES)))
    fleet.view.set_query(EVERYTHING)
    assert len(fleet.view) == 20_000


def test_words_are_found_in_rows_read_again(fleet: Fleet) -> None:
    """The texts that plain words are looked for in are kept; a row that changed has another one."""
    fleet.view.set_query(parse("frozen", INSTANCES))
    assert fleet.names == []
    fleet.inventory.put("instances", instance("web-2", status="Frozen"))
    fleet.inventory.update_addresses(key("db"), ("10.9.8.7",))
    fleet.view.settle()
    assert fleet.names == ["web-2"]
    fleet.view.set_query(parse("10.9.8", INSTANCES))
    assert fleet.names == ["db"]


def test_figures_cost_nothing_where_they_change_nothing(fleet: Fleet) -> None:
    asked = 0
    source = fleet.view.source

    class Counting:
        def get(self, key: Key) -> object:
            nonlocal asked
            asked += 1
            return source.get(key)

        def items(self) -> object:
            return source.items()

    fleet.view.source = Counting()  # type: ignore[assignment]
    fleet.inventory.subscribe(lambda change: fleet.view.apply(change.changed, figures=change.figures))
    fleet.inventory._listeners.pop(0)
    fleet.inventory.update_figures("h1", {key("web-2"): (1, 1.0)})
    assert asked == 0
    fleet.view.set_query(parse("cpu>80", INSTANCES))
    fleet.inventory.update_figures("h1", {key("web-2"): (1, 99.0)})
    fleet.view.settle()
    assert asked == 1
    assert fleet.names == ["web-2"]


def test_a_column_of_names_is_the_order_by_name() -> None:
    view: View[str] = View(MappingSource({"b": 1, "a": 2}), identity=str)
    view.set_order(record_name)
    assert view._sort is record_name, "only rows that are by_name already need no sort"
    inventory = Inventory()
    named: View[Key] = View(InventorySource(inventory, "instances"), identity=by_name)
    named.set_order(record_name, reverse=True)
    assert named._sort is None


def test_a_costly_source_is_asked_when_somebody_wants_to_know() -> None:
    class Costly(MappingSource[str]):
        costly = True
        asked = 0

        def get(self, key: str) -> int | None:
            self.asked += 1
            return self.rows.get(key)

    rows = {"a": 1}
    source = Costly(rows)
    view: View[str] = View(source, identity=str)
    view.reload()
    for _ in range(50):
        rows["b"] = 2
        view.apply(["b"])
    assert (source.asked, view.stale) == (0, True)
    assert view.total == 2
    assert source.asked == 1
    view.settle()
    assert view.keys == ["a", "b"]


def test_the_first_rows_found_are_known_before_the_last(fleet: Fleet) -> None:
    many(fleet)
    seen: list[list[Key]] = []
    for _ in fleet.view.filter_slices(parse("web-1", INSTANCES)):
        seen.append(fleet.view.preview())
    assert len(seen[0]) > 100
    for keys in seen[:-1]:
        assert keys == fleet.view.keys[: len(keys)]
    assert fleet.view.preview() == []
    fleet.view.set_order(by_cpu)
    for _ in fleet.view.arrange():
        pass
    assert all(fleet.view.preview() == [] for _ in fleet.view.filter_slices(parse("web-2", INSTANCES)))


class Passing:
    """A record that can be seen to go."""

    number = 0


def test_what_went_while_nobody_looked_is_not_kept() -> None:
    """As the events do behind another table: nothing settles there."""
    rows: dict[int, Passing] = {}
    view: View[int] = View(MappingSource(rows), identity=lambda number: -number)
    alive: weakref.WeakSet[Passing] = weakref.WeakSet()
    for number in range(5000):
        rows[number] = Passing()
        alive.add(rows[number])
        gone = [number - 50] if number >= 50 else []
        for old in gone:
            del rows[old]
        view.apply([number], gone)
    assert len(alive) < 250
    view.settle()
    assert view.keys == list(range(4999, 4949, -1))


def test_a_row_that_passes_the_filter_now_and_then_is_there_once(fleet: Fleet) -> None:
    fleet.view.set_query(parse("status:stopped", INSTANCES))
    for _ in range(500):
        for status in ("Running", "Stopped"):
            fleet.inventory.put("instances", instance("db", status=status))
    assert fleet.view.settle()
    assert fleet.names == ["db"]
