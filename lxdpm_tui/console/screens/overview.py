"""The overview: the whole fleet at a glance, kept true while it is shown."""

from __future__ import annotations

import time

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen

from lxdpm_tui.console import keymap
from lxdpm_tui.console.headline import headline
from lxdpm_tui.console.keymap import Place
from lxdpm_tui.console.overview import overview_lines
from lxdpm_tui.console.session import Session
from lxdpm_tui.console.theme import text_colors
from lxdpm_tui.console.widgets.board import Board
from lxdpm_tui.console.widgets.key_bar import KeyBar
from lxdpm_tui.console.widgets.one_line import OneLine

EVERY = 2.0  # seconds
JUDGE_EVERY = 3  # that many rounds between two looks for what is wrong with the fleet as a whole


class OverviewScreen(Screen[Place | None]):
    """Gives the table that the person goes on to, None for back."""

    CSS = """
    OverviewScreen { layout: vertical; }
    OverviewScreen #overview-headline { background: $panel; }
    """
    BINDINGS = [
        Binding("escape,q,0,enter", "dismiss(None)", show=False),
        Binding("up,k", "by(-1)", show=False),
        Binding("down,j", "by(1)", show=False),
        Binding("pageup", "by(-15)", show=False),
        Binding("pagedown,space", "by(15)", show=False),
        Binding("home,g", "by(-100000)", show=False),
        Binding("end,G", "by(100000)", show=False),
    ]

    def __init__(self, session: Session, label: str) -> None:
        super().__init__()
        self.session = session
        self.label = label
        self._rounds = 0

    def compose(self) -> ComposeResult:
        yield OneLine(id="overview-headline")
        yield Board(id="overview")
        yield KeyBar(id="overview-keys")

    def on_mount(self) -> None:
        self.query_one(KeyBar).offer((("1-9", "tables"), ("↑↓", "scroll"), ("esc", "back")))
        self.set_interval(EVERY, self._again)
        self._again()

    def on_resize(self) -> None:
        self._say()

    async def _judge(self) -> None:
        await self.session.watching.judge()
        self._say()

    def _again(self) -> None:
        if self._rounds % JUDGE_EVERY == 0:
            self.run_worker(self._judge(), group="judge", exclusive=True)
        self._rounds += 1
        self._say()

    def _say(self) -> None:
        if not self.is_mounted or not self.size.width:
            return
        self.session.look.refresh(time.time())
        connecting = self.session.backend is None
        theme = text_colors(self.app.theme_variables)
        left, right = headline(self.session, self.label, connecting, theme, self.size.width)
        self.query_one("#overview-headline", OneLine).say(left, right)
        board = self.query_one(Board)
        board.show_lines(overview_lines(self.session, board.size.width - 1))

    def on_key(self, event: events.Key) -> None:
        """The keys of the tables lead to them."""
        place = next((p for p in keymap.PLACES if event.key in _keys(p)), None)
        if place is not None:
            event.stop()
            self.dismiss(place)

    def action_by(self, step: int) -> None:
        self.query_one(Board).action_by(step)


def _keys(place: Place) -> list[str]:
    key = keymap.BY_ID[place]
    return keymap.CUSTOM.get(key.id, key.keys).split(",")
