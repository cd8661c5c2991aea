"""The journal of one task: every change is entered, on the disk, before it is made.

A step names what takes it back: an undo handler and its arguments. Handlers are idempotent and look before they act, so
a step that was entered and never made, or made twice, does no harm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from lxdpm_tui.store import JournalRow, Store, TaskRow
from lxdpm_tui.tasks.task import Status, Task


class Journal:
    """What a runner is given. finish: after a crash the steps are carried out, not taken back."""

    def __init__(
        self,
        store: Store,
        task: Task,
        *,
        finish: bool = False,
        steps: Iterable[JournalRow] = (),
        committed: bool = False,
    ) -> None:
        self.task = task
        self.finish = finish
        self.steps: list[JournalRow] = list(steps)
        self.committed = committed
        self._store = store
        self._commit: asyncio.Task[None] | None = None

    async def intend(self, host: str, undo: str, args: Mapping[str, Any]) -> int:
        """Enter a step, durably; only then may the change be made. Gives the step's id.

        undo: the name of a handler in TaskManager.undo_handlers, which gets args with "host" and "task" (the task's
        id) added. The task as it is shown now is kept along with it. Raises StoreError: then nothing may be changed.
        """
        return (await self.intend_all([(host, undo, args)]))[0]

    async def intend_all(self, steps: Iterable[tuple[str, str, Mapping[str, Any]]]) -> list[int]:
        """Enter several (host, undo, args), all or none of them: a task that is to be finished after a crash must have
        all its steps in the journal before the first is made."""
        if self._commit is not None or self.committed:
            raise RuntimeError("the task was committed")
        full = [(host, undo, {**args, "host": host, "task": self.task.id}) for host, undo, args in steps]
        ids = await self._store.add_steps(self.row(), full)
        now = time.time()
        self.steps += [
            JournalRow(id, self.task.id, host, undo, args, now)
            for id, (host, undo, args) in zip(ids, full, strict=True)
        ]
        return ids

    async def settle(self, id: int) -> None:
        """This step needs no undo any more: somebody else sees to it, or it has been taken back already."""
        await self._store.step_undone(id)
        self.steps = [replace(s, undone=time.time()) if s.id == id else s for s in self.steps]

    async def commit(self, pending: Iterable[tuple[str, str, Mapping[str, Any]]] = ()) -> None:
        """All steps are made and stay. From here on the task can neither be cancelled nor undone.

        pending: (kind, host, args) of work left for hosts that are down, entered in the same transaction.
        """
        self.task.may_cancel = False
        if self._commit is None:
            self._commit = asyncio.create_task(self._store.commit_task(self.task.id, tuple(pending)))
        # Shielded: a cancel that comes now must not leave it open whether the commit happened.
        await asyncio.shield(self._commit)
        self.committed = True

    async def settled(self) -> bool:
        """Whether it was committed, once a commit that is under way has come to its end."""
        if self._commit is not None:
            await asyncio.wait({self._commit})
            self.committed = self._commit.exception() is None
        return self.committed

    def row(self, *, ended: bool = False) -> TaskRow:
        """The task as the store keeps it."""
        return task_row(self.task, finish=self.finish, ended=ended)


def task_row(task: Task, *, finish: bool = False, ended: bool = False) -> TaskRow:
    return TaskRow(
        id=task.id,
        kind=task.kind,
        description=task.description,
        project=task.project,
        resources=task.resources,
        metadata=task.metadata,
        hosts=task.hosts,
        owner=task.owner,
        status=int(task.status),
        error=task.error,
        error_code=task.error_code,
        created=task.created,
        updated=task.updated,
        finish=finish,
        ended=ended,
    )


def task_of(row: TaskRow) -> Task:
    """The task that a row tells of; one that had not ended comes back as running."""
    task = Task(
        kind=row.kind,
        description=row.description,
        project=row.project,
        resources=row.resources,
        metadata=row.metadata,
        hosts=row.hosts,
        owner=row.owner,
        may_cancel=False,
        id=row.id,
        status=Status.RUNNING,
        created=row.created,
        updated=row.updated,
    )
    if row.ended:
        task.finish(Status(row.status), row.error, row.error_code)
        task.updated = row.updated
    return task
