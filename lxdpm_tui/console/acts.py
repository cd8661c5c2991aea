"""What keys and the `:` line do to the fleet. The deeds themselves are in deeds/, one kind of thing a file."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions.registry import Action, Danger, Param
from lxdpm_tui.console import keymap
from lxdpm_tui.console.guarding import meant
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.fleet.query import QueryError
from lxdpm_tui.fleet.query import parse as parse_filter

if TYPE_CHECKING:
    from lxdpm_tui.console import completion
    from lxdpm_tui.console.command_line import Command
    from lxdpm_tui.console.files import Guard
    from lxdpm_tui.console.screens.form import FormScreen
    from lxdpm_tui.console.screens.main import MainScreen
    from lxdpm_tui.tasks.task import Task

# What deeds need is imported where it is needed: none of it is on the first screen, and all of it together took longer
# than that screen's paint. The app loads it behind that (later.py).


class Acts:
    """Bound to the main screen: it knows the rows, and dialogs are opened over it."""

    def __init__(self, screen: MainScreen) -> None:
        self.screen: MainScreen = screen
        self.session = screen.session
        self.session.guarding.assure = self._assure
        self.session.guarding.guards = lambda: screen.personal.files.guards.values()

    def do(self, id: str) -> None:
        """The deed of a key; those that ask wait in a worker, the screen goes on."""

        async def work() -> None:
            from lxdpm_tui.console.deeds import DEEDS, instances

            if keymap.BY_ID[id].needs != "nothing" and self.row is None:
                return
            deed = DEEDS.get(id)
            await (instances.state(self, id) if deed is None else deed(self))

        self.screen.run_worker(work(), group="deeds")

    @property
    def rows(self) -> list[tuple[Any, Any]]:
        """The marked rows, else the one under the cursor, each with its key."""
        return self.screen.table.targets()

    @property
    def row(self) -> Any:
        """The record under the cursor."""
        return self.screen.table.cursor_row

    def unmark(self) -> None:
        if self.screen.table.marks:
            self.screen.table.clear_marks()

    # -- dialogs

    async def form(self, screen: FormScreen) -> Task | None:
        """Open a form; gives the task that it began."""
        return await self.screen.app.push_screen_wait(screen)

    async def ask(self, question: str, about: Sequence[Line], **more: Any) -> Mapping[str, bool] | None:
        """Ask before a deed; None for no, else the options that were ticked. more: as ConfirmScreen takes it."""
        from lxdpm_tui.console.screens.confirm import ConfirmScreen

        return await self.screen.app.push_screen_wait(ConfirmScreen(question, about, **more))

    async def _assure(self, question: str, guard: Guard, expect: str) -> bool:
        """Also when no worker asks, as forms do."""
        from lxdpm_tui.console.screens.confirm import ConfirmScreen

        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        screen = ConfirmScreen(question, [Line("", guard.words(), "warn")], yes="Yes", expect=expect)
        self.screen.app.push_screen(screen, lambda given: answer.set_result(given is not None))
        return await answer

    # -- the command line

    def complete(self, line: str) -> list[str]:
        """Whole lines that a command line may become."""
        from lxdpm_tui.console import completion
        from lxdpm_tui.console.command_line import complete
        from lxdpm_tui.console.deeds import OFFERS

        def values(param: Param) -> Sequence[completion.Candidate]:
            return completion.values(param.complete, self.session.inventory, self.session.project or "default")

        line = line.lstrip()
        head, space, _ = line.partition(" ")
        place = next((place for place in keymap.PLACES if place == head), None)
        if space and place is not None:
            return completion.filter_lines(line, place, self.screen.resources[place].schema, self.session.inventory)
        if space and head in OFFERS:
            start, _, last = line.rpartition(" ")
            return [f"{start} {word}" for word in OFFERS[head](self) if word.startswith(last)]
        files = self.screen.personal.files
        return complete(line, self.session.registry, (*words(), *files.aliases, *files.plugins), values)

    def command(self, line: str) -> str:
        """Run a command line; gives what is wrong with it, "" when it was taken."""
        from lxdpm_tui.console.command_line import CommandError, parse
        from lxdpm_tui.console.deeds import WORDS

        line = line.strip()
        head, _, rest = line.partition(" ")
        files = self.screen.personal.files
        if head in files.aliases:
            line = f"{files.aliases[head]} {rest}".strip()
            head, _, rest = line.partition(" ")
        if head in files.plugins:
            self.screen.run_worker(self.screen.personal.run_plugin(head), group="deeds")
            return ""
        place = next((place for place in keymap.PLACES if place == head), None)
        if place is not None:  # its words are a filter, where quotes and backslashes have their own meaning
            return self._go(place, rest)
        try:
            command = parse(line, self.session.registry, words())
        except CommandError as error:
            return error.text
        if command.action is not None:
            if command.shown:
                return self._show(command.action, self._complete(command))
            self.screen.run_worker(self._run(command.action, command), group="deeds")
        elif command.word in keymap.PLACES:
            return self._go(next(place for place in keymap.PLACES if place == command.word), rest)
        else:
            return WORDS[command.word](self, command.rest)
        return ""

    def _go(self, place: keymap.Place, rest: str) -> str:
        """`instances prod-* /web status:error @h1`: the slash is for those who are used to it."""
        source = " ".join(word.removeprefix("/") if word != "/" else "" for word in rest.split(" ")).strip()
        try:
            parse_filter(source, self.screen.resources[place].schema)
        except QueryError as error:
            return error.text
        self.screen.go(place, source or None)
        return ""

    def _complete(self, command: Command) -> dict[str, Any]:
        """The arguments, with the project that is looked at."""
        given = dict(command.arguments or {})
        project = self.session.project
        takes = command.action is not None and any(param.name == "project" for param in command.action.params)
        if project and takes and "project" not in given:
            given["project"] = project
        return given

    def _show(self, action: Action, given: Mapping[str, Any]) -> str:
        """The action as a line elsewhere, in place of doing it."""
        from lxdpm_tui.console import equivalents
        from lxdpm_tui.console.screens.reading import ReadingScreen

        lines = [Line(form, line) for form, line in equivalents.lines(equivalents.of_action(action, given))]
        self.screen.app.push_screen(ReadingScreen(f"{action.name} elsewhere", lines, label=10))
        return ""

    async def _run(self, action: Action, command: Command) -> None:
        from lxdpm_tui.console.deeds.asking import subject, value_words

        given, expect = self._complete(command), ""
        if action.name == "bulk" and not command.confirmed:
            from lxdpm_tui.console.deeds import bulk

            await bulk.asked(self, given)
            return
        if action.danger is not Danger.NONE and not command.confirmed:
            lines = [Line(name, value_words(value)) for name, value in given.items()]
            subjects = meant(self.session.inventory, given)
            if action.danger is Danger.TYPE_NAME:
                names = given.get("instances") or [given.get("name") or given.get("instance") or action.name]
                expect = str(names[0]).partition(":")[2] or str(names[0]) if len(names) == 1 else str(len(names))
            question = f"{action.name} {subject(subjects)}?" if subjects else f"{action.name}: {action.help}?"
            if await self.ask(question, lines, yes=action.name.capitalize(), expect=expect) is None:
                return
        await self.session.attempt(action.name, typed=expect, **given)


def words() -> tuple[str, ...]:
    """What the `:` line knows beside the actions: the tables and the console's own words."""
    from lxdpm_tui.console.deeds import WORDS

    return (*keymap.PLACES, *WORDS)
