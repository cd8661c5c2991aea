"""`read_only = true` in hosts.toml: every change of that host is refused, whoever asks, and nothing is placed there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lxdpm_tui.config import HostConfig, UnixAddress, add_host, load_hosts
from lxdpm_tui.config.hosts_file import ConfigError
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError
from lxdpm_tui.tasks.task import Status
from tests.lab.lab import Lab
from tests.managing import done, managing, where


def test_the_file_says_it(tmp_path: Path) -> None:
    file = tmp_path / "hosts.toml"
    add_host(file, HostConfig("h1", UnixAddress("/x"), read_only=True))
    assert "read_only = true" in file.read_text()
    assert load_hosts(file)[0].read_only
    file.write_text('[[hosts]]\nname = "h1"\naddress = "unix:///x"\nread_only = "yes"\n')
    with pytest.raises(ConfigError, match=r"hosts.toml:4: read_only: expected true or false"):
        load_hosts(file)


@pytest.mark.parametrize(
    ("method", "target"),
    [("POST", "/1.0/instances"), ("PUT", "/1.0"), ("DELETE", "/1.0/x"), ("GET", "/1.0/instances/web/sftp?project=x")],
)
async def test_a_change_is_refused_before_it_is_sent(method: str, target: str) -> None:
    host = Host(HostConfig("h1", UnixAddress("/nonexistent"), read_only=True))
    with pytest.raises(ApiError, match="only looked at") as refusal:
        async with host.stream(method, target):
            raise AssertionError
    assert refusal.value.code == 403
    await host.close()


async def test_nothing_is_changed_and_nothing_placed_there(clean_lab: Lab, tmp_path: Path) -> None:
    configs = [replace(config, read_only=config.name == "h1") for config in clean_lab.hosts_config()]
    async with managing(clean_lab, tmp_path, [config for config in configs if config.name in ("h1", "h2")]) as manager:
        assert await manager.fleet.until_known(60) == []
        assert manager.inventory.hosts["h1"].read_only
        await done(manager, "launch", image="busybox", name="ro1", count=1, no_start=True)
        assert where(manager, "ro1") == ["h2"]
        [decision] = manager.plan(image="busybox", name="ro2")
        assert {"h1": "is only looked at (read_only in hosts.toml)"}.items() <= {
            verdict["host"]: verdict["reason"] for verdict in decision["hosts"]
        }.items()
        task = await done(manager, "profile-create", Status.FAILURE, name="ro", hosts=["h1"])
        assert "only looked at" in task.error
