"""Keys of the daemons' configuration that are the fleet's: one value for all hosts, or no change at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lxdpm_tui.gateway.server import Gateway
from tests.gateway import direct
from tests.gateway.client import Client, until
from tests.gateway.direct import ALL
from tests.gateway.test_lxc_client import Stock
from tests.lab.lab import Lab

KEY = "images.compression_algorithm"


async def values(lab: Lab, key: str = KEY) -> dict[str, str]:
    """Host -> what it has."""
    return {host: (await direct.ask(lab, host, "GET", "/1.0"))["config"].get(key, "") for host in ALL}


@pytest.fixture(autouse=True)
async def put_back(clean_lab: Lab) -> AsyncIterator[None]:
    """The lab leaves the daemons' own configuration as it is."""
    yield
    await asyncio.to_thread(clean_lab.undo_faults)
    for host in ALL:
        await direct.ask(clean_lab, host, "PATCH", "/1.0", {"config": {KEY: "", "images.default_architecture": ""}})


async def test_one_value_for_all_hosts(client: Client, clean_lab: Lab) -> None:
    before = (await client.get("/1.0"))["config"]
    assert before["images.auto_update_interval"] == "0"  # as all hosts of the lab have it
    await client.done("PATCH", "/1.0", {"config": {KEY: "xz"}})
    assert await values(clean_lab) == dict.fromkeys(ALL, "xz")
    read = await client.ask("GET", "/1.0")
    assert read.metadata["config"] == {**before, KEY: "xz"}
    tag = {"If-Match": read.headers["ETag"]}
    await client.done("PUT", "/1.0", {"config": {**before, KEY: "zstd", "user.motd": "hello"}}, tag)
    assert await values(clean_lab) == dict.fromkeys(ALL, "zstd")
    assert (await client.ask("PUT", "/1.0", {"config": before}, tag)).status == 412
    await client.done("PUT", "/1.0", {"config": before})
    assert await values(clean_lab) == dict.fromkeys(ALL, "")
    assert (await client.get("/1.0"))["config"] == before


async def test_hosts_that_differ_keep_what_was_not_changed(client: Client, gateway: Gateway, clean_lab: Lab) -> None:
    await direct.ask(clean_lab, "h2", "PATCH", "/1.0", {"config": {KEY: "bzip2"}})
    gateway.manager.fleet.watch("h2").retry_now()
    await until(gateway.manager, lambda: KEY in gateway.manager.inventory.hosts["h2"].config)
    config = (await client.get("/1.0"))["config"]
    assert KEY not in config  # most have none
    await client.done("PUT", "/1.0", {"config": {**config, "images.default_architecture": "x86_64"}})
    assert (await values(clean_lab))["h2"] == "bzip2"
    assert await values(clean_lab, "images.default_architecture") == dict.fromkeys(ALL, "x86_64")
    await client.done("PATCH", "/1.0", {"config": {KEY: "xz"}})
    assert await values(clean_lab) == dict.fromkeys(ALL, "xz")
    await client.done("PATCH", "/1.0", {"config": {KEY: "gzip"}})  # what it is anyway: daemons show no such value
    assert KEY not in (await client.get("/1.0"))["config"]


async def test_all_or_none(client: Client, gateway: Gateway, clean_lab: Lab) -> None:
    """What one host refuses is taken back on all; with a silent host nothing is begun."""
    await client.done("PATCH", "/1.0", {"config": {KEY: "xz"}})
    refused = await client.ask("PATCH", "/1.0", {"config": {KEY: "gzip", "images.nonsense": "1"}})
    assert refused.status == 400
    assert "images.nonsense" in refused.error
    assert await values(clean_lab) == dict.fromkeys(ALL, "xz")
    await asyncio.to_thread(clean_lab.hosts["h3"].kill)
    await until(gateway.manager, lambda: not gateway.manager.inventory.hosts["h3"].usable)
    silent = await client.ask("PATCH", "/1.0", {"config": {KEY: "gzip"}})
    assert silent.status == 503
    assert "h3" in silent.error
    assert (await direct.ask(clean_lab, "h1", "GET", "/1.0"))["config"][KEY] == "xz"


async def test_lxc_and_incus_set_them(gateway: Gateway, clean_lab: Lab, tmp_path: Path) -> None:
    lxc = Stock("lxc", tmp_path / "lxc", tmp_path / "fleet.socket")
    incus = Stock("incus", tmp_path / "incus", tmp_path / "fleet.socket")
    await lxc("config", "set", KEY, "xz")
    assert (await incus("config", "get", KEY)).strip() == "xz"
    await incus("config", "unset", KEY)
    assert await values(clean_lab) == dict.fromkeys(ALL, "")
    for key in ("core.https_address", "storage.images_volume", "loki.auth.password", "cluster.https_address"):
        done = await lxc.run("config", "set", key, "x")
        assert (done.code, f"{key} is host-local, use --target" in done.err) == (1, True), key
