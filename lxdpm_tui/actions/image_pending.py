"""Images that wait for hosts that were down when they were distributed: brought there when the hosts are back."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from lxdpm_tui.actions.image_distribute import PENDING, Copy, distribute
from lxdpm_tui.actions.image_find import locate
from lxdpm_tui.actions.image_host import Wanted
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import ChangeSet
from lxdpm_tui.store import PendingRow, StoreError
from lxdpm_tui.tasks.task import Status, Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

log = logging.getLogger(__name__)


class PendingImages:
    """Works off the store's pending images, each host's in its own time. Watches from the moment it is made.

    A row goes when its host has the image, or when no host has it any more; one that fails keeps the error and is tried
    again when the host comes back the next time.
    """

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._running: dict[str, asyncio.Task[None]] = {}
        self._usable: set[str] = set()
        self._ends = [manager.inventory.subscribe(self._hosts_changed), manager.tasks.subscribe(self._task_changed)]
        for host in manager.inventory.hosts:
            self._look(host)

    def close(self) -> None:
        for end in self._ends:
            end()
        for running in self._running.values():
            running.cancel()

    def _hosts_changed(self, change: ChangeSet) -> None:
        if change.kind == "hosts":
            self._look(change.host)

    def _task_changed(self, task: Task) -> None:
        """The host may have come back while the others were still being served."""
        if task.status.final and task.kind == "image-import":
            for host, shown in task.hosts.items():
                if shown.get("status") == "pending" and host in self._usable:
                    self._work(host)

    def _look(self, host: str) -> None:
        record = self._manager.inventory.hosts.get(host)
        if record is None or not record.usable:
            self._usable.discard(host)
        elif host not in self._usable:
            self._usable.add(host)
            self._work(host)

    def _work(self, host: str) -> None:
        before = self._running.get(host)
        running = asyncio.create_task(self._work_off(host, before), name=f"pending images of {host}")
        self._running[host] = running
        running.add_done_callback(lambda done: self._ended(host, done))

    def _ended(self, host: str, done: asyncio.Task[None]) -> None:
        if self._running.get(host) is done:
            del self._running[host]
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("pending images of %s: %s", host, error, exc_info=error)

    async def _work_off(self, host: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        try:
            for row in await self._manager.store.list_pending(PENDING):
                if row.host == host and host in self._usable:
                    await self._bring(row)
        except StoreError:
            if not self._manager.tasks.closing:
                raise

    async def _bring(self, row: PendingRow) -> None:
        manager, args = self._manager, dict(row.args)
        fingerprint = args.pop("fingerprint")
        wanted = Wanted(**args)
        try:
            found = await locate(manager, fingerprint, wanted.project)
            task = await distribute(
                manager, Copy(next(iter(found.images)), fingerprint, wanted.project), wanted, [row.host]
            )
        except ActionError as error:
            await manager.store.pending_failed(row.id, error.text)
            if error.code == 404:
                log.warning("image %s for %s is on no host any more", fingerprint[:12], row.host)
                await manager.store.remove_pending(row.id)
            return
        if await task.wait() is Status.SUCCESS:
            await manager.store.remove_pending(row.id)
        else:
            await manager.store.pending_failed(row.id, task.error)
