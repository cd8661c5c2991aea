"""The change of state of all instances of a project, as LXD has it: a plan that is run to its end, whatever fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions import plan_run
from lxdpm_tui.actions.plan import Item, Limits, State
from lxdpm_tui.actions.plan_make import make
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.actions.resolve import read_kind_again
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

STATES = ("start", "stop", "restart", "freeze", "unfreeze")
FAILED = "The following instances failed to update state:"


def unattended() -> Limits:
    """One wave, and nobody to be asked."""
    return Limits(wave=0, on_error="continue")


async def set_state(manager: Manager, state: Mapping[str, Any], project: str, *, all_projects: bool = False) -> Task:
    """LXD's bulk change for all instances of a project, those that it concerns. Hosts that are down fail their own.

    state: LXD's {"action", "timeout", "force", "stateful"}. Raises ActionError for an unknown action.
    """
    action = str(state.get("action"))
    if action not in STATES:
        raise ActionError(f"Unknown action {state.get('action')!r}")
    await read_kind_again(manager, "instances", manager.fleet.usable())  # whether one runs decides
    rows = [row for row in manager.inventory.all_instances() if all_projects or row.project == project]
    options: dict[str, Any] = {}
    if action in ("stop", "restart"):
        timeout = state.get("timeout")
        options = {"force": bool(state.get("force")), "timeout": timeout if isinstance(timeout, int) else 30}
    if not rows:
        return await _nothing(manager, project, [])
    plan = make(manager.inventory, action, rows, options, unattended())
    for item, row in zip(plan.items, rows, strict=True):
        if manager.inventory.hosts[row.host].usable and not _concerns(action, row):
            item.state = State.DONE
    if not plan.of(State.WAITING):
        return await _nothing(manager, project, plan.items)
    return await plan_run.start(manager, plan, kind="instances-state", lenient=True, explain=_explain)


async def _nothing(manager: Manager, project: str, items: Sequence[Item]) -> Task:
    async def run(task: Task, _: object) -> None:
        """All are as they should be."""

    resources = {"instances": [plan_run.url_of(item) for item in items]}
    task = Task("instances-state", "Updating instances", project, resources, owner=manager.caller)
    return await manager.tasks.start(task, run)


def _explain(failed: Sequence[Item], total: int) -> ActionError:
    """As LXD says it."""
    return ActionError("\n".join([FAILED, *(f" - Instance: {item.name}: {item.error}" for item in failed)]), 500)


def _concerns(action: str, row: Instance) -> bool:
    if action == "unfreeze":
        return row.status == "Frozen"
    if action == "start":
        return row.status == "Stopped"  # one that is frozen stays so
    return row.status == "Running" or (row.status == "Frozen" and action != "freeze")
