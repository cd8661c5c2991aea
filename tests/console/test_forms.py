"""Every form: what it offers, what it refuses, and the action that it runs."""

from __future__ import annotations

from textual.pilot import Pilot
from textual.widgets import Input

from lxdpm_tui.actions.plan import read
from lxdpm_tui.console.screens.form import FormScreen
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.screens.snapshots import SnapshotsScreen
from lxdpm_tui.console.widgets.lines import Lines
from lxdpm_tui.fleet.inventory import Instance, Profile
from lxdpm_tui.tasks.task import Status
from tests.console.world import World, shown, until


async def form(pilot: Pilot[int], *keys: str) -> FormScreen:
    """Press keys until a form is open."""
    await pilot.press(*keys)
    await until(pilot, lambda: isinstance(pilot.app.screen, FormScreen))
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, FormScreen)
    return screen


async def begun(pilot: Pilot[int], world: World) -> tuple[str, dict[str, object]]:
    """Submit the form and wait until its action began."""
    number = len(world.calls)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: len(world.calls) > number and isinstance(pilot.app.screen, MainScreen))
    return world.last


async def test_launch_with_completion_and_preview(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "n")
    assert "on all hosts" in shown(pilot)
    await pilot.press(*"deb", "down")
    assert screen.values["image"] == "debian/12"
    await until(pilot, lambda: "→ h1       100    5 GiB" in shown(pilot))
    assert "left out: in maintenance" in "\n".join(screen.query_one("#form-aside", Lines).plain)
    await pilot.press("enter", *"shop", "enter", "backspace", "3")
    await until(pilot, lambda: "3 instances would land: 3 on h1" in shown(pilot))
    screen.field("config").value = "limits.memory=1GiB\nuser.a=b=c"
    screen.field("strategy").value = "scatter"
    assert await begun(pilot, world) == (
        "launch",
        {
            "image": "debian/12",
            "name": "shop",
            "count": 3,
            "profiles": ["default"],
            "project": "default",
            "config": {"limits.memory": "1GiB", "user.a": "b=c"},
            "devices": {},
            "ephemeral": False,
            "no_start": False,
            "strategy": "scatter",
        },
    )


async def test_launch_says_what_is_missing_and_keeps_what_is_there(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "n")
    screen.field("name").value = "shop"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "an image is needed" in screen.error)
    screen.field("image").value = "debian/12"
    screen.field("count").value = "many"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "a whole number from 1" in screen.error)
    assert screen.field("count").has_class("-wrong")
    screen.field("count").value = "1"
    screen.field("config").value = "limits.memory"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "line 1: expected KEY=VALUE" in screen.error)
    screen.field("config").value = ""
    screen.field("devices").value = "data /srv"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "NAME: type=disk" in screen.error)
    screen.field("devices").value = ""
    screen.field("target").value = "h9"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "there is no host 'h9'" in screen.error)
    screen.field("target").value = ""
    world.refuse["launch"] = 'Instance "shop" already exists'
    await pilot.press("ctrl+s")
    await until(pilot, lambda: 'Instance "shop" already exists' in screen.error)
    assert screen.values["name"] == "shop"
    world.refuse.clear()
    assert (await begun(pilot, world))[1]["name"] == "shop"


async def test_values_come_back_after_a_failed_task(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "n")
    screen.field("image").value = "debian/12"
    screen.field("name").value = "shop"
    await begun(pilot, world)
    world.task.finish(Status.FAILURE, "h1: no room")
    await until(pilot, lambda: "your values are kept" in world_messages(pilot))
    screen = await form(pilot, "n")
    assert screen.values["name"] == "shop"
    assert "attempt that failed" in screen.error
    await begun(pilot, world)
    world.task.finish(Status.SUCCESS)
    screen = await form(pilot, "n")
    assert screen.values["name"] == ""


async def test_values_come_back_after_a_task_that_ended_at_once(pilot: Pilot[int], world: World) -> None:
    """Before anybody could say which form it is of."""
    ends = Status.FAILURE
    world.tasks.subscribe(lambda task: None if task.status.final else task.finish(ends, "h1: no room"))
    screen = await form(pilot, "n")
    screen.field("image").value = "debian/12"
    screen.field("name").value = "shop"
    await begun(pilot, world)
    screen = await form(pilot, "n")
    assert screen.values["name"] == "shop"
    assert "attempt that failed" in screen.error
    ends = Status.SUCCESS
    await begun(pilot, world)
    assert (await form(pilot, "n")).values["name"] == ""


