"""Plans as data: waves and limits (by property), files, and what each act sends."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.properties  # noqa: F401
from lxdpm_tui.actions import load_all
from lxdpm_tui.actions.plan import Call, Item, Limits, Plan, State, read, waves
from lxdpm_tui.actions.plan_make import ACTS, expiry, make, named
from lxdpm_tui.actions.plan_run import merged, summaries
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import HostRecord, Instance, Inventory

load_all()  # also the acts of modules of their own
HOSTS = st.lists(st.sampled_from(["h1", "h2", "h3", "i1"]), min_size=1, max_size=120)
LIMITS = st.builds(Limits, wave=st.integers(0, 12), canary=st.integers(0, 10))


# -- waves


@given(HOSTS, LIMITS)
def test_no_wave_has_more_of_a_host_than_it_may(hosts: list[str], limits: Limits) -> None:
    found = waves(hosts, limits)
    assert len(found) == len(hosts)
    per = Counter((wave, host) for wave, host in zip(found, hosts, strict=True) if wave)
    assert not limits.wave or max(per.values(), default=0) <= limits.wave


@given(HOSTS, LIMITS)
def test_the_canaries_are_spread_over_the_hosts(hosts: list[str], limits: Limits) -> None:
    first = Counter(host for wave, host in zip(waves(hosts, limits), hosts, strict=True) if wave == 0)
    assert first.total() == min(limits.canary, len(hosts))
    spread = [first[host] for host in set(hosts) if first[host] < Counter(hosts)[host]]  # those that had more to give
    assert max(first.values(), default=0) - min(spread, default=max(first.values(), default=0)) <= 1


@given(HOSTS, LIMITS)
def test_waves_leave_no_gap_and_keep_the_order_of_a_host(hosts: list[str], limits: Limits) -> None:
    found = waves(hosts, limits)
    later = sorted({wave for wave in found if wave})
    assert later == list(range(1, len(later) + 1))
    for host in set(hosts):
        own = [wave for wave, h in zip(found, hosts, strict=True) if h == host and wave]
        assert own == sorted(own)
        assert not limits.wave or len(set(own)) == -(-len(own) // limits.wave), "no more waves than needed"


@pytest.mark.parametrize("wrong", [{"per_host": 0}, {"at_once": 0}, {"wave": -1}, {"canary": -1}])
def test_limits_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(ActionError):
        make(inventory(), "stop", list(inventory().all_instances()), {}, Limits(**wrong))  # type: ignore[arg-type]


# -- files

ITEMS = st.lists(
    st.builds(
        Item,
        host=st.sampled_from(["h1", "h2"]),
        name=st.text("ab-é", min_size=1, max_size=5),
        calls=st.just((Call("PUT", "/1.0/instances/x/state", {"action": "stop", "n": [1, None]}),)),
        wave=st.integers(0, 5),
        state=st.sampled_from(State),
        error=st.text(max_size=5),
        unsure=st.booleans(),
        tries=st.integers(0, 3),
    ),
    max_size=8,
)


@given(ITEMS, LIMITS)
def test_a_plan_is_the_same_after_a_file(items: list[Item], limits: Limits) -> None:
    plan = Plan("stop", "Stopping instances", items, limits)
    assert read(plan.to_json()) == read(plan.to_dict()) == plan


def one_call(call: str) -> str:
    return '{"act": "stop", "about": "", "items": [{"host": "h1", "name": "a", "calls": [{' + call + "}]}]}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "this is no plan"),
        ("[]", "Expected `object`, got `array`"),
        (one_call('"method": "GET", "path": "/1.0"'), "$.items[0].calls[0].method"),
        ('{"act": "stop", "about": "x", "items": [], "version": 9}', "version 9"),
        ('{"act": "stop", "about": "x", "items": [], "colour": 1}', "unknown field `colour`"),
        (one_call('"method": "PUT", "path": "x"'), "no path of the API"),
    ],
)  # fmt: skip
def test_what_is_no_plan_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ActionError, match=re.escape(words)):
        read(text)


def test_what_is_left_of_a_plan_are_the_calls_not_made() -> None:
    calls = (Call("PUT", "/1.0/a"), Call("DELETE", "/1.0/b"))
    items = [
        Item("h1", "a", calls, wave=2, state=State.FAILED, sent=1),
        Item("h1", "b", calls, wave=1),
        Item("h1", "c", calls, state=State.DONE, sent=2),
        Item("h1", "d", calls, state=State.SKIPPED),
    ]
    plan = Plan("delete", "", items)
    assert [(item.name, call.method) for item, call in plan.calls()] == [("b", "PUT"), ("b", "DELETE"), ("a", "DELETE")]
    assert (plan.wave, plan.waves) == (1, [0, 1, 2])


# -- what is sent


def inventory() -> Inventory:
    found = Inventory()
    for host in ("h1", "h2"):
        found.add_host(HostRecord(name=host, address="unix:///x", transport="unix"))
        found.replace(
            "instances",
            host,
            [
                Instance(host=host, project="default", name=f"{host}-run", status="Running"),
                Instance(host=host, project="default", name=f"{host}-off", status="Stopped"),
                Instance(host=host, project="shop", name=f"{host}-eph", status="Running", ephemeral=True),
            ],
        )
    return found


def sent(act: str, *names: str, **options: Any) -> list[str]:
    own = inventory()
    rows = [row for name in names for row in own.all_instances() if row.name == name]
    plan = make(own, act, rows, options)
    return [f"{item.host} {call.text(item.project)}" for item, call in plan.calls()]


def test_what_the_acts_send() -> None:
    run = "/1.0/instances/h1-run"
    assert sent("start", "h1-off") == [
        'h1 PUT /1.0/instances/h1-off/state {"action":"start","timeout":30,"force":false}'
    ]
    assert sent("stop", "h1-run", force=True, timeout=5) == [
        f'h1 PUT {run}/state {{"action":"stop","timeout":5,"force":true}}'
    ]
    assert sent("delete", "h1-run", "h2-off", force=True) == [
        f'h1 PUT {run}/state {{"action":"stop","timeout":30,"force":true}}',
        f"h1 DELETE {run}",
        "h2 DELETE /1.0/instances/h2-off",
    ]
    assert sent("delete", "h1-eph", force=True) == [
        'h1 PUT /1.0/instances/h1-eph/state?project=shop {"action":"stop","timeout":30,"force":true}'
    ]
    assert sent("snapshot", "h1-run", name="{name}-{n}") == [
        f'h1 POST {run}/snapshots {{"name":"h1-run-1","stateful":false}}'
    ]
    assert sent("restore", "h1-run", snapshot="a b") == [f'h1 PUT {run} {{"restore":"a b"}}']
    assert sent("snapshot-delete", "h1-run", snapshot="a b") == [f"h1 DELETE {run}/snapshots/a%20b"]
    assert sent("rename", "h1-off", "h2-off", new_name="old-{host}") == [
        'h1 POST /1.0/instances/h1-off {"name":"old-h1"}',
        'h2 POST /1.0/instances/h2-off {"name":"old-h2"}',
    ]
    assert sent("copy", "h1-off", start=True) == [
        'h1 POST /1.0/instances {"name":"h1-off-copy","profiles":[],'
        '"source":{"type":"copy","source":"h1-off","instance_only":false}}',
        'h1 PUT /1.0/instances/h1-off-copy/state {"action":"start","timeout":30,"force":false}',
    ]
    assert sent("configure", "h1-run", config={"a": "1", "b": None}) == [
        f'h1 GET+PUT {run} {{"config":{{"a":"1","b":null}}}}'
    ]
    assert sent("publish", "h1-off", aliases=["{name}-img"])[0] == (
        'h1 POST /1.0/images {"source":{"type":"instance","name":"h1-off"},"public":false,"properties":{}}'
    )


@pytest.mark.parametrize(
    ("act", "options", "code", "words"),
    [
        ("dance", {}, 404, "there are start, stop"),
        ("start", {"force": True}, 400, "start has no option 'force'"),
        ("delete", {}, 400, "h1:h1-run is Running: stop it first, or use force"),
        ("rename", {"new_name": "same"}, 409, "2 instances would be called 'same'"),
        ("rename", {"new_name": "h2-off"}, 409, "2 instances"),
        ("rename", {"new_name": "{what}"}, 400, "{what} in '{what}': there are {name}"),
        ("rename", {"new_name": "-{name}"}, 400, "Invalid instance name"),
        ("rename", {}, 400, "what name?"),
        ("copy", {"target": "h2"}, 501, "h1-run is on h1: a copy is made on the same host"),
        ("snapshot", {"name": "a/b"}, 400, "Invalid snapshot name"),
        ("snapshot", {"expires": "soon"}, 400, "'soon' is no time"),
        ("restore", {}, 400, "which snapshot?"),
        ("snapshot-rename", {"snapshot": "a"}, 400, "what name?"),
        ("configure", {}, 400, "nothing to change"),
        ("configure", {"config": {"volatile.x": "1"}}, 400, "the host's own"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    act: str, options: dict[str, Any], code: int, words: str
) -> None:
    with pytest.raises(ActionError, match=re.escape(words)) as caught:
        sent(act, "h1-run", "h2-run", **options)
    assert caught.value.code == code


def test_a_name_that_is_taken_is_refused() -> None:
    with pytest.raises(ActionError, match="already exists") as caught:
        sent("copy", "h1-run", new_name="h2-off")
    assert caught.value.code == 409


def test_no_rows_are_no_plan_and_twice_the_same_is_once() -> None:
    with pytest.raises(ActionError, match="no instances"):
        sent("stop")
    assert len(sent("stop", "h1-run", "h1-run")) == 1


@pytest.mark.parametrize("act", ACTS)
def test_every_act_says_its_project(act: str) -> None:
    options = {
        "snapshot": "s",
        "new_name": "new-{n}",
        "force": True,
        "config": {"a": "b"},
        "expires": "1d",
        "run": "true",
    }
    lines = sent(act, "h1-eph", **{key: value for key, value in options.items() if key in ACTS[act].options})
    assert lines
    assert all("?project=shop" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("12h", "2001-09-09T13:46:40Z"),
        ("2w", "2001-09-23T01:46:40Z"),
        ("2030-01-31", "2030-01-31T00:00:00Z"),
        ("2030-01-31T12:00:00+02:00", "2030-01-31T12:00:00+02:00"),
        ("never", None),
        ("", None),
    ],
)
def test_when_a_snapshot_expires(text: str, time: str | None) -> None:
    assert expiry(text, 1_000_000_000.0) == time


def test_patterns_know_the_date() -> None:
    row = Instance(host="h1", project="default", name="web", status="Running")
    assert re.fullmatch(r"web-h1-7-\d{8}-\d{6}", named("{name}-{host}-{n}-{date}-{time}", row, 7))


# -- small things

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@given(JSON, JSON)
def test_a_merge_patch_twice_is_the_patch_once(whole: Any, patch: Any) -> None:
    once = merged(whole, patch)
    assert merged(once, patch) == once


def test_a_merge_patch_takes_away_adds_and_replaces() -> None:
    whole = {"config": {"a": "1", "b": "2"}, "devices": {"eth0": {"type": "nic", "mtu": "9"}}}
    patch = {"config": {"a": None, "c": "3"}, "devices": {"eth0": {"mtu": None}}}
    assert merged(whole, patch) == {"config": {"b": "2", "c": "3"}, "devices": {"eth0": {"type": "nic"}}}


def test_what_is_said_of_a_host() -> None:
    call = (Call("PUT", "/1.0/x"),)
    items = [Item("h1", str(n), call, state=state) for n, state in enumerate(State)]
    items += [Item("h2", "a", call, state=State.FAILED, error="h2: no"), Item("h3", "a", call)]
    assert summaries(Plan("stop", "", items)) == {
        "h1": {"status": "running, 3 of 5", "progress": 60, "error": ""},
        "h2": {"status": "failed", "progress": 100, "error": "h2: no"},
        "h3": {"status": "waiting", "progress": 0, "error": ""},
    }
