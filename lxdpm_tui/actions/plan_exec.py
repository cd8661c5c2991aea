"""One command in many instances as a plan: waves, canaries, pauses; each item keeps its output and exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions.exec import run_one, words_of
from lxdpm_tui.actions.plan import Call, Item
from lxdpm_tui.actions.plan_make import ACTS, Act, Options, path
from lxdpm_tui.actions.plan_run import VIA
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import Instance

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

KEEP = 4 << 10  # bytes kept of each stream of each instance: all of them are in the plan, which is told often


def _check(rows: Sequence[Instance], options: Options) -> None:
    words_of(str(options["run"]))
    if options["timeout"] < 0:
        raise ActionError("timeout must be 0 or more")


def _exec(row: Instance, options: Options, _: int) -> tuple[Call, ...]:
    body = {
        "command": words_of(str(options["run"])),
        "environment": dict(options["environment"]),
        "user": options["user"],
        "group": options["group"],
        "cwd": options["cwd"],
        "timeout": options["timeout"],
    }
    kept = {key: value for key, value in body.items() if value not in (None, "", {})}
    return (Call("POST", path(row, "exec"), kept, via="exec"),)


ACTS["exec"] = Act(
    "Running a command in",
    _exec,
    {"run": "", "environment": {}, "user": None, "group": None, "cwd": "", "timeout": 600},
    check=_check,
)


async def _run(manager: Manager, item: Item, call: Call) -> dict[str, Any] | None:
    body = call.body or {}
    rows = manager.inventory.find_instances(item.project, item.name)
    row = next((row for row in rows if row.host == item.host), None)
    if row is None:
        raise ActionError(f"{item.host}: Instance not found: {item.name}", 404)
    found = await run_one(
        manager,
        row,
        body["command"],
        KEEP,
        body.get("timeout", 0),
        body.get("environment", {}),
        body.get("user"),
        body.get("group"),
        body.get("cwd", ""),
    )
    item.result = found
    if found["return"] != 0:
        said = found["error"].removeprefix(f"{item.host}: ") or f"exit code {found['return']}"
        raise ActionError(f"{item.host}: {said}", 500)
    return found


VIA["exec"] = _run
