"""What leads into an instance: shell, console, logs, files, its properties.

What it needs is imported when it is asked for: the first frame must not wait for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from lxdpm_tui.console.session import REFUSALS, reference
from lxdpm_tui.fleet.inventory import Instance

if TYPE_CHECKING:
    from lxdpm_tui.console.acts import Acts

OnRow = Callable[["Acts", Instance], Awaitable[object]]


async def shell(acts: Acts, row: Instance) -> None:
    await _terminal(acts, row, "Shell")


async def console(acts: Acts, row: Instance) -> None:
    await _terminal(acts, row, "Console")


async def _terminal(acts: Acts, row: Instance, what: str) -> None:
    from lxdpm_tui.console.inside.shell import use

    session = acts.session
    if session.backend is None:
        return
    where = f"{what} of {row.host}:{row.name}"
    session.say("info", f"{where}: opening")
    said = len(session.messages.unseen)
    try:
        ending = await use(acts.screen.app, session.backend.fleet.hosts[row.host], row, what)
    except REFUSALS as refusal:
        session.say("bad", f"{where}: {refusal}")
        return
    if len(session.messages.unseen) > said:
        acts.screen.app.bell()  # something failed while nobody could see it
    if ending.error:
        session.say("bad", f"{where} ended: {ending.error}")
    elif ending.left:
        session.say("info", f"{where} left")
    else:
        session.say("info", f"{where} ended" + (f" with exit code {ending.code}" if ending.code else ""))


async def logs(acts: Acts, row: Instance) -> None:
    """Of all marked instances together, else of the one."""
    from lxdpm_tui.console.inside.log_screen import LogScreen

    await acts.screen.app.push_screen_wait(LogScreen(acts.session, marked(acts, row)))


async def files(acts: Acts, row: Instance) -> None:
    from lxdpm_tui.console.inside.browser import FilesScreen

    await acts.screen.app.push_screen_wait(FilesScreen(acts.session, row))


async def run(acts: Acts, row: Instance) -> None:
    """One command in all marked instances, and its output."""
    from lxdpm_tui.console.inside.results import ExecForm, ResultsScreen

    task = await acts.form(ExecForm(acts.session, marked(acts, row)))
    if task is not None:
        acts.unmark()
        if "plan" not in task.metadata:  # of several the board was there, with all they said
            await acts.screen.app.push_screen_wait(ResultsScreen(acts.session, task))


async def editor(acts: Acts) -> None:
    """Its properties as YAML in $EDITOR."""
    from lxdpm_tui.console.inside.editing import edit_object

    row, place = acts.row, acts.screen.place
    if place == "instances":
        await edit_object(acts, "instance", row.name, reference(row.key), row.host, row.project)
    elif place == "images":
        await edit_object(acts, "image", row.fingerprint, row.fingerprint, row.host, row.project)
    else:
        await edit_object(acts, "profile", row.name, row.name, row.host, row.project)


async def output(acts: Acts) -> None:
    """What a command of an earlier task gave."""
    from lxdpm_tui.console.inside.results import ResultsScreen

    task = acts.row
    if task.kind == "exec":
        await acts.screen.app.push_screen_wait(ResultsScreen(acts.session, task))
    else:
        acts.session.say("info", "this task ran no command")


async def raw(acts: Acts) -> None:
    """The object as its host tells it now, as YAML, and what differs from what was seen last."""
    from lxdpm_tui.console.inside.details import DetailsScreen

    await acts.screen.app.push_screen_wait(DetailsScreen(acts.session, acts.row, acts.screen.place))


def marked(acts: Acts, row: Instance) -> list[Instance]:
    """The marked instances for the row under the cursor, or for one of them; else the row alone."""
    rows = [each for _, each in acts.rows] if acts.screen.place == "instances" else []
    return rows if rows and (row is acts.row or row in rows) else [row]


_ON_ROW: dict[str, OnRow] = {
    "shell": shell,
    "console": console,
    "logs": logs,
    "files": files,
    "run": run,
}


def _deed(work: OnRow) -> Callable[[Acts], Awaitable[object]]:
    async def deed(acts: Acts) -> None:
        await work(acts, acts.row)

    return deed


def _word(id: str) -> Callable[[Acts, Sequence[str]], str]:
    """`:shell` is about the row under the cursor, `:shell HOST:NAME` about that instance."""

    def word(acts: Acts, rest: Sequence[str]) -> str:
        if not rest:
            row = acts.row
            if not isinstance(row, Instance):
                return f"{id} which instance?"
        else:
            found = instances_named(acts, rest[0])
            if len(found) != 1:
                return f"there is no instance {rest[0]}" if not found else f"{rest[0]} is on several hosts: HOST:NAME"
            row = found[0]
        work: Any = _ON_ROW[id](acts, row)
        acts.screen.run_worker(work, group="deeds")
        return ""

    return word


def instances_named(acts: Acts, ref: str) -> list[Instance]:
    """The instances that NAME or HOST:NAME means, in any project."""
    host, colon, name = ref.rpartition(":")
    return [
        row for row in acts.session.inventory.all_instances() if row.name == name and (not colon or row.host == host)
    ]


DEEDS: dict[str, Callable[[Acts], Awaitable[object]]] = {id: _deed(work) for id, work in _ON_ROW.items()}
DEEDS |= {"output": output, "editor": editor, "inside": raw}
WORDS: dict[str, Callable[[Acts, Sequence[str]], str]] = {id: _word(id) for id in _ON_ROW if id != "run"}  # an action
