"""Operations of the one server, as tasks of ours."""

from __future__ import annotations

from typing import Any

from lxdpm_tui.tasks.task import Status
from lxdpm_tui.upstream import _bring_up, _task


def operation(code: int, second: str, plan: str) -> dict[str, Any]:
    return {
        "id": "o-1",
        "description": "Stopping instances",
        "status": "Running",
        "status_code": code,
        "created_at": "2026-11-23T10:00:00Z",
        "updated_at": f"2026-11-23T10:00:{second}Z",
        "metadata": {"plan": {"state": plan}, "hosts": {"h1": {"status": plan}}},
    }


def test_an_answer_that_events_overtook_takes_nothing_back() -> None:
    task = _task(operation(103, "05", "paused"), "default")
    _bring_up(task, operation(103, "05.250001", "running"))
    _bring_up(task, operation(103, "05.25", "paused"))
    assert (task.metadata["plan"], task.hosts) == ({"state": "running"}, {"h1": {"status": "running"}})
    _bring_up(task, operation(103, "05.250001000", "going on"))  # LXD tells of a new status at the same time
    assert task.metadata["plan"] == {"state": "going on"}
    _bring_up(task, operation(200, "05.2", "done"))
    assert (task.status, task.metadata["plan"]) == (Status.SUCCESS, {"state": "done"})
    _bring_up(task, operation(103, "09", "paused"))
    assert (task.status, task.metadata["plan"]) == (Status.SUCCESS, {"state": "done"})


def test_times_are_read_whatever_digits_they_have() -> None:
    task = _task(operation(103, "05.123456789", "running"), "default")
    assert task.told > 0
    _bring_up(task, {**operation(103, "05", "paused"), "updated_at": ""})
    assert task.metadata["plan"] == {"state": "paused"}, "without a time it is not known to be older"
