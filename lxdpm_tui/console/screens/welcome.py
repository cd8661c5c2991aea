"""The first start without hosts: what was found on this machine, and the ways to begin."""

from __future__ import annotations

import asyncio

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from lxdpm_tui.config import ConfigError, HostConfig, client_remotes, local_sockets
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.session import Session
from lxdpm_tui.console.widgets.lines import Lines

LOOK = 0.5  # seconds between two looks whether there are hosts by now


class WelcomeScreen(ModalScreen[str]):
    """Gives "add", "local", "import", "demo", or "" when there are hosts by now or the person wants none."""

    CSS_PATH = ["form.tcss", "reading.tcss"]
    CSS = "WelcomeScreen { align: center middle; background: $background 60%; }"
    BINDINGS = [
        Binding("a", "dismiss('add')", show=False),
        Binding("l", "local", show=False),
        Binding("i", "import", show=False),
        Binding("d", "dismiss('demo')", show=False),
        Binding("q", "app.leave", show=False),
        Binding("escape", "dismiss('')", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.sockets: list[HostConfig] = []
        self.remotes: list[HostConfig] = []
        self.looked = False

    def compose(self) -> ComposeResult:
        with Vertical(id="reading"):
            yield Static("Welcome. There are no hosts in this fleet yet.", id="reading-title", markup=False)
            yield Lines(label=4, id="reading-lines")
            yield Static("esc look around   q leave", id="reading-help", markup=False)

    def on_mount(self) -> None:
        self._say()
        self.run_worker(self._find(), group="find")
        self.set_interval(LOOK, self._hosts_came)

    def _hosts_came(self) -> None:
        if self.session.inventory.hosts and self.is_current:
            self.dismiss("")

    async def _find(self) -> None:
        """What this machine knows already; reading it may take a moment, and may fail."""
        self.sockets = await asyncio.to_thread(local_sockets)
        try:
            self.remotes = (await asyncio.to_thread(client_remotes)).hosts
        except ConfigError:
            self.remotes = []  # there is no client here, or its file cannot be read: then there is nothing to offer
        self.looked = True
        self._say()

    def _say(self) -> None:
        local = _offer("add what runs on this machine", self.sockets, "nothing runs on this machine")
        none = "no lxc or incus client has remotes here"
        remotes = _offer("import the remotes of lxc or incus here", self.remotes, none)
        looking = Line("", "looking…", "dim")
        lines = [
            Line("a", "add a host by its address: https with a token, ssh, or a local socket"),
            (local if self.looked else looking)._replace(label="l"),
            (remotes if self.looked else looking)._replace(label="i"),
            Line("d", "look at a demo: a simulated fleet; nothing real is touched"),
            Line(),
            Line("", "From a shell: lxdpm-tui host add NAME ADDRESS, host import, --demo, --connect ADDRESS.", "dim"),
        ]
        self.query_one(Lines).show_lines(lines)

    def action_local(self) -> None:
        if self.sockets:
            self.dismiss("local")

    def action_import(self) -> None:
        if self.remotes:
            self.dismiss("import")


def _offer(words: str, found: list[HostConfig], none: str) -> Line:
    return Line("", f"{words}: {', '.join(host.name for host in found)}") if found else Line("", none, "dim")