async def test_a_form_that_is_left_keeps_its_draft(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "n")
    screen.field("image").value = "debian/12"
    screen.field("name").value = "shop"
    screen.field("start").value = "no"
    await left(pilot)
    other = await form(pilot, "3", "n")  # of that image: another thing
    assert (other.values["image"], other.values["name"]) == ("debian/12", "")
    assert other.error == ""
    await left(pilot)
    screen = await form(pilot, "2", "n")
    assert (screen.values["image"], screen.values["name"], screen.values["start"]) == ("debian/12", "shop", "no")
    assert "as you left it; ctrl+l starts afresh" in screen.error
    await pilot.press("ctrl+l")
    assert (screen.values["image"], screen.values["name"], screen.values["start"]) == ("", "", "yes")
    assert screen.error == ""
    await left(pilot)
    assert (await form(pilot, "n")).error == ""


async def test_a_draft_ends_when_the_form_is_used(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "p")
    screen.field("name").value = "shop-1"
    await left(pilot)
    assert (await form(pilot, "down", "p")).values["name"] != "shop-1", "a draft is of one instance"
    await left(pilot)
    screen = await form(pilot, "up", "p")
    assert screen.values["name"] == "shop-1"
    await begun(pilot, world)
    assert (await form(pilot, "p")).values["name"] != "shop-1"


async def test_a_draft_of_settings_that_have_changed_is_not_offered(pilot: Pilot[int], world: World) -> None:
    """To put it in place of what is there now would take back what somebody else has changed."""
    screen = await form(pilot, "4", "end", "e")
    screen.field("description").value = "mine"
    await left(pilot)
    assert (await form(pilot, "e")).values["description"] == "mine"
    await left(pilot)
    for host in world.inventory.hosts:
        row = Profile(host=host, project="default", name="small", config={"limits.memory": "4GiB"})
        world.inventory.put("profiles", row)
    table = pilot.app.screen.table  # type: ignore[attr-defined]
    await until(pilot, lambda: table.cursor_row.config.get("limits.memory") == "4GiB")
    screen = await form(pilot, "e")
    assert screen.values["description"] == ""
    assert "limits.memory=4GiB" in screen.values["config"]


async def test_a_draft_has_no_secrets(pilot: Pilot[int]) -> None:
    session = pilot.app.session  # type: ignore[attr-defined]
    screen = await form(pilot, "1", "a")
    for field, value in (("name", "h9"), ("token", "a-token"), ("password", "a-word"), ("address", "https://h9:8443")):
        screen.field(field).value = value
    await left(pilot)
    screen = await form(pilot, "a")
    kept = {field: screen.values[field] for field in ("name", "token", "password", "address")}
    assert kept == {"name": "h9", "token": "", "password": "", "address": "https://h9:8443"}
    await left(pilot)
    screen = await form(pilot, "2", "n")
    screen.field("name").value = "c1"
    screen.field("config").value = "limits.cpu=2\nuser.db-password=abc"
    await left(pilot)
    screen = await form(pilot, "3", "i")
    screen.field("source").value = "https://me:abc@images.example/one"
    await left(pilot)
    told = repr(session.drafts)
    assert "c1" in told
    assert not [secret for secret in ("a-token", "a-word", "abc") if secret in told]


async def left(pilot: Pilot[int]) -> None:
    """Escape, out of the form."""
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


def world_messages(pilot: Pilot[int]) -> str:
    return " ".join(message.text for message in pilot.app.session.messages.log)  # type: ignore[attr-defined]


async def test_launch_begins_with_the_row_under_the_cursor(pilot: Pilot[int]) -> None:
    assert (await form(pilot, "3", "n")).values["image"] == "debian/12"
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    assert (await form(pilot, "1", "down", "n")).values["target"] == "h2"
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    assert (await form(pilot, "4", "end", "n")).values["profiles"] == "default small"


async def test_several_profiles_complete_one_by_one(pilot: Pilot[int]) -> None:
    screen = await form(pilot, "n")
    field = screen.field("profiles").input
    assert isinstance(field, Input)
    field.focus()
    field.value = "default "
    await pilot.pause()
    await pilot.press("down")
    assert field.value == "default small"


async def test_snapshot(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "p")
    assert "Snapshot of web-1 on h1, project default" in shown(pilot)
    await pilot.press(*"my snap")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "no slashes and no spaces" in screen.error)
    screen.field("name").value = "before"
    assert await begun(pilot, world) == (
        "snapshot",
        {"instance": "h1:web-1", "project": "default", "name": "before", "stateful": False, "expires": ""},
    )


async def test_snapshot_of_marked_rows(pilot: Pilot[int], world: World) -> None:
    await pilot.press("space", "space")
    await form(pilot, "p")
    assert "Snapshot of 2 instances (project default): web-1, web-2" in shown(pilot)
    await pilot.press(*"a-", "{", *"n", "}", "ctrl+s")
    await until(pilot, lambda: '"name":"a-2"' in shown(pilot))
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, FormScreen))
    assert not world.calls, "the plan was looked at only; what was typed stays"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "enter run it" in shown(pilot))
    await pilot.press("enter")
    await until(pilot, lambda: world.calls)
    assert [item.name for item in read(str(world.last[1]["plan"])).items] == ["web-1", "web-2"]
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))


