"""Profiles on all hosts or on none, on real LXD and Incus daemons."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lxdpm_tui.actions.profiles import apply_delta
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status, Task
from tests import properties  # noqa: F401  how property tests run
from tests.fleet.fleets import until
from tests.lab.lab import Lab
from tests.lab.rest import RestError
from tests.managing import api, done, refused

ALL = ["h1", "h2", "h3", "i1"]


async def held(lab: Lab, name: str) -> dict[str, dict[str, Any]]:
    """Host -> its copy, of the hosts that have one."""
    copies = {}
    for host in lab.hosts:
        try:
            own = await api(lab, host, "GET", f"/1.0/profiles/{name}")
        except RestError as error:
            if error.code != 404:
                raise
            continue
        copies[host] = {part: own[part] for part in ("description", "config", "devices")}
    return copies


def shown(manager: Manager, name: str) -> set[str]:
    """Hosts that have it, by the inventory."""
    return {host for host, rows in manager.inventory.profiles.items() if Key(host, "default", name) in rows}


# -- the delta

TEXTS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2"]))
WHOLE = st.fixed_dictionaries(
    {
        "description": st.sampled_from(["", "x", "y"]),
        "config": TEXTS,
        "devices": st.dictionaries(st.sampled_from("de"), TEXTS),
    }
)


@given(WHOLE, WHOLE, WHOLE)
def test_a_delta_changes_what_the_editor_changed_and_nothing_else(
    old: dict[str, Any], new: dict[str, Any], own: dict[str, Any]
) -> None:
    merged = apply_delta(old, new, own)
    assert merged["description"] == (new if new["description"] != old["description"] else own)["description"]
    for part in ("config", "devices"):
        for key in {*old[part], *new[part], *own[part]}:
            touched = old[part].get(key) != new[part].get(key)
            wanted = (new if touched else own)[part].get(key)
            assert merged[part].get(key) == wanted
    assert apply_delta(old, new, old) == {**new}
    assert apply_delta(old, old, own) == {**own}


def test_a_delta_of_what_is_missing() -> None:
    assert apply_delta({}, {}, {}) == {"description": "", "config": {}, "devices": {}}
    assert apply_delta({"config": None}, {"config": {"a": "1"}}, {"config": None, "devices": {"d": {}}}) == {
        "description": "",
        "config": {"a": "1"},
        "devices": {"d": {}},
    }


# -- all goes well


async def test_from_creation_to_deletion(manager: Manager, clean_lab: Lab) -> None:
    device = {"tmp": "type=disk,source=/etc,path=/scratch"}
    await done(
        manager, "profile-create", name="web", description="D", config={"limits.memory": "64MiB"}, devices=device
    )
    want = {
        "description": "D",
        "config": {"limits.memory": "64MiB"},
        "devices": {"tmp": {"type": "disk", "source": "/etc", "path": "/scratch"}},
    }
    assert await held(clean_lab, "web") == dict.fromkeys(ALL, want)
    assert shown(manager, "web") == set(ALL), "a launch with it can be asked for at once"
    await done(manager, "launch", image="busybox", name="c1", target="i1", profiles=["default", "web"], no_start=True)
    assert manager.inventory.find_instances("default", "c1")[0].memory_limit == 64 << 20

    await refused(manager, "profile-create", 409, 'The profile "web" already exists', name="web")
    await refused(manager, "profile-delete", 400, "currently in use on i1", name="web")
    await done(manager, "profile-edit", name="web", config={"limits.memory": "", "user.x": "1"}, devices={"tmp": ""})
    want = {"description": "D", "config": {"user.x": "1"}, "devices": {}}
    assert await held(clean_lab, "web") == dict.fromkeys(ALL, want)
    await done(manager, "profile-edit", name="web", description="")
    assert (await held(clean_lab, "web"))["h3"]["description"] == ""
    await refused(manager, "profile-edit", 400, "nothing to change", name="web")

    await done(manager, "profile-rename", name="web", new_name="www")
    assert await held(clean_lab, "web") == {}
    assert shown(manager, "www") == set(ALL)
    await done(manager, "delete", instances=["c1"])
    await done(manager, "profile-delete", name="www")
    assert await held(clean_lab, "www") == {}
    assert shown(manager, "www") == set()


async def test_each_host_keeps_what_is_its_own(manager: Manager, clean_lab: Lab) -> None:
    """`default` differs from host to host: the bridge of LXD, the bridge of Incus."""
    before = await held(clean_lab, "default")
    await done(
        manager,
        "profile-edit",
        name="default",
        config={"user.x": "1"},
        devices={"tmp": "type=disk,source=/etc,path=/s"},
    )
    after = await held(clean_lab, "default")
    for host in ALL:
        assert after[host]["config"] == {**before[host]["config"], "user.x": "1"}
        assert after[host]["devices"].pop("tmp")
        assert after[host]["devices"] == before[host]["devices"]
    assert before["h1"]["devices"] != before["i1"]["devices"]
    await refused(
        manager, "profile-rename", 403, 'The "default" profile cannot be renamed', name="default", new_name="x"
    )
    await refused(manager, "profile-delete", 403, 'The "default" profile cannot be deleted', name="default")


async def test_some_hosts_only(manager: Manager, clean_lab: Lab) -> None:
    await done(manager, "profile-create", name="web", hosts=["h1", "i1"], config={"user.x": "1"})
    assert set(await held(clean_lab, "web")) == {"h1", "i1"}
    await done(manager, "profile-edit", name="web", config={"user.x": "2"}, hosts=["h1"])
    copies = await held(clean_lab, "web")
    assert (copies["h1"]["config"], copies["i1"]["config"]) == ({"user.x": "2"}, {"user.x": "1"})
    await done(manager, "profile-edit", name="web", config={"user.y": "1"})
    assert (await held(clean_lab, "web"))["i1"]["config"] == {"user.x": "1", "user.y": "1"}
    await done(manager, "profile-delete", name="web", hosts=["i1"])
    assert set(await held(clean_lab, "web")) == {"h1"}
    await refused(
        manager, "profile-edit", 404, "there is no host 'h9'", name="web", hosts=["h9"], config={"user.y": "1"}
    )
    await refused(manager, "profile-delete", 404, "Profile not found", name="web", hosts=["h2"])
    await done(manager, "profile-create", name="web", hosts=["h2"])


async def test_names_that_are_none(manager: Manager) -> None:
    await refused(manager, "profile-create", 400, "may not contain slashes", name="a/b")
    await refused(manager, "profile-create", 400, "profile-create needs name", name="")
    await refused(manager, "profile-edit", 404, "Profile not found", name="none", description="x")
    await refused(manager, "profile-rename", 404, "Profile not found", name="none", new_name="x")
    await refused(manager, "profile-create", 400, "device d: expected type=", name="x", devices={"d": "path=/x"})


# -- one host fails


async def test_a_profile_behind_our_back_makes_all_of_it_fail(manager: Manager, clean_lab: Lab) -> None:
    """It is seen before anything is changed, also when no event has told of it yet."""
    await api(clean_lab, "h3", "POST", "/1.0/profiles", {"name": "web", "config": {"user.ours": "1"}})
    await refused(manager, "profile-create", 409, 'The profile "web" already exists on h3', name="web")
    assert await held(clean_lab, "web") == {"h3": {"description": "", "config": {"user.ours": "1"}, "devices": {}}}
    await done(manager, "profile-create", name="other")
    await refused(manager, "profile-rename", 409, 'Name "web" already in use', name="other", new_name="web")
    assert set(await held(clean_lab, "other")) == set(ALL)


@pytest.mark.parametrize("action", ["create", "edit"])
async def test_one_host_that_refuses(manager: Manager, clean_lab: Lab, action: str) -> None:
    """Incus does not know that key of LXD: it is taken back where it was made."""
    before = {}
    if action == "edit":
        await done(manager, "profile-create", name="web", config={"user.x": "1"})
        before = await held(clean_lab, "web")
    config = {"security.devlxd": "true", "user.x": "2"}
    task = await done(manager, f"profile-{action}", Status.FAILURE, name="web", config=config)
    assert task.error.startswith("i1: ")
    assert "security.devlxd" in task.error
    assert {host: state["status"] for host, state in task.hosts.items() if host != "i1"} == dict.fromkeys(
        ["h1", "h2", "h3"], "undone"
    )
    assert await held(clean_lab, "web") == before
    await until(manager.fleet, lambda: shown(manager, "web") == set(before))


@pytest.mark.parametrize("action", ["create", "rename", "delete"])
async def test_one_host_that_dies_in_the_middle(manager: Manager, clean_lab: Lab, action: str) -> None:
    """h2 hangs between being asked and being told. The others are put back at once, and h2 when it is there again."""
    before = {}
    if action != "create":
        await done(manager, "profile-create", name="web", config={"user.x": "1"}, description="D")
        before = await held(clean_lab, "web")
    arguments: dict[str, dict[str, Any]] = {
        "create": {"config": {"user.x": "1"}},
        "rename": {"new_name": "www"},
        "delete": {},
    }
    h2 = clean_lab.hosts["h2"]
    hung: list[str] = []

    def hang(task: Task) -> None:
        if task.kind == f"profile-{action}" and task.hosts["h2"]["status"] == "running" and not hung:
            h2.hang()
            hung.append(task.id)

    undo = manager.tasks.subscribe(hang)
    task = await manager.run(f"profile-{action}", name="web", **arguments[action])
    manager.fleet.watch("h2").retry_now()
    waits = asyncio.Event()
    task.subscribe(lambda t: waits.set() if t.status.final or "waits for h2" in t.metadata.get("undo", "") else None)
    await asyncio.wait_for(waits.wait(), 60)
    undo()
    h2.unhang()
    assert await task.wait(120) is Status.FAILURE
    assert task.error.startswith("h2: ")
    assert await held(clean_lab, "web") == before
    assert await held(clean_lab, "www") == {}


async def test_a_host_that_is_down_stops_every_change(manager: Manager, clean_lab: Lab) -> None:
    await done(manager, "profile-create", name="web")
    clean_lab.hosts["h2"].kill()
    await until(manager.fleet, lambda: not manager.inventory.hosts["h2"].usable)
    for action, more in [
        ("profile-create", {"name": "new"}),
        ("profile-edit", {"name": "web", "description": "x"}),
        ("profile-rename", {"name": "web", "new_name": "new"}),
        ("profile-delete", {"name": "web"}),
    ]:
        await refused(manager, action, 503, "h2", **more)
    await done(manager, "profile-edit", name="web", description="x", hosts=["h1"])
    await asyncio.to_thread(clean_lab.hosts["h2"].start)
    assert {host: copy["description"] for host, copy in (await held(clean_lab, "web")).items()} == {
        "h1": "x",
        "h2": "",
        "h3": "",
        "i1": "",
    }


# -- the profiles of an instance


async def test_assign(manager: Manager, clean_lab: Lab) -> None:
    await done(manager, "profile-create", name="web", hosts=["h1", "h3"], config={"limits.memory": "64MiB"})
    await done(manager, "launch", image="busybox", name="c1", target="h3", no_start=True)
    await done(manager, "profile-assign", instance="c1", profiles=["default", "web"])
    [row] = manager.inventory.find_instances("default", "c1")
    assert (row.profiles, row.memory_limit) == (("default", "web"), 64 << 20)
    assert (await api(clean_lab, "h3", "GET", "/1.0/instances/c1"))["profiles"] == ["default", "web"]
    await refused(manager, "profile-assign", 404, "h3 has no profile none", instance="c1", profiles=["default", "none"])
    await refused(manager, "profile-assign", 404, "not found", instance="none", profiles=["default"])
