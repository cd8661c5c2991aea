from __future__ import annotations

from lxdpm_tui.console.activity import Activity, instances_of
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.tasks.task import Status, Task


def stop(**more: object) -> Task:
    return Task(kind="stop", description="Stopping", resources={"instances": ["/1.0/instances/web-1"]}, **more)  # type: ignore[arg-type]


def test_instances_are_read_from_resources() -> None:
    task = Task(
        kind="stop",
        description="",
        project="p",
        resources={"instances": ["/1.0/instances/a%20b"], "containers": ["/1.0/containers/c?project=q"]},
    )
    assert instances_of(task) == [("p", "a b"), ("q", "c")]


def test_a_row_says_what_is_done_to_it_until_it_is_done() -> None:
    activity = Activity()
    task = stop()
    assert activity.follow(task) == {("default", "web-1")}
    assert activity.of(Key("h1", "default", "web-1")) == "Stopping…"
    assert activity.of(Key("h1", "other", "web-1")) == ""
    assert activity.follow(task) == frozenset()
    task.finish(Status.SUCCESS)
    assert activity.follow(task) == {("default", "web-1")}
    assert activity.of(Key("h1", "default", "web-1")) == ""


def test_twins_are_told_apart_by_host() -> None:
    activity = Activity()
    activity.follow(stop(hosts={"h1:web-1": {}}))
    assert activity.of(Key("h1", "default", "web-1")) == "Stopping…"
    assert activity.of(Key("h2", "default", "web-1")) == ""
    activity.follow(stop(hosts={"h2": {}}))
    assert activity.of(Key("h2", "default", "web-1")) == "Stopping…"
