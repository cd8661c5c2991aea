"""What happened in the fleet: a bounded ring of the hosts' lifecycle events. No I/O, no clock of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from lxdpm_tui.fleet.decode import EventWire

KEPT = 2000  # events; older ones go


class Happening(msgspec.Struct, frozen=True, gc=False):
    """One lifecycle event. number: counts up.  when: LXD's own time text.  action: `instance-started`.

    kind, name, project: of what it is about, out of its URL.  by: who asked for it, as the host knows them.
    """

    number: int
    host: str
    when: str
    action: str
    kind: str
    name: str
    project: str
    source: str
    by: str = ""
    context: str = ""


class _Lifecycle(msgspec.Struct):
    action: str = ""
    source: str = ""
    context: dict[str, Any] | None = None
    requestor: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(_Lifecycle).decode


class Happenings:
    """The last KEPT events of all hosts. `take` fits `Fleet.subscribe_events`.

    changed(new, gone): called with the numbers that came and went.
    """

    def __init__(self, changed: Callable[[frozenset[int], frozenset[int]], None], kept: int = KEPT) -> None:
        self.rows: dict[int, Happening] = {}
        self._order: deque[int] = deque()
        self._kept = kept
        self._next = 1
        self._changed = changed
        self._listeners: list[Callable[[str, str], None]] = []

    def also_tell(self, listener: Callable[[str, str], None]) -> None:
        """listener(host, action) hears of each event too."""
        self._listeners.append(listener)

    def take(self, host: str, message: bytes, event: EventWire) -> None:
        """One event of a host; those that are no lifecycle events, or no events we can read, are left out."""
        if event.type != "lifecycle":
            return
        try:
            told = _decode(event.metadata)
        except msgspec.DecodeError:
            return
        kind, name, project = subject_of(told.source)
        context = ", ".join(f"{key}={value}" for key, value in sorted((told.context or {}).items()))
        row = Happening(
            number=self._next,
            host=host,
            when=event.timestamp,
            action=told.action,
            kind=kind,
            name=name,
            project=event.project or project,
            source=told.source,
            by=_who(told.requestor or {}),
            context=context,
        )
        self._next += 1
        self.rows[row.number] = row
        self._order.append(row.number)
        gone: set[int] = set()
        while len(self._order) > self._kept:
            old = self._order.popleft()
            del self.rows[old]
            gone.add(old)
        self._changed(frozenset({row.number}), frozenset(gone))
        for listener in self._listeners:
            listener(host, told.action)

    def about(self, host: str, project: str, name: str) -> list[Happening]:
        """What happened to one instance, the oldest first."""
        return [
            row
            for row in self.rows.values()
            if (row.host, row.project, row.kind) == (host, project, "instances") and row.name.partition("/")[0] == name
        ]


def subject_of(url: str) -> tuple[str, str, str]:
    """(kind, name, project) of an object's URL: ("instances", "web-1/snap0", "default")."""
    parts = urlsplit(url)
    words = [unquote(word) for word in parts.path.split("/")[2:] if word]
    project = parse_qs(parts.query).get("project", ["default"])[0]
    if not words:
        return "", "", project
    if words[0] == "cluster" and len(words) > 2:  # /1.0/cluster/members/NAME
        return words[1], words[2], project
    if words[0] == "storage-pools" and len(words) > 4:  # .../POOL/volumes/TYPE/NAME
        return words[2], "/".join([words[1], *words[4::2]]), project
    names = [word for number, word in enumerate(words) if number % 2 == 1]
    return words[0], "/".join(names), project


def _who(requestor: Mapping[str, Any]) -> str:
    protocol, name = str(requestor.get("protocol") or ""), str(requestor.get("username") or "")
    if len(name) == 64:  # a certificate's fingerprint
        name = name[:12]
    return f"{name} ({protocol})" if name and protocol else name or protocol
