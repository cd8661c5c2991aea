"""What people do with a cluster of several members, done with the fleet: scenarios that span hosts or programs."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.clients.commands import Commands, Server
from tests.lab import image
from tests.lab.lab import Lab

ALL = {"h1", "h2", "h3", "i1"}


@pytest.fixture(autouse=True)
def cleaned(lab: Lab) -> Iterator[None]:
    yield
    lab.clean()


@pytest.fixture
def lxc(fleet: Server, tmp_path: Path) -> Commands:
    return Commands("lxc", fleet, tmp_path / "lxc")


@pytest.fixture
def incus(fleet: Server, tmp_path: Path) -> Commands:
    return Commands("incus", fleet, tmp_path / "incus")


def image_on(lab: Lab, host: str, folder: Path) -> tuple[Path, str]:
    """An image that this host alone has, known to it as "rare"."""
    path = image.build(folder / "rare.tar.gz", description=f"rare {os.urandom(4).hex()}")
    at = lab.hosts[host]
    at.api("POST", "/1.0/images", path.read_bytes(), {"Content-Type": "application/octet-stream"})
    fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
    at.api("POST", "/1.0/images/aliases", {"name": "rare", "target": fingerprint})
    return path, fingerprint


@pytest.mark.parametrize(("holder", "where"), [("h2", "h1"), ("h1", "h3"), ("h3", "i1"), ("i1", "h2")])
def test_an_image_that_one_host_alone_has(lab: Lab, lxc: Commands, tmp_path: Path, holder: str, where: str) -> None:
    """It is exported, and launched from on another host."""
    path, fingerprint = image_on(lab, holder, tmp_path)
    lxc("image", "info", "rare", has=fingerprint)
    lxc("image", "export", "rare", str(tmp_path / "exported"))
    assert (tmp_path / "exported.tar.gz").read_bytes() == path.read_bytes()
    lxc("launch", "rare", "c1", "--target", where)
    lxc("exec", "c1", "--", "true")
    assert [row["name"] for row in lab.hosts[where].api("GET", "/1.0/instances?recursion=1")] == ["c1"]
    lxc("delete", "-f", "c1")
    lxc("image", "delete", "rare")
    held = {name for name, host in lab.hosts.items() if f"/1.0/images/{fingerprint}" in host.api("GET", "/1.0/images")}
    assert held == set()


def test_both_programs_in_one_session(lxc: Commands, incus: Commands) -> None:
    """Turn by turn on the same things, on an LXD host and on an Incus host."""
    for name, host in (("c1", "h3"), ("c2", "i1")):
        lxc("launch", "busybox", name, "--target", host)
        incus("exec", name, "--", "touch", "/root/before")
        incus.snapshot(name, "s0")
        lxc("exec", name, "--", "rm", "/root/before")
        lxc("stop", "-f", name)
        lxc.restore(name, "s0")
        incus("start", name)
        assert lxc("exec", name, "--", "ls", "/root") == "before\n"
        incus("config", "set", name, "user.a=b")
        assert lxc("config", "get", name, "user.a") == "b\n"
        incus.rename_snapshot(name, "s0", "s1")
        lxc.delete_snapshot(name, "s1")
        incus("file", "push", "-", f"{name}/root/file", stdin="pushed")
        assert lxc("file", "pull", f"{name}/root/file", "-") == "pushed"
    incus("profile", "create", "p")
    lxc("profile", "assign", "c1", "default,p")
    incus("profile", "assign", "c2", "default,p")
    rows = lxc.json("list")
    assert {row["name"]: (row["location"], row["profiles"]) for row in rows} == {
        "c1": ("h3", ["default", "p"]), "c2": ("i1", ["default", "p"]),
    }  # fmt: skip
    assert [row["name"] for row in incus.json("list")] == ["c1", "c2"]
    incus("delete", "-f", "c1")
    lxc("delete", "-f", "c2")
    lxc("profile", "delete", "p")


def test_a_member_that_does_not_answer(lab: Lab, lxc: Commands) -> None:
    """Its rows stay, with status ERROR; the configuration is read, the state is not; launches go elsewhere."""
    lxc("launch", "busybox", "c1", "--target", "h2")
    lxc("launch", "busybox", "c2", "--target", "h1")
    with lab.hosts["h2"].hung():
        given_up = time.monotonic() + 60
        while lxc.query("/1.0/cluster/members/h2")["status"] != "Offline":
            assert time.monotonic() < given_up
        assert lxc("list", "-f", "csv", "-c", "nsL").split() == ["c1,ERROR,h2", "c2,RUNNING,h1"]
        lxc("config", "show", "c1", has="architecture")
        lxc("query", "/1.0/instances/c1/state", code=1, has="h2")
        lxc("exec", "c1", "--", "true", code=1, has="h2")
        for number in range(4):
            lxc("init", "busybox", f"n{number}")
        assert "h2" not in {row["location"] for row in lxc.json("list", "^n")}
        lxc("cluster", "list", has="OFFLINE")


def test_groups(lab: Lab, lxc: Commands) -> None:
    """Those of the lab's labels; a launch may name one."""
    groups = {unquote(row.rsplit("/", 1)[1]) for row in lxc.query("/1.0/cluster/groups")}
    kind = next(name for name in groups if name.endswith("incus"))
    lxc("cluster", "group", "show", kind, has="i1")
    for number in range(3):
        lxc("init", "busybox", f"c{number}", "--target", f"@{kind}")
    assert {row["location"] for row in lxc.json("list")} == {"i1"}
    lxc("init", "busybox", "x", "--target", "@nothing", code=1, has="nothing")


def test_what_is_everywhere(lab: Lab, lxc: Commands) -> None:
    """A profile, a network and a pool are made on every host, the latter two member by member first."""
    lxc("profile", "create", "p")
    lxc("profile", "set", "p", "limits.cpu", "1")
    for name in sorted(ALL):
        lxc("storage", "create", "own", "dir", "--target", name)
    lxc("storage", "list", has="PENDING")
    lxc("storage", "create", "own", "dir")
    lxc("storage", "show", "own", "--target", "h1", has="source: ")
    for name in sorted(ALL):
        lxc("network", "create", "ownbr", "--target", name)
    lxc("network", "create", "ownbr", "ipv4.address=10.199.1.1/24", "ipv6.address=none")
    for host in lab.hosts.values():
        assert host.api("GET", "/1.0/profiles/p")["config"] == {"limits.cpu": "1"}
        assert host.api("GET", "/1.0/storage-pools/own")["driver"] == "dir"
        assert host.api("GET", "/1.0/networks/ownbr")["config"]["ipv4.address"] == "10.199.1.1/24"
    shown = lxc.query("/1.0/networks/ownbr")
    assert set(shown["locations"]) == ALL
    lxc("network", "delete", "ownbr")
    lxc("storage", "delete", "own")
    lxc("profile", "delete", "p")
