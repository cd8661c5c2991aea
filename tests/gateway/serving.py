"""`lxdpm-tui --serve` as a process of its own."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.actions.images import paths_of
from tests.gateway.client import Client, remove_images
from tests.lab import clients
from tests.lab.lab import Lab

UNREAD = ("not online", "nothing recent is known of it", "Image 'busybox' not found")  # what a plan says of such hosts


class Serving:
    """The process: its socket, its memory, its standard error once it ended.

    https: its listener's URL, "" for none.  took: seconds until it said that it is ready.
    """

    https = ""
    took = 0.0

    def __init__(self, process: asyncio.subprocess.Process, socket: Path, errors: asyncio.Task[bytes]) -> None:
        self.process = process
        self.socket = socket
        self._errors = errors

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and standard error."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 60)
        return code, (await self._errors).decode()

    def memory(self) -> int:
        """Bytes resident now."""
        return self._status("VmRSS")

    def peak(self) -> int:
        """Bytes resident at most since the start or `forget_peak`."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _status(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{self.process.pid}/status").read_text(), re.MULTILINE)
        assert found
        return int(found[1]) * 1024


async def start(*words: str) -> tuple[asyncio.subprocess.Process, asyncio.Task[bytes]]:
    """`lxdpm-tui` with these words; its standard error is read to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lxdpm_tui", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    return process, asyncio.create_task(process.stderr.read())


async def _until_read(socket: Path) -> None:
    """Until it knows all hosts: a start waits only some seconds for them, and a machine may stall longer than that."""
    client = Client(socket)
    try:
        async with asyncio.timeout(60):
            while True:
                plan = await client.ask("POST", "/1.0/fleet/plan", {"image": "busybox"})
                against = [host["reason"] for host in plan.metadata[0]["hosts"]] if plan.status == 200 else [plan.error]
                if not any(reason.startswith(UNREAD) for reason in against):
                    return
                await asyncio.sleep(0.05)
    finally:
        await client.close()


@asynccontextmanager
async def serving(
    lab: Lab, folder: Path, *words: str, transports: Mapping[str, str] | None = None, read: bool = True
) -> AsyncIterator[Serving]:
    """The lab served from a state directory below `folder`, ready; killed at the end if it still runs.

    transports: host -> "unix", "https" or "ssh"; None = the whole lab, as its hosts.toml says.
    read: all hosts are up, and were read; else it is as it said that it is ready.
    """
    paths, socket = paths_of(lab, folder), folder / "serve.socket"
    hosts_file = paths.hosts_file
    if transports is not None:
        hosts_file = folder / "hosts.toml"
        hosts_file.write_text(clients.hosts_toml(clients.entries(lab.layout, lab.hosts, transports)))
    began = time.monotonic()
    process, errors = await start(
        "--hosts", str(hosts_file), "--state", str(paths.state_dir), "--serve", "--socket", str(socket), *words
    )
    found = Serving(process, socket, errors)
    try:
        assert process.stdout is not None
        ready = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().split()
        assert ready[:2] == ["ready", f"unix:{socket}"], (ready, errors.done() and errors.result())
        found.took = time.monotonic() - began
        found.https = ready[2] if ready[2:] else ""
        if read:
            await _until_read(socket)
        yield found
    finally:
        await found.stop(signal.SIGKILL)
        remove_images(lab)
