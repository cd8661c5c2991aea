"""What a daemon tells its listeners: operation and lifecycle events, in order, as JSON text."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime

from lxdpm_tui.demo.variants import JSON, Variant

REQUESTOR = {"username": "root", "protocol": "unix", "address": "@"}
NEVER = "0001-01-01T00:00:00Z"
# LXD names no requestor in these; Incus does, but for the files.
_LXD_WITHOUT_REQUESTOR = frozenset(
    "created deleted renamed restored updated exec file-deleted file-pushed file-retrieved "
    "snapshot-created snapshot-deleted snapshot-renamed".split()
)
_WITHOUT_REQUESTOR = frozenset({"file-deleted", "file-pushed", "file-retrieved"})
_WITHOUT_NAME = frozenset("log-retrieved metadata-retrieved snapshot-created snapshot-deleted snapshot-renamed".split())


def timestamp(seconds: float | None = None, nanoseconds: int | None = None) -> str:
    """LXD's way to write a time: UTC, up to nine digits, no trailing zeros; 0 is the zero time."""
    if seconds == 0:
        return NEVER
    if nanoseconds is None:
        nanoseconds = time.time_ns() if seconds is None else int(seconds * 1_000_000_000)
    whole, rest = divmod(nanoseconds, 1_000_000_000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


class Listener:
    """One client of /1.0/events. `queue` gets the messages it asked for, without end."""

    def __init__(self, types: frozenset[str], project: str | None) -> None:
        self.types = types
        self.project = project  # None = all of them
        self.queue: asyncio.Queue[str] = asyncio.Queue()

    def wants(self, kind: str, project: str) -> bool:
        return kind in self.types and (self.project is None or project in ("", self.project))


class Hub:
    """All listeners of one daemon."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.listeners: set[Listener] = set()
        self._last = 0

    def subscribe(self, types: Iterable[str], project: str | None) -> Listener:
        """Raises Problem for a type that this daemon does not know."""
        for kind in types:
            if kind not in self.variant.event_types:
                raise self.variant.problem("event-type", name=kind)
        listener = Listener(frozenset(types), project)
        self.listeners.add(listener)
        return listener

    def unsubscribe(self, listener: Listener) -> None:
        self.listeners.discard(listener)

    def publish(self, kind: str, project: str, metadata: JSON) -> None:
        wanting = [listener for listener in self.listeners if listener.wants(kind, project)]
        if not wanting:
            return
        self._last = max(self._last + 1, time.time_ns())  # strictly rising: the order can be told from it
        event: JSON = {"type": kind, "timestamp": timestamp(nanoseconds=self._last), "metadata": metadata}
        event["location"] = self.variant.location
        if self.variant.has("event_project"):
            event["project"] = project
        text = json.dumps(event, separators=(",", ":")) + "\n"
        for listener in wanting:
            listener.queue.put_nowait(text)

    def lifecycle(
        self,
        project: str,
        action: str,
        source: str,
        *,
        context: JSON | None = None,
        name: str = "",
        by_itself: bool = False,
    ) -> None:
        """One lifecycle event. action: "instance-started"...  name: of the instance it is about.

        by_itself: nobody asked for it, so there is no requestor.
        """
        kind, _, what = action.partition("-")
        is_instance = kind == "instance"
        if not is_instance and self.variant.instance_events_only:
            return
        if is_instance and self.variant.event_prefix != "instance":
            action = f"{self.variant.event_prefix}-{what}"
            source = source.replace("/1.0/instances/", "/1.0/containers/")
        silent = _WITHOUT_REQUESTOR if self.variant.named_events else _LXD_WITHOUT_REQUESTOR
        metadata: JSON = {"action": action, "source": source}
        if context:
            metadata["context"] = context
        if not (by_itself or (is_instance and what in silent)):
            metadata["requestor"] = REQUESTOR
        if is_instance and self.variant.named_events and what not in _WITHOUT_NAME:
            metadata |= {"name": name, "project": project}
        self.publish("lifecycle", project, metadata)
