"""One member of a cluster, as a host: asked over the one connection of the cluster's entry.

LXD finds an instance by its name wherever it is. What is each member's own (resources, metrics, space in pools) and
where a new thing goes is said by ?target=, and lists of the whole cluster are cut down to the member's part here, so
that whoever asks all hosts gets each row once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec

from lxdpm_tui.hosts.client import Body
from lxdpm_tui.hosts.host import Host, Reply
from lxdpm_tui.hosts.requestor import Changes
from lxdpm_tui.hosts.transport import Deadlines

_OF_ONE = re.compile(
    r"/1\.0(/resources|/metrics"
    r"|/storage-pools/[^/]+/(resources|volumes(/.*)?|buckets(/.*)?)"
    r"|/networks/[^/]+/(state|leases))?/?"
)
"""Paths at which every member has something of its own."""
_CREATE = re.compile(r"/1\.0/(instances|containers|virtual-machines)/?")
_LISTS = re.compile(r"/1\.0/(instances|containers|virtual-machines|operations|warnings)/?")

_rows = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Located(msgspec.Struct):
    location: str = ""


_located = msgspec.json.Decoder(_Located)


class SharedLists:
    """Lists that several members are asked for at the same time, asked of the cluster once."""

    def __init__(self, entry: Host) -> None:
        self.entry = entry
        self._asking: dict[tuple[str, ...], asyncio.Task[Reply]] = {}

    async def get(self, path: str, params: Mapping[str, Any], deadlines: Deadlines | None) -> Reply:
        key = (path, *(f"{name}={value}" for name, value in sorted(params.items())))
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.create_task(self.entry.request("GET", path, params=params, deadlines=deadlines))
            self._asking[key] = asking
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
            asking.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        return await asyncio.shield(asking)


class MemberHost(Host):
    """See Host. name: in the fleet.  member: as the cluster calls it.  entry: the host whose connection it shares."""

    def __init__(self, entry: Host, name: str, member: str, lists: SharedLists) -> None:
        self.config = replace(entry.config, name=name)
        self.name = name
        self.member = member
        self.entry = entry
        self.dialect = entry.dialect
        self.deadlines = entry.deadlines
        self.transport = entry.transport
        self._client = entry._client
        self.changes = Changes()
        self._lists = lists

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: Body = None,
        headers: Mapping[str, str] | None = None,
        deadlines: Deadlines | None = None,
    ) -> Reply:
        """See Host.request. Lists have this member's rows only; those of URLs alone (recursion=0) are whole."""
        if method != "GET" or not _LISTS.fullmatch(path):
            return await super().request(
                method, path, params=params, json=json, data=data, headers=headers, deadlines=deadlines
            )
        with self._named():
            whole = await self._lists.get(path, params or {}, deadlines)
        return Reply(whole.status, whole.headers, rows_at(whole.body, self.member))

    def _aimed(self, method: str, target: str) -> str:
        return aim(method, target, self.member)

    async def close(self) -> None:
        """The connection is the entry's."""


def aim(method: str, target: str, member: str) -> str:
    """The target (path and query) of a request meant for that member. One that names a member already stays."""
    path, _, query = target.partition("?")
    if any(word.startswith("target=") for word in query.split("&")):
        return target
    own = _OF_ONE.fullmatch(path) or (method == "POST" and _CREATE.fullmatch(path))
    return f"{path}?{query}{'&' if query else ''}target={quote(member, safe='')}" if own else target


def rows_at(body: bytes, member: str) -> bytes:
    """The envelope of a list, or of lists by status (operations), without the rows of other members."""
    envelope = _rows.decode(body)
    metadata = bytes(envelope.get("metadata", msgspec.Raw(b"null")))
    if metadata.startswith(b"["):
        kept: Any = _at(msgspec.json.decode(metadata, type=list[msgspec.Raw]), member)
    elif metadata.startswith(b"{"):
        by_status = msgspec.json.decode(metadata, type=dict[str, list[msgspec.Raw]])
        kept = {status: _at(rows, member) for status, rows in by_status.items()}
    else:
        return body
    return msgspec.json.encode({**envelope, "metadata": kept})


def _at(rows: list[msgspec.Raw], member: str) -> list[msgspec.Raw]:
    return [row for row in rows if not bytes(row).startswith(b"{") or _located.decode(row).location == member]
