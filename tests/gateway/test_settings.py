"""The gateway's own keys of /1.0, on simulated hosts. Those of the fleet: test_server_config.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lxdpm_tui.demo.fleet import DemoFleet
from lxdpm_tui.gateway.server import Gateway
from tests.gateway.client import Client

KEY = "images.compression_algorithm"


async def test_null_takes_a_key_away(asker: Client, demo: DemoFleet) -> None:
    """As in LXD; it was kept as the text "None"."""
    name = next(iter(demo.daemons))
    for path in ("/1.0", f"/1.0/cluster/members/{name}"):
        before = (await asker.get(path))["config"]
        await asker.done("PATCH", path, {"config": {"user.a": "b"}})
        assert (await asker.get(path))["config"] == {**before, "user.a": "b"}
        await asker.done("PATCH", path, {"config": {"user.a": None}})
        assert (await asker.get(path))["config"] == before
    await asker.done("POST", "/1.0/cluster/groups", {"name": "g", "config": {"user.a": "b", "user.c": None}})
    assert (await asker.get("/1.0/cluster/groups/g"))["config"] == {"user.a": "b"}


async def test_what_others_set_while_the_hosts_are_set_is_kept(
    asker: Client, simulated: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    operate = simulated.manager.fleet.operate

    async def held(*words: str, **more: Any) -> dict[str, Any]:
        begun.set()
        await go.wait()
        return await operate(*words, **more)

    monkeypatch.setattr(simulated.manager.fleet, "operate", held)
    slow = asyncio.create_task(asker.done("PATCH", "/1.0", {"config": {KEY: "xz", "user.slow": "1"}}))
    await asyncio.wait_for(begun.wait(), 60)
    await asker.done("PATCH", "/1.0", {"config": {"user.quick": "1", "core.trust_password": "open sesame"}})
    password = await simulated.manager.store.get_setting("trust.password")
    assert not slow.done()
    go.set()
    await slow
    config = (await asker.get("/1.0"))["config"]
    own = {"user.slow": "1", "user.quick": "1", "core.trust_password": "true", KEY: "xz"}
    assert config.items() >= own.items()
    assert await simulated.manager.store.get_setting("trust.password") == password
