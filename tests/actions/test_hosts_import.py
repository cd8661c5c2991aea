"""Remotes of an lxc client become hosts of the running fleet. On real daemons."""

from __future__ import annotations

import json
from pathlib import Path

from lxdpm_tui.config import load_hosts
from lxdpm_tui.tasks.task import Status
from tests.lab.lab import Lab
from tests.managing import done, managing, refused


async def test_remotes_are_paired_with_and_added_while_it_runs(clean_lab: Lab, tmp_path: Path) -> None:
    """The daemons trust the client's certificate; ours is made trusted with it."""
    file = tmp_path / "hosts.toml"
    directory = str(clean_lab.base / "client" / "lxc")
    async with managing(clean_lab, tmp_path, []) as manager:
        await refused(manager, "host-import", 400, "are not from a hosts.toml", directory=directory)
        manager.hosts_file.follow(file)
        await refused(manager, "host-import", 400, "config.yml", directory=str(tmp_path / "none"))
        await done(manager, "host-import", directory=directory)
        known = {config.name: config for config in load_hosts(file)}
        assert {"h1", "h2", "h3", "i1"} <= set(known)
        assert known["h1"].fingerprint == clean_lab.hosts["h1"].fingerprint
        await manager.fleet.until_usable("h1", 60)
        await manager.fleet.until_usable("i1", 60)
        await refused(manager, "host-import", 400, "nothing to import", directory=directory)


async def test_one_that_cannot_be_reached_is_told_and_left_out(clean_lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    remotes = {"dead": {"addr": "https://127.0.0.1:1", "protocol": "lxd"}}
    (tmp_path / "client" / "config.yml").write_text(json.dumps({"remotes": remotes}))
    file = tmp_path / "hosts.toml"
    async with managing(clean_lab, tmp_path, []) as manager:
        manager.hosts_file.follow(file)
        task = await done(manager, "host-import", Status.FAILURE, directory=str(tmp_path / "client"))
        assert task.error.startswith("0 of 1 added; dead: ")
        assert not file.exists()
        assert not manager.inventory.hosts
