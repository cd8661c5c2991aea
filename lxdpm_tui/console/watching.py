"""What the console looks at besides the inventory: lookups, events, the fleet's own warnings, samples of load.

All of it costs something only while somebody looks, but for the events, which come anyway. No widgets.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, get_args

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.console.columns import Look
from lxdpm_tui.console.resources.warnings import FleetWarning
from lxdpm_tui.fleet.happenings import Happenings
from lxdpm_tui.fleet.inventory import HostRecord, Inventory, Key
from lxdpm_tui.fleet.lookup import Lookup, LookupKind
from lxdpm_tui.hosts.transport import HostError

PROBLEMS_EVERY = 5.0  # seconds
SAMPLES = 120
SAMPLE_EVERY = 5.0  # seconds: ten minutes of them are kept

OwnWarnings = Callable[[], Awaitable[list[dict[str, Any]]]]
"""What is wrong with the fleet as a whole, as LXD's warning objects. Raises ActionError, HostError."""
Changed = Callable[[str, frozenset[Any], frozenset[Any]], None]


class Watching:
    """Bound to a session: `changed(place, changed, removed)` as the inventory's own changes are told.

    problems: what is wrong with the fleet as a whole, by key.  loads: samples of the load per CPU of each host, and of
    the whole fleet under "".
    """

    def __init__(self, look: Look, changed: Changed) -> None:
        self._look = look
        self._changed = changed
        self._hosts: Mapping[str, Any] = {}
        self._own_warnings: OwnWarnings | None = None
        self.lookups: dict[LookupKind, Lookup] = {
            kind: Lookup(kind, lambda: self._hosts, lambda: look.inventory, changed) for kind in get_args(LookupKind)
        }
        self.happenings = Happenings(lambda new, gone: changed("events", new, gone))
        self.happenings.also_tell(self._told)
        self.problems: dict[Key, FleetWarning] = {}
        self.loads: dict[str, deque[float]] = {}
        self._undo: Callable[[], None] | None = None
        self._judging: asyncio.Task[None] | None = None
        self._sampled = 0.0

    @property
    def inventory(self) -> Inventory:
        return self._look.inventory

    def attach(self, fleet: Any, own_warnings: OwnWarnings) -> None:
        """The manager is there: hear its events, ask its hosts."""
        self._hosts = fleet.hosts
        self._own_warnings = own_warnings
        self._undo = fleet.subscribe_events(self.happenings.take)

    def detach(self) -> None:
        """The manager is going: ask and listen no more."""
        self.show("")
        if self._undo is not None:
            self._undo()
            self._undo = None
        self._hosts = {}

    def show(self, place: str) -> None:
        """Which table is looked at; "" for none. Only its things are asked for."""
        for kind, lookup in self.lookups.items():
            lookup.want(kind == place and self._undo is not None)
        wanted = place == "warnings" and self._undo is not None
        if wanted and self._judging is None:
            self._judging = asyncio.create_task(self._judge(), name="problems of the fleet")
        elif not wanted and self._judging is not None:
            self._judging.cancel()
            self._judging = None

    def tick(self) -> None:
        """Called each second."""
        for lookup in self.lookups.values():
            lookup.catch_up()

    def state(self, place: str) -> tuple[bool, list[str]]:
        """Of a table that is asked for: whether the first answers are in, and the hosts that gave none."""
        lookup = next((lookup for kind, lookup in self.lookups.items() if kind == place), None)
        return (True, []) if lookup is None else (lookup.asked, lookup.missing())

    def _told(self, host: str, action: str) -> None:
        for lookup in self.lookups.values():
            lookup.told(host, action)

    async def _judge(self) -> None:
        while True:
            await self.judge()
            await asyncio.sleep(PROBLEMS_EVERY)

    async def judge(self) -> None:
        """Ask what is wrong with the fleet as a whole; what was said last stays while nobody says it."""
        if self._own_warnings is None:
            return
        try:
            rows = [FleetWarning.of(body) for body in await self._own_warnings()]
        except (ActionError, HostError):
            return
        found = {row.key: row for row in rows}
        gone = frozenset(self.problems.keys() - found.keys())
        changed = frozenset(key for key, row in found.items() if self.problems.get(key) != row)
        # A gateway tells its own among those of its members, too: where they are shown as such they are looked at anew.
        shown = self.lookups["warnings"].rows.items()
        changed |= {key._replace(host=host) for key in found for host, own in shown if key._replace(host=host) in own}
        self.problems.clear()
        self.problems.update(found)
        if changed or gone:
            self._changed("warnings", changed, gone)

    # -- samples

    def sample(self, now: float) -> bool:
        """Note the load of all hosts, when it is time to; whether it was. now: seconds of any clock that goes on."""
        if now - self._sampled < SAMPLE_EVERY:
            return False
        self._sampled = now
        known = [(host.name, load) for host in self.inventory.hosts.values() if (load := load_of(host)) >= 0]
        for name, load in known:
            self.loads.setdefault(name, deque(maxlen=SAMPLES)).append(load)
        if known:
            mean = sum(load for _, load in known) / len(known)
            self.loads.setdefault("", deque(maxlen=SAMPLES)).append(mean)
        for name in self.loads.keys() - self.inventory.hosts.keys() - {""}:
            del self.loads[name]
        return True


def load_of(host: HostRecord) -> float:
    """Load per CPU; negative when it is not known, or known no more."""
    return host.load / host.cpus if host.usable and host.cpus and host.load >= 0 else -1.0
