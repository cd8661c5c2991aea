"""Callers over HTTPS: an admin, a guest that is restricted to a project, a stranger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.manager import Manager
from tests.actions.images import paths_of
from tests.fleet.fleets import all_read
from tests.gateway import direct
from tests.gateway.restricted.https import MARK, OWN, HttpsClient
from tests.lab.lab import Lab


@pytest.fixture
async def gateway(clean_lab: Lab, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with (
        Manager.open(paths_of(clean_lab, tmp_path), clean_lab.hosts_config()) as manager,
        Gateway.serve(manager, tmp_path / "fleet.socket", ("127.0.0.1", 0)) as gateway,
    ):
        await all_read(manager.fleet)
        yield gateway


@pytest.fixture
async def make(gateway: Gateway, tmp_path: Path) -> AsyncIterator[Callable[[str], HttpsClient]]:
    async with AsyncExitStack() as stack:

        def one(name: str) -> HttpsClient:
            client = HttpsClient(gateway.addresses[0], tmp_path / name)
            stack.push_async_callback(client.close)
            return client

        yield one


@pytest.fixture
async def stranger(make: Callable[[str], HttpsClient]) -> HttpsClient:
    """Nobody we know."""
    return make("stranger")


@pytest.fixture
async def admin(gateway: Gateway, make: Callable[[str], HttpsClient]) -> HttpsClient:
    client = make("admin")
    await gateway.trust.add(client.certificate, "admin")
    return client


@pytest.fixture
async def guest(gateway: Gateway, admin: HttpsClient, make: Callable[[str], HttpsClient]) -> HttpsClient:
    """Restricted to the project `theirs`, which is there."""
    client = make("guest")
    await admin.done("POST", "/1.0/projects", {"name": "theirs", "config": OWN})
    await gateway.trust.add(client.certificate, "guest", restricted=True, projects=["theirs"])
    return client


@pytest.fixture
async def hidden(admin: HttpsClient, clean_lab: Lab) -> AsyncIterator[dict[str, str]]:
    """Things of the project default and of another, with MARK in them; path variable -> name."""
    config = {f"user.{MARK}": MARK}
    await admin.done("POST", "/1.0/projects", {"name": f"p{MARK}", "config": OWN, "description": MARK})
    for project in ("default", f"p{MARK}"):
        query = f"?project={project}&target=h1"
        body = {"name": f"i{MARK}", "source": {"type": "image", "alias": "busybox"}, "config": config}
        if project != "default":
            body["name"] += "2"
        await admin.done("POST", f"/1.0/instances{query}", body)
        await admin.done("POST", f"/1.0/instances/{body['name']}/snapshots?project={project}", {"name": "s"})
        await admin.done("POST", f"/1.0/storage-pools/default/volumes/custom{query}", {"name": f"v{MARK}{project}"})
    await admin.done("PUT", f"/1.0/instances/i{MARK}/state", {"action": "start"})
    fingerprint = clean_lab.image_fingerprint
    await admin.done("PATCH", f"/1.0/images/{fingerprint}", {"public": False})
    await admin.done("PATCH", "/1.0?target=h1", {"config": {"user.note": MARK}})
    await admin.done("PATCH", "/1.0", {"config": {"user.note": MARK}})
    kept = {}  # what the lab does not put back by itself
    for host in clean_lab.hosts:
        for path in (f"/1.0/networks/{'incusbr0' if host.startswith('i') else 'lxdbr0'}", "/1.0/storage-pools/default"):
            old = kept[host, path] = await direct.ask(clean_lab, host, "GET", path)
            await direct.ask(clean_lab, host, "PUT", path, {**old, "config": {**old["config"], **config}})
    yield {
        "name": f"i{MARK}", "fingerprint": fingerprint, "volume": f"v{MARK}default", "type": "custom",
        "pool": "default", "network": "lxdbr0", "snapshot": "s", "project": f"p{MARK}",
    }  # fmt: skip
    for (host, path), old in kept.items():
        await direct.ask(clean_lab, host, "PUT", path, old)
    await admin.done("PATCH", f"/1.0/images/{fingerprint}", {"public": True})
    await admin.done("PATCH", "/1.0?target=h1", {"config": {"user.note": "", "user.other": ""}})
