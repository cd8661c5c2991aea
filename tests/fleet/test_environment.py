from __future__ import annotations

from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.environment import config_of, drivers_of


def test_the_keys_that_may_be_the_fleets() -> None:
    config = {
        "images.auto_update_interval": "0",
        "images.remote_cache_expiry": 10,
        "backups.compression_algorithm": "none",
        "instances.nic.host_name": "mac",
        "instances.placement.scriptlet": "x",
        "core.trust_password": True,
        "storage.images_volume": "p/v",
        "user.images.x": "y",
    }
    assert config_of({"config": config}) == {
        "images.auto_update_interval": "0",
        "images.remote_cache_expiry": "10",
        "backups.compression_algorithm": "none",
        "instances.nic.host_name": "mac",
    }
    assert config_of({"config": None}) == config_of({}) == {}


def test_what_a_daemon_says_of_its_storage_and_features() -> None:
    rows = [{"Name": "dir", "Version": "1", "Remote": False}, {"Name": "ceph", "Version": "17", "Remote": True}]
    environment = {"storage_supported_drivers": rows, "firewall": "nftables", "server_pid": 7}
    assert drivers_of(environment) == (("dir", "1", False), ("ceph", "17", True))
    assert drivers_of({}) == ()
    found = decode.server({"environment": environment, "config": {"images.x": "1"}})
    assert (found["environment"], found["config"]) == ({"firewall": "nftables"}, {"images.x": "1"})
