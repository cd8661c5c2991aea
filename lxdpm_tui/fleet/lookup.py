"""Things that the inventory does not keep: asked of the hosts only while somebody looks at them.

Networks, storage pools and volumes, projects and the daemons' own warnings change rarely; a fleet of a thousand hosts
has many of them. So they are read when their table is opened, again when a host tells of a change, and else at a slow
pace. A host that is silent costs its own rows only: what it last said stays.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, Protocol
from urllib.parse import quote

import msgspec

from lxdpm_tui.fleet.inventory import HostRecord, Inventory, Key
from lxdpm_tui.hosts.limit import limit
from lxdpm_tui.hosts.transport import ApiError, HostError

LookupKind = Literal["networks", "storage", "projects", "warnings"]

DEADLINE = 5.0  # seconds that one host has for one kind
EVERY = 30.0  # seconds between two rounds while somebody looks
SOON = 0.3  # seconds that changes told by events are gathered before they are read
AGAIN = 1.0  # seconds until a host is asked again that did not answer after an event
AT_ONCE = 32  # hosts asked at one time


class Thing(msgspec.Struct, kw_only=True):
    """One object of a host. body: its decoded JSON.  seen: when it was read, seconds since the epoch."""

    host: str
    project: str
    name: str
    body: Mapping[str, Any] = {}
    seen: float = 0.0

    @property
    def key(self) -> Key:
        return Key(self.host, self.project, self.name)

    def text(self, field: str) -> str:
        """A field as text; "" when it is not there."""
        return str(self.body.get(field) or "")

    @property
    def config(self) -> Mapping[str, str]:
        found = self.body.get("config")
        return found if isinstance(found, Mapping) else {}

    @property
    def used_by(self) -> list[str]:
        """URLs of what uses it."""
        return [str(url) for url in self.body.get("used_by") or ()]


class Asked(Protocol):
    """What is needed of a host."""

    async def get(self, path: str, **params: Any) -> Any: ...


Read = Callable[[Asked, HostRecord], Awaitable[Iterable[tuple[str, str, Mapping[str, Any]]]]]


async def _networks(host: Asked, record: HostRecord) -> list[tuple[str, str, Mapping[str, Any]]]:
    everywhere = "true" if "networks_all_projects" in record.extensions else None
    found = await host.get("/1.0/networks", recursion=1, **{"all-projects": everywhere})
    return [(str(body.get("project") or "default"), str(body["name"]), body) for body in found or ()]


async def _storage(host: Asked, record: HostRecord) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Pools, named POOL, and their custom volumes, named POOL/VOLUME."""
    found: list[tuple[str, str, Mapping[str, Any]]] = []
    everywhere = "true" if "storage_volumes_all_projects" in record.extensions else None
    for pool in await host.get("/1.0/storage-pools", recursion=1) or ():
        known = record.pools.get(str(pool["name"]))
        room = {"total": known.total, "used": known.used} if known else {}
        found.append(("", str(pool["name"]), {**pool, **room, "pool": pool["name"]}))
        path = f"/1.0/storage-pools/{quote(str(pool['name']), safe='')}/volumes/custom"
        for volume in await host.get(path, recursion=1, **{"all-projects": everywhere}) or ():
            if "/" in str(volume["name"]):  # a snapshot of a volume
                continue
            name = f"{pool['name']}/{volume['name']}"
            found.append((str(volume.get("project") or "default"), name, {**volume, "pool": pool["name"]}))
    return found


async def _projects(host: Asked, record: HostRecord) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [("", str(body["name"]), body) for body in await host.get("/1.0/projects", recursion=1) or ()]


async def _warnings(host: Asked, record: HostRecord) -> list[tuple[str, str, Mapping[str, Any]]]:
    found = await host.get("/1.0/warnings", recursion=1)
    return [(str(body.get("project") or ""), str(body["uuid"]), body) for body in found or ()]


READS: Mapping[LookupKind, Read] = {
    "networks": _networks,
    "storage": _storage,
    "projects": _projects,
    "warnings": _warnings,
}
EVENTS: Mapping[LookupKind, str] = {
    "networks": "network-",
    "storage": "storage-",
    "projects": "project-",
    "warnings": "warning-",
}
"""How the lifecycle events begin that tell of changes."""

