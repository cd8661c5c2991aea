"""A fleet member that is a cluster (LXD's, Incus', or a gateway, which looks like one): its members are the hosts.

One connection, one event stream and one Watcher serve the whole cluster; the inventory has a host for each member,
and the rest of the program asks members as it asks any host (member.py). Instances go to the member that their
`location` names. Images and profiles are the cluster's: each member has the same rows, so that scheduler and tables
see them held wherever they can be used.

A member's name in the fleet is its own when the cluster is all there is, else "ENTRY/MEMBER": no entry and no member
may have a slash in its name, so that it never collides, and it depends on hosts.toml alone, not on who answers first.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.decode import Raw
from lxdpm_tui.fleet.inventory import HostRecord, Image, Instance, Inventory, Key, Pool, Profile
from lxdpm_tui.fleet.live import AT_ONCE
from lxdpm_tui.fleet.member import MemberHost
from lxdpm_tui.fleet.members import NO_PLACEMENT, Members, Shape
from lxdpm_tui.fleet.reader import Reader
from lxdpm_tui.fleet.watch import EventListener, Watcher
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.limit import limit
from lxdpm_tui.hosts.transport import ApiError, Deadlines, HostError

INTRODUCE = 3.0  # seconds that a member has to say what it is, before the others are shown without it
ONE = Deadlines(connect=5.0, first_byte=5.0, idle=5.0)  # of what a single member is asked through another


_PASSING = re.compile(r"(lxd|incus)-move-of-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_passing(name: str) -> bool:
    """Whether an instance is only what a move within a cluster makes on its way."""
    return _PASSING.fullmatch(name) is not None


class _OwnRow(msgspec.Struct):
    project: str
    row: msgspec.Raw


_own_rows = msgspec.json.Decoder(dict[str, list[_OwnRow]])


class ClusterReader(Reader):
    """Reads the whole cluster at once where it can, each member where it must."""

    def __init__(self, host: Host, inventory: Inventory, members: Members) -> None:
        super().__init__(host, inventory)
        self._members = members

    def _record(self) -> HostRecord | None:
        return self._members.way

    def _update(self, **fields: object) -> None:
        self._members.update(**fields)

    def _instance(self, raw: Raw, project: str) -> Instance:
        name = self._members.name(decode.location(raw))
        record = self._inventory.hosts.get(name)
        return decode.instance(name, raw, record.memory_total if record else 0, project)

    def _replace(self, kind: Literal["instances", "images", "profiles"], rows: dict[str, list[Any]]) -> None:
        for name in self._members.names():
            self._inventory.replace(kind, name, rows.get(name, []))

    async def _read_instances(self) -> None:
        rows: dict[str, list[Instance]] = {}
        for project, body in await self._per_project("/1.0/instances", "instance_all_projects"):
            for raw in decode.rows_of(body):
                row = self._instance(raw, project)
                if not is_passing(row.name):
                    rows.setdefault(row.host, []).append(row)
        self._replace("instances", rows)
        self.instances_read.set()

    async def _read_instance(self, key: Key) -> None:
        """Wherever it is now: it may have moved. A member that does not answer keeps what is known of it."""
        if is_passing(key.name):
            return
        path = f"/1.0/instances/{quote(key.name, safe='')}"
        row: Instance | None = None
        try:
            reply = await self.host.request("GET", path, params={"project": key.project}, deadlines=ONE)
            row = self._instance(decode.row_of(reply.body), key.project)
        except HostError:
            return
        except ApiError as error:
            if error.code != 404:
                return
        for name in self._members.names():
            if row is None or row.host != name:
                self._inventory.drop("instances", Key(name, key.project, key.name))
        if row is not None:
            self._inventory.put("instances", row)
        self.instances_read.set()

    async def _read_shared(
        self, kind: Literal["images", "profiles"], extension: str, read: Callable[[str, Raw, str], Image | Profile]
    ) -> None:
        if self._members.ours and await self._read_own(kind, read):
            return
        found: list[Image | Profile] = []
        for project, body in await self._per_project(f"/1.0/{kind}", extension):
            for raw in decode.rows_of(body):
                row = read("", raw, project)
                found.append(row)
                if not project and row.project == "default":
                    found += [read("", raw, borrower) for borrower in self._borrowers[kind]]
        self._replace(
            kind,
            {name: [msgspec.structs.replace(row, host=name) for row in found] for name in self._members.names()},
        )

    async def _read_own(
        self, kind: Literal["images", "profiles"], read: Callable[[str, Raw, str], Image | Profile]
    ) -> bool:
        """Behind a gateway of ours each host has its own. False: we may not see that."""
        try:
            body = await self._get(f"/1.0/fleet/rows/{kind}")
        except ApiError:
            return False
        found = _own_rows.decode(decode.row_of(body))
        self._replace(
            kind,
            {
                host.name: [read(host.name, entry.row, entry.project) for entry in found.get(member, ())]
                for member, host in self._members.hosts.items()
            },
        )
        return True

    async def _read_networks(self) -> None:
        for host, rows in (await self._of_members("/1.0/networks")).items():
            self._inventory.update_host(host.name, networks=frozenset(row["name"] for row in rows))

    async def _read_pools(self) -> None:
        async def one(host: MemberHost, rows: list[dict[str, Any]]) -> None:
            record = self._inventory.hosts.get(host.name)
            known = record.pools if record is not None else {}
            pools = {}
            for row in rows:
                name = row["name"]
                try:
                    path = f"/1.0/storage-pools/{quote(name, safe='')}/resources"
                    space = (await host.request("GET", path, deadlines=ONE)).metadata["space"]
                except (ApiError, HostError):
                    before = known.get(name)
                    space = {"total": before.total, "used": before.used} if before else {}
                pools[name] = Pool(name, row.get("driver", ""), space.get("total", 0), space.get("used", 0))
            self._inventory.update_host(host.name, pools=pools)

        found = await self._of_members("/1.0/storage-pools")
        await asyncio.gather(*(one(host, rows) for host, rows in found.items()))

    async def _of_members(self, path: str) -> dict[MemberHost, list[dict[str, Any]]]:
        """What each member that can be asked has of it. The hosts behind a gateway of ours differ and are asked one by
        one; a cluster says in `locations` which members have a thing."""
        members = self._members.usable()
        if not self._members.ours:
            rows = (await self.host.get(path, recursion="1")) or []
            return {
                host: [row for row in rows if host.member in (row.get("locations") or (host.member,))]
                for host in members
            }

        async def one(host: MemberHost) -> list[dict[str, Any]] | None:
            try:
                params = {"recursion": "1", "target": host.member}
                return (await host.request("GET", path, params=params, deadlines=ONE)).metadata or []
            except (ApiError, HostError):
                return None

        answers = await asyncio.gather(*(one(host) for host in members))
        return {host: rows for host, rows in zip(members, answers, strict=True) if rows is not None}

    async def read_resources(self) -> bool:
        """Of every member that can be asked; one that does not answer in time keeps what is known of it."""
        return any(await asyncio.gather(*(self._resources_of(host) for host in self._members.usable())))

    async def _resources_of(self, host: MemberHost) -> bool:
        try:
            found = (await host.request("GET", "/1.0/resources", deadlines=ONE)).metadata
        except (ApiError, HostError):
            return False
        memory = found.get("memory") or {}
        record = self._inventory.hosts.get(host.name)
        if record is None:  # it left meanwhile
            return False
        before = record.memory_total
        self._inventory.update_host(
            host.name,
            cpus=(found.get("cpu") or {}).get("total", 0),
            memory_total=memory.get("total", 0),
            memory_used=memory.get("used", 0),
            load=(found.get("load") or {}).get("Average1Min", -1.0),
        )
        return bool(before != memory.get("total", 0))

    async def introduce(self, host: MemberHost) -> None:
        """What a member is: version, kernel, architectures, memory."""
        try:
            async with limit(INTRODUCE):
                server = (await host.request("GET", "/1.0", deadlines=ONE)).metadata
                fields = decode.server(server)
                kind = "incus" if (server.get("environment") or {}).get("server") == "incus" else "lxd"
                del fields["extensions"]  # those of the way to it count
                self._inventory.update_host(host.name, kind=kind, **fields)
                await self._resources_of(host)
                self._members.introduced.add(host.name)
        except (TimeoutError, ApiError, HostError):
            return  # asked again at the next heartbeat

    def without_address(self) -> list[Key]:
        """See Reader."""
        return [
            row.key
            for name in self._members.names()
            for row in self._inventory.instances.get(name, {}).values()
            if row.status == "Running" and not row.addresses
        ]

    async def read_address(self, key: Key) -> None:
        """See Reader. A member that does not answer the others is not asked for the way to it."""
        with contextlib.suppress(HostError):
            await super().read_address(key)

    async def read_many_addresses(self) -> None:
        """See Reader."""
        if len(self.without_address()) <= AT_ONCE:
            return
        for project, body in await self._per_project("/1.0/instances", "instance_all_projects", recursion="2"):
            for raw in decode.rows_of(body):
                row = self._instance(raw, project)
                self._inventory.update_addresses(row.key, row.addresses)

    async def read_figures(self) -> None:
        """See Reader. Each member's own metrics, under that member's name."""
        seen: dict[Key, tuple[int, float]] = {}

        async def one(host: MemberHost) -> None:
            try:
                text = (await host.request("GET", "/1.0/metrics", deadlines=ONE)).body.decode()
            except (ApiError, HostError):
                return
            seen.update(decode.figures(host.name, text))

        await asyncio.gather(*(one(host) for host in self._members.usable()))
        shares = self._shares.take({key: seconds for key, (_, seconds) in seen.items()}, time.monotonic())
        for name in self._members.names():
            figures = {key: (memory, shares[key]) for key, (memory, _) in seen.items() if key.host == name}
            self._inventory.update_figures(name, figures)


class ClusterWatcher(Watcher):
    """Follows one cluster through one of its members (or a gateway through its door)."""

    clustered = True

    def __init__(self, host: Host, inventory: Inventory, on_event: EventListener, shape: Shape) -> None:
        super().__init__(host, inventory, on_event)
        self.members = Members(host, inventory, shape)
        self._cluster = ClusterReader(host, inventory, self.members)
        self._reader = self._cluster
        self._telling = asyncio.Lock()

    def _record(self) -> HostRecord | None:
        return self.members.way

    def _update(self, **fields: object) -> None:
        self.members.update(**fields)

    def source(self, event: decode.EventWire) -> str:
        return self.members.name(event.location)

    @property
    def settled(self) -> bool:
        """See Watcher."""
        return bool(self.members.way.event_stream and self._scanned and not self._dirty and not self._reader.busy)

    async def _ask_server(self) -> dict[str, object]:
        server = await super()._ask_server()
        self.members.update(kind=self.host.dialect.kind, **decode.server(server))
        await self._read_members()
        return server

    async def _read_members(self) -> None:
        """Their states, and what those that came are and have."""
        async with self._telling:  # an older answer may not come after a newer one
            await self._read_states()

    async def _read_states(self) -> None:
        reply = await self.host.request("GET", "/1.0/cluster/members", params={"recursion": "1"}, deadlines=ONE)
        own: dict[str, dict[str, Any]] = {}
        if self.members.ours:
            with contextlib.suppress(ApiError):  # restricted clients may not; they see less
                about = (await self.host.request("GET", "/1.0/fleet", deadlines=ONE)).metadata
                own = {row["name"]: row for row in about["hosts"]}
        fresh = self.members.tell(reply.metadata or [], own)
        await asyncio.gather(*(self._cluster.introduce(host) for host in fresh))
        if self._scanned and any(host.name in self.members.introduced for host in fresh):
            for kind in self._reader.kinds:
                self.touch(kind)

    def _mark(self, event: decode.EventWire) -> None:
        super()._mark(event)
        if decode.lifecycle(event.metadata).action.startswith("cluster-"):
            self.retry_now()  # a heartbeat at once: it reads the members

    async def set_placement(self, member: str, allowed: bool) -> None:
        """Whether the cluster may place instances on a member by itself. Raises the HostError family and ApiError."""
        if self.members.ours:
            path, body = "/1.0/fleet/actions/maintenance", {"host": member, "on": "off" if allowed else "on"}
            reply = await self.host.request("POST", path, json=body)
            await self.host.wait(reply.operation)
        else:
            path = f"/1.0/cluster/members/{quote(member, safe='')}"
            found = await self.host.request("GET", path)
            put = {
                key: found.metadata[key]
                for key in ("roles", "failure_domain", "description", "groups", "config")
                if key in found.metadata
            }
            put["config"] = {**(put.get("config") or {}), "scheduler.instance": "all" if allowed else NO_PLACEMENT}
            await self.host.request("PUT", path, json=put, headers={"If-Match": found.etag} if found.etag else None)
        await self._read_members()
