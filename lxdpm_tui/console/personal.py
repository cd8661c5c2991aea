"""The person's own files at work: keys bound, themes offered, aliases meant, views opened and saved, plugins run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.binding import Binding

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.config.hosts_file import ConfigError
from lxdpm_tui.console import json_path, keymap, terminal_io
from lxdpm_tui.console.columns import Column
from lxdpm_tui.console.files import Files, Plugin, SavedView
from lxdpm_tui.console.files.plugins import words_of
from lxdpm_tui.console.files.views import PathColumn, save_view
from lxdpm_tui.console.keymap import Place
from lxdpm_tui.console.resources.base import Line

if TYPE_CHECKING:
    from lxdpm_tui.console.screens.main import MainScreen


@dataclass(frozen=True, slots=True)
class FirstView:
    """What the console shows at first: a table or a saved view ("" = instances), a filter, a project."""

    view: str = ""
    filter: str = ""
    project: str = ""


LOOK_EVERY = 2  # seconds between two looks at the files
PLUGIN_TIME = 60.0  # seconds that a plugin without the terminal has
SAID = 2000  # characters of what it says that are kept


class Personal:
    """Bound to the main screen."""

    def __init__(self, screen: MainScreen, directory: Path | None) -> None:
        self._screen = screen
        self.files = Files(directory)
        self._rounds = 0

    def tick(self) -> None:
        """Called each second: read what changed, now and then."""
        self._rounds += 1
        if self._rounds % LOOK_EVERY == 0:
            self.look()

    def look(self) -> None:
        """Read the files that changed; mistakes are said, and what was before goes on."""
        news, problems = self.files.look()
        screen = self._screen
        if "themes" in news:
            for theme in self.files.themes.values():
                screen.app.register_theme(theme)
            self.choose_theme()
        if news & {"keys", "plugins"}:
            self.bind()
        if "guards" in news and screen.session.backend is not None:
            self.check_guards()
        for problem in problems:
            screen.session.say("bad", str(problem).removeprefix(f"{self.files.directory}/"))

    def check_guards(self) -> None:
        """Say which guards name acts that are not there: they guard nothing. Once the actions are loaded."""
        from lxdpm_tui.actions.plan_make import ACTS

        session = self._screen.session
        for guard in self.files.guards.values():
            unknown = [act for act in guard.acts if act not in session.registry.actions and act not in ACTS]
            if unknown:
                session.say("bad", f"guards.toml: {guard.name}.acts: there is no action {', '.join(unknown)}")

    def choose_theme(self) -> None:
        """The theme that was chosen last, when it is there."""
        name = "" if self._screen.app.no_color else self._screen.ordering.memory.theme
        if name in self._screen.app.available_themes and self._screen.app.theme != name:
            self._screen.app.theme = name
            self._screen.call_after_refresh(self._screen.refresh_words)

    def use_theme(self, name: str) -> str:
        """Change the colours; gives what is wrong with the name, "" when nothing is."""
        screen = self._screen
        if name not in screen.app.available_themes:
            return f"themes: {', '.join(sorted(screen.app.available_themes))}"
        screen.app.theme = name
        screen.ordering.memory.use_theme(name)
        screen.call_after_refresh(screen.refresh_words)
        return ""

    def bind(self) -> None:
        """Bind the keys as the files have them; a plugin's key comes before what else has it."""
        keymap.CUSTOM.clear()
        keymap.CUSTOM.update(self.files.keys)
        own = [
            Binding(plugin.key, f"plugin('{plugin.name}')", plugin.help, show=False)
            for plugin in self.files.plugins.values()
            if plugin.key
        ]
        terminal_io.rebind(self._screen, [*own, *keymap.bindings()])
        self._screen.refresh_words()

    # -- views

    def open_view(self, name: str) -> str:
        """Show a saved view; gives what is wrong, "" when nothing is."""
        view = self.files.views.get(name)
        if view is None:
            return f"there is no view {name}; there are {', '.join(self.files.views) or 'none: :save-view NAME'}"
        screen = self._screen
        wrong = screen.going.use_project(view.project) if view.project != screen.session.project else ""
        if view.columns:
            made = [json_path.column(column) for column in view.columns if isinstance(column, PathColumn)]
            ids = [column if isinstance(column, str) else column.id for column in view.columns]
            plain = [id for id in ids if not id.startswith("path:")]
            unknown = [id for id in plain if screen.ordering.column(view.place, id) is None]
            wrong = wrong or (f"view {name}: {view.place} has no column {', '.join(unknown)}" if unknown else "")
            screen.ordering.show_columns(view.place, ids, made)
        table = screen.tables[view.place]
        sort = self._sort_id(view) or (table.sort_column.id if table.sort_column else "")
        reverse = view.reverse if view.sort else table.view.reverse
        if not screen.ordering.order(view.place, sort, reverse, view.grouped):
            wrong = wrong or f"view {name}: {view.place} cannot be ordered by {view.sort}"
        if view.grouped and not table.grouped:
            wrong = wrong or f"view {name}: {view.place} cannot be grouped by host"
        screen.go(view.place, view.filter)
        if wrong:
            screen.session.say("warn", wrong)
        return ""

    @staticmethod
    def _sort_id(view: SavedView) -> str:
        return f"path:{view.sort}" if "." in view.sort else view.sort

    def show_columns(self, ids: Sequence[str]) -> str:
        """Columns of the table shown: ids, or paths into the object; gives what is wrong, "" when nothing is."""
        screen, place = self._screen, self._screen.place
        made = [json_path.column(PathColumn(id, id.rpartition(".")[2].upper())) for id in ids if "." in id]
        wanted = [f"path:{id}" if "." in id else id for id in ids]
        unknown = [id for id in ids if "." not in id and screen.ordering.column(place, id) is None]
        if unknown:
            known = ", ".join(column.id for column in screen.resources[place].columns)
            return f"no column {', '.join(unknown)}; there are {known}"
        screen.ordering.show_columns(place, wanted, made)
        screen.ordering.note()
        return ""

    def save_view(self, name: str) -> str:
        """Keep what is shown under a name; gives what is wrong, "" when nothing is."""
        if self.files.directory is None:
            return "there is no directory for views"
        screen, place = self._screen, self._screen.place
        table = screen.table
        shown = tuple(self._kept(column) for column in table.columns)
        made = [column.id for column in screen.resources[place].columns]
        columns = () if [column.id for column in table.columns] == made else shown
        sort = table.sort_column.id.removeprefix("path:") if table.sort_column else ""
        view = SavedView(name, place, screen.filters.get(place, ""), sort, table.view.reverse, columns,
                         screen.session.project, table.grouped)  # fmt: skip
        try:
            save_view(self.files.directory / "views.toml", view)
        except ConfigError as error:
            return str(error)
        self.files.views[name] = view
        screen.session.say("info", f"View {name} is in {self.files.directory / 'views.toml'}")
        return ""

    @staticmethod
    def _kept(column: Column) -> str | PathColumn:
        if not column.id.startswith("path:"):
            return column.id
        return PathColumn(column.id.removeprefix("path:"), column.title, column.width)

    # -- plugins

    def may_run(self, plugin: Plugin) -> bool:
        return not plugin.places or self._screen.place in plugin.places

    async def run_plugin(self, name: str) -> None:
        """Ask what it asks, then run it: on the terminal, or behind the console."""
        from lxdpm_tui.console.inside.handover import hand_over
        from lxdpm_tui.console.screens.inputs import InputsScreen
        from lxdpm_tui.console.widgets.field import FieldSpec

        screen, plugin = self._screen, self.files.plugins[name]
        session = screen.session
        if not self.may_run(plugin):
            session.say("warn", f"{name} works in {', '.join(plugin.places)}")
            return
        variables = variables_of(screen.place, screen.table.cursor_row, screen.filters.get(screen.place, ""))
        if plugin.inputs:
            specs = [FieldSpec(each.name, each.name, value=each.default, hint=each.help) for each in plugin.inputs]
            given = await screen.app.push_screen_wait(InputsScreen(f"{name}: {plugin.help}", specs, button="Run"))
            if given is None:
                return
            variables |= given
        words = words_of(plugin, variables)
        if plugin.confirm and await screen.acts.ask(f"Run {name}?", [Line("", " ".join(words))], yes="Run") is None:
            return
        environment = {**os.environ, **variables}
        try:
            if plugin.terminal:
                code = await hand_over(screen.app, lambda: _in_front(words, environment, plugin.wait))
                session.say("info" if code == 0 else "warn", f"{name} ended{f' with {code}' if code else ''}")
            else:
                await self._behind(name, words, environment)
        except OSError as error:
            session.say("bad", f"{name}: {words[0]}: {error.strerror or error}")
        except ActionError as refusal:
            session.say("bad", f"{name}: {refusal}")

    async def _behind(self, name: str, words: list[str], environment: Mapping[str, str]) -> None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=environment
        )
        try:
            async with asyncio.timeout(PLUGIN_TIME):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            self._screen.session.say("bad", f"{name}: ended after {PLUGIN_TIME:g} s without an end of its own")
            return
        text = said[-SAID:].decode(errors="replace").strip() or "done"
        self._screen.session.say("info" if process.returncode == 0 else "bad", f"{name}: {text}")


async def _in_front(words: list[str], environment: Mapping[str, str], wait: bool) -> int:
    """Run it on the terminal as it is; its exit code. Interrupts are the program's own meanwhile."""
    held = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = await asyncio.create_subprocess_exec(
            *words, env=environment, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        )
        code = await process.wait()
        if wait:
            os.write(1, b"\n[enter: back to the console] ")
            await asyncio.to_thread(sys.stdin.readline)
    finally:
        signal.signal(signal.SIGINT, held)
    return code


def variables_of(place: Place, row: Any, filter: str) -> dict[str, str]:
    """What a plugin is told of the row under the cursor."""
    found = {"FILTER": filter, "TABLE": place}
    for name, attribute in (("NAME", "name"), ("HOST", "host"), ("PROJECT", "project"), ("STATUS", "status"),
                            ("FINGERPRINT", "fingerprint"), ("ADDRESS", "address")):  # fmt: skip
        value = getattr(row, attribute, None)
        found[name] = value if isinstance(value, str) else ""
    if place == "hosts":
        found["HOST"] = found["NAME"]
    addresses = getattr(row, "addresses", ())
    found["IP"] = next((ip for ip in addresses if ":" not in ip), next(iter(addresses), ""))
    return found
