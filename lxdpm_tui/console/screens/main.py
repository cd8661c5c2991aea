"""The main screen: header, tables, detail, status line, prompt and keys. Navigation here, deeds in acts.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widgets import ContentSwitcher

from lxdpm_tui.console import keymap, text
from lxdpm_tui.console.acts import Acts
from lxdpm_tui.console.headline import headline, key_pairs, status, tabs
from lxdpm_tui.console.keymap import Place
from lxdpm_tui.console.resources import Resource, resources
from lxdpm_tui.console.resources.base import Line, when
from lxdpm_tui.console.screens.helping import help_lines
from lxdpm_tui.console.screens.reading import ReadingScreen
from lxdpm_tui.console.session import Session
from lxdpm_tui.console.widgets.key_bar import KeyBar
from lxdpm_tui.console.widgets.lines import Lines
from lxdpm_tui.console.widgets.live_table import LiveTable
from lxdpm_tui.console.widgets.one_line import OneLine
from lxdpm_tui.console.widgets.prompt import Prompt
from lxdpm_tui.fleet.groups import GroupSource
from lxdpm_tui.fleet.query import EVERYTHING, QueryError, parse
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

    def __init__(self, session: Session, label: str) -> None:
        super().__init__()
        self.session = session
        self.label = label
        self.place: Place = "instances"
        self.resources: dict[Place, Resource] = resources(session)
        self.tables: dict[Place, LiveTable[Any]] = {
            place: LiveTable(resource.columns, View(resource.source(), identity=resource.identity), session.look,
                             empty=resource.empty, id=f"table-{place}")
            for place, resource in self.resources.items()
        }  # fmt: skip
        self.connecting = True
        self.acts = Acts(self)
        self._trail: list[tuple[Place, str]] = []
        self._filters: dict[Place, str] = {}
        self._detail_key: object = None

    def compose(self) -> ComposeResult:
        yield OneLine(id="headline")
        yield OneLine(id="tabs")
        with Horizontal(id="body"):
            with ContentSwitcher(initial=f"table-{self.place}", id="tables"):
                yield from self.tables.values()
            yield Lines(id="detail")
        yield OneLine(id="status")
        yield Prompt(id="prompt")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        for place, table in self.tables.items():
            first = self.resources[place].order
            column = next((c for c in table.columns if c.id == first), None)
            table.sort_column = column
            table.view.set_order(column.sort if column else None, reverse=column.downwards if column else False)
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
            table.rows_changed()
        self.refresh_words()

    # -- what the data does

    def _rows_changed(self, kind: str, changed: frozenset[Any], removed: frozenset[Any]) -> None:
        for place, table in self.tables.items():
            if place == kind:
                source = table.view.source
                if isinstance(source, GroupSource):  # a copy that went may leave others: apply looks itself
                    table.view.apply({source.key_of(key) for key in changed | removed})
                else:
                    table.view.apply(changed, removed)
            if place == kind or (kind == "hosts" and place != "tasks"):
                table.data_changed()

    def _tell(self) -> None:
        if self.is_mounted:
            self.call_later(self.refresh_words)

    def _each_second(self) -> None:
        look = self.session.look
        look.refresh(time.time())
        for place, table in self.tables.items():
            if table.view.query.timed and place == self.place:
                table.view.reload()
            if place == self.place and (look.outage or place in ("tasks", "hosts")):
                table.data_changed()
        self.refresh_words()

    @on(LiveTable.Moved)
    def _moved(self, event: LiveTable.Moved) -> None:
        if event.table is self.table:
            self._refresh_detail()
            self._refresh_keys()
            self._refresh_tabs()

    @on(LiveTable.Opened)
    def _opened(self) -> None:
        self.do("open")

    # -- the lines around the table

    def refresh_words(self) -> None:
        """Say again what the lines around the table say; each draws only when it changed."""
        if not self.is_mounted:
            return
        left, right = headline(self.session, self.label, self.connecting, self.app.theme_variables, self.size.width)
        self.query_one("#headline", OneLine).say(left, right)
        self.query_one("#status", OneLine).say(*status(self.session, self.connecting, self.app.theme_variables))
        self._refresh_tabs()
        self._refresh_keys()
        self._refresh_detail()

    def _refresh_tabs(self) -> None:
        self.query_one("#tabs", OneLine).say(
            *tabs(self.place, self.tables, len(self.session.running()), self.app.theme_variables, self.size.width)
        )

    def _refresh_keys(self) -> None:
        self.query_one(KeyBar).offer(key_pairs(self.place, self._can))

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

    def _arrange(self) -> None:
        width, height = self.app.size
        self.set_class(width >= WIDE, "-beside")
        self.set_class(width < WIDE and height >= TALL, "-below")
        self.set_class(width < WIDE and height < TALL, "-instead")
        self.refresh_words()

    # -- keys

    def on_key(self, event: events.Key) -> None:
        self.table.note_key()
        if self.has_class("-detail") and event.key in ("left_square_bracket", "right_square_bracket"):
            event.stop()
            self.detail.action_by(-3 if event.key == "left_square_bracket" else 3)

    def _can(self, key: keymap.Key) -> bool:
        if key.places and self.place not in key.places:
            return False
        if key.needs != "nothing" and self.table.cursor_row is None:
            return False
        if key.id == "retry":
            host = self._host_here()
            return host is not None and self.session.inventory.is_stale(host)
        if key.id == "cancel":
            return any(row.may_cancel and not row.status.final for _, row in self.table.targets())
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "do":
            key = keymap.BY_ID[str(parameters[0])]
            return self._can(key) and not self.prompt.opened
        return True

    def action_do(self, id: str) -> None:
        self.do(id)

    def do(self, id: str) -> None:
        """What the key of that id does."""
        own: dict[str, Callable[[], object]] = {
            **{place: lambda place=place: self.go(place) for place in keymap.PLACES},  # type: ignore[misc]
            "next": lambda: self._turn(1),
            "previous": lambda: self._turn(-1),
            "open": self.toggle_detail,
            "mark": self.table.toggle_mark,
            "mark-all": self.table.toggle_all_marks,
            "filter": lambda: self.prompt.open("/", self._filters.get(self.place, "")),
            "command": lambda: self.prompt.open(":", "", self.acts.complete),
            "sort": self._sort_next,
            "reverse": self._reverse,
            "back": self._back,
            "messages": self._messages,
            "help": self._help,
            "drill": self._drill,
        }
        if id in own:
            own[id]()
        else:
            self.acts.do(id)

    # -- going about

    def go(self, place: Place, query: str | None = None) -> None:
        """Show a table, with a filter when one is given."""
        if self.prompt.opened:
            self.prompt.close()
        self.place = place
        self.query_one("#tables", ContentSwitcher).current = f"table-{place}"
        if query is not None:
            self.set_filter(query)
        self.set_focus(self.table)
        self.refresh_words()

    def _turn(self, step: int) -> None:
        places = keymap.PLACES
        self.go(places[(places.index(self.place) + step) % len(places)])

    def _host_here(self) -> str | None:
        row = self.table.cursor_row
        if row is None or self.place == "tasks":
            return None
        return str(row.name if self.place == "hosts" else row.host)

    def _drill(self) -> None:
        host = self._host_here()
        if host is not None:
            self._trail.append((self.place, self._filters.get("instances", "")))
            self.go("instances", f"host:={host}")

    def toggle_detail(self) -> None:
        """Details on and off."""
        self.toggle_class("-detail")
        self._refresh_detail()
        self.refresh_words()

    def _back(self) -> None:
        if self.session.messages.seen():
            self.refresh_words()
        elif self.has_class("-detail"):
            self.toggle_detail()
        elif self.table.marks:
            self.table.clear_marks()
        elif self._trail:
            place, query = self._trail.pop()
            self.set_filter(query)
            self.go(place)
        elif self._filters.get(self.place):
            self.set_filter("")
        self.refresh_words()

    def _sort_next(self) -> None:
        columns = self.table.sortable()
        if columns:
            at = columns.index(self.table.sort_column) if self.table.sort_column in columns else -1
            column = columns[(at + 1) % len(columns)]
            self.table.sort_by(column, reverse=column.downwards)

    def _reverse(self) -> None:
        self.table.sort_by(self.table.sort_column, reverse=not self.table.view.reverse)

    def _messages(self) -> None:
        now = time.time()
        lines = [Line(when(m.when, now)[11:19], m.text, "" if m.severity == "info" else m.severity)
                 for m in self.session.messages.log]  # fmt: skip
        self.session.messages.seen()
        self.app.push_screen(ReadingScreen("Messages", lines or [Line("", "Nothing was said yet.")], label=9, end=True))
        self.refresh_words()

    def _help(self) -> None:
        lines = list(help_lines(self.place, self.resources[self.place].schema, self.session.registry))
        self.app.push_screen(ReadingScreen(f"Help: {self.place}", lines, label=17))

    def leave(self) -> None:
        """Ask the app to close the fleet and end."""
        self.post_message(self.Leave())

    # -- filter and command line

    def set_filter(self, source: str) -> str:
        """Filter the table; gives what is wrong with the text, "" when nothing is."""
        try:
            query = parse(source, self.resources[self.place].schema) if source.strip() else EVERYTHING
        except QueryError as error:
            return error.text
        self._filters[self.place] = source
        self.table.view.set_query(query)
        self.table.rows_changed()
        self._refresh_tabs()
        return ""

    def set_theme(self, name: str) -> str:
        """Change the colours; gives what is wrong with the name, "" when nothing is."""
        if name not in self.app.available_themes:
            return f"themes: {', '.join(sorted(self.app.available_themes))}"
        self.app.theme = name
        self.call_after_refresh(self.refresh_words)
        return ""

    @on(Prompt.Typed)
    def _typed(self, event: Prompt.Typed) -> None:
        if event.sign == "/":
            wrong = self.set_filter(event.value)
            view = self.table.view
            self.prompt.hint(wrong or f"{len(view)} of {view.total}", wrong=bool(wrong))
        else:
            offers = self.acts.complete(event.value) if event.value else []
            names: Iterable[str] = (line.rpartition(" ")[2] for line in offers[:6])
            self.prompt.hint("  ".join(names) + (" …" if len(offers) > 6 else ""))

    @on(Prompt.Given)
    def _given(self, event: Prompt.Given) -> None:
        if event.sign == "/":
            wrong = self.set_filter(event.value)
            if wrong:
                self.prompt.hint(wrong, wrong=True)
                return
            self._close_prompt()
        else:
            wrong = self.acts.command(event.value)
            if wrong:
                self.prompt.hint(wrong, wrong=True)
            elif self.prompt.sign == ":":
                self._close_prompt()

    @on(Prompt.Closed)
    def _prompt_closed(self, event: Prompt.Closed) -> None:
        if event.sign == "/":
            self.set_filter("")
        self._close_prompt()

    def _close_prompt(self) -> None:
        self.prompt.close()
        self.set_focus(self.table)
        self.refresh_words()

    def count(self, noun: str) -> str:
        """`3 instances` of what an act would be about now."""
        return text.count(len(self.table.targets()), noun)