async def test_rename(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "N")
    assert "It is Running: stop it first." in shown(pilot)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "type another name" in screen.error)
    screen.field("new_name").value = "web-one"
    assert await begun(pilot, world) == (
        "rename",
        {"instance": "h1:web-1", "new_name": "web-one", "project": "default"},
    )


async def test_profile_create(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "4", "a")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "a profile needs a name" in screen.error)
    screen.field("name").value = "big"
    screen.field("config").value = "limits.memory=8GiB"
    screen.field("devices").value = "eth1: type=nic, network=lxdbr0"
    screen.field("hosts").value = "h1, h2"
    await until(pilot, lambda: "It is made on 2 hosts" in shown(pilot))
    assert await begun(pilot, world) == (
        "profile-create",
        {
            "name": "big",
            "description": "",
            "config": {"limits.memory": "8GiB"},
            "devices": {"eth1": {"type": "nic", "network": "lxdbr0"}},
            "hosts": ["h1", "h2"],
            "project": "default",
        },
    )


async def test_profile_edit_sends_the_changes_only(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "4", "e")
    assert screen.values["devices"] == "root: type=disk, path=/, pool=default"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "nothing was changed" in screen.error)
    screen.field("devices").value = "eth0: type=nic, network=lxdbr0"
    screen.field("config").value = "user.x=1"
    await until(pilot, lambda: "(removed)" in shown(pilot))
    assert await begun(pilot, world) == (
        "profile-edit",
        {
            "name": "default",
            "project": "default",
            "hosts": [],
            "config": {"user.x": "1"},
            "devices": {"eth0": {"type": "nic", "network": "lxdbr0"}, "root": ""},
        },
    )


async def test_profile_edit_takes_keys_away(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "4", "end", "e")
    screen.field("config").value = ""
    assert (await begun(pilot, world))[1]["config"] == {"limits.memory": ""}


async def test_profile_assign(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "P")
    assert screen.values["profiles"] == "default"
    screen.field("profiles").value = "default tiny"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "h1 has no profile tiny" in screen.error)
    screen.field("profiles").value = "default small"
    assert await begun(pilot, world) == (
        "profile-assign",
        {"instance": "h1:web-1", "profiles": ["default", "small"], "project": "default"},
    )


async def test_image_import(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "3", "i")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "where from?" in screen.error)
    await pilot.press(*"h1", "down")
    assert screen.values["source"] == "h1:debian/12"
    screen.field("aliases").value = "deb, debian"
    screen.field("hosts").value = "h2 h9"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "there is no host h9" in screen.error)
    screen.field("hosts").value = "h2"
    screen.field("pending").value = "yes"
    assert await begun(pilot, world) == (
        "image-import",
        {
            "source": "h1:debian/12",
            "aliases": ["deb", "debian"],
            "hosts": ["h2"],
            "project": "default",
            "public": False,
            "pending": True,
        },
    )


async def test_escape_leaves_nothing_done(pilot: Pilot[int], world: World) -> None:
    for keys in (("2", "n"), ("2", "p"), ("4", "a"), ("3", "i")):
        await form(pilot, *keys)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    assert world.calls == []


async def test_snapshots_of_a_host_that_cannot_be_asked(pilot: Pilot[int], world: World) -> None:
    world.silent = True
    await pilot.press("b")
    await until(pilot, lambda: isinstance(pilot.app.screen, SnapshotsScreen))
    await until(pilot, lambda: "h1: no route to host" in shown(pilot))


async def test_snapshots_go_back_and_delete(pilot: Pilot[int], world: World) -> None:
    world.snapshots = [
        {"name": "old", "created_at": "2026-01-01T00:00:00Z", "stateful": False},
        {"name": "new", "created_at": "2026-02-01T00:00:00Z", "stateful": True},
    ]
    await pilot.press("b")
    await until(pilot, lambda: "new " in shown(pilot))
    await pilot.press("down", "enter")
    await until(pilot, lambda: "Go back to snapshot old of web-1 on h1 (project default)?" in shown(pilot))
    await pilot.press("y")
    await until(pilot, lambda: world.calls)
    assert world.last == ("restore", {"instance": "h1:web-1", "snapshot": "old", "project": "default"})
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    await pilot.press("b")
    await until(pilot, lambda: "with processes" in shown(pilot))
    await pilot.press("D")
    await until(pilot, lambda: "Delete snapshot new" in shown(pilot))
    await pilot.press("y")
    await until(pilot, lambda: len(world.calls) == 2)
    assert world.last[0] == "snapshot-delete"


async def test_a_form_over_a_long_unicode_name(pilot: Pilot[int], world: World) -> None:
    world.inventory.put("instances", Instance(host="h1", project="default", name="aa" + "長" * 60, status="Stopped"))
    await until(pilot, lambda: "aa長" in shown(pilot))
    await form(pilot, "home", "p")
    assert all(len(line) <= 80 for line in shown(pilot).splitlines())
