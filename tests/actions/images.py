"""What the tests of image work share: a manager over the lab, and what the hosts really hold.

Everything that asks a daemon here does so on another thread. LXD accepts no connection on its unix socket while the
last one has not sent its first byte, so a test that blocks the event loop just as the manager has dialled would wait
for itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lxdpm_tui.config import Paths
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status, Task
from tests.lab.lab import Lab

off = asyncio.to_thread


def paths_of(lab: Lab, folder: Path) -> Paths:
    """A state directory whose client certificate every host of the lab trusts."""
    state = folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    for source in (lab.client_cert, lab.client_key):
        shutil.copy(source, state / source.name)
    return Paths(lab.hosts_file, state)


@asynccontextmanager
async def managed(lab: Lab, folder: Path, hosts: Iterable[str] | None = None) -> AsyncIterator[Manager]:
    """A manager over the whole lab, by unix, https and ssh; all hosts (those named) can be asked."""
    try:
        async with Manager.open(paths_of(lab, folder), lab.hosts_config()) as manager:
            await asyncio.gather(*(manager.fleet.until_usable(name, 60) for name in hosts or lab.hosts))
            assert await manager.fleet.until_known(60) == []
            yield manager
    finally:
        for image in (lab.base / "image").glob("new-*"):
            image.unlink()


async def held(lab: Lab, hosts: Iterable[str] | None = None, project: str = "default") -> dict[str, Any]:
    """Per host all images with all that the host says of them, all aliases, and the names of the projects."""
    return await asyncio.to_thread(held_now, lab, hosts or lab.hosts, project)


def held_now(lab: Lab, hosts: Iterable[str], project: str = "default") -> dict[str, Any]:
    """The same, blocking."""
    found = {}
    for name in hosts:
        api = lab.hosts[name].api
        images = api("GET", f"/1.0/images?recursion=1&project={project}") or []
        aliases = api("GET", f"/1.0/images/aliases?recursion=1&project={project}") or []
        found[name] = {
            "images": {image["fingerprint"]: image for image in images},
            "aliases": {alias["name"]: alias for alias in aliases},
            "projects": sorted(api("GET", "/1.0/projects") or []),
        }
    return found


async def holders(lab: Lab, fingerprint: str) -> set[str]:
    return {name for name, host in (await held(lab)).items() if fingerprint in host["images"]}


async def targets(lab: Lab, alias: str) -> dict[str, str]:
    """Host -> fingerprint, of the hosts that have the alias."""
    found = {name: host["aliases"] for name, host in (await held(lab)).items()}
    return {name: aliases[alias]["target"] for name, aliases in found.items() if alias in aliases}


def new_image(lab: Lab, name: str, size: int = 0) -> tuple[Path, str]:
    """A file with an image that no host has, of about `size` bytes more than a megabyte, and its fingerprint."""
    path = lab.make_image(f"new-{name}-{os.urandom(4).hex()}", os.urandom(size) if size else b"")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


async def until(task: Task, holds: Callable[[Task], bool]) -> None:
    """Wait for a state of the task, at most 60 s."""
    seen = asyncio.Event()
    end = task.subscribe(lambda changed: seen.set() if holds(changed) else None)
    if not holds(task):
        await asyncio.wait_for(seen.wait(), 60)
    end()


async def ended(task: Task, status: Status = Status.SUCCESS) -> Task:
    """The task once it ended, as it should."""
    assert await task.wait(120) is status, (task.status, task.error, task.hosts, task.metadata)
    return task


async def until_silent(manager: Manager, name: str) -> None:
    """Wait until the manager knows that the host is down."""
    seen = asyncio.Event()
    end = manager.inventory.subscribe(lambda _: None if manager.inventory.hosts[name].usable else seen.set())
    if manager.inventory.hosts[name].usable:
        await asyncio.wait_for(seen.wait(), 60)
    end()
