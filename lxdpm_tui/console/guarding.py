"""The person's own guards (guards.toml) over what the console starts: asked for once more, or refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions.registry import ActionError, Danger
from lxdpm_tui.console.files.guards import Guard, strictest

if TYPE_CHECKING:
    from lxdpm_tui.actions.plan import Plan
    from lxdpm_tui.actions.registry import Registry
    from lxdpm_tui.fleet.inventory import Instance, Inventory

Assure = Callable[[str, Guard, str], Awaitable[bool]]


async def _nobody(question: str, guard: Guard, expect: str) -> bool:
    return False


class Guarding:
    """guards: those that hold now.  assure(question, guard, expect): have the person type that; whether it was."""

    def __init__(self) -> None:
        self.guards: Callable[[], Iterable[Guard]] = tuple
        self.assure: Assure = _nobody

    async def check(self, registry: Registry, action: str, rows: Sequence[Instance], typed: str) -> None:
        """typed: what was typed for it already. Raises ActionError 403: refused, or not typed."""
        entry = registry.actions.get(action)
        guard = strictest(self.guards(), action, entry is not None and entry.danger is not Danger.NONE, rows)
        if guard is None:
            return
        if guard.ask == "never":
            raise ActionError(f"held back by {guard.words()}", 403)
        expect = rows[0].name if len(rows) == 1 else str(len(rows))
        what = f"{rows[0].name} on {rows[0].host}" if len(rows) == 1 else f"{len(rows)} instances"
        if typed != expect and not await self.assure(f"{action.capitalize()} {what}?", guard, expect):
            raise ActionError(f"not confirmed, as {guard.words()} wants", 403)


def meant(inventory: Inventory, given: Mapping[str, Any]) -> list[Instance]:
    """The instances that an action's arguments name."""
    project = str(given.get("project") or "default")
    one = given.get("name") if given.get("kind") == "instance" else given.get("instance")
    found = []
    for ref in given.get("instances") or [one or ""]:
        host, colon, name = str(ref).rpartition(":")
        rows = inventory.find_instances(project, name)
        found += [row for row in rows if not colon or row.host == host]
    return found


def planned(inventory: Inventory, plan: Plan) -> list[Instance]:
    """The instances of a plan that are left to do."""
    left = [item for item in plan.items if item.state not in ("done", "skipped")]
    rows = (inventory.find_instances(item.project, item.name) for item in left)
    return [row for item, found in zip(left, rows, strict=True) for row in found if row.host == item.host]
