"""Hosts that come and go while the manager runs: by actions, and by an edit of hosts.toml. On real daemons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.properties  # noqa: F401
from lxdpm_tui.actions.hosts_follow import changes
from lxdpm_tui.config import HostConfig, UnixAddress, add_host, load_hosts, remove_host
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status
from tests.fleet.fleets import until
from tests.lab.lab import Lab
from tests.managing import api, done, managing, refused, where


@pytest.fixture
def file(tmp_path: Path, clean_lab: Lab) -> Path:
    """A hosts file with h1 only."""
    path = tmp_path / "hosts.toml"
    path.write_text("# ours\n")
    [h1] = [config for config in clean_lab.hosts_config() if config.name == "h1"]
    add_host(path, h1)
    return path


@pytest.fixture
async def manager(file: Path, clean_lab: Lab, tmp_path: Path) -> AsyncIterator[Manager]:
    async with managing(clean_lab, tmp_path, load_hosts(file)) as manager:
        manager.hosts_file.follow(file)
        yield manager


def config_of(lab: Lab, name: str) -> HostConfig:
    [config] = [config for config in lab.hosts_config() if config.name == name]
    return config


async def test_a_host_is_added_and_removed_while_it_runs(manager: Manager, clean_lab: Lab, file: Path) -> None:
    await api(clean_lab, "h2", "POST", "/1.0/instances", {"name": "there", "source": {"type": "none"}})
    h2 = config_of(clean_lab, "h2")
    address = str(h2.address)
    await refused(manager, "host-add", 400, "certificate is to be confirmed", name="h2", address=address)
    await refused(manager, "host-add", 400, "expected", name="h2", address="h2")
    await refused(manager, "host-add", 400, "there is a host h1 already", name="h1", address=address)
    wrong = await done(manager, "host-add", Status.FAILURE, name="h2", address=address, fingerprint="0" * 64)
    assert "it shows the certificate" in wrong.error
    assert list(manager.inventory.hosts) == ["h1"], "what cannot be reached is not added"

    task = await done(manager, "host-add", name="h2", address=address, fingerprint=h2.fingerprint, labels={"site": "b"})
    assert task.hosts["h2"]["status"] == "done"
    await manager.fleet.until_usable("h2", 60)
    await until(manager.fleet, lambda: where(manager, "there") == ["h2"])
    assert load_hosts(file)[1].labels == {"site": "b"}
    assert await manager.fleet.until_known(60) == []
    await done(manager, "launch", image="busybox", name="c1", target="h2", no_start=True)

    await done(manager, "host-label", host="h2", labels=["rack=7", "site=", "ssd"])
    assert load_hosts(file)[1].labels == manager.inventory.hosts["h2"].labels == {"rack": "7", "ssd": ""}

    await done(manager, "host-remove", host="h2")
    assert list(manager.inventory.hosts) == list(manager.fleet.hosts) == ["h1"]
    assert where(manager, "there") == []
    assert file.read_text().startswith("# ours\n")
    assert len(await api(clean_lab, "h2", "GET", "/1.0/instances")) == 2, "what runs there goes on"
    await refused(manager, "host-remove", 404, "there is no host 'h2'", host="h2")
    await done(manager, "launch", image="busybox", name="c2", no_start=True)


async def test_what_was_read_before_the_file_was_written_anew_is_not_applied(manager: Manager, file: Path) -> None:
    read = await asyncio.to_thread(load_hosts, file)
    at = file.stat()
    mark = (at.st_mtime_ns, at.st_size, at.st_ino)
    await done(manager, "host-label", host="h1", labels=["rack=7"])
    assert await manager.hosts_file.apply(read, mark) == {}
    assert manager.inventory.hosts["h1"].labels["rack"] == "7"


async def test_a_token_pairs_with_a_host(manager: Manager, clean_lab: Lab, file: Path) -> None:
    from lxdpm_tui.hosts.identity import ensure_identity

    fresh = manager.paths.state_dir / "other"
    fresh.mkdir()
    manager.fleet.identity = await asyncio.to_thread(ensure_identity, fresh)  # one that i1 does not know
    i1 = config_of(clean_lab, "i1")
    task = await done(
        manager, "host-add", Status.FAILURE, name="i1", address=str(i1.address), fingerprint=i1.fingerprint
    )
    assert "does not trust our certificate" in task.error
    token = await asyncio.to_thread(clean_lab.hosts["i1"].token)
    await done(manager, "host-add", name="i1", address=str(i1.address), token=token)
    await manager.fleet.until_usable("i1", 60)
    assert [config.fingerprint for config in load_hosts(file)][1] == i1.fingerprint


async def test_the_file_is_followed(manager: Manager, clean_lab: Lab, file: Path) -> None:
    add_host(file, config_of(clean_lab, "h3"))
    await until(manager.fleet, lambda: "h3" in manager.inventory.hosts)
    await manager.fleet.until_usable("h3", 60)
    remove_host(file, "h1")
    await until(manager.fleet, lambda: "h1" not in manager.inventory.hosts)

    broken = asyncio.Event()
    said: list[str] = []

    def listen(task: object) -> None:
        if getattr(task, "kind", "") == "hosts-reload" and getattr(task, "error", ""):
            said.append(task.error)  # type: ignore[attr-defined]
            broken.set()

    undo = manager.tasks.subscribe(listen)
    file.write_text(file.read_text() + "\n[[hosts]]\nnmae = 1\n")
    await asyncio.wait_for(broken.wait(), 60)
    undo()
    assert "nmae" in said[0]
    assert "hosts.toml:" in said[0]
    assert list(manager.inventory.hosts) == ["h3"], "a file with a mistake changes nothing"


async def test_a_fleet_that_is_from_no_file_cannot_be_changed(clean_lab: Lab, tmp_path: Path) -> None:
    async with managing(clean_lab, tmp_path) as manager:
        await refused(manager, "host-add", 400, "not from a hosts.toml", name="x", address="unix:///x")


NAMES = st.sampled_from(["a", "b", "c", "d"])
CONFIGS = st.lists(
    st.builds(HostConfig, NAMES, st.builds(UnixAddress, st.sampled_from(["/x", "/y"]))), unique_by=lambda c: c.name
)


@given(CONFIGS, CONFIGS)
def test_changes_lead_from_one_list_to_the_other(old: list[HostConfig], new: list[HostConfig]) -> None:
    have = {config.name: config for config in old}
    for name, (before, after) in changes(have, new).items():
        assert before == have.get(name)
        assert before != after
        have.pop(name, None)
        if after is not None:
            have[name] = after
    assert have == {config.name: config for config in new}
