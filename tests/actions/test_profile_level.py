"""Copies of a profile made alike, on real daemons."""

from __future__ import annotations

from lxdpm_tui.actions.profile_level import differences, levelled
from lxdpm_tui.manager import Manager
from lxdpm_tui.tasks.task import Status
from tests.lab.lab import Lab
from tests.managing import api, done, refused


def test_what_differs_is_said_key_by_key() -> None:
    copies = {
        "h1": {"config": {"a": "1", "b": "1"}, "devices": {"root": {"pool": "x"}}},
        "h2": {"config": {"a": "1", "b": "2"}, "devices": {"root": {"pool": "x"}}},
        "h3": {"config": {"a": "1"}, "devices": {}},
    }
    assert differences(copies) == {
        "config b": {"h1": "1", "h2": "2", "h3": None},
        "devices root": {"h1": {"pool": "x"}, "h2": {"pool": "x"}, "h3": None},
    }
    assert levelled(copies["h1"], copies["h3"], ["root"]) == {
        "description": "",
        "config": {"a": "1", "b": "1"},
        "devices": {},
    }


async def test_all_become_like_one_but_for_what_is_kept(manager: Manager, clean_lab: Lab) -> None:
    await done(manager, "profile-create", name="zz", config={"limits.cpu": "1"})
    await api(clean_lab, "h2", "PATCH", "/1.0/profiles/zz", {"config": {"limits.cpu": "2", "user.own": "x"}})
    await api(clean_lab, "i1", "PATCH", "/1.0/profiles/zz", {"config": {"user.own": "y", "user.more": "z"}})
    await refused(manager, "profile-level", 404, "there is no host 'h9'", name="zz", like="h9")
    await done(manager, "profile-level", name="zz", like="h2", keep=["user.own"])
    found = {host: (await api(clean_lab, host, "GET", "/1.0/profiles/zz"))["config"] for host in clean_lab.hosts}
    assert found == {
        "h1": {"limits.cpu": "2"},
        "h2": {"limits.cpu": "2", "user.own": "x"},
        "h3": {"limits.cpu": "2"},
        "i1": {"limits.cpu": "2", "user.own": "y"},
    }


async def test_if_one_refuses_all_stay_as_they_were(manager: Manager, clean_lab: Lab) -> None:
    """LXD 5.0 does not know a key that Incus has."""
    await done(manager, "profile-create", name="zz", config={"limits.cpu": "1"})
    await api(clean_lab, "i1", "PATCH", "/1.0/profiles/zz", {"config": {"boot.autorestart": "true", "limits.cpu": "3"}})
    task = await done(manager, "profile-level", Status.FAILURE, name="zz", like="i1")
    assert "boot.autorestart" in task.error
    for host in ("h1", "h2", "h3"):
        assert (await api(clean_lab, host, "GET", "/1.0/profiles/zz"))["config"] == {"limits.cpu": "1"}
