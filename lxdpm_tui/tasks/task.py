"""A task: work that outlives a request. Seen from outside it is an LXD operation.

The state machine and its JSON only; TaskManager (manager.py of this room) runs and journals tasks.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any


class Status(IntEnum):
    """LXD's own codes and names (doc/rest-api)."""

    PENDING = 105
    RUNNING = 103
    CANCELLING = 104
    SUCCESS = 200
    FAILURE = 400
    CANCELLED = 401

    @property
    def text(self) -> str:
        return self.name.capitalize()

    @property
    def final(self) -> bool:
        return self >= Status.SUCCESS


@dataclass(slots=True, eq=False)
class Task:
    """One piece of work, its progress and its result.

    kind: the journal's word for how to resume it ("launch", "image-distribute").  description: LXD's operation text.
    resources: {"instances": ["/1.0/instances/c1"]} as LXD shows it.  hosts: per host {"status": ..., "error": ...,
    "progress": 0-100} for work on several.  metadata: free JSON shown to clients (fingerprint, placement, ...).
    owner: who asked ("console", "unix", a certificate fingerprint).
    """

    kind: str
    description: str
    project: str = "default"
    resources: dict[str, list[str]] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    owner: str = ""
    may_cancel: bool = True
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: Status = Status.PENDING
    error: str = ""
    error_code: int = 0
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    _done: asyncio.Event = field(default_factory=asyncio.Event)
    _cancel: asyncio.Event = field(default_factory=asyncio.Event)
    _listeners: list[Callable[[Task], None]] = field(default_factory=list)

    # -- for those who wait

    async def wait(self, timeout: float | None = None) -> Status:
        """Until it ended, or the timeout (seconds) passed; gives the status either way. Raises nothing."""
        try:
            async with asyncio.timeout(timeout):
                await self._done.wait()
        except TimeoutError:
            pass
        return self.status

    def cancel(self, *, force: bool = False) -> bool:
        """Ask it to stop and undo. False when it ended already or cannot be cancelled (force: the manager stops)."""
        if self.status.final or not (self.may_cancel or force):
            return False
        self._cancel.set()
        self.update(status=Status.CANCELLING)
        return True

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked it to stop. A runner looks at this between steps."""
        return self._cancel.is_set()

    async def until_cancelled(self) -> None:
        """Return when somebody asked it to stop."""
        await self._cancel.wait()

    def subscribe(self, listener: Callable[[Task], None]) -> Callable[[], None]:
        """Call listener at every change; returns undo."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # -- for the runner

    def update(
        self,
        *,
        status: Status | str | None = None,
        metadata: dict[str, Any] | None = None,
        host: str | None = None,
        **host_fields: Any,
    ) -> None:
        """Change what is shown. metadata is merged.

        With a host, `status` (a word for people: "uploading") and host_fields go into hosts[host]; without one,
        `status` is the task's own Status.
        """
        if host is not None:
            if status is not None:
                host_fields["status"] = str(status)
            self.hosts.setdefault(host, {}).update(host_fields)
        elif isinstance(status, Status) and not self.status.final:
            self.status = status
        if metadata:
            self.metadata.update(metadata)
        self.updated = time.time()
        if self.status.final:
            self._done.set()
        for listener in tuple(self._listeners):
            listener(self)

    def finish(self, status: Status, error: str = "", code: int = 0) -> None:
        """End it; later calls change nothing. code: the HTTP status of the error."""
        if self.status.final:
            return
        self.error, self.error_code = error, code
        self.may_cancel = False
        self.update(status=status)

    def to_operation(self) -> dict[str, Any]:
        """LXD's operation object. URLs in resources and times as LXD writes them."""
        metadata: dict[str, Any] = dict(self.metadata)
        if self.hosts:
            metadata["hosts"] = self.hosts
        return {
            "id": self.id,
            "class": "task",
            "description": self.description,
            "created_at": text_of(self.created),
            "updated_at": text_of(self.updated),
            "status": self.status.text,
            "status_code": int(self.status),
            "resources": self.resources or None,
            "metadata": metadata or None,
            "may_cancel": self.may_cancel,
            "err": self.error,
            "location": "",
        }


def text_of(when: float) -> str:
    """A time (seconds since the epoch) as LXD writes it."""
    return datetime.fromtimestamp(when, UTC).isoformat().replace("+00:00", "Z")
