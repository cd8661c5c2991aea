"""From a daemon's JSON to records: what real daemons say, and what old ones leave out."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.hosts.host import Host
from tests.lab.lab import Lab

GIB = 1 << 30


def raw(**fields: Any) -> bytes:
    return msgspec.json.encode(fields)


# -- answers


@pytest.mark.parametrize(("metadata", "count"), [("null", 0), ("[]", 0), ('[{"a":1},{"b":2}]', 2)])
def test_lists(metadata: str, count: int) -> None:
    rows = decode.rows_of(f'{{"type":"sync","metadata":{metadata}}}'.encode())
    assert len(rows) == count
    assert all(bytes(row).startswith(b"{") for row in rows)


def test_an_error_is_no_list() -> None:
    assert decode.rows_of(b'{"type":"error","error":"x"}') == []
    with pytest.raises(msgspec.DecodeError):
        decode.row_of(b'{"type":"error","error":"x"}')


# -- /1.0


def test_server_of_an_old_daemon() -> None:
    fields = decode.server({"auth": "trusted", "environment": {"server_version": "4.0.10", "driver": "lxc | qemu"}})
    assert fields["version"] == "4.0.10"
    assert set(fields["instance_types"]) == {"container", "virtual-machine"}
    assert (fields["architectures"], fields["addresses"], fields["os"]) == ((), (), "")


@pytest.mark.parametrize(
    ("environment", "types"),
    [
        ({}, {"container"}),
        ({"driver": "lxc"}, {"container"}),
        ({"driver": "qemu"}, {"virtual-machine"}),
        ({"driver": "lxc | qemu", "instance_types": ["container"]}, {"container"}),
        ({"driver": "lxc", "instance_types": []}, set()),
    ],
)
def test_instance_types(environment: dict[str, Any], types: set[str]) -> None:
    assert set(decode.server({"environment": environment})["instance_types"]) == types


def test_projects_that_borrow() -> None:
    def project(name: str, value: str | None) -> dict[str, Any]:
        return {"name": name, "config": None if value is None else {"features.images": value}}

    projects = [project(*pair) for pair in [("default", None), ("a", "true"), ("b", "false"), ("c", None), ("d", "1")]]
    assert decode.borrowers(projects, "images") == ["b", "c"]
    assert decode.borrowers(projects, "profiles") == ["a", "b", "c", "d"]


# -- instances


def test_an_instance_with_hardly_any_field() -> None:
    row = decode.instance("h1", raw(name="c1"))
    assert row.key == Key("h1", "default", "c1")
    assert (row.type, row.status, row.profiles, row.memory_limit, row.snapshots) == ("container", "", (), 0, -1)
    assert (row.memory, row.cpu, row.addresses, row.root_pool, row.networks) == (-1, -1.0, (), "", ())
    assert row.seen > 0


def test_nulls_are_empty() -> None:
    row = decode.instance(
        "h1",
        raw(name="c1", project="", profiles=None, config=None, expanded_config=None, expanded_devices=None, state=None),
    )
    assert (row.project, row.profiles, row.memory_limit) == ("default", (), 0)


@pytest.mark.parametrize(
    ("said", "asked", "project"), [("p", "", "p"), ("p", "q", "p"), ("", "q", "q"), ("", "", "default")]
)
def test_the_project_of_an_instance(said: str, asked: str, project: str) -> None:
    assert decode.instance("h1", raw(name="c1", project=said), 0, asked).project == project


@pytest.mark.parametrize(
    ("limit", "kind", "size"),
    [
        ("512MiB", "container", 512 << 20),
        ("25%", "container", 2 * GIB),
        ("", "container", 0),
        ("", "virtual-machine", GIB),
        ("0", "virtual-machine", GIB),
        ("3GiB", "virtual-machine", 3 * GIB),
        ("plenty", "container", 0),
    ],
)
def test_memory_limits(limit: str, kind: str, size: int) -> None:
    row = decode.instance("h1", raw(name="c1", type=kind, expanded_config={"limits.memory": limit}), 8 * GIB)
    assert row.memory_limit == size


def test_an_expanded_instance() -> None:
    devices = {
        "root": {"type": "disk", "path": "/", "pool": "fast"},
        "data": {"type": "disk", "path": "/data", "pool": "slow"},
        "eth1": {"type": "nic", "network": "net1"},
        "eth0": {"type": "nic", "nictype": "bridged", "parent": "br0"},
        "eth2": {"type": "nic", "nictype": "p2p"},
    }
    config = {"image.description": "Busybox", "volatile.base_image": "abc", "limits.memory": "1GiB", "boot.priority": 7}
    row = decode.instance(
        "h1", raw(name="c1", profiles=["a", "b"], expanded_config=config, expanded_devices=devices, snapshots=[{}, {}])
    )
    assert (row.root_pool, row.networks, row.profiles) == ("fast", ("br0", "net1"), ("a", "b"))
    assert (row.image, row.base_image, row.snapshots) == ("Busybox", "abc", 2)


def test_the_state_that_recursion_2_brings_along() -> None:
    def addresses(*pairs: tuple[str, str, str]) -> dict[str, Any]:
        return {"addresses": [{"family": f, "address": a, "scope": s} for f, a, s in pairs]}

    network = {
        "lo": addresses(("inet", "127.0.0.1", "local"), ("inet", "10.9.9.9", "global")),
        "eth0": addresses(("inet6", "fd00::1", "global"), ("inet6", "fe80::1", "link"), ("inet", "10.0.0.1", "global")),
        "eth1": {"addresses": None},
    }
    state = {"status": "Running", "network": network, "memory": {"usage": 5}}
    row = decode.instance("h1", raw(name="c1", status="Running", state=state))
    assert row.addresses == ("10.0.0.1", "fd00::1")
    assert row.memory == 5
    stopped = decode.instance("h1", raw(name="c1", status="Stopped", state={"network": None, "memory": {"usage": 0}}))
    assert (stopped.addresses, stopped.memory) == ((), -1)


def test_the_hosts_own_json_is_kept() -> None:
    text = raw(name="c1", something_new={"x": [1, 2]})
    assert decode.instance("h1", text).raw == text


# -- images, profiles


def test_an_image() -> None:
    row = decode.image(
        "h1",
        raw(
            fingerprint="f",
            aliases=[{"name": "b", "description": ""}, {"name": "a"}],
            properties={"description": "D", "serial": 1},
            size=7,
            public=True,
        ),
        "p",
    )
    assert (row.key, row.aliases, row.description, row.size) == (Key("h1", "p", "f"), ("a", "b"), "D", 7)
    bare = decode.image("h1", raw(fingerprint="f", aliases=None, properties=None))
    assert (bare.project, bare.aliases, bare.description, bare.type) == ("default", (), "", "container")


def test_a_profile() -> None:
    row = decode.profile(
        "h1", raw(name="web", config={"a": 1}, devices={"root": {"type": "disk", "size": 5}}, used_by=["x", "y"])
    )
    assert (row.config, row.devices, row.used_by) == ({"a": "1"}, {"root": {"type": "disk", "size": "5"}}, 2)
    bare = decode.profile("h1", raw(name="web", config=None, devices=None, used_by=None, project="own"))
    assert (bare.config, bare.devices, bare.used_by, bare.project) == ({}, {}, 0, "own")


def test_who_was_asked_decides_on_the_project_of_what_is_shared() -> None:
    """A project without profiles of its own is shown those of default, with "project": "default" in them (Incus)."""
    assert decode.profile("h1", raw(name="web", project="default"), "borrows").project == "borrows"
    assert decode.image("h1", raw(fingerprint="f", project="default"), "borrows").project == "borrows"


# -- events


def test_events() -> None:
    event = decode.event(
        b'{"type":"lifecycle","timestamp":"t","project":"p","metadata":{"action":"a-b","source":"/1.0/x"}}'
    )
    assert (event.type, event.project, event.location) == ("lifecycle", "p", "")
    change = decode.lifecycle(event.metadata)
    assert (change.action, change.source, change.context) == ("a-b", "/1.0/x", None)
    assert decode.event(b'{"type":"logging"}').metadata == msgspec.Raw(b"null")


# -- metrics

METRICS = """\
# HELP lxd_cpu_seconds_total The total number of CPU time used in seconds.
# TYPE lxd_cpu_seconds_total counter
lxd_cpu_seconds_total{cpu="0",mode="system",name="c1",project="default",type="container"} 1.5
lxd_cpu_seconds_total{cpu="0",mode="user",name="c1",project="default",type="container"} 2
lxd_cpu_seconds_total{cpu="1",mode="idle",name="c1",project="default",type="container"} 1000
lxd_cpu_seconds_total{cpu="0",mode="user",name="c1",project="p",type="virtual-machine"} 3.25e+01
lxd_memory_MemAvailable_bytes{name="c1",project="default",type="container"} 6.0e+8
lxd_memory_MemAvailable_bytes{name="c1",project="p",type="virtual-machine"} 1
lxd_memory_MemTotal_bytes{name="c1",project="default",type="container"} 1.0e+9
lxd_memory_MemTotal_bytes{name="c1",project="p",type="virtual-machine"} 11
lxd_memory_MemTotal_bytes{name="new",project="p",type="container"} 5
lxd_memory_MemFree_bytes{name="c1",project="default",type="container"} 7
lxd_memory_MemTotal_bytes 9
lxd_go_goroutines 60
"""


@pytest.mark.parametrize("prefix", ["lxd", "incus"])
def test_metrics(prefix: str) -> None:
    assert decode.figures("h1", METRICS.replace("lxd_", f"{prefix}_")) == {
        Key("h1", "default", "c1"): (400_000_000, 3.5),
        Key("h1", "p", "c1"): (10, 32.5),
        Key("h1", "p", "new"): (0, 0.0),
    }


def test_metrics_in_portions_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_PORTION", 200)
    portions = list(decode.portions(METRICS.encode()))
    assert len(portions) > 5
    assert "".join(portions) == METRICS
    assert all(portion.endswith("\n") for portion in portions)
    found = decode.Figures("h1")
    for portion in portions:
        found.add(portion)
    assert found.result() == decode.figures("h1", METRICS)
    assert list(decode.portions(b"no end")) == ["no end"]


def test_metrics_with_other_labels_or_odd_names() -> None:
    text = """\
