"""hosts.toml while the manager runs: what is changed there, by hand or by an action, is taken in without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.config import ConfigError, HostConfig, load_hosts
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

LOOK = 1.0  # seconds between two looks at the file
Mark = tuple[int, int, int]


class HostsFile:
    """The file that the hosts are from. path: None for a fleet that is from elsewhere (a demo, another server)."""

    def __init__(self, manager: Manager) -> None:
        self.path: Path | None = None
        self._manager = manager
        self._watch: asyncio.Task[None] | None = None
        self._mark: Mark | None = None
        self._turn = asyncio.Lock()

    def follow(self, path: Path) -> None:
        """Take in its changes from now on. It need not be there yet."""
        self.path, self._mark = path, _mark(path)
        self._watch = asyncio.create_task(self._look(), name=f"following {path}")

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _look(self) -> None:
        """A change is a task, so that both doors tell of it, and of what is wrong in the file."""
        assert self.path is not None
        while True:
            await asyncio.sleep(LOOK)
            mark = _mark(self.path)
            if mark == self._mark:
                continue
            self._mark = mark
            if mark is None:
                continue  # gone, or being replaced: the hosts stay
            try:
                wanted = await asyncio.to_thread(load_hosts, self.path)
            except ConfigError as error:
                await self._tell(str(error))
                continue
            if changes(self._manager.fleet.configs, wanted):
                await self._tell("", wanted, mark)

    async def _tell(self, wrong: str, wanted: Iterable[HostConfig] = (), mark: Mark | None = None) -> None:
        async def run(task: Task, journal: Journal) -> None:
            if wrong:
                raise ActionError(wrong)
            told = await self.apply(wanted, mark)
            task.update(metadata=told)

        path = self.path.name if self.path else ""
        await self._manager.tasks.start(Task("hosts-reload", f"Reading {path}", owner="file"), run)

    async def apply(self, wanted: Iterable[HostConfig], mark: Mark | None = None) -> dict[str, list[str]]:
        """Have exactly these hosts; gives {"added", "removed", "changed"} names.

        mark: of the file that they were read from; nothing is done when it is another by now.
        """
        fleet = self._manager.fleet
        async with self._turn:
            told: dict[str, list[str]] = {}
            if mark is not None and self.path is not None and _mark(self.path) != mark:
                return told  # an action wrote it meanwhile, or the next look reads it
            for name, (old, new) in changes(fleet.configs, wanted).items():
                if old is not None and new is not None and replace(old, labels=new.labels) == new:
                    fleet.relabel(name, new)
                    told.setdefault("changed", []).append(name)
                    continue
                if old is not None:
                    await fleet.remove(name)
                if new is not None:
                    fleet.add(new)
                told.setdefault("removed" if new is None else "changed" if old else "added", []).append(name)
            return told


def changes(
    have: Mapping[str, HostConfig], wanted: Iterable[HostConfig]
) -> dict[str, tuple[HostConfig | None, HostConfig | None]]:
    """name -> (as it is, as it is to be) of the hosts that differ."""
    new = {config.name: config for config in wanted}
    return {
        name: (have.get(name), new.get(name))
        for name in (*have, *(new.keys() - have))
        if have.get(name) != new.get(name)
    }


def _mark(path: Path) -> Mark | None:
    """What changes when the file does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
