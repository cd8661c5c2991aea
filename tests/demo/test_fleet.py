"""The demo fleet: believable, the same for the same seed, and in motion."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.config import UnixAddress
from lxdpm_tui.demo.fleet import DemoFleet
from lxdpm_tui.demo.load import Load, parse_size
from lxdpm_tui.demo.metrics import number
from tests.demo.conftest import connected


def names(fleet: DemoFleet) -> dict[str, list[str]]:
    return {name: [one.name for one in daemon.state.instances()] for name, daemon in fleet.daemons.items()}


async def test_hosts() -> None:
    async with DemoFleet(8, seed=3, activity=False) as fleet:
        assert len(fleet.hosts) == 8
        for host in fleet.hosts:
            assert isinstance(host.address, UnixAddress)
            directory = Path(host.address.path).parent
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            assert set(host.labels) == {"site", "disk"}
            async with connected(fleet.daemons[host.name].state.variant.kind, host.address.path) as daemon:
                server = await daemon.get("/1.0")
                assert server["environment"]["server_name"] == host.name
                found = await daemon.get("/1.0/resources")
                assert 4 <= found["cpu"]["total"] <= 64
                assert 16 << 30 <= found["memory"]["total"] <= 256 << 30
                rows: list[dict[str, Any]] = await daemon.get("/1.0/instances?recursion=2&all-projects=true")
                if daemon.kind == "incus":
                    assert 6 <= len(rows) <= 30
                running = [row for row in rows if row["status"] == "Running"]
                assert running
                for row in running:
                    assert row["state"]["network"]["eth0"]["addresses"][0]["address"].startswith("10.")
                    assert row["state"]["memory"]["usage"] > 0
        everywhere = [name for found in names(fleet).values() for name in found]
        assert len(set(everywhere)) == len(everywhere)  # no twins
        versions = {daemon.state.variant.version for daemon in fleet.daemons.values()}
        assert versions == {"4.0.10", "5.0.2", "5.21.4", "6.0.4"}
        images = [set(daemon.state.projects["default"].images) for daemon in fleet.daemons.values()]
        assert any(sum(fingerprint in held for held in images) > 3 for fingerprint in set.union(*images))
        assert len({frozenset(held) for held in images}) > 1  # not all the same
    assert not directory.exists()


async def test_the_same_seed_gives_the_same_fleet() -> None:
    async with DemoFleet(4, seed=7, activity=False) as first, DemoFleet(4, seed=7, activity=False) as second:
        assert names(first) == names(second)
    async with DemoFleet(4, seed=8, activity=False) as other:
        assert names(other) != names(first)


async def test_things_happen_by_themselves() -> None:
    async with DemoFleet(3, seed=5, interval=0.005, pace=0.01) as fleet:
        server = next(iter(fleet.daemons.values()))
        async with (
            connected(server.state.variant.kind, str(server.path)) as daemon,
            daemon.listening("type=lifecycle&all-projects=true") as recording,
        ):
            await recording.until(lambda: len(recording.events) >= 10)


async def test_one_host_down_and_one_slow() -> None:
    async with DemoFleet(4, seed=5, activity=False, faults=True) as fleet:
        up = [daemon.up for daemon in fleet.daemons.values()]
        assert up == [True, True, True, False]


def test_loads_move_and_counters_only_grow() -> None:
    load = Load.of(42, 512 << 20)
    moments = [1_000_000.0 + step * 5 for step in range(200)]
    memory = [load.memory_at(moment) for moment in moments]
    assert len(set(memory)) > 100
    assert 0 < min(memory) < max(memory) < 512 << 20
    used = [load.cpu_seconds(moments[0], moment) for moment in moments]
    assert used == sorted(used)


@pytest.mark.parametrize(
    ("text", "size"), [("1024", 1024), ("512MiB", 512 << 20), ("2GB", 2 * 10**9), ("1kB", 1000), ("5B", 5)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["xx", "", "MiB", "5X", "1.5GiB"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_size(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (786432, "786432"),
        (1433600, "1.4336e+06"),
        (2.4683326048e10, "2.4683326048e+10"),
        (0.015657779, "0.015657779"),
        (0.00001, "1e-05"),
    ],
)
def test_numbers_as_go_writes_them(value: float, text: str) -> None:
    assert number(value) == text
