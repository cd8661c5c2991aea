from __future__ import annotations

from lxdpm_tui.console.trail import KEPT, Stop, Trail


def test_back_and_forward_as_in_a_browser() -> None:
    trail = Trail()
    trail.visit(Stop("hosts"))
    trail.visit(Stop("instances", "host:=h1", inner=True))
    assert trail.step(-1) == Stop("hosts")
    assert trail.step(-1) == Stop("instances")
    assert trail.step(-1) is None
    assert trail.step(1) == Stop("hosts")
    trail.visit(Stop("images"))
    assert trail.step(1) is None  # what was ahead is forgotten
    assert [stop.place for stop in trail.stops] == ["instances", "hosts", "images"]


def test_the_same_place_is_no_new_stop_and_a_filter_belongs_to_its_stop() -> None:
    trail = Trail()
    trail.visit(Stop("instances"))
    assert len(trail.stops) == 1
    trail.refine("web")
    trail.visit(Stop("hosts"))
    assert trail.step(-1) == Stop("instances", "web")


def test_crumbs_tell_the_last_few() -> None:
    trail = Trail()
    assert trail.crumbs() == ""
    trail.visit(Stop("hosts"))
    trail.visit(Stop("instances", "host:=h1"))
    assert trail.crumbs() == "instances › hosts › instances host:=h1"
    trail.visit(Stop("images"))
    trail.visit(Stop("tasks"))
    assert trail.crumbs() == "… › hosts › instances host:=h1 › images › tasks"


def test_it_does_not_grow_for_ever() -> None:
    trail = Trail()
    for number in range(2 * KEPT):
        trail.visit(Stop("instances", f"web-{number}"))
    assert len(trail.stops) == KEPT
    assert trail.here.query == f"web-{2 * KEPT - 1}"


def test_it_begins_again_wherever_it_was() -> None:
    trail = Trail()
    trail.visit(Stop("hosts"))
    trail.begin(Stop("images"))
    assert (trail.here, trail.stops, trail.step(-1)) == (Stop("images"), [Stop("images")], None)
    trail.visit(Stop("tasks"))
    assert trail.step(-1) == Stop("images")
