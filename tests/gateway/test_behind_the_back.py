"""A change made on a host itself, not through the manager, is known within a second, and the lists show it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.manager import Manager
from tests.gateway.client import Client, until
from tests.lab.lab import Lab

ALL = ("h1", "h2", "h3", "i1")
DEADLINE = 1.0  # seconds from the end of the call on the host, unless the machine stalls
PATIENCE = 20.0  # seconds after which no event told of it; far less than until all is read again
BODY = {"source": {"type": "image", "alias": "busybox"}}


class Behind:
    """One host, changed by its own socket."""

    def __init__(self, lab: Lab, manager: Manager, host: str) -> None:
        self.lab = lab
        self.manager = manager
        self.host = host
        self.took: list[float] = []

    async def change(self, method: str, path: str, body: object, holds: Callable[[], bool]) -> None:
        """Make the change and wait until the inventory shows it."""
        await asyncio.to_thread(self.lab.hosts[self.host].api, method, path, body)
        began = time.monotonic()
        await until(self.manager, holds, PATIENCE)
        self.took.append(time.monotonic() - began)

    def status(self, name: str) -> str:
        """ "" when there is no such instance."""
        row = self.manager.inventory.instances[self.host].get(Key(self.host, "default", name))
        return row.status if row else ""

    def has_profile(self, name: str) -> bool:
        return Key(self.host, "default", name) in self.manager.inventory.profiles[self.host]

    def aliases(self) -> set[str]:
        return {alias for row in self.manager.inventory.images[self.host].values() for alias in row.aliases}


@pytest.fixture(params=ALL)
def behind(request: pytest.FixtureRequest, clean_lab: Lab, manager: Manager) -> Iterator[Behind]:
    behind = Behind(clean_lab, manager, request.param)
    yield behind
    assert statistics.median_low(behind.took) < DEADLINE, behind.took


async def test_instances(behind: Behind, client: Client) -> None:
    async def listed() -> dict[str, Any]:
        rows = await client.get("/1.0/instances?recursion=1")
        return {row["name"]: (row["status"], row["location"]) for row in rows}

    await behind.change("POST", "/1.0/instances", {**BODY, "name": "b1"}, lambda: behind.status("b1") == "Stopped")
    assert await listed() == {"b1": ("Stopped", behind.host)}
    state = "/1.0/instances/b1/state"
    await behind.change("PUT", state, {"action": "start"}, lambda: behind.status("b1") == "Running")
    assert await listed() == {"b1": ("Running", behind.host)}
    stop = {"action": "stop", "force": True}
    await behind.change("PUT", state, stop, lambda: behind.status("b1") == "Stopped")
    renamed = ("", "Stopped")
    await behind.change(
        "POST", "/1.0/instances/b1", {"name": "b2"}, lambda: (behind.status("b1"), behind.status("b2")) == renamed
    )
    assert await listed() == {"b2": ("Stopped", behind.host)}
    assert (await client.get("/1.0/instances/b2"))["location"] == behind.host
    await behind.change("DELETE", "/1.0/instances/b2", None, lambda: not behind.status("b2"))
    assert await listed() == {}


async def test_profiles_and_aliases(behind: Behind, client: Client, clean_lab: Lab) -> None:
    await behind.change("POST", "/1.0/profiles", {"name": "p"}, lambda: behind.has_profile("p"))
    assert await client.get("/1.0/profiles") == ["/1.0/profiles/default", "/1.0/profiles/p"]
    await behind.change("DELETE", "/1.0/profiles/p", None, lambda: not behind.has_profile("p"))
    assert await client.get("/1.0/profiles") == ["/1.0/profiles/default"]
    alias = {"name": "b/1", "target": clean_lab.image_fingerprint}
    await behind.change("POST", "/1.0/images/aliases", alias, lambda: "b/1" in behind.aliases())
    assert await client.get("/1.0/images/aliases") == ["/1.0/images/aliases/b%2F1", "/1.0/images/aliases/busybox"]
    (image,) = await client.get("/1.0/images?recursion=1")
    assert [each["name"] for each in image["aliases"]] == ["b/1", "busybox"]
    await behind.change("DELETE", "/1.0/images/aliases/b%2F1", None, lambda: "b/1" not in behind.aliases())
    assert await client.get("/1.0/images/aliases") == ["/1.0/images/aliases/busybox"]
