"""What is done to instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions.registry import Danger
from lxdpm_tui.console.deeds.asking import FORCE, FORCIBLE, about, by_project, subject
from lxdpm_tui.console.deeds.bulk import planned
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.resources.tasks import decision, placements, what
from lxdpm_tui.console.screens.form import FormScreen
from lxdpm_tui.console.screens.launch import LaunchScreen
from lxdpm_tui.console.screens.profile import ProfileAssignScreen
from lxdpm_tui.console.screens.reading import ReadingScreen
from lxdpm_tui.console.screens.snapshots import SnapshotsScreen
from lxdpm_tui.console.session import reference
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.console.acts import Acts


async def launch(acts: Acts) -> None:
    values: dict[str, str] = {}
    row = acts.row
    if row is not None and acts.screen.place == "images":
        values = {"image": row.aliases[0] if row.aliases else row.fingerprint[:12], "project": row.project}
    elif row is not None and acts.screen.place == "hosts":
        values = {"target": row.name}
    elif row is not None and acts.screen.place == "profiles":
        names = ["default", row.name] if row.name != "default" else ["default"]
        values = {"profiles": " ".join(names), "project": row.project}
    await acts.form(LaunchScreen(acts.session, values))


async def state(acts: Acts, action: str) -> None:
    """start, stop, restart, freeze, unfreeze on the marked rows or the one under the cursor."""
    rows = [row for _, row in acts.rows]
    if len(rows) > 1:
        await planned(acts, action, rows)
        return
    entry = acts.session.registry.actions[action]
    options: dict[str, bool] = {}
    if entry.danger is not Danger.NONE:
        boxes = [FORCE] if action in FORCIBLE else []
        answer = await acts.ask(
            f"{action.capitalize()} {subject(rows)}?", about(rows), yes=action.capitalize(), options=boxes
        )
        if answer is None:
            return
        options = {name: True for name, ticked in answer.items() if ticked}
    await on_instances(acts, action, rows, **options)


async def on_instances(acts: Acts, action: str, rows: Sequence[Instance], **options: Any) -> None:
    """One run a project: names are unique in one only. options: as `Session.run` has them."""
    for project, group in by_project(rows).items():
        refs = [reference(row.key) for row in group]
        await acts.session.attempt(action, instances=refs, project=project, **options)
    acts.unmark()


async def freeze(acts: Acts) -> None:
    rows = [row for _, row in acts.rows]
    await state(acts, "unfreeze" if rows and all(row.status == "Frozen" for row in rows) else "freeze")


async def _form(acts: Acts, screen: FormScreen) -> None:
    """A form about the rows that are meant; their marks go when it began."""
    if await acts.form(screen) is not None:
        acts.unmark()


async def snapshot(acts: Acts) -> None:
    from lxdpm_tui.console.screens.instance_forms import SnapshotScreen

    await _form(acts, SnapshotScreen(acts.session, [row for _, row in acts.rows]))


async def snapshots(acts: Acts) -> None:
    rows = [row for _, row in acts.rows]
    if len(rows) > 1:
        from lxdpm_tui.console.screens.instance_forms import RestoreScreen

        await _form(acts, RestoreScreen(acts.session, rows))
        return
    row = acts.row
    chosen = await acts.screen.app.push_screen_wait(SnapshotsScreen(acts.session, row))
    if chosen is None:
        return
    verb = "Go back to" if chosen.action == "restore" else "Delete"
    lost = "What changed since then is lost." if chosen.action == "restore" else "The snapshot is lost."
    question = f"{verb} snapshot {chosen.snapshot} of {row.name} on {row.host} (project {row.project})?"
    if await acts.ask(question, [Line("", lost, "warn")], yes=verb) is not None:
        arguments = {"instance": reference(row.key), "snapshot": chosen.snapshot, "project": row.project}
        await acts.session.attempt(chosen.action, **arguments)


async def assign(acts: Acts) -> None:
    await acts.form(ProfileAssignScreen(acts.session, acts.row))


async def rename(acts: Acts) -> None:
    from lxdpm_tui.console.screens.instance_forms import RenameScreen

    await _form(acts, RenameScreen(acts.session, [row for _, row in acts.rows]))


async def copy(acts: Acts) -> None:
    from lxdpm_tui.console.screens.instance_forms import CopyScreen

    await _form(acts, CopyScreen(acts.session, [row for _, row in acts.rows]))


async def publish(acts: Acts) -> None:
    from lxdpm_tui.console.screens.instance_forms import PublishScreen

    await _form(acts, PublishScreen(acts.session, [row for _, row in acts.rows]))


async def configure(acts: Acts) -> None:
    from lxdpm_tui.console.screens.settings import SettingsScreen

    await _form(acts, SettingsScreen(acts.session, [row for _, row in acts.rows]))


async def why(acts: Acts) -> None:
    """Why an instance is where it is: the decision kept with the task that launched it."""
    row = acts.row
    lines: list[Line] = []
    if isinstance(row, Task):
        title = f"Placement: {what(row)}"
        for entry in placements(row):
            lines += [*decision(entry), Line()]
        lines = lines or [Line("", "This task placed nothing.", "dim")]
    else:
        title = f"Why is {row.name} on {row.host}?"
        found = await acts.session.decision_for(row)
        if found is None:
            lines = [Line("", "No placement is known: it was not launched from here, or long ago.", "dim")]
        else:
            lines = [*decision(found[1]), Line(), Line("task", f"{what(found[0])} ({found[0].id})")]
    await acts.screen.app.push_screen_wait(ReadingScreen(title, lines))
