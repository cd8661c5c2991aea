"""Forms about what spans the fleet: hosts added and labelled, profiles levelled, images to more hosts, aliases."""

from __future__ import annotations

from textual.pilot import Pilot

from lxdpm_tui.console.screens.confirm import ConfirmScreen
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.tasks.task import Status
from tests.console.test_forms import begun, form
from tests.console.world import World, shown, until


async def test_a_host_is_added_with_a_token(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "1", "a")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "a name of letters" in screen.error)
    screen.field("name").value = "h1"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "there is a host h1 already" in screen.error)
    screen.field("name").value = "new"
    screen.field("address").value = "nowhere"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "expected" in screen.error)
    screen.field("address").value = "https://10.0.0.9"
    await until(pilot, lambda: "lxc config trust add --name lxdpm-tui" in shown(pilot))
    screen.field("token").value = "abc"
    screen.field("password").value = "pw"
    screen.field("labels").value = "site=lyon ssd"
    name, given = await begun(pilot, world)
    assert (name, given["name"], given["address"], given["token"]) == ("host-add", "new", "https://10.0.0.9", "abc")
    assert given["labels"] == {"site": "lyon", "ssd": ""}
    world.task.finish(Status.FAILURE, "no")
    await until(pilot, lambda: "Failed" in shown(pilot))
    screen = await form(pilot, "a")
    assert (screen.field("name").value, screen.field("token").value, screen.field("password").value) == ("new", "", "")


async def test_a_host_is_taken_out_and_labelled(pilot: Pilot[int], world: World) -> None:
    await pilot.press("1", "D")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
    await until(pilot, lambda: "Take host h1 out of the fleet?" in shown(pilot))
    await pilot.press("y")
    await until(pilot, lambda: world.calls)
    assert world.last == ("host-remove", {"host": "h1"})
    await until(pilot, lambda: isinstance(pilot.app.screen, MainScreen))
    screen = await form(pilot, "e")
    assert screen.field("labels").value == "site=lyon"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "nothing was changed" in screen.error)
    screen.field("labels").value = "rack=7 ssd"
    assert await begun(pilot, world) == ("host-label", {"host": "h1", "labels": ["rack=7", "ssd", "site="]})


async def test_how_copies_of_a_profile_differ_and_levelling_them(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "4", "end", "d")
    await until(pilot, lambda: "1GiB  (h2, h3, h4)" in shown(pilot))
    assert "→ 512MiB  (h1)" in shown(pilot)
    screen.field("keep").value = "limits.memory"
    await until(pilot, lambda: "limits.memory: stays as it is" in shown(pilot))
    screen.field("keep").value = ""
    screen.field("hosts").value = "h9"
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "h9 does not have it" in screen.error)
    screen.field("hosts").value = ""
    screen.field("like").value = "h2"
    assert await begun(pilot, world) == (
        "profile-level",
        {"name": "small", "project": "default", "like": "h2", "keep": [], "hosts": []},
    )


async def test_an_image_goes_to_the_hosts_that_have_it_not(pilot: Pilot[int], world: World) -> None:
    world.inventory.drop("images", Key("h3", "default", "ab12" * 16))
    screen = await form(pilot, "3", "m")
    assert screen.field("source").value == "h1:debian/12"
    assert screen.field("hosts").value == "h3"
    name, given = await begun(pilot, world)
    assert (name, given["source"], given["hosts"]) == ("image-import", "h1:debian/12", ["h3"])


async def test_aliases_are_added_and_taken_away(pilot: Pilot[int], world: World) -> None:
    screen = await form(pilot, "3", "A")
    await pilot.press("ctrl+s")
    await until(pilot, lambda: "nothing was changed" in screen.error)
    screen.field("aliases").value = "bookworm stable"
    await until(pilot, lambda: "removed on 4 hosts" in shown(pilot))
    await pilot.press("ctrl+s")
    await until(pilot, lambda: len(world.calls) == 3)
    assert [(action, given["name"]) for action, given in world.calls] == [
        ("image-alias-create", "bookworm"),
        ("image-alias-create", "stable"),
        ("image-alias-delete", "debian/12"),
    ]
