"""Background operations of one daemon: ids, progress, waiting, cancelling, and being forgotten five seconds later."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from lxdpm_tui.demo.events import Hub, timestamp
from lxdpm_tui.demo.variants import JSON, Problem

KEPT = 5.0  # seconds a finished operation can still be asked for

_CODES = {"Pending": 105, "Running": 103, "Cancelling": 104, "Success": 200, "Failure": 400, "Cancelled": 401}
_FINAL = frozenset({"Success", "Failure", "Cancelled"})

Work = Callable[["Operation"], Awaitable[None]]


class Operation:
    """One operation. `done` is set once its status is final; `failure` says why it failed.

    connect: for class websocket, takes over a socket: connect(secret, request) -> answer.
    """

    def __init__(self, operations: Operations, kind: str, description: str, project: str) -> None:
        self.id = str(uuid.uuid4())
        self.kind = kind
        self.description = description
        self.project = project
        self.resources: dict[str, list[str]] | None = None
        self.metadata: JSON | None = None
        self.may_cancel = False
        self.status = "Pending"
        self.failure: Problem | None = None
        self.created = self.updated = timestamp()
        self.done = asyncio.Event()
        self.connect: Callable[[str, Any], Awaitable[Any]] | None = None
        self.task: asyncio.Task[None] | None = None
        self._operations = operations

    @property
    def url(self) -> str:
        return f"/1.0/operations/{self.id}"

    @property
    def final(self) -> bool:
        return self.status in _FINAL

    def render(self) -> JSON:
        return {
            "id": self.id,
            "class": self.kind,
            "description": self.description,
            "created_at": self.created,
            "updated_at": self.updated,
            "status": self.status,
            "status_code": _CODES[self.status],
            "resources": self.resources if self.resources is not None else self._operations.hub.variant.no_resources,
            "metadata": self.metadata,
            "may_cancel": self.may_cancel,
            "err": self.failure.text if self.failure else "",
            "location": self._operations.hub.variant.location,
        }

    def progress(self, **metadata: Any) -> None:
        """Merge keys into the metadata and tell listeners."""
        self.metadata = (self.metadata or {}) | metadata
        self.updated = timestamp()
        self.announce()

    def announce(self) -> None:
        self._operations.hub.publish("operation", self.project, self.render())

    def turn(self, status: str) -> None:
        """Enter a status and tell listeners."""
        self.status = status
        self.announce()


class Operations:
    """Every operation of one daemon, by id."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.by_id: dict[str, Operation] = {}
        self._forgetting: set[asyncio.TimerHandle] = set()

    def start(
        self,
        description: str,
        project: str,
        work: Work | None,
        *,
        kind: str = "task",
        resources: dict[str, list[str]] | None = None,
        metadata: JSON | None = None,
        may_cancel: bool = False,
        connect: Callable[[str, Any], Awaitable[Any]] | None = None,
    ) -> Operation:
        """Begin an operation; `work` runs in the background, and its Problem is the operation's failure.

        work None: the operation runs until it is cancelled (a token).
        """
        operation = Operation(self, kind, description, project)
        operation.resources = resources
        operation.metadata = metadata
        operation.may_cancel = may_cancel
        operation.connect = connect
        self.by_id[operation.id] = operation
        operation.announce()
        operation.turn("Running")
        if work is not None:
            operation.task = asyncio.create_task(self._run(operation, work))
        return operation

    async def _run(self, operation: Operation, work: Work) -> None:
        try:
            await work(operation)
        except Problem as problem:
            operation.failure = problem
            self._finish(operation, "Failure")
        else:
            self._finish(operation, "Success")

    def _finish(self, operation: Operation, status: str) -> None:
        operation.turn(status)
        operation.done.set()
        handle: asyncio.TimerHandle

        def forget() -> None:
            self.by_id.pop(operation.id, None)
            self._forgetting.discard(handle)

        handle = asyncio.get_running_loop().call_later(KEPT, forget)
        self._forgetting.add(handle)

    def get(self, operation_id: str) -> Operation:
        operation = self.by_id.get(operation_id)
        if operation is None:
            raise Problem(404, "Operation not found")
        return operation

    def cancel(self, operation_id: str) -> None:
        """Raises Problem when it is over or may not be cancelled."""
        operation = self.get(operation_id)
        if operation.final:
            raise Problem(400, "Only running operations can be cancelled")
        if not operation.may_cancel:
            raise Problem(400, "This operation can't be cancelled")
        operation.turn("Cancelling")
        if operation.task is not None:
            operation.task.cancel()
        self._finish(operation, "Cancelled")
        self.hub.lifecycle("default", "operation-cancelled", operation.url)

    def listing(self, project: str | None, recursive: bool) -> JSON:
        """Operations by lower-case status: URLs, or objects. project None = all."""
        found: dict[str, list[Any]] = {}
        for operation in self.by_id.values():
            if project is None or operation.project == project:
                found.setdefault(operation.status.lower(), []).append(
                    operation.render() if recursive else operation.url
                )
        return found

    async def kill(self) -> None:
        """The daemon dies: its operations end without a word and are forgotten."""
        tasks = [operation.task for operation in self.by_id.values() if operation.task is not None]
        self.by_id.clear()
        for handle in self._forgetting:
            handle.cancel()
        self._forgetting.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
