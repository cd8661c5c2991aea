"""A simulated fleet in processes of its own, many daemons in each: a thousand hosts, and the console is not slowed.

A process ends when its standard input does, so also when the parent was killed; the last one takes the sockets along.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from lxdpm_tui.config import HostConfig
from lxdpm_tui.demo import cast
from lxdpm_tui.demo.fleet import configs

PER_PROCESS = 125  # daemons in a process, as long as there are CPUs for more processes
CALM = 0.1  # mean seconds between two events in the whole fleet, at least
EACH = 32.0  # mean seconds between two events of one host
STARTED_WITHIN = 60.0
ENDED_WITHIN = 5.0


class DemoProcesses:
    """`count` simulated hosts, as an async context manager; entered once all of them listen.

    hosts: how to reach them.  instances_per_host: from, to.  seed: the same seed gives the same fleet.
    Raises RuntimeError when a process does not start.
    """

    def __init__(self, count: int, *, instances_per_host: tuple[int, int] = (6, 30), seed: int = 1) -> None:
        self.hosts: list[HostConfig] = []
        self.processes: list[asyncio.subprocess.Process] = []
        self._count = count
        self._instances = instances_per_host
        self._seed = seed
        self._directory: Path | None = None

    async def __aenter__(self) -> DemoProcesses:
        self._directory = Path(tempfile.mkdtemp(prefix="lxdpm-demo-"))  # mode 0700
        shares = min(-(-self._count // PER_PROCESS), os.cpu_count() or 1)
        try:
            async with asyncio.timeout(STARTED_WITHIN):
                await asyncio.gather(*(self._spawn(self._directory, share, shares) for share in range(shares)))
        except BaseException:
            await self._clean_up()
            raise
        self.hosts = configs(cast.plan(self._count, self._instances, self._seed), self._directory)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._clean_up()

    async def _spawn(self, directory: Path, share: int, shares: int) -> None:
        work = {
            "directory": str(directory),
            "count": self._count,
            "instances": self._instances,
            "seed": self._seed,
            "share": share,
            "shares": shares,
            "interval": max(CALM, EACH / self._count) * shares,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "lxdpm_tui.demo.worker",
            json.dumps(work),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # ctrl-c in our terminal is not meant for it
        )
        self.processes.append(process)
        assert process.stdout is not None
        if not await process.stdout.readline():
            raise RuntimeError("a process of the demo fleet did not start")

    async def _clean_up(self) -> None:
        for process in self.processes:
            if process.stdin is not None:
                process.stdin.close()
        try:
            async with asyncio.timeout(ENDED_WITHIN):
                await asyncio.gather(*(process.wait() for process in self.processes))
        except TimeoutError:
            for process in self.processes:
                if process.returncode is None:
                    process.kill()
                await process.wait()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)  # the last process may have done it
