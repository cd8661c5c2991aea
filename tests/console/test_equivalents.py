from __future__ import annotations

from typing import Any

import pytest

from lxdpm_tui.actions import load_all
from lxdpm_tui.actions.registry import registry
from lxdpm_tui.cli import build_parser
from lxdpm_tui.cli.commands import arguments_of
from lxdpm_tui.console import equivalents
from lxdpm_tui.console.equivalents import of_action, of_row, of_view
from lxdpm_tui.console.keymap import PLACES

load_all()

GIVEN: list[tuple[str, dict[str, Any], str]] = [
    ("stop", {"instances": ["h1:web-1", "web-2"], "force": True, "project": "shop"},
     "lxc stop fleet:web-1 fleet:web-2 --force --project shop"),
    ("freeze", {"instances": ["web-1"], "project": "default"}, "lxc pause fleet:web-1"),
    ("delete", {"instances": ["web-1"], "force": True}, "lxc delete fleet:web-1 --force"),
    ("launch", {"image": "debian/12", "name": "a b", "profiles": ["p", "q"], "config": {"limits.cpu": "2"},
                "devices": {"eth0": {"type": "nic", "network": "n"}}, "target": "h1", "ephemeral": True},
     "lxc launch fleet:debian/12 'fleet:a b' --profile p --profile q --config limits.cpu=2"
     " --device eth0,type=nic,network=n --target h1 --ephemeral"),
    ("snapshot", {"instance": "h1:web-1", "name": "s0", "stateful": True}, "lxc snapshot fleet:web-1 s0 --stateful"),
    ("restore", {"instance": "web-1", "snapshot": "s0"}, "lxc restore fleet:web-1 s0"),
    ("snapshot-delete", {"instance": "web-1", "snapshot": "s0"}, "lxc delete fleet:web-1/s0"),
    ("rename", {"instance": "web-1", "new_name": "web-9"}, "lxc rename fleet:web-1 web-9"),
    ("profile-edit", {"name": "p", "config": {"limits.cpu": "2"}}, "lxc profile set fleet:p limits.cpu=2"),
    ("profile-assign", {"instance": "web-1", "profiles": ["a", "b"]}, "lxc profile assign fleet:web-1 a,b"),
    ("network-create", {"name": "n", "type": "bridge", "config": {"ipv4.nat": "true"}},
     "lxc network create fleet:n --type bridge ipv4.nat=true"),
    ("image-delete", {"fingerprint": "abc"}, "lxc image delete fleet:abc"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "lxc"), GIVEN)
def test_an_action_as_lxc_has_it(name: str, given: dict[str, Any], lxc: str) -> None:
    assert of_action(registry.actions[name], given).lxc == [lxc]


@pytest.mark.parametrize(("name", "given", "lxc"), GIVEN)
def test_the_line_for_lxdpm_tui_means_the_same(name: str, given: dict[str, Any], lxc: str) -> None:
    """It is parsed by the real command line, and gives the arguments that were shown."""
    import shlex

    [line] = of_action(registry.actions[name], given).cli
    parsed = build_parser().parse_args(shlex.split(line)[1:])
    found = registry.complete(registry.actions[name], arguments_of(registry.actions[name], parsed))
    wanted = registry.complete(registry.actions[name], given)
    wanted["devices"] = {k: ",".join(f"{a}={b}" for a, b in v.items()) for k, v in wanted.get("devices", {}).items()}
    found.setdefault("devices", {})
    assert found == wanted


def test_calls_of_the_api() -> None:
    stop = of_action(registry.actions["stop"], {"instances": ["web-1"], "timeout": 5, "project": "shop"})
    assert stop.api == ['PUT /1.0/instances/web-1/state?project=shop {"action": "stop", "timeout": 5}']
    drain = of_action(registry.actions["maintenance"], {"host": "h1", "on": "on"})
    assert drain.api == ['POST /1.0/fleet/actions/maintenance {"host": "h1", "on": "on"}']
    assert drain.lxc == []
    assert ("lxc", "(there is no such form)") in equivalents.lines(drain)


@pytest.mark.parametrize("name", sorted(registry.actions))
def test_every_action_has_a_line_and_a_call(name: str) -> None:
    given: dict[str, Any] = {}
    for param in registry.actions[name].params:
        if param.positional:
            value = param.choices[0] if param.choices else "x"
            given[param.name] = [value] if param.many else value
    found = of_action(registry.actions[name], given)
    assert found.cli[0].startswith(f"lxdpm-tui {name} ")
    assert found.api


@pytest.mark.parametrize("place", PLACES)
def test_every_table_has_its_forms(place: Any) -> None:
    view = of_view(place, "web status:run", "shop")
    [line] = view.cli
    assert line == f"lxdpm-tui --view {place} --filter 'web status:run' --project shop"
    assert view.lxc[0].startswith("lxc ")
    assert view.api[0].startswith("GET /1.0/")


def test_a_row() -> None:
    assert of_row("instances", "web-1", "shop").lxc == ["lxc config show fleet:web-1 --expanded --project shop"]
    assert of_row("instances", "web-1", "shop").api == ["GET /1.0/instances/web-1?project=shop"]
    assert of_row("hosts", "h1").cli == ["lxdpm-tui --view hosts --filter name:=h1"]
    assert of_row("events", "x") == ([], [], [])
