"""Acts on several instances: the plan first, then its board."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.actions.plan import Limits, Plan
    from lxdpm_tui.console.acts import Acts
    from lxdpm_tui.console.screens.plan import Make

FORCIBLE = ("stop", "restart", "delete")


async def planned(
    acts: Acts, act: str, rows: Sequence[Instance], begin_with: Limits | None = None, **options: Any
) -> Task | None:
    """Show the plan of an act; gives its task when it was begun. The marks go then."""
    inventory = acts.session.inventory

    def plan(chosen: Mapping[str, Any], limits: Limits) -> Plan | Awaitable[Plan]:
        now = [inventory.instances.get(row.host, {}).get(row.key, row) for row in rows]
        return acts.session.plan_over(act, now, {**options, **chosen}, limits)

    return await _shown(acts, act, plan, begin_with)


async def _shown(acts: Acts, act: str, plan: Make, limits: Limits | None) -> Task | None:
    from lxdpm_tui.console.screens.plan import PlanScreen

    screen = PlanScreen(acts.session, plan, forcible=act in FORCIBLE)
    if limits is not None:
        screen.limits = limits
    task: Task | None = await acts.screen.app.push_screen_wait(screen)
    if task is not None:
        acts.unmark()
    return task


async def asked(acts: Acts, given: Mapping[str, Any]) -> None:
    """`:bulk ACT ...` with its arguments: about the rows that a key would be about when the line names none."""
    from msgspec import to_builtins

    from lxdpm_tui.actions.plan_actions import bulk_words
    from lxdpm_tui.console.session import REFUSALS

    registry = acts.session.registry
    try:
        options, limits = bulk_words(registry.complete(registry.actions["bulk"], given))
    except REFUSALS as refusal:
        acts.session.say("bad", f"bulk: {refusal}")
        return
    if given.get("instances") or given.get("filter") or acts.screen.place != "instances":
        await _shown(
            acts,
            given["act"],
            lambda chosen, limits: acts.session.plan_of("bulk", {**given, **to_builtins(limits), **chosen}),
            limits,
        )
    elif acts.row is not None:
        await planned(acts, given["act"], [row for _, row in acts.rows], limits, **options)
    else:
        acts.session.say("bad", f"bulk: no instances to {given['act']}")


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
