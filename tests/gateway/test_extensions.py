from __future__ import annotations

from lxdpm_tui.fleet.inventory import HostRecord
from lxdpm_tui.gateway.extensions import BY_ANY, FLIPPING, OWN, Advertised


def record(name: str, *extensions: str) -> HostRecord:
    return HostRecord(name=name, extensions=frozenset(extensions))


def test_what_all_hosts_have() -> None:
    found = Advertised()([record("a", "x", "y", "z"), record("b", "z", "y")])
    assert found[:2] == ["y", "z"]
    assert set(found) == {"y", "z", *OWN}


def test_a_host_that_never_answered_does_not_count() -> None:
    assert "x" in Advertised()([record("a", "x"), record("b")])
    assert set(Advertised()([record("b")])) == set(OWN)
    assert set(Advertised()([])) == set(OWN)


def test_what_changes_meaning_or_is_not_served_is_left_out() -> None:
    names = ["x", *FLIPPING, "access_management", "oidc", "auth_user", "candid_config", "replicators"]
    assert set(Advertised()([record("a", *names)])) == {"x", *OWN}


def test_each_once_and_always_in_the_same_order() -> None:
    hosts = [record("a", "b", "a", OWN[0], BY_ANY[0]), record("b", "a", "b", OWN[0])]
    found = Advertised()(hosts)
    assert len(found) == len(set(found))
    assert found == Advertised()(list(reversed(hosts)))
    assert BY_ANY[0] in found


def test_starting_at_the_creation_is_ours() -> None:
    """A client that asks for it takes the instance for started; one that is not told starts it a second time."""
    assert "instance_create_start" in Advertised()([record("a", "x")])


def test_it_follows_what_hosts_say() -> None:
    hosts = [record("a", "x", "y"), record("b", "x", "y")]
    advertised = Advertised()
    assert set(advertised(hosts)) == {"x", "y", *OWN}
    assert advertised(hosts) is advertised(hosts)
    hosts[1].extensions = frozenset({"x"})
    assert set(advertised(hosts)) == {"x", *OWN}
    assert set(advertised(hosts[:1])) == {"x", "y", *OWN}
    assert set(advertised([*hosts, record("c", "z")])) == set(OWN)