Changed = Callable[[LookupKind, frozenset[Key], frozenset[Key]], None]


class Lookup:
    """One kind of things of all hosts. `want(True)` begins to read, `want(False)` ends it; the rows stay.

    rows: by host, then by key.  failed: hosts that did not answer, and why.  asked: whether a round ended.
    changed(kind, changed, removed): called when rows changed.
    """

    def __init__(
        self,
        kind: LookupKind,
        hosts: Callable[[], Mapping[str, Asked]],
        inventory: Callable[[], Inventory],
        changed: Changed,
    ) -> None:
        self.kind: LookupKind = kind
        self.rows: dict[str, dict[Key, Thing]] = {}
        self.failed: dict[str, str] = {}
        self.asked = False
        self._hosts = hosts
        self._inventory = inventory
        self._changed = changed
        self._working: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._due: set[str] = set()
        self._late: set[str] = set()  # hosts that did not answer in time
        self._gate = asyncio.Semaphore(AT_ONCE)

    def want(self, wanted: bool) -> None:
        """Whether somebody looks."""
        if wanted and self._working is None:
            self._working = asyncio.create_task(self._work(), name=f"look up {self.kind}")
        elif not wanted and self._working is not None:
            self._working.cancel()
            self._working = None

    def told(self, host: str, action: str) -> None:
        """A lifecycle event came: read that host again soon when it is about things of this kind."""
        if self._working is not None and action.startswith(EVENTS[self.kind]):
            self._due.add(host)
            self._wake.set()

    def catch_up(self) -> None:
        """Read the hosts that were not there before and can be asked now."""
        if self._working is None or not self.asked:
            return
        inventory = self._inventory()
        late = {name for name in self._hosts() if name not in self.rows and name not in self.failed}
        late = {name for name in late if not inventory.is_stale(name)}
        if late - self._due:
            self._due |= late
            self._wake.set()

    def missing(self) -> list[str]:
        """Hosts of which nothing was ever heard, and those that did not answer last."""
        return [name for name in self._hosts() if name not in self.rows or name in self.failed] if self.asked else []

    async def refresh(self, hosts: Iterable[str] | None = None) -> None:
        """Ask hosts (default: all that can be asked) at once; each answer is there as soon as it came."""
        inventory = self._inventory()
        names = [name for name in (self._hosts() if hosts is None else hosts) if not inventory.is_stale(name)]
        await asyncio.gather(*(self._ask(name) for name in names))
        gone = [name for name in self.rows if name not in inventory.hosts]
        for name in gone:
            self._put(name, {})
            del self.rows[name]
        if not self.asked:
            self.asked = True
            self._changed(self.kind, frozenset(), frozenset())

    async def _work(self) -> None:
        while True:
            await self.refresh(None)
            until = asyncio.get_running_loop().time() + EVERY
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    while True:
                        await self._wake.wait()
                        await asyncio.sleep(SOON)
                        self._wake.clear()
                        due, self._due = self._due, set()
                        await self.refresh(due)
                        if late := due & self._late:  # what the event told of is not known yet
                            self._due |= late
                            asyncio.get_running_loop().call_later(AGAIN, self._wake.set)

    async def _ask(self, name: str) -> None:
        self._late.discard(name)
        host, record = self._hosts().get(name), self._inventory().hosts.get(name)
        if host is None or record is None:
            return
        try:
            async with self._gate, limit(DEADLINE):
                found = await READS[self.kind](host, record)
        except TimeoutError:
            self.failed[name] = f"no answer within {DEADLINE:g} s"
            self._late.add(name)
            return
        except (HostError, ApiError) as error:
            self.failed[name] = str(error)
            return
        self.failed.pop(name, None)
        things = [Thing(host=name, project=project, name=id, body=body, seen=record.reached)
                  for project, id, body in found]  # fmt: skip
        self._put(name, {thing.key: thing for thing in things})

    def _put(self, host: str, new: dict[Key, Thing]) -> None:
        old = self.rows.get(host, {})
        changed = frozenset(key for key, row in new.items() if key not in old or old[key].body != row.body)
        removed = frozenset(old.keys() - new.keys())
        self.rows[host] = new
        if changed or removed:
            self._changed(self.kind, changed, removed)