lxd_cpu_seconds_total{type="container",project="p",name="a",mode="user",cpu="0"} 2
lxd_cpu_seconds_total{type="container",project="p",name="a",mode="idle",cpu="0"} 9
lxd_memory_MemTotal_bytes{project="p",name="a"} 10
lxd_memory_MemAvailable_bytes{name="a",project="p",type="x"} 4
"""
    assert decode.figures("h", text) == {Key("h", "p", "a"): (6, 2.0)}


def test_no_metrics() -> None:
    assert decode.figures("h1", "") == {}


# -- real daemons


async def figures_of(host: Host, key: Key) -> tuple[int, float]:
    """As soon as they are told: to whom asks again within 8 s, a daemon says what it said before."""
    async with asyncio.timeout(30):
        while True:
            metrics = (await host.request("GET", "/1.0/metrics")).body.decode()
            if found := decode.figures(host.name, metrics).get(key):
                return found
            await asyncio.sleep(0.5)


@pytest.mark.parametrize("name", ["h1", "i1"])
async def test_what_real_daemons_say(clean_lab: Lab, name: str) -> None:
    lab_host = clean_lab.hosts[name]
    config = {"limits.memory": "10%", "user.x": "1"}
    body = {"name": "c1", "source": {"type": "image", "alias": "busybox"}, "config": config, "ephemeral": True}

    def make() -> None:
        lab_host.api("POST", "/1.0/instances", {**body, "description": "D"})
        lab_host.api("PUT", "/1.0/instances/c1/state", {"action": "start"})
        lab_host.api("POST", "/1.0/instances/c1/snapshots", {"name": "s0"})

    await asyncio.to_thread(make)
    host = Host(clean_lab.hosts_config({name: "unix"})[0])
    try:
        fields = decode.server(await host.server())
        assert fields["server_name"] == name
        assert fields["os"]
        assert fields["kernel"]
        assert fields["addresses"]
        total = (await host.get("/1.0/resources"))["memory"]["total"]
        reply = await host.request("GET", "/1.0/instances", params={"recursion": 2, "all-projects": "true"})
        [row] = [decode.instance(name, each, total) for each in decode.rows_of(reply.body)]
        assert (row.key, row.type, row.status) == (Key(name, "default", "c1"), "container", "Running")
        assert (row.profiles, row.root_pool, row.networks) == (("default",), "default", (lab_host.kind.bridge,))
        assert (row.base_image, row.image) == (clean_lab.image_fingerprint, "busybox lab image")
        assert (row.ephemeral, row.description, row.snapshots) == (True, "D", 1)
        assert row.memory_limit == total // 10
        assert 0 < row.memory < total // 10
        assert row.architecture == fields["architectures"][0]
        assert row.created_at > "2020"
        one = decode.instance(name, decode.row_of((await host.request("GET", "/1.0/instances/c1")).body), total)
        assert (one.key, one.memory_limit, one.root_pool) == (row.key, row.memory_limit, row.root_pool)
        memory, cpu = await figures_of(host, row.key)
        assert 0 < memory < total
        assert cpu > 0
        [image] = decode.rows_of((await host.request("GET", "/1.0/images", params={"recursion": 1})).body)
        assert decode.image(name, image).fingerprint == clean_lab.image_fingerprint
        [profile] = decode.rows_of((await host.request("GET", "/1.0/profiles", params={"recursion": 1})).body)
        assert decode.profile(name, profile).used_by == 1
        assert (
            decode.rows_of(
                (
                    await host.request(
                        "GET",
                        "/1.0/instances",
                        params={"project": "default", "recursion": 1, "instance-type": "virtual-machine"},
                    )
                ).body
            )
            == []
        )
    finally:
        await host.close()
