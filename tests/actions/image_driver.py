"""A manager that does one action and kills itself at one moment: `python -m tests.actions.image_driver FOLDER MOMENT`.

FOLDER/driver.json names hosts.toml, the state directory, the action and its arguments. A moment is "WHAT:N", the N-th
time that WHAT happened:
    intended    a step was journalled, and nothing of it is done yet
    chunk       a piece of an upload was handed over
    sent        an upload was handed over whole, its answer not read
    METHOD PATH a host answered such a request (PATH without its last name: "POST /1.0/images/aliases")
    committed   the commit is on the disk
Only the real classes run; they are watched from outside. SIGKILL leaves nothing a chance to clean up.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from lxdpm_tui.actions.image_body import ImageBody
from lxdpm_tui.config import Paths, load_hosts
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.manager import Manager
from lxdpm_tui.store import Store

KINDS = ("/1.0/images/aliases", "/1.0/images", "/1.0/projects")


def main(folder: Path, moment: str) -> None:
    given = json.loads((folder / "driver.json").read_text())
    seen: Counter[str] = Counter()

    def happened(what: str) -> None:
        seen[what] += 1
        if f"{what}:{seen[what]}" == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    async def run() -> None:
        paths = Paths(Path(given["hosts"]), Path(given["state"]))
        async with Manager.open(paths, load_hosts(paths.hosts_file)) as manager:
            await asyncio.gather(*(manager.fleet.until_usable(name, 60) for name in manager.fleet.hosts))
            watch(happened)
            task = await manager.run(given["action"], **given["arguments"])
            await task.wait()
            print(task.status.text, task.error, dict(seen))

    asyncio.run(run())


def watch(happened: Any) -> None:
    """Call happened(what) as things happen from now on."""
    add_steps, commit_task, request, chunks = Store.add_steps, Store.commit_task, Host.request, ImageBody.chunks

    async def watched_steps(self: Store, *args: Any, **kwargs: Any) -> list[int]:
        ids = await add_steps(self, *args, **kwargs)
        happened("intended")
        return ids

    async def watched_commit(self: Store, *args: Any, **kwargs: Any) -> None:
        await commit_task(self, *args, **kwargs)
        happened("committed")

    async def watched_request(self: Host, method: str, path: str, **kwargs: Any) -> Any:
        reply = await request(self, method, path, **kwargs)
        if method != "GET":
            happened(f"{method} {next((kind for kind in KINDS if path.startswith(kind)), path)}")
        return reply

    async def watched_chunks(self: ImageBody, sent: Any) -> AsyncIterator[bytes]:
        async for chunk in chunks(self, sent):
            yield chunk
            happened("chunk")
        happened("sent")

    Store.add_steps = watched_steps  # type: ignore[method-assign]
    Store.commit_task = watched_commit  # type: ignore[method-assign]
    Host.request = watched_request  # type: ignore[method-assign]
    ImageBody.chunks = watched_chunks  # type: ignore[method-assign]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
