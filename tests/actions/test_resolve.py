"""From what people write to what is there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import HostRecord, HostStatus, Image, Instance, Inventory, Key

ABC, ABD, XYZ = "abc" + 61 * "0", "abd" + 61 * "0", "xyz" + 61 * "0"


@pytest.fixture
def manager() -> Any:
    inventory = Inventory()
    for name in ("h1", "h2", "h3"):
        inventory.add_host(HostRecord(name=name, status=HostStatus.ONLINE, scanned=1.0))

    def silent() -> list[str]:
        return [name for name, record in inventory.hosts.items() if not record.usable]

    for host, name, project in [
        ("h1", "web", "default"),
        ("h1", "db", "default"),
        ("h2", "db", "default"),
        ("h2", "web", "p"),
    ]:
        inventory.put("instances", Instance(host=host, project=project, name=name))
    for host, fingerprint, aliases, project, uploaded in [
        ("h1", ABC, ("debian/12", "box"), "default", "2024"),
        ("h2", ABC, ("debian/12",), "default", "2024"),
        ("h3", ABD, ("debian/12",), "default", "2025"),
        ("h3", XYZ, (), "p", "2025"),
    ]:
        inventory.put(
            "images",
            Image(host=host, project=project, fingerprint=fingerprint, aliases=aliases, uploaded_at=uploaded),
        )
    return SimpleNamespace(inventory=inventory, fleet=SimpleNamespace(silent=silent), claims=set())


def refused(code: int, text: str, call: Any, *arguments: Any) -> None:
    with pytest.raises(ActionError) as caught:
        call(*arguments)
    assert caught.value.code == code
    assert text in caught.value.text


def down(manager: Any, host: str, scanned: float = 1.0) -> None:
    manager.inventory.update_host(host, status=HostStatus.UNREACHABLE, scanned=scanned)


# -- instances


async def test_a_host_that_left_the_fleet_has_nothing_to_be_read_again(manager: Any) -> None:
    """Who asks gives a claim of the name back afterwards, which would stay for ever."""
    await resolve.read_again(manager, Key("gone", "default", "web"))


def test_instances(manager: Any) -> None:
    assert resolve.instance(manager, "web").host == "h1"
    assert resolve.instance(manager, "h2:db").host == "h2"
    assert resolve.instance(manager, "web", "p").host == "h2"
    assert resolve.instance(manager, "h2:web", "p").project == "p"


def test_twins(manager: Any) -> None:
    refused(409, "Say which: h1:db and h2:db", resolve.instance, manager, "db")


def test_instances_that_are_not_there(manager: Any) -> None:
    refused(404, "Instance 'none' of project default not found", resolve.instance, manager, "none")
    refused(404, "there is no host 'h9'", resolve.instance, manager, "h9:web")
    refused(404, "Instance not found: h2:web", resolve.instance, manager, "h2:web")
    refused(404, "of project q not found", resolve.instance, manager, "web", "q")
    down(manager, "h3")
    refused(503, "could not ask h3", resolve.instance, manager, "none")
    refused(503, "Instance not found: h3:web", resolve.instance, manager, "h3:web")
    assert resolve.instance(manager, "web").host == "h1", "one that is known is found all the same"
    down(manager, "h1", scanned=0.0)
    refused(503, "could not ask h1, h3", resolve.instance, manager, "none")


# -- images


def test_an_alias_means_what_most_hosts_mean_by_it(manager: Any) -> None:
    fingerprint, copies = resolve.image(manager, "debian/12")
    assert (fingerprint, [copy.host for copy in copies]) == (ABC, ["h1", "h2"])
    manager.inventory.drop("images", copies[1].key)
    fingerprint, copies = resolve.image(manager, "debian/12")
    assert (fingerprint, [copy.host for copy in copies]) == (ABD, ["h3"]), "one against one: the newer"


def test_fingerprints(manager: Any) -> None:
    assert resolve.image(manager, ABC)[0] == ABC
    assert resolve.image(manager, "abd")[0] == ABD
    assert resolve.image(manager, "xyz", "p")[0] == XYZ
    refused(400, "is the beginning of 2 fingerprints", resolve.image, manager, "ab")
    refused(404, "Image 'xyz' not found", resolve.image, manager, "xyz")
    refused(404, "Image 'x' not found", resolve.image, manager, "x", "p")
    refused(404, "Image '' not found", resolve.image, manager, "")
    down(manager, "h2")
    refused(503, "could not ask h2", resolve.image, manager, "none")


# -- names


@pytest.mark.parametrize("name", ["a", "A1", "web-1", "a" * 63, "a--b"])
def test_names(name: str) -> None:
    resolve.check_instance_name(name)


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "a b", "a.b", "a/b", "ä", "a" * 64, "a\n", "a_b"])
def test_what_is_no_name(name: str) -> None:
    refused(400, "Invalid instance name", resolve.check_instance_name, name)


def test_made_up_names_are_free(manager: Any) -> None:
    seen = set()
    for _ in range(3000):  # more than there are pairs of words
        name = resolve.free_name(manager, "default")
        resolve.check_instance_name(name)
        assert name not in seen
        seen.add(name)
        manager.claims.add(("default", name))
