"""What keys and the `:` line do to the fleet: ask first where that is due, then run actions of the registry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions.registry import Action, Danger, Param
from lxdpm_tui.console import completion, keymap, text
from lxdpm_tui.console.command_line import Command, CommandError, complete, parse
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.resources.tasks import decision, placements, what
from lxdpm_tui.console.screens.confirm import ConfirmScreen
from lxdpm_tui.console.screens.form import FormScreen
from lxdpm_tui.console.screens.launch import LaunchScreen
from lxdpm_tui.console.screens.profile import ProfileAssignScreen, ProfileCreateScreen, ProfileEditScreen
from lxdpm_tui.console.screens.reading import ReadingScreen
from lxdpm_tui.console.screens.small_forms import ImageImportScreen, RenameScreen, SnapshotScreen
from lxdpm_tui.console.screens.snapshots import SnapshotsScreen
from lxdpm_tui.console.session import reference
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.console.screens.main import MainScreen

FORCE = ("force", "let it shut down", "force: end it at once")
FORCIBLE = ("stop", "restart")
WORDS = (*keymap.PLACES, "filter", "help", "messages", "quit", "theme")


class Acts:
    """Bound to the main screen: it knows the rows, and dialogs are opened over it."""

    def __init__(self, screen: MainScreen) -> None:
        self.screen = screen
        self.session = screen.session

    def do(self, id: str) -> None:
        """The deed of a key; those that ask wait in a worker, the screen goes on."""
        deeds: dict[str, Callable[[], Awaitable[object]]] = {
            "launch": self.launch,
            "freeze": self.freeze,
            "snapshot": self.snapshot,
            "snapshots": self.snapshots,
            "assign": self.assign,
            "rename": self.rename,
            "delete": self.delete,
            "why": self.why,
            "retry": self.retry,
            "maintenance": self.maintenance,
            "import": lambda: self.form(ImageImportScreen(self.session)),
            "create": lambda: self.form(ProfileCreateScreen(self.session)),
            "edit": self.edit,
            "cancel": self.cancel,
            "quit": self.leave,
        }
        deed = deeds.get(id) or (lambda: self.state(id))

        async def work() -> None:
            if keymap.BY_ID[id].needs == "nothing" or self.row is not None:
                await deed()

        self.screen.run_worker(work(), group="deeds")

    @property
    def rows(self) -> list[tuple[Any, Any]]:
        return self.screen.table.targets()

    @property
    def row(self) -> Any:
        """The record under the cursor."""
        return self.screen.table.cursor_row

    # -- dialogs

    async def form(self, screen: FormScreen) -> Task | None:
        """Open a form; gives the task that it began."""
        return await self.screen.app.push_screen_wait(screen)

    async def ask(self, question: str, about: Sequence[Line], **more: Any) -> Mapping[str, bool] | None:
        return await self.screen.app.push_screen_wait(ConfirmScreen(question, about, **more))

    # -- instances

    async def launch(self) -> None:
        values: dict[str, str] = {}
        row = self.row
        if row is not None and self.screen.place == "images":
            values = {"image": row.aliases[0] if row.aliases else row.fingerprint[:12], "project": row.project}
        elif row is not None and self.screen.place == "hosts":
            values = {"target": row.name}
        elif row is not None and self.screen.place == "profiles":
            names = ["default", row.name] if row.name != "default" else ["default"]
            values = {"profiles": " ".join(names), "project": row.project}
        await self.form(LaunchScreen(self.session, values))

    async def state(self, action: str) -> None:
        """start, stop, restart, freeze, unfreeze on the marked rows or the one under the cursor."""
        rows = [row for _, row in self.rows]
        entry = self.session.registry.actions[action]
        options: dict[str, bool] = {}
        if entry.danger is not Danger.NONE:
            boxes = [FORCE] if action in FORCIBLE else []
            answer = await self.ask(
                f"{action.capitalize()} {subject(rows)}?", about(rows), yes=action.capitalize(), options=boxes
            )
            if answer is None:
                return
            options = {name: True for name, ticked in answer.items() if ticked}
        await self._on_instances(action, rows, **options)

    async def _on_instances(self, action: str, rows: Sequence[Instance], **options: Any) -> None:
        """One run a project: names are unique in one only."""
        for project, group in by_project(rows).items():
            refs = [reference(row.key) for row in group]
            await self.session.attempt(action, instances=refs, project=project, **options)
        self._unmark()

    def _unmark(self) -> None:
        if self.screen.table.marks:
            self.screen.table.clear_marks()

    async def freeze(self) -> None:
        rows = [row for _, row in self.rows]
        await self.state("unfreeze" if rows and all(row.status == "Frozen" for row in rows) else "freeze")

    async def snapshot(self) -> None:
        if await self.form(SnapshotScreen(self.session, [row for _, row in self.rows])) is not None:
            self._unmark()

    async def snapshots(self) -> None:
        row = self.row
        chosen = await self.screen.app.push_screen_wait(SnapshotsScreen(self.session, row))
        if chosen is None:
            return
        verb = "Go back to" if chosen.action == "restore" else "Delete"
        lost = "What changed since then is lost." if chosen.action == "restore" else "The snapshot is lost."
        question = f"{verb} snapshot {chosen.snapshot} of {row.name} on {row.host} (project {row.project})?"
        if await self.ask(question, [Line("", lost, "warn")], yes=verb) is not None:
            arguments = {"instance": reference(row.key), "snapshot": chosen.snapshot, "project": row.project}
            await self.session.attempt(chosen.action, **arguments)

    async def assign(self) -> None:
        await self.form(ProfileAssignScreen(self.session, self.row))

    async def rename(self) -> None:
        await self.form(RenameScreen(self.session, self.row))

    async def why(self) -> None:
        """Why an instance is where it is: the decision kept with the task that launched it."""
        row = self.row
        lines: list[Line] = []
        if isinstance(row, Task):
            title = f"Placement: {what(row)}"
            for entry in placements(row):
                lines += [*decision(entry), Line()]
            lines = lines or [Line("", "This task placed nothing.", "dim")]
        else:
            title = f"Why is {row.name} on {row.host}?"
            found = await self.session.decision_for(row)
            if found is None:
                lines = [Line("", "No placement is known: it was not launched from here, or long ago.", "dim")]
            else:
                lines = [*decision(found[1]), Line(), Line("task", f"{what(found[0])} ({found[0].id})")]
        await self.screen.app.push_screen_wait(ReadingScreen(title, lines))

    # -- deleting

    async def delete(self) -> None:
        rows = [row for _, row in self.rows]
        place = self.screen.place
        if place == "instances":
            running = [row for row in rows if row.status not in ("Stopped", "Error")]
            options = [force_delete(len(rows), len(running))] if running else []
            answer = await self._dangerous("Delete", rows, subject(rows), "with all snapshots", options)
            if answer is not None:
                await self._on_instances("delete", rows, **{name: True for name, ticked in answer.items() if ticked})
        elif place == "images":
            prints = {(row.project, row.fingerprint): row for row in rows}
            names = [row.aliases[0] if row.aliases else row.fingerprint[:12] for row in prints.values()]
            await self._fleet_wide(
                "image-delete", names, [{"fingerprint": print, "project": project} for project, print in prints]
            )
        else:
            pairs = {(row.project, row.name): row for row in rows}
            await self._fleet_wide(
                "profile-delete",
                [name for _, name in pairs],
                [{"name": name, "project": project} for project, name in pairs],
            )

    async def _fleet_wide(self, action: str, names: Sequence[str], runs: Sequence[dict[str, Any]]) -> None:
        kind = action.split("-")[0]
        which = f"{kind} {names[0]}" if len(names) == 1 else text.count(len(names), kind)
        lines = [Line("", f"{name}, project {run['project']}") for name, run in zip(names, runs, strict=True)]
        lines.append(Line("", "It goes from every host that has it.", "warn"))
        if await self.ask(f"Delete {which} on all hosts?", lines, yes="Delete") is not None:
            for run in runs:
                await self.session.attempt(action, **run)
            self._unmark()

    async def _dangerous(
        self, verb: str, rows: Sequence[Instance], which: str, lost: str, options: Sequence[tuple[str, str, str]]
    ) -> Mapping[str, bool] | None:
        expect = rows[0].name if len(rows) == 1 else str(len(rows))
        return await self.ask(f"{verb} {which} {lost}?", about(rows), yes=verb, expect=expect, options=options)

    # -- hosts, profiles, tasks

    async def retry(self) -> None:
        row = self.row
        self.session.retry(row.name if self.screen.place == "hosts" else row.host)

    async def maintenance(self) -> None:
        for _, row in self.rows:
            await self.session.attempt("maintenance", host=row.name, on="off" if row.maintenance else "on")
        self._unmark()

    async def edit(self) -> None:
        await self.form(ProfileEditScreen(self.session, self.row))

    async def cancel(self) -> None:
        for _, task in self.rows:
            if task.cancel():
                self.session.say("info", f"Cancelling: {what(task)}")
            elif not task.status.final:
                self.session.say("warn", f"{what(task)} cannot be cancelled")

    async def leave(self) -> None:
        """Quit; ask only while something runs."""
        running = self.session.running()
        if running:
            lines = [Line("", what(task)) for task in running[:8]]
            lines.append(Line("", "They are cancelled and undone; what cannot be now is at the next start.", "warn"))
            question = f"Leave while {text.count(len(running), 'task')} still {'runs' if len(running) == 1 else 'run'}?"
            if await self.ask(question, lines, yes="Leave") is None:
                return
        self.screen.leave()

    # -- the command line

    def complete(self, line: str) -> list[str]:
        """Whole lines that a command line may become."""

        def values(param: Param) -> Sequence[completion.Candidate]:
            return completion.values(param.complete, self.session.inventory)

        return complete(line.lstrip(), self.session.registry, WORDS, values)

    def command(self, line: str) -> str:
        """Run a command line; gives what is wrong with it, "" when it was taken."""
        try:
            command = parse(line, self.session.registry, WORDS)
        except CommandError as error:
            return error.text
        if command.action is not None:
            self.screen.run_worker(self._run(command.action, command), group="deeds")
        elif command.word in keymap.PLACES:
            place = next(place for place in keymap.PLACES if place == command.word)
            self.screen.go(place, " ".join(command.rest) or None)
        elif command.word == "filter":
            return self.screen.set_filter(" ".join(command.rest))
        elif command.word == "theme":
            return self.screen.set_theme(" ".join(command.rest))
        elif command.word == "quit":
            self.do("quit")
        else:
            self.screen.do(command.word)
        return ""

    async def _run(self, action: Action, command: Command) -> None:
        given = command.arguments or {}
        if action.danger is not Danger.NONE and not command.confirmed:
            lines = [Line(name, value_words(value)) for name, value in given.items()]
            subjects = self._found(given)
            expect = ""
            if action.danger is Danger.TYPE_NAME:
                names = given.get("instances") or [given.get("name") or given.get("instance") or action.name]
                expect = str(names[0]).partition(":")[2] or str(names[0]) if len(names) == 1 else str(len(names))
            question = f"{action.name} {subject(subjects)}?" if subjects else f"{action.name}: {action.help}?"
            if await self.ask(question, lines, yes=action.name.capitalize(), expect=expect) is None:
                return
        await self.session.attempt(action.name, **given)

    def _found(self, given: Mapping[str, Any]) -> list[Instance]:
        """The instances that the words of a command mean, to name host and project in the question."""
        project = str(given.get("project") or "default")
        found = []
        for ref in given.get("instances") or [given.get("instance") or ""]:
            host, colon, name = str(ref).rpartition(":")
            rows = self.session.inventory.find_instances(project, name)
            found += [row for row in rows if not colon or row.host == host]
        return found


def force_delete(rows: int, running: int) -> tuple[str, str, str]:
    """The choice of what becomes of those that are not stopped."""
    if rows == 1:
        return ("force", "not while it runs", "force: end it first")
    return ("force", "only if all are stopped", f"force: also the {running} not stopped")


def value_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={text}" for key, text in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def by_project(rows: Sequence[Instance]) -> dict[str, list[Instance]]:
    groups: dict[str, list[Instance]] = {}
    for row in rows:
        groups.setdefault(row.project, []).append(row)
    return groups


def subject(rows: Sequence[Instance]) -> str:
    """`web-1 on lyon (project default)`, or `3 instances on 2 hosts`."""
    if len(rows) == 1:
        return f"{rows[0].name} on {rows[0].host} (project {rows[0].project})"
    return f"{len(rows)} instances on {text.count(len({row.host for row in rows}), 'host')}"


def about(rows: Sequence[Instance]) -> list[Line]:
    """Every instance with its host, project and state."""
    width = max((len(row.name) for row in rows), default=0)
    return [Line("", f"{row.name:<{width}}  {row.host}, project {row.project}, {row.status}") for row in rows]
