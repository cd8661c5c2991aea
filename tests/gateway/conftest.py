"""A manager over the whole lab with its gateway on a socket of its own, and a client for it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lxdpm_tui.config import Paths
from lxdpm_tui.demo.fleet import DemoFleet
from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.manager import Manager
from tests.actions.images import paths_of
from tests.fleet.fleets import all_read
from tests.gateway.client import Client, remove_images
from tests.lab.lab import Lab

# A browser is no package that the tests ask for; what it is for is told by test_browser.py in raw HTTP too.
collect_ignore = [] if shutil.which("chromium") else ["test_chromium.py"]


@pytest.fixture
async def gateway(clean_lab: Lab, tmp_path: Path) -> AsyncIterator[Gateway]:
    """Serving on tmp_path/fleet.socket; h1 by its unix socket, h2 and i1 by HTTPS, h3 by SSH."""
    try:
        async with Manager.open(paths_of(clean_lab, tmp_path), clean_lab.hosts_config()) as manager:
            await all_read(manager.fleet)
            async with Gateway.serve(manager, tmp_path / "fleet.socket") as gateway:
                yield gateway
    finally:
        remove_images(clean_lab)


@pytest.fixture
def manager(gateway: Gateway) -> Manager:
    return gateway.manager


@pytest.fixture
async def client(gateway: Gateway, tmp_path: Path) -> AsyncIterator[Client]:
    client = Client(tmp_path / "fleet.socket")
    yield client
    await client.close()


# -- on two simulated hosts, an LXD and an Incus, where no real daemon is needed


@pytest.fixture
async def demo() -> AsyncIterator[DemoFleet]:
    async with DemoFleet(count=2, seed=3, activity=False) as demo:
        yield demo


@pytest.fixture
async def simulated(demo: DemoFleet, tmp_path: Path) -> AsyncIterator[Gateway]:
    paths = Paths(tmp_path / "hosts.toml", tmp_path / "state")
    async with Manager.open(paths, demo.hosts) as manager:
        await all_read(manager.fleet)
        async with Gateway.serve(manager, tmp_path / "fleet.socket") as gateway:
            yield gateway


@pytest.fixture
async def asker(simulated: Gateway, tmp_path: Path) -> AsyncIterator[Client]:
    client = Client(tmp_path / "fleet.socket")
    yield client
    await client.close()
