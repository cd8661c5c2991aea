"""What tests of the assembled manager share. On the lab: h1 by unix, h2 by https, h3 by ssh, i1 (Incus) by https."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.config import HostConfig, Paths
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status, Task
from tests.fleet.fleets import all_read
from tests.lab.lab import Lab


def paths_of(lab: Lab, folder: Path) -> Paths:
    """A state directory whose client certificate every host of the lab trusts."""
    state = folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    for source in (lab.client_cert, lab.client_key):
        shutil.copy(source, state / source.name)
    return Paths(lab.hosts_file, state)


@asynccontextmanager
async def managing(
    lab: Lab, folder: Path, hosts: Iterable[HostConfig] | None = None, *, known: bool = True
) -> AsyncIterator[Manager]:
    """A manager over the whole lab. known: every host was read."""
    async with Manager.open(paths_of(lab, folder), lab.hosts_config() if hosts is None else hosts) as manager:
        if known:
            await all_read(manager.fleet)
        yield manager


async def done(manager: Manager, action: str, status: Status = Status.SUCCESS, **arguments: Any) -> Task:
    """An action, carried out; it ends as it should."""
    task = await manager.run(action, **arguments)
    assert await task.wait(120) is status, (task.status, task.error, task.hosts, task.metadata)
    return task


async def refused(manager: Manager, action: str, code: int, text: str, **arguments: Any) -> None:
    """An action that is not even begun."""
    with pytest.raises(ActionError) as caught:
        await manager.run(action, **arguments)
    assert (caught.value.code, text in caught.value.text) == (code, True), caught.value.text


def status(manager: Manager, name: str) -> str:
    """Of the one instance of that name, by the inventory."""
    [row] = manager.inventory.find_instances("default", name)
    return row.status


async def api(lab: Lab, host: str, method: str, path: str, body: object = None) -> Any:
    """Asked of a daemon behind the manager's back, without holding up the event loop."""
    return await asyncio.to_thread(lab.hosts[host].api, method, path, body)


def where(manager: Manager, name: str, project: str = "default") -> list[str]:
    """The hosts that have the instance, by the inventory."""
    return [row.host for row in manager.inventory.find_instances(project, name)]
