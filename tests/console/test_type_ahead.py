from __future__ import annotations

from textual import events
from textual.pilot import Pilot

from lxdpm_tui.console.screens.confirm import ConfirmScreen
from lxdpm_tui.console.screens.main import MainScreen
from tests.console.world import World, shown, until

NAMES = {"/": "slash", ":": "colon", "-": "minus", "\r": "enter", " ": "space"}


def type_at_once(pilot: Pilot[int], keys: str) -> None:
    """All keys in one go, as they come over a slow link."""
    for letter in keys:
        pilot.app.post_message(events.Key(NAMES.get(letter, letter), letter))


async def test_letters_after_a_slash_go_to_the_filter(pilot: Pilot[int], world: World) -> None:
    type_at_once(pilot, "1/tx2/status:stopped\r")
    await until(pilot, lambda: "/tx2/status:stopped" in shown(pilot))
    screen = pilot.app.screen
    assert isinstance(screen, MainScreen)
    assert screen.place == "hosts"
    assert world.calls == []


async def test_a_name_typed_ahead_goes_to_the_question(pilot: Pilot[int], world: World) -> None:
    type_at_once(pilot, "Dweb-1")
    await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
    await until(pilot, lambda: any(not yes.disabled for yes in pilot.app.screen.query("#confirm-yes")))
    assert world.calls == []
    await pilot.press("enter")
    await until(pilot, lambda: world.calls)


async def test_a_question_and_its_answer_in_one_go(pilot: Pilot[int], world: World) -> None:
    type_at_once(pilot, "xy")
    await until(pilot, lambda: world.calls)
    assert world.last == ("stop", {"instances": ["h1:web-1"], "project": "default"})
    type_at_once(pilot, ":start web-3\r")
    await until(pilot, lambda: len(world.calls) == 2)
    assert world.last == ("start", {"instances": ["web-3"]})
