"""What daemons say of their own settings, and what is made of it."""

from __future__ import annotations

import pytest

from lxdpm_tui.actions import known_keys
from lxdpm_tui.actions.known_keys import KnownKeys, basic, decode, whose
from lxdpm_tui.fleet.inventory import HostRecord
from lxdpm_tui.hosts.transport import Unreachable
from lxdpm_tui.manager import Manager
from tests.lab.lab import Lab


@pytest.mark.parametrize(
    ("config", "devices", "words"),
    [
        ({"limits.memory": "1GiB", "user.x": "y", "environment.A": "b", "limits.kernel.nofile": "1"}, {}, []),
        ({"limits.memroy": "1GiB"}, {}, ["lxd 5.0 has no key limits.memroy; limits.memory?"]),
        ({"colour": "red"}, {}, ["lxd 5.0 has no key colour"]),
        ({"user.": "x"}, {}, ["lxd 5.0 has no key user."]),
        ({"security.nesting": "maybe"}, {}, ["security.nesting: true or false, not 'maybe'"]),
        ({"limits.processes": "-5", "boot.autostart.priority": "x"}, {},
         ["boot.autostart.priority: a whole number, not 'x'"]),
        ({"limits.memroy": ""}, {}, ["lxd 5.0 has no key limits.memroy; limits.memory?"]),
        ({}, {"a": {"type": "dsik"}}, ["device a: 'dsik' is no type"]),
        ({}, {"a": {"type": "nic", "whatever": "x"}}, []),
    ],
)  # fmt: skip
def test_problems_by_the_list(config: dict[str, str], devices: dict[str, dict[str, str]], words: list[str]) -> None:
    found = basic("lxd 5.0").problems(config, devices)
    assert [line[: len(word)] for line, word in zip(found, words, strict=True)] == words


def test_lxd_names_a_group_for_each_kind_of_device() -> None:
    answer = {
        "configs": {
            "instance": {"boot": {"keys": [{"boot.autostart": {"type": "bool", "shortdesc": "Start with the host"}}]}},
            "device-proxy": {"device-conf": {"keys": [{"listen": {"type": "string", "required": "yes"}}]}},
        }
    }
    known = decode("lxd 5.21", answer)
    assert known.own
    info = known.key("boot.autostart")
    assert info is not None
    assert info.help == "Start with the host"
    assert known.problems({}, {"p": {"type": "proxy"}}) == ["device p: proxy needs listen"]
    assert known.key("limits.memory") is None, "what the daemon does not say, it does not have"


@pytest.mark.parametrize("answer", [None, [], {}, {"configs": {}}])
def test_a_daemon_that_does_not_say_is_taken_by_the_list(answer: object) -> None:
    assert decode("lxd 4.0", answer) == basic("lxd 4.0")


async def test_one_that_cannot_be_asked_now_is_asked_again() -> None:
    class Silent:
        asked = 0

        async def get(self, path: str) -> object:
            self.asked += 1
            raise Unreachable("no route", "h1")

    keys, host = KnownKeys(), Silent()
    record = HostRecord(name="h1", address="unix:///x", transport="unix", kind="lxd", version="5.0.2")
    for _ in range(2):
        assert not (await keys.ask(record, host)).own  # type: ignore[arg-type]
    assert host.asked == 2
    assert keys.of(record) is None


async def test_real_daemons(manager: Manager, clean_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_keys, "ASK", 60.0)  # the machine may stall
    keys = KnownKeys()
    for name in clean_lab.hosts:
        record = manager.inventory.hosts[name]
        known = await keys.ask(record, manager.fleet.hosts[name])
        assert keys.of(record) is known
        assert known.own is (name == "i1")
        assert known.whose == whose(record) == f"{record.kind} {record.version}"
        assert known.problems({"limits.memory": "1GiB", "boot.autostart": "true"}, {}) == []
        assert known.problems({"limits.memory.enforced": "x"}, {}) != []
    of_incus = keys.of(manager.inventory.hosts["i1"])
    assert of_incus is not None
    assert of_incus.problems({"boot.autorestart": "true"}, {}) == []
