"""The fleet's own warnings: hosts that are down, twin names, profiles and pools that differ between hosts.

They are read off the inventory when somebody asks. What was acknowledged or deleted is kept in the store for as long
as the warning says the same; why a host is down may change meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from typing import Any

from lxdpm_tui.fleet.inventory import Inventory
from lxdpm_tui.fleet.problems import Problem, problem_steps
from lxdpm_tui.store import Store
from lxdpm_tui.tasks.task import text_of

SETTING = "gateway.warnings"
ACKNOWLEDGED, NEW, DELETED = "acknowledged", "new", "deleted"


@dataclass(slots=True)
class _Known:
    """message: what it said when its status was set, or the problem's kind."""

    message: str
    status: str
    first: float


class OwnWarnings:
    """All methods may raise StoreError."""

    def __init__(self, inventory: Inventory, store: Store) -> None:
        self._inventory = inventory
        self._store = store
        self._known: dict[str, _Known] | None = None
        self._turn = asyncio.Lock()  # who looks breathes between the rows of two hosts

    async def all(self) -> list[dict[str, Any]]:
        """LXD's warning objects."""
        async with self._turn:
            known, now = await self._load(), time.time()
            found = await self._look()
            changed = False
            for id in [id for id in known if id not in found]:
                del known[id]
                changed = True
            for id, problem in found.items():
                says = problem.kind or problem.message
                if id not in known or known[id].message != says:
                    first = known[id].first if id in known else problem.since or now
                    known[id] = _Known(says, NEW, first)
                    changed = True
            if changed:
                await self._save(known)
            return [_shown(problem, known[id], now) for id, problem in found.items() if known[id].status != DELETED]

    async def _look(self) -> dict[str, Problem]:
        found: dict[str, Problem] = {}
        for problem in problem_steps(self._inventory):
            if problem is None:
                await asyncio.sleep(0)
            else:
                found[problem.uuid] = problem
        return found

    async def get(self, id: str) -> dict[str, Any] | None:
        return next((row for row in await self.all() if row["uuid"] == id), None)

    async def set_status(self, id: str, status: str) -> None:
        """Raises KeyError for an unknown one."""
        async with self._turn:
            known = await self._load()
            known[id].status = status
            await self._save(known)

    async def _load(self) -> dict[str, _Known]:
        if self._known is None:
            stored = json.loads(await self._store.get_setting(SETTING) or "{}")
            self._known = {id: _Known(**row) for id, row in stored.items()}
        return self._known

    async def _save(self, known: dict[str, _Known]) -> None:
        await self._store.set_setting(SETTING, json.dumps({id: asdict(row) for id, row in known.items()}))


def _shown(problem: Problem, known: _Known, now: float) -> dict[str, Any]:
    return {
        "uuid": problem.uuid,
        "location": problem.location,
        "project": problem.project,
        "type": problem.type,
        "count": 1,
        "first_seen_at": text_of(known.first),
        "last_seen_at": text_of(now),
        "last_message": problem.message,
        "severity": problem.severity,
        "entity_url": problem.entity,
        "status": known.status,
    }
