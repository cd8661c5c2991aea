"""Actions on hosts."""

from __future__ import annotations

import pytest

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.manager import Manager
from tests.managing import done, where


async def test_maintenance_leaves_a_host_out_and_lets_it_in_again(manager: Manager) -> None:
    await done(manager, "launch", image="busybox", name="there", target="h2")
    for name in ("h1", "h2", "i1"):
        await done(manager, "maintenance", host=name, on="on")
    shown = {name: record.shown_status for name, record in manager.inventory.hosts.items()}
    assert [name for name, word in shown.items() if word != "maintenance"] == ["h3"], shown
    await done(manager, "launch", image="busybox", name="c", count=3, no_start=True, strategy="scatter")
    assert [where(manager, f"c-{n}") for n in (1, 2, 3)] == [["h3"]] * 3
    with pytest.raises(ActionError) as caught:
        await manager.run("launch", image="busybox", target="h2")
    assert caught.value.code == 503
    assert "h2: in maintenance" in caught.value.text
    await done(manager, "restart", instances=["there"], force=True)
    assert where(manager, "there") == ["h2"], "what runs there goes on, and can be worked on"
    await done(manager, "maintenance", host="h2", on="off")
    task = await done(manager, "launch", image="busybox", name="back", target="h2", no_start=True)
    assert task.metadata["placement"][0]["chosen"] == "h2"
    await done(manager, "maintenance", host="h2", on="off")


async def test_words_that_are_none(manager: Manager) -> None:
    for arguments, text in [
        ({"host": "h9", "on": "on"}, "there is no host 'h9'"),
        ({"host": "h1", "on": "maybe"}, "on is one of on, off, not 'maybe'"),
        ({"host": "h1"}, "maintenance needs on"),
    ]:
        with pytest.raises(ActionError, match=text):
            await manager.run("maintenance", **arguments)
