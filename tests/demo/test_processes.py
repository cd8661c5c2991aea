"""The demo fleet in processes of its own: it is there, it is the same fleet, and it never outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from lxdpm_tui.config import UnixAddress
from lxdpm_tui.demo import processes
from lxdpm_tui.demo.cast import plan
from lxdpm_tui.demo.processes import DemoProcesses
from tests.demo.conftest import connected

PARENT = """
import asyncio
from lxdpm_tui.demo.processes import DemoProcesses

async def main():
    async with DemoProcesses(2) as demo:
        print(demo.processes[0].pid, demo.hosts[0].address.path, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def path_of(demo: DemoProcesses, number: int) -> str:
    address = demo.hosts[number].address
    assert isinstance(address, UnixAddress)
    return address.path


async def test_every_host_answers_whichever_process_it_is_in() -> None:
    async with DemoProcesses(4, instances_per_host=(5, 5), seed=3) as demo:
        assert [host.name for host in demo.hosts] == [one.name for one in plan(4, (5, 5), 3)]
        for number, host in enumerate(demo.hosts):
            async with connected("lxd", path_of(demo, number)) as daemon:
                assert (await daemon.get("/1.0"))["environment"]["server_name"] == host.name
        directory = Path(path_of(demo, 0)).parent
        assert directory.stat().st_mode & 0o777 == 0o700
    assert not directory.exists()
    assert all(process.returncode is not None for process in demo.processes)


async def test_hosts_are_shared_out_among_processes() -> None:
    hosts = 2 * processes.PER_PROCESS + 1
    async with DemoProcesses(hosts, instances_per_host=(3, 3)) as demo:
        assert len(demo.processes) == min(3, os.cpu_count() or 1)
        assert len(demo.hosts) == hosts
        assert all(Path(path_of(demo, number)).is_socket() for number in range(hosts))
        for number in (0, hosts - 1):
            async with connected("lxd", path_of(demo, number)) as daemon:
                assert len(await daemon.get("/1.0/instances?recursion=1&all-projects=true")) <= 3


async def test_nothing_is_left_of_it_when_the_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)  # noqa: ASYNC220
    assert parent.stdout is not None
    try:
        pid, path = parent.stdout.readline().decode().split()
        child = os.pidfd_open(int(pid))
        try:
            gone = asyncio.Event()
            asyncio.get_running_loop().add_reader(child, gone.set)
            parent.send_signal(signal.SIGKILL)
            async with asyncio.timeout(60):
                await gone.wait()
            asyncio.get_running_loop().remove_reader(child)
        finally:
            os.close(child)
        assert not Path(path).parent.exists()
    finally:
        parent.kill()
        parent.communicate()
