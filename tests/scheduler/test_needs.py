from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lxdpm_tui.scheduler.model import Needs
from lxdpm_tui.scheduler.needs import architecture, expand, instance_type, profile_names, request_needs
from tests.scheduler.world import GIB

ROOT = {"type": "disk", "path": "/", "pool": "default"}
DEFAULT: tuple[dict[str, str], dict[str, dict[str, str]]] = (
    {},
    {"root": ROOT, "eth0": {"type": "nic", "network": "lxdbr0"}},
)
WEB: tuple[dict[str, str], dict[str, dict[str, str]]] = (
    {"limits.memory": "2GiB"},
    {"root": {"type": "disk", "path": "/", "pool": "fast"}},
)
PROFILES = {"default": DEFAULT, "web": WEB}


def needs(body: dict[str, Any], total: int = 8 * GIB) -> Needs:
    return request_needs(body, PROFILES, total)


def test_the_default_profile_when_none_is_named() -> None:
    expected = Needs(0, frozenset({"default"}), frozenset({"lxdbr0"}))
    assert needs({}) == needs({"profiles": None}) == needs({"profiles": ["default"]}) == expected


def test_an_empty_list_means_no_profiles() -> None:
    assert needs({"profiles": []}) == Needs(problem="neither its profiles nor the request give a root disk")


def test_profiles_in_order_then_the_instances_own() -> None:
    assert needs({"profiles": ["default", "web"]}) == Needs(2 * GIB, frozenset({"fast"}), frozenset({"lxdbr0"}))
    assert needs({"profiles": ["web", "default"]}).pools == {"default"}
    own = {
        "profiles": ["default", "web"],
        "config": {"limits.memory": "512MB"},
        "devices": {"root": {**ROOT, "pool": "zfs"}, "eth0": {"type": "nic", "nictype": "bridged", "parent": "br9"}},
    }
    assert needs(own) == Needs(512_000_000, frozenset({"zfs"}), frozenset({"br9"}))


def test_a_later_profile_beats_an_earlier_one() -> None:
    profiles: dict[str, tuple[dict[str, str], dict[str, dict[str, str]]]] = {
        "a": ({"limits.memory": "1GiB"}, {}),
        "b": ({"limits.memory": "3GiB"}, {}),
    }
    assert request_needs({"profiles": ["a", "b"]}, profiles, 0).memory == 3 * GIB
    assert request_needs({"profiles": ["b", "a"]}, profiles, 0).memory == GIB


def test_an_empty_value_takes_a_profiles_limit_away() -> None:
    assert needs({"profiles": ["default", "web"], "config": {"limits.memory": ""}}).memory == 0


def test_a_later_device_replaces_the_whole_earlier_one_and_none_removes_it() -> None:
    body = {
        "devices": {"eth0": {"type": "none"}, "data": {"type": "disk", "path": "/srv", "source": "v", "pool": "p2"}}
    }
    assert needs(body) == Needs(0, frozenset({"default", "p2"}), frozenset())
    _, devices = expand({"devices": {"eth0": {"type": "nic", "parent": "br9"}}}, PROFILES)
    assert devices["eth0"] == {"type": "nic", "parent": "br9"}


def test_a_bind_mount_is_no_root_disk_and_takes_no_pool() -> None:
    bind = {"type": "disk", "path": "/", "source": "/srv/root"}
    found = needs({"profiles": [], "devices": {"root": bind}})
    assert found.pools == frozenset()
    assert found.problem


@pytest.mark.parametrize("source", ["copy", "migration"])
def test_a_copy_may_bring_its_root_disk_along(source: str) -> None:
    assert needs({"profiles": [], "source": {"type": source}}).problem == ""


def test_a_profile_that_is_not_there_is_passed_over() -> None:
    assert needs({"profiles": ["default", "gone"]}) == needs({})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1048576", 1048576),
        ("100B", 100),
        ("3kB", 3000),
        ("512MB", 512 * 1000**2),
        ("2GB", 2 * 1000**3),
        ("1TB", 1000**4),
        ("1PB", 1000**5),
        ("1EB", 1000**6),
        ("4KiB", 4096),
        ("512MiB", 512 * 1024**2),
        ("2GiB", 2 * GIB),
        ("1TiB", 1024**4),
        ("1PiB", 1024**5),
        ("1EiB", 1024**6),
        ("50%", 4 * GIB),
        ("", 0),
    ],
)
def test_units(text: str, expected: int) -> None:
    assert needs({"config": {"limits.memory": text}}).memory == expected


@pytest.mark.parametrize("text", ["2Gb", "1.5GiB", "much", "-1GiB", "GiB", "10 %", "2G"])
def test_a_bad_size_names_the_key(text: str) -> None:
    with pytest.raises(ValueError, match=r"^limits\.memory: "):
        needs({"config": {"limits.memory": text}})


@given(st.integers(0, 100), st.integers(0, 2**50))
def test_a_percentage_is_of_the_hosts_memory(percent: int, total: int) -> None:
    assert 0 <= needs({"config": {"limits.memory": f"{percent}%"}}, total).memory <= total


def test_a_virtual_machine_without_a_limit_takes_lxds_gibibyte() -> None:
    assert needs({"type": "virtual-machine"}).memory == GIB
    assert needs({"type": "virtual-machine", "config": {"limits.memory": "3GiB"}}).memory == 3 * GIB


@pytest.mark.parametrize(
    ("name", "expected"), [("c2-m4", 4 * GIB), ("m0.5", GIB // 2), ("m2-c1", 2 * GIB), ("c2", 0), ("t2.micro", 0)]
)
def test_sized_instance_types(name: str, expected: int) -> None:
    assert needs({"instance_type": name}).memory == expected


def test_an_own_limit_beats_the_instance_type_and_that_beats_the_profiles() -> None:
    assert needs({"instance_type": "c2-m4", "config": {"limits.memory": "1GiB"}}).memory == GIB
    assert needs({"instance_type": "c2-m4", "profiles": ["default", "web"]}).memory == 4 * GIB


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"profiles": "default"}, "profiles: expected a list of names"),
        ({"config": ["limits.memory"]}, "config: expected an object"),
        ({"devices": []}, "devices: expected an object"),
        ({"devices": {"eth0": "lxdbr0"}}, r"devices\.eth0: expected an object"),
        ({"profiles": [], "source": "none"}, "source: expected an object"),
    ],
)
def test_bodies_that_are_not_lxds(body: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        needs(body)


def test_what_else_the_body_asks_for() -> None:
    assert instance_type({}) == instance_type({"type": ""}) == "container"
    assert instance_type({"type": "virtual-machine"}) == "virtual-machine"
    assert [architecture(b) for b in ({}, {"architecture": "amd64"}, {"architecture": "aarch64"})] == [
        "",
        "x86_64",
        "aarch64",
    ]
    assert profile_names({"profiles": ["b", "a"]}) == ("b", "a")
