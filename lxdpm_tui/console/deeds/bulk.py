"""Acts on several instances: the plan first, then its board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.actions.plan import Limits, Plan
    from lxdpm_tui.console.acts import Acts

FORCIBLE = ("stop", "restart", "delete")


async def planned(acts: Acts, act: str, rows: Sequence[Instance], **options: Any) -> Task | None:
    """Show the plan of an act; gives its task when it was begun. The marks go then."""
    from lxdpm_tui.actions.plan_make import make
    from lxdpm_tui.console.screens.plan import PlanScreen

    inventory = acts.session.inventory

    def plan(chosen: Mapping[str, Any], limits: Limits) -> Plan:
        now = [inventory.instances.get(row.host, {}).get(row.key, row) for row in rows]
        return make(inventory, act, now, {**options, **chosen}, limits)

    screen = PlanScreen(acts.session, plan, forcible=act in FORCIBLE)
    task: Task | None = await acts.screen.app.push_screen_wait(screen)
    if task is not None:
        acts.unmark()
    return task


async def board(acts: Acts) -> None:
    """The board of a bulk act, out of the table of tasks."""
    from lxdpm_tui.console.screens.plan import PlanScreen

    task = acts.row
    if "plan" in task.metadata:
        await acts.screen.app.push_screen_wait(PlanScreen(acts.session, task=task))
    else:
        acts.session.say("warn", "Only a bulk act has a board.")


def _plan(acts: Acts, rest: Sequence[str]) -> str:
    """`plan FILE`: look at a saved plan, and run it."""
    if not rest:
        return "plan FILE: which file?"
    acts.screen.run_worker(saved(acts, " ".join(rest)), group="deeds")
    return ""


WORDS = {"plan": _plan}


async def saved(acts: Acts, file: str) -> None:
    """A plan out of a file, shown before it runs."""
    from lxdpm_tui.actions.plan import read
    from lxdpm_tui.actions.plan_actions import text_of
    from lxdpm_tui.actions.registry import ActionError
    from lxdpm_tui.console.screens.plan import PlanScreen

    try:
        plan = read(text_of(file))
    except ActionError as refusal:
        acts.session.say("bad", refusal.text)
        return

    def same(chosen: Mapping[str, Any], limits: Limits) -> Plan:
        plan.limits = limits
        if not any(item.tries for item in plan.items):
            plan.arrange()
        return plan

    screen = PlanScreen(acts.session, same)
    screen.limits = plan.limits
    await acts.screen.app.push_screen_wait(screen)
