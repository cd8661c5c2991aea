"""Deleting instances, images and profiles: asked for by danger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lxdpm_tui.console import text
from lxdpm_tui.console.deeds import warnings
from lxdpm_tui.console.deeds.asking import FORCE_DELETE, about, subject
from lxdpm_tui.console.deeds.bulk import planned
from lxdpm_tui.console.deeds.instances import on_instances
from lxdpm_tui.console.resources.base import Line

if TYPE_CHECKING:
    from lxdpm_tui.console.acts import Acts


async def delete(acts: Acts) -> None:
    place = acts.screen.place
    if place in ("hosts", "warnings"):
        await (_hosts(acts) if place == "hosts" else warnings.delete(acts))
        return
    await (_instances(acts) if place == "instances" else _images(acts) if place == "images" else _profiles(acts))


async def _instances(acts: Acts) -> None:
    rows = [row for _, row in acts.rows]
    if len(rows) > 1:
        await planned(acts, "delete", rows)
        return
    running = [row for row in rows if row.status not in ("Stopped", "Error")]
    options = [FORCE_DELETE] if running else []
    question = f"Delete {subject(rows)} with all snapshots?"
    answer = await acts.ask(question, about(rows), yes="Delete", expect=rows[0].name, options=options)
    if answer is not None:
        ticked = {name: True for name, ticked in answer.items() if ticked}
        await on_instances(acts, "delete", rows, typed=rows[0].name, **ticked)


async def _hosts(acts: Acts) -> None:
    """Out of the fleet: nothing changes on them."""
    names = list(dict.fromkeys(row.name for _, row in acts.rows))
    which = f"host {names[0]}" if len(names) == 1 else text.count(len(names), "host")
    lines = [Line("", name) for name in names]
    lines.append(Line("", "What runs there goes on; it is only not looked at from here any more.", "dim"))
    if await acts.ask(f"Take {which} out of the fleet?", lines, yes="Remove") is not None:
        for name in names:
            await acts.session.attempt("host-remove", host=name)
        acts.unmark()


async def _images(acts: Acts) -> None:
    prints = {(row.project, row.fingerprint): row for _, row in acts.rows}
    names = [row.aliases[0] if row.aliases else row.fingerprint[:12] for row in prints.values()]
    runs = [{"fingerprint": print, "project": project} for project, print in prints]
    await _fleet_wide(acts, "image-delete", names, runs)


async def _profiles(acts: Acts) -> None:
    pairs = {(row.project, row.name): row for _, row in acts.rows}
    runs = [{"name": name, "project": project} for project, name in pairs]
    await _fleet_wide(acts, "profile-delete", [name for _, name in pairs], runs)


async def _fleet_wide(acts: Acts, action: str, names: Sequence[str], runs: Sequence[dict[str, Any]]) -> None:
    kind = action.split("-")[0]
    which = f"{kind} {names[0]}" if len(names) == 1 else text.count(len(names), kind)
    lines = [Line("", f"{name}, project {run['project']}") for name, run in zip(names, runs, strict=True)]
    lines.append(Line("", "It goes from every host that has it.", "warn"))
    if await acts.ask(f"Delete {which} on all hosts?", lines, yes="Delete") is not None:
        for run in runs:
            await acts.session.attempt(action, **run)
        acts.unmark()
