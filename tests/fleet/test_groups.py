from __future__ import annotations

from lxdpm_tui.fleet.fields import IMAGES, PROFILES
from lxdpm_tui.fleet.groups import Copies, GroupSource
from lxdpm_tui.fleet.inventory import HostRecord, HostStatus, Image, Inventory, Key, Profile
from lxdpm_tui.fleet.query import parse


def fleet() -> Inventory:
    inventory = Inventory()
    for name in ("h1", "h2", "h3"):
        inventory.add_host(HostRecord(name=name, status=HostStatus.ONLINE))
        inventory.put("images", Image(host=name, project="default", fingerprint="aa", aliases=("debian/12",)))
    inventory.put("images", Image(host="h2", project="default", fingerprint="bb"))
    inventory.put("profiles", Profile(host="h3", project="default", name="small", config={"limits.cpu": "1"}))
    return inventory


def test_one_record_for_all_hosts() -> None:
    source = GroupSource(fleet(), "images")
    found = dict(source.items())
    assert set(found) == {Key("", "default", "aa"), Key("", "default", "bb")}
    assert found[Key("", "default", "aa")].hosts == ("h1", "h2", "h3")
    one = source.get(Key("", "default", "bb"))
    assert one is not None
    assert (one.hosts, one.host, one.fingerprint) == (("h2",), "h2", "bb")
    assert source.get(Key("", "default", "cc")) is None
    assert source.key_of(Key("h1", "default", "aa")) == Key("", "default", "aa")


def test_a_host_that_can_be_asked_stands_for_all() -> None:
    inventory = fleet()
    source = GroupSource(inventory, "images")
    inventory.update_host("h1", status=HostStatus.UNREACHABLE)
    copies = source.get(Key("", "default", "aa"))
    assert copies is not None
    assert copies.host == "h2"
    for name in ("h2", "h3"):
        inventory.update_host(name, status=HostStatus.UNREACHABLE)
    copies = source.get(Key("", "default", "aa"))
    assert copies is not None
    assert copies.host == "h1"


def test_filters_look_at_all_holders() -> None:
    inventory = fleet()
    images = GroupSource(inventory, "images")
    everywhere, single = images.get(Key("", "default", "aa")), images.get(Key("", "default", "bb"))
    assert isinstance(everywhere, Copies)
    at_h3 = parse("host:=h3", IMAGES)
    assert at_h3(everywhere)
    assert not at_h3(single)
    assert parse("@h2 bb", IMAGES)(single)
    profile = GroupSource(inventory, "profiles").get(Key("", "default", "small"))
    assert parse("h3 small limits.cpu:1", PROFILES)(profile)
