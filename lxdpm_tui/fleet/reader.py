"""Reads one host into the inventory: what is asked for, and in which order. When to read is watch.py's business.

What it costs a daemon in CPU (benchmarks/live_figures.py, LXD 5.0.2): GET /1.0 0.5 ms; instances?recursion=1 0.5 ms an
instance; of each *running* instance /state 12 ms, recursion=2 6 ms, /1.0/metrics 4.5 ms. Recursion=2 is asked once a
session at most. Live figures come from /1.0/metrics: the daemon keeps an answer for 8 s, so that all who look share it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Literal
from urllib.parse import quote, unquote

from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.decode import Raw
from lxdpm_tui.fleet.inventory import HostRecord, Image, Inventory, Key, Pool, Profile
from lxdpm_tui.fleet.live import AT_ONCE, CpuShares
from lxdpm_tui.fleet.pace import pace
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, Deadlines

AT_A_TIME = 150  # rows decoded without a pause
SCAN = Deadlines(connect=5.0, first_byte=30.0, idle=30.0)


class Reader:
    """Every method raises the HostError family and ApiError. instances_read: set after each read of instances."""

    def __init__(self, host: Host, inventory: Inventory) -> None:
        self.host = host
        self.name = host.name
        self.instances_read = asyncio.Event()
        self._inventory = inventory
        self._lock = asyncio.Lock()
        self._turns = 0
        self._shares = CpuShares()
        self._borrowers: dict[str, list[str]] = {"images": [], "profiles": []}
        # In the order in which they are to be read: which projects there are decides what is asked for then.
        self._readers: dict[str, Callable[[], Awaitable[None]]] = {
            "projects": self._read_projects,
            "profiles": self._read_profiles,
            "instances": self._read_instances,
            "images": self._read_images,
            "networks": self._read_networks,
            "pools": self._read_pools,
        }

    @property
    def busy(self) -> bool:
        """Whether somebody reads, or waits for a turn."""
        return self._turns > 0

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One read after the other: an answer that was made earlier never comes in after a later one."""
        self._turns += 1
        try:
            async with self._lock:
                yield
        finally:
            self._turns -= 1

    @property
    def kinds(self) -> tuple[str, ...]:
        """All that can be read."""
        return tuple(self._readers)

    async def scan(self) -> None:
        """Read everything."""
        async with self.turn():
            for read in self._readers.values():
                await read()

    async def read(self, what: Collection[tuple[str, Key | None]]) -> None:
        """Read kinds as a whole, or single instances (a kind with a key). In a turn of the caller's."""
        whole = {kind for kind, key in what if key is None}
        for kind, read in self._readers.items():
            if kind in whole:
                await read()
        for kind, key in what:
            if key is not None and kind not in whole:
                await self._read_instance(key)

    # -- what a cluster's reader does otherwise

    def _record(self) -> HostRecord | None:
        return self._inventory.hosts.get(self.name)

    def _update(self, **fields: object) -> None:
        self._inventory.update_host(self.name, **fields)

    # -- kinds

    async def _get(self, path: str, **params: str) -> bytes:
        return (await self.host.request("GET", path, params=params, deadlines=SCAN)).body

    async def _parts(self, body: bytes) -> list[list[Raw]]:
        """The rows of a list, so many together as are decoded in some milliseconds."""
        async with pace().piece():
            rows = decode.rows_of(body)
        return [list(rows[start : start + AT_A_TIME]) for start in range(0, len(rows), AT_A_TIME)]

    def _memory_total(self) -> int:
        record = self._record()
        return record.memory_total if record else 0

    async def _read_projects(self) -> None:
        rows = (await self.host.get("/1.0/projects", recursion="1")) or []
        self._borrowers = {kind: decode.borrowers(rows, kind) for kind in self._borrowers}
        self._update(projects=tuple(sorted(row["name"] for row in rows)))

    def _projects(self) -> tuple[str, ...]:
        record = self._record()
        return (record.projects if record else ()) or ("default",)

    async def _read_instances(self) -> None:
        total = self._memory_total()
        rows = []
        for project, body in await self._per_project("/1.0/instances", "instance_all_projects"):
            for part in await self._parts(body):
                async with pace().piece():
                    rows += [decode.instance(self.name, raw, total, project) for raw in part]
        async with pace().piece():
            self._inventory.replace("instances", self.name, rows)
        self.instances_read.set()

    async def _read_instance(self, key: Key) -> None:
        try:
            body = await self._get(f"/1.0/instances/{quote(key.name, safe='')}", project=key.project)
        except ApiError as error:
            if error.code != 404:
                raise
            self._inventory.drop("instances", key)
            return
        row = decode.instance(self.name, decode.row_of(body), self._memory_total(), key.project)
        self._inventory.put("instances", row)
        self.instances_read.set()

    async def _read_images(self) -> None:
        await self._read_shared("images", "images_all_projects", decode.image)

    async def _read_profiles(self) -> None:
        await self._read_shared("profiles", "profiles_all_projects", decode.profile)

    async def _read_shared(
        self, kind: Literal["images", "profiles"], extension: str, read: Callable[[str, Raw, str], Image | Profile]
    ) -> None:
        """Each project's, as it sees them: one without its own has default's, under its own name."""
        rows = []
        for project, body in await self._per_project(f"/1.0/{kind}", extension):
            for raw in decode.rows_of(body):
                row = read(self.name, raw, project)
                rows.append(row)
                if not project and row.project == "default":
                    rows += [read(self.name, raw, borrower) for borrower in self._borrowers[kind]]
        self._inventory.replace(kind, self.name, rows)

    async def _per_project(self, path: str, extension: str, recursion: str = "1") -> list[tuple[str, bytes]]:
        """Answers as (project, body), one a project; ("", body) for all of them from a daemon that can."""
        record = self._record()
        if record and extension in record.extensions:
            return [("", await self._get(path, recursion=recursion, **{"all-projects": "true"}))]
        answers = []
        for project in self._projects():
            try:
                answers.append((project, await self._get(path, recursion=recursion, project=project)))
            except ApiError as error:
                if error.code != 404:
                    raise
                # The project was deleted a moment ago: its event tells.
        return answers

    async def _read_networks(self) -> None:
        rows = (await self.host.get("/1.0/networks")) or []
        self._update(networks=frozenset(unquote(url.rsplit("/", 1)[1]) for url in rows))

    async def _read_pools(self) -> None:
        pools = {}
        for pool in (await self.host.get("/1.0/storage-pools", recursion="1")) or []:
            name = pool["name"]
            try:
                space = (await self.host.get(f"/1.0/storage-pools/{quote(name, safe='')}/resources"))["space"]
            except ApiError:
                space = {}  # a pool whose driver cannot tell, or that is in error
            pools[name] = Pool(name, pool.get("driver", ""), space.get("total", 0), space.get("used", 0))
        self._update(pools=pools)

    async def read_resources(self) -> bool:
        """CPUs, memory and load; whether the size of its memory was new."""
        found = await self.host.get("/1.0/resources")
        memory = found.get("memory") or {}
        total = memory.get("total", 0)
        before = self._memory_total()
        self._inventory.update_host(
            self.name,
            cpus=(found.get("cpu") or {}).get("total", 0),
            memory_total=total,
            memory_used=memory.get("used", 0),
            load=(found.get("load") or {}).get("Average1Min", -1.0),
        )
        return bool(before != total)

    # -- live figures

    def without_address(self) -> list[Key]:
        """The running instances that show none."""
        rows = self._inventory.instances.get(self.name, {}).values()
        return [row.key for row in rows if row.status == "Running" and not row.addresses]

    async def read_address(self, key: Key) -> None:
        try:
            body = await self._get(f"/1.0/instances/{quote(key.name, safe='')}/state", project=key.project)
        except ApiError:
            return  # gone or stopped in the meantime: its event tells
        self._inventory.update_addresses(key, decode.addresses_of(decode.state(decode.row_of(body))))

    async def read_many_addresses(self) -> None:
        """All at once, when asking one by one would take long: at the start of a session."""
        if len(self.without_address()) <= AT_ONCE:
            return
        for project, body in await self._per_project("/1.0/instances", "instance_all_projects", recursion="2"):
            for part in await self._parts(body):
                async with pace().piece():
                    for raw in part:
                        self._inventory.update_addresses(*decode.addresses(self.name, raw, project))

    async def read_figures(self) -> None:
        """CPU and memory of all running instances."""
        found = decode.Figures(self.name)
        for text in decode.portions(await self._get("/1.0/metrics")):
            async with pace().piece():
                found.add(text)
        figures = found.result()
        shares = self._shares.take({key: seconds for key, (_, seconds) in figures.items()}, time.monotonic())
        self._inventory.update_figures(self.name, {key: (figures[key][0], shares[key]) for key in figures})
