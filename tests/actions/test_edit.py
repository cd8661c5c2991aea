"""Properties as YAML: what is wrong with a text, conflicts, and the hosts after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lxdpm_tui.actions.edit import changes, editable, read
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.console.inside.editing import bare, commented, dump
from tests.console.inside.window import make
from tests.lab.lab import Lab
from tests.managing import api, done, managing, refused


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("config:\n  a: [1\n", "line 3: "),
        ("- a\n", "line 1: expected the properties"),
        ("config: 5\n", "config: expected"),
        ("devices:\n  eth0: x\n", "devices.eth0: expected"),
        ("colour: red\n", "a profile has no colour"),
        ("", "line 1"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ActionError) as caught:
        read("profile", text)
    assert words in caught.value.text


def test_values_are_texts_as_the_daemon_wants_them() -> None:
    found = read(
        "profile", "config:\n  limits.cpu: 2\n  security.nesting: true\ndevices:\n  d: {type: disk, size: 5}\n"
    )
    assert found == {
        "config": {"limits.cpu": "2", "security.nesting": "true"},
        "devices": {"d": {"type": "disk", "size": "5"}},
    }
    assert read("profile", "config:\ndescription: a\n") == {"config": {}, "description": "a"}


def test_changes_name_each_place() -> None:
    before = {"config": {"a": "1", "b": "2"}, "description": "x"}
    after = {"config": {"a": "1", "b": "3", "c": "4"}}
    assert changes(before, after) == ["config.b: 2 -> 3", "config.c: 4 (new)", "description: removed (was x)"]
    assert changes(before, before) == []


def test_a_text_comes_back_as_it_was_given() -> None:
    config = {"volatile.x": "1", "user.a": "one\ntwo: 3\n", "b": "0x10"}
    own = editable("instance", {"config": config, "name": "c", "profiles": ["default"]})
    assert own == {"config": {"user.a": "one\ntwo: 3\n", "b": "0x10"}, "profiles": ["default"]}
    text = commented(["help", "more\nlines"]) + dump(own)
    assert read("instance", bare(text)) == own


@pytest.mark.parametrize("host", ["h1", "h2", "h3", "i1"])
async def test_an_instance(clean_lab: Lab, tmp_path: Path, host: str) -> None:
    make(clean_lab, host, "c1")
    async with managing(clean_lab, tmp_path) as manager:
        own = await manager.fleet.hosts[host].get("/1.0/instances/c1")
        was = dump(editable("instance", own))
        assert "volatile" not in was
        yaml = was.replace("config:\n", "config:\n  user.note: 5\n", 1)
        await done(manager, "edit", kind="instance", name="c1", yaml=yaml, was=was)
        now = await manager.fleet.hosts[host].get("/1.0/instances/c1")
        assert now["config"] == {**own["config"], "user.note": "5"}
        assert now["status"] == "Running"

        await refused(manager, "edit", 412, "config.user.note: 5 (new)", kind="instance", name="c1", yaml=was, was=was)
        await done(manager, "edit", kind="instance", name="c1", yaml="description: only this\n")
        now = await manager.fleet.hosts[host].get("/1.0/instances/c1")
        assert (now["description"], now["config"]["user.note"]) == ("only this", "5")


async def test_a_profile_and_an_image_on_all_hosts(clean_lab: Lab, tmp_path: Path) -> None:
    async with managing(clean_lab, tmp_path) as manager:
        await done(manager, "profile-create", name="zz", config={"user.a": "1"})
        was = dump(editable("profile", await manager.fleet.hosts["h1"].get("/1.0/profiles/zz")))
        yaml = was.replace("user.a: '1'", "user.a: '2'\n  user.b: x")
        await done(manager, "edit", kind="profile", name="zz", yaml=yaml, was=was)
        for host in ("h1", "h2", "h3", "i1"):
            profile = await api(clean_lab, host, "GET", "/1.0/profiles/zz")
            assert profile["config"] == {"user.a": "2", "user.b": "x"}
        await refused(manager, "edit", 412, "user.b", kind="profile", name="zz", yaml=yaml, was=was)

        print_ = clean_lab.image_fingerprint
        path = f"/1.0/images/{print_}"
        before = editable("image", await manager.fleet.hosts["h1"].get(path))
        try:
            changed = {**before, "properties": {**before["properties"], "note": "ours"}}
            await done(manager, "edit", kind="image", name="busybox", yaml=dump(changed), was=dump(before))
            for host in ("h1", "h2", "h3", "i1"):
                assert (await api(clean_lab, host, "GET", path))["properties"]["note"] == "ours"
        finally:
            await done(manager, "edit", kind="image", name="busybox", yaml=dump(before))
