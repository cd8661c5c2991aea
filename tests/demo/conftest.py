"""The daemons that the contract tests run on: simulated and real, LXD and Incus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from lxdpm_tui.demo import images
from lxdpm_tui.demo.server import SimDaemon
from lxdpm_tui.demo.state import State
from lxdpm_tui.demo.variants import INCUS_6_0, LXD_5_0, Variant
from tests.demo.daemon import Daemon
from tests.lab.lab import Lab


@asynccontextmanager
async def simulated(path: Path, variant: Variant) -> AsyncIterator[tuple[Daemon, SimDaemon]]:
    """A simulated daemon as the lab sets its real ones up: image busybox, pools default and fast."""
    state = State("s1", variant, pace=0.1)
    image = images.public_image("alpine/3.20")
    image.public, image.filename = True, "busybox.tar.gz"
    state.add_image("default", image, ["busybox"])
    state.add_pool("fast", "btrfs", {"size": "2GiB"})
    server = SimDaemon(state, path / f"{variant.kind}.socket")
    await server.start()
    try:
        async with connected(variant.kind, str(server.path)) as daemon:
            yield daemon, server
    finally:
        server.heal()
        await server.stop()


@asynccontextmanager
async def connected(kind: str, socket: str) -> AsyncIterator[Daemon]:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=socket, limit=0)) as session:
        yield Daemon(kind, socket, session)


ALL_FOUR = [
    "simulated lxd",
    "simulated incus",
    pytest.param("real lxd", marks=pytest.mark.lab),
    pytest.param("real incus", marks=pytest.mark.lab),
]


@pytest.fixture(params=ALL_FOUR)
async def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Daemon]:
    """One daemon that has the image busybox, the pools default and fast, and no instances."""
    async with _one(request, tmp_path, "clean_lab") as daemon:
        yield daemon


@pytest.fixture(params=ALL_FOUR)
async def unchanged(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Daemon]:
    """The same for tests that change nothing: real hosts are not cleaned up afterwards, which takes a second."""
    async with _one(request, tmp_path, "lab") as daemon:
        yield daemon


@asynccontextmanager
async def _one(request: pytest.FixtureRequest, tmp_path: Path, lab_fixture: str) -> AsyncIterator[Daemon]:
    what, kind = request.param.split()
    if what == "simulated":
        async with simulated(tmp_path, LXD_5_0 if kind == "lxd" else INCUS_6_0) as (daemon, _):
            yield daemon
    else:
        lab: Lab = request.getfixturevalue(lab_fixture)
        host = lab.hosts["h1" if kind == "lxd" else "i1"]
        async with connected(kind, str(host.socket)) as daemon:
            daemon.real = True
            yield daemon


@pytest.fixture(params=["lxd", "incus"])
async def sim(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Daemon, SimDaemon]]:
    """A simulated daemon and what faults are put on it with."""
    async with simulated(tmp_path, LXD_5_0 if request.param == "lxd" else INCUS_6_0) as pair:
        yield pair
