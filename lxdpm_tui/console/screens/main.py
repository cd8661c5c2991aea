"""The main screen: header, tables, detail, status line, prompt and keys.

Going about is in going.py, the order of tables in ordering.py, what is typed in typing_line.py, deeds in acts.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen

from lxdpm_tui.console import keymap, text
from lxdpm_tui.console.acts import Acts
from lxdpm_tui.console.going import Going
from lxdpm_tui.console.headline import empty_words, headline, key_pairs, status, tabs
from lxdpm_tui.console.keymap import Place
from lxdpm_tui.console.memory import Memory
from lxdpm_tui.console.ordering import Ordering
from lxdpm_tui.console.personal import FirstView, Personal
from lxdpm_tui.console.resources import Resource, resources
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.session import Session
from lxdpm_tui.console.theme import text_colors
from lxdpm_tui.console.trail import Stop
from lxdpm_tui.console.typing_line import TypingLine
from lxdpm_tui.console.widgets.key_bar import KeyBar
from lxdpm_tui.console.widgets.lines import Lines
from lxdpm_tui.console.widgets.live_table import LiveTable
from lxdpm_tui.console.widgets.one_line import OneLine
from lxdpm_tui.console.widgets.prompt import Prompt
from lxdpm_tui.fleet.groups import GroupSource
from lxdpm_tui.fleet.query import EVERYTHING, Query, QueryError, Term, parse
from lxdpm_tui.fleet.view import View

WIDE = 120  # columns from which the detail stands beside the table
TALL = 36  # rows from which it stands below it; else it takes the table's place


class MainScreen(Screen[None]):
    """One table at a time, with what belongs to it."""

    CSS_PATH = "main.tcss"
    BINDINGS = [*keymap.bindings()]
    AUTO_FOCUS = ""

    class Leave(Message):
        """The person wants to leave, and was asked where that is due."""

    def __init__(
        self, session: Session, label: str, memory: Memory | None = None, config_dir: Path | None = None
    ) -> None:
        """config_dir: where the person's own files are; None = nowhere."""
        super().__init__()
        self.session = session
        self.label = label
        self.place: Place = "instances"
        self.resources: dict[Place, Resource] = resources(session)
        self.tables: dict[Place, LiveTable[Any]] = {
            place: LiveTable(resource.columns,
                             View(resource.source(), identity=resource.identity, text=resource.schema.small),
                             session.look, empty=resource.empty, id=f"table-{place}")
            for place, resource in self.resources.items()
        }  # fmt: skip
        self.connecting = True
        self.acts = Acts(self)
        self.going = Going(self)
        self.ordering = Ordering(self, memory or Memory())
        self.typing = TypingLine(self)
        self.personal = Personal(self, config_dir)
        self.filters: dict[Place, str] = {}
        self._detail_key: object = None

    def compose(self) -> ComposeResult:
        self._arrange()  # before there are children: later it makes Textual style all of them anew
        yield OneLine(id="headline")
        yield OneLine(id="tabs")
        with Horizontal(id="body"):
            with Horizontal(id="tables"):
                yield self.table  # the others when they are shown: ten tables took twice as long to the first paint
            yield Lines(id="detail")
        yield OneLine(id="status")
        yield Prompt(id="prompt")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.ordering.begin()
        self.session.changed = self._rows_changed
        self.session.tell = self._tell
        self.table.focus()
        self.set_interval(1.0, self._each_second)
        self.refresh_words()

    # -- what there is

    @property
    def table(self) -> LiveTable[Any]:
        return self.tables[self.place]

    @property
    def detail(self) -> Lines:
        return self.query_one("#detail", Lines)

    @property
    def prompt(self) -> Prompt:
        return self.query_one(Prompt)

    def attached(self) -> None:
        """The manager is there: look at its records."""
        self.connecting = False
        for place, table in self.tables.items():
            table.view.set_source(self.resources[place].source())
            table.look.refresh(time.time())
            if table.is_mounted:
                table.rows_changed()
        self.session.watching.show(self.place)
        self.personal.check_guards()
        self.refresh_words()

    def show_first(self, first: FirstView) -> None:
        """What the command line asks for; what is wrong with it is said."""
        self.session.project = first.project
        place = next((place for place in keymap.PLACES if place == (first.view or self.place)), None)
        wrong = "" if place is not None else self.personal.open_view(first.view)
        if place is not None:
            self.going.trail.begin(Stop(place))
            self.go(place)
        if first.filter or first.project:
            wrong = wrong or self.set_filter(first.filter)
        if wrong:
            self.session.say("warn", wrong)

    # -- what the data does

    def _rows_changed(self, kind: str, changed: frozenset[Any], removed: frozenset[Any], figures: bool = False) -> None:
        for place, table in self.tables.items():
            if place == kind:
                source = table.view.source
                if isinstance(source, GroupSource):  # a copy that went may leave others: apply looks itself
                    table.view.apply({source.key_of(key) for key in changed | removed})
                else:
                    table.view.apply(changed, removed, figures=figures)
            if place == kind or (kind == "hosts" and place not in ("tasks", "events")):
                table.data_changed()

    def _tell(self) -> None:
        if self.is_mounted:
            self.call_later(self.refresh_words)

    def _each_second(self) -> None:
        look = self.session.look
        look.refresh(time.time())
        for place, table in self.tables.items():
            if table.view.query.timed and place == self.place:
                table.filter(table.view.query, follow=True)
            if place == self.place and (look.outage or place in ("tasks", "hosts", "warnings")):
                table.data_changed()
        self.personal.tick()
        self.ordering.tick()
        self.session.watching.sample(time.monotonic())
        self.session.watching.tick()
        self.refresh_words()

    def typing_now(self) -> bool:
        """Whether the person is just typing."""
        return self.prompt.opened or self.table.held

    @on(LiveTable.Moved)
    def _moved(self, event: LiveTable.Moved) -> None:
        if event.table is self.table:
            self._refresh_detail()
            self._refresh_keys()
            self._refresh_tabs()

    @on(LiveTable.Filtered)
    def _filtered(self, event: LiveTable.Filtered) -> None:
        if event.table is self.table:
            self._refresh_tabs()
            self.typing.count()

    @on(LiveTable.Opened)
    def _opened(self) -> None:
        self.do("open")

    # -- the lines around the table

    def refresh_words(self) -> None:
        """Say again what the lines around the table say; each draws only when it changed."""
        if not self.is_mounted:
            return
        theme = text_colors(self.app.theme_variables)
        left, right = headline(self.session, self.label, self.connecting, theme, self.size.width)
        self.query_one("#headline", OneLine).say(left, right)
        crumbs = self.going.trail.crumbs()
        self.query_one("#status", OneLine).say(*status(self.session, self.connecting, theme, crumbs))
        self._refresh_tabs()
        self._refresh_keys()
        self._refresh_detail()

    def _refresh_tabs(self) -> None:
        asked, missing = self.session.watching.state(self.place)
        if not self.table.view.keys:
            empty = self.resources[self.place].empty
            self.table.empty = empty_words(self.session, self.place, empty, self.connecting, asked)
            self.table.data_changed()
        running = len(self.session.running())
        theme, width = text_colors(self.app.theme_variables), self.size.width
        self.query_one("#tabs", OneLine).say(*tabs(self.place, self.tables, running, theme, width, missing))

    def _refresh_keys(self) -> None:
        self.query_one(KeyBar).offer(key_pairs(self.place, self.can))

    def _refresh_detail(self) -> None:
        if not self.has_class("-detail"):
            return
        row = self.table.cursor_row
        lines = [Line("", "Nothing.")]
        if row is not None:
            told = self.resources[self.place].detail(row, self.session.look)
            lines = [line for line in told if line.value or not line.label or line.style == "accent"]
        key = (self.place, self.table.cursor_key)
        self.detail.show_lines(lines, top=key != self._detail_key)
        self._detail_key = key

    def on_resize(self) -> None:
        self._arrange()
        self.call_after_refresh(self.going.regain)
        self.refresh_words()

    def _arrange(self) -> None:
        width, height = self.app.size
        self.set_class(width >= WIDE, "-beside")
        self.set_class(width < WIDE and height >= TALL, "-below")
        self.set_class(width < WIDE and height < TALL, "-instead")

    # -- keys

    def on_key(self, event: events.Key) -> None:
        self.table.note_key()
        if event.key in ("left_square_bracket", "right_square_bracket"):
            event.stop()
            step = -1 if event.key == "left_square_bracket" else 1
            if self.has_class("-detail"):
                self.detail.action_by(3 * step)
            else:
                self.going.step(step)

    def can(self, key: keymap.Key) -> bool:
        if key.places and self.place not in key.places:
            return False
        if key.needs != "nothing" and self.table.cursor_row is None:
            return False
        if key.id == "retry":
            host = self.going.host_here()
            return host is not None and self.session.inventory.is_stale(host)
        if key.id == "cancel":
            return any(row.may_cancel and not row.status.final for _, row in self.table.targets())
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "do":
            key = keymap.BY_ID[str(parameters[0])]
            return self.can(key) and not self.prompt.opened
        if action == "plugin":
            plugin = self.personal.files.plugins.get(str(parameters[0]))
            return plugin is not None and self.personal.may_run(plugin) and not self.prompt.opened
        return True

    def action_do(self, id: str) -> None:
        self.do(id)

    def action_plugin(self, name: str) -> None:
        self.typing.run(name)

    def do(self, id: str) -> None:
        """What the key of that id does."""
        own: dict[str, Callable[[], object]] = {
            **{place: lambda place=place: self.go(place) for place in keymap.PLACES},  # type: ignore[misc]
            "next": lambda: self.going.turn(1),
            "previous": lambda: self.going.turn(-1),
            "open": self.toggle_detail,
            "mark": self.table.toggle_mark,
            "mark-all": self.table.toggle_all_marks,
            "filter": lambda: self.prompt.open("/", self.filters.get(self.place, "")),
            "command": lambda: self.typing.open(),
            "project": lambda: self.typing.open("project "),
            "sort": self.ordering.next,
            "reverse": self.ordering.turn_round,
            "group": self.ordering.group,
            "back": self._back,
            "backward": lambda: self.going.step(-1),
            "forward": lambda: self.going.step(1),
            "drill": self.going.drill,
            "users": self.going.users,
            "its-events": self.going.events,
            "its-warnings": self.going.warnings,
        }
        if id in own:
            own[id]()
        else:
            self.acts.do(id)

    # -- going about

    def go(self, place: Place, query: str | None = None, *, inner: bool = False) -> None:
        """Show a table, with a filter when one is given. inner: escape leads back from there."""
        self.show_place(place)
        wrong = self.set_filter(query) if query is not None else ""
        if wrong:
            self.session.say("warn", wrong)
        self.going.trail.visit(Stop(place, self.filters.get(place, ""), inner))
        self.refresh_words()

    def show_place(self, place: Place) -> None:
        """Show a table as it is."""
        if self.prompt.opened:
            self.prompt.close()
        with self.app.batch_update():
            self.table.display = False
            self.place = place
            self.table.display = True
            if self.table.parent is None and self.is_attached:  # a screen that closes takes no more
                self.query_one("#tables").mount(self.table)
        self.session.watching.show(place)
        self.set_focus(self.table)
        self.refresh_words()

    def toggle_detail(self) -> None:
        """Details on and off."""
        self.toggle_class("-detail")
        self.call_after_refresh(self.going.regain)
        self.refresh_words()

    def _back(self) -> None:
        if self.session.messages.seen():
            self.refresh_words()
        elif self.has_class("-detail"):
            self.toggle_detail()
        elif self.table.marks:
            self.table.clear_marks()
        elif not self.going.out() and self.filters.get(self.place):
            self.set_filter("")
        self.refresh_words()

    def leave(self) -> None:
        """Ask the app to close the fleet and end."""
        self.post_message(self.Leave())

    # -- filter and command line

    def set_filter(self, source: str) -> str:
        """Filter the table; gives what is wrong with the text, "" when nothing is."""
        before = self.filters.get(self.place, "")
        self.filters[self.place] = source
        wrong = self.apply_filter(self.place)
        if wrong:
            self.filters[self.place] = before
        elif self.going.trail.here.place == self.place:
            self.going.trail.refine(source)
        self._refresh_tabs()
        return wrong

    def apply_filter(self, place: Place) -> str:
        """Filter a table by its own words and the project looked at; gives what is wrong with the words."""
        source = self.filters.get(place, "")
        schema = self.resources[place].schema
        try:
            query = parse(source, schema) if source.strip() else EVERYTHING
        except QueryError as error:
            return error.text
        project = self.session.project
        if project and "project" in schema.fields:
            get = schema.fields["project"].get
            only = Term(f"project:={project}", lambda row: get(row) in (project, ""))
            query = Query(query.source, (only, *query.terms))
        self.tables[place].filter(query)
        return ""

    @on(Prompt.Typed)
    def _typed(self, event: Prompt.Typed) -> None:
        self.typing.typed(event.sign, event.value)

    @on(Prompt.Given)
    def _given(self, event: Prompt.Given) -> None:
        self.typing.given(event.sign, event.value)

    @on(Prompt.Closed)
    def _prompt_closed(self, event: Prompt.Closed) -> None:
        self.typing.closed(event.sign)

    def count(self, noun: str) -> str:
        """`3 instances` of what an act would be about now."""
        return text.count(len(self.table.targets()), noun)
