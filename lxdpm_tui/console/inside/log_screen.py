"""Logs of one or several instances, followed: what runs inside, the daemon's files, the console."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Input

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.console import text
from lxdpm_tui.console.inside.log_buffer import LogBuffer
from lxdpm_tui.console.inside.log_view import LogView
from lxdpm_tui.console.session import Session
from lxdpm_tui.console.widgets.one_line import OneLine
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.hosts import logs
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, HostError

SYSTEM = (
    "sh", "-c",
    "command -v journalctl >/dev/null 2>&1 && exec journalctl -f -n 500 --no-pager;"
    " for f in /var/log/syslog /var/log/messages; do [ -e $f ] && exec tail -n 500 -F $f; done;"
    " echo 'there is no journal and no /var/log/messages; c follows a command' ",
)  # fmt: skip
AGAIN = 5.0  # seconds until a host that was lost is asked again
PAINT = 0.25  # seconds between paints


class LogScreen(Screen[None]):
    """Log lines in the order they come. The sources: "system" (inside), a log file, "console", or a command."""

    CSS_PATH = "inside.tcss"
    AUTO_FOCUS = "LogView"
    BINDINGS = [
        Binding("escape,q", "close", "close"),
        Binding("space,f", "follow", "pause"),
        Binding("w", "toggle_wrap", "wrap"),
        Binding("t", "toggle_time", "time"),
        Binding("slash", "ask('/')", "search"),
        Binding("n", "find(-1)", "search back"),
        Binding("N", "find(1)", "search on"),
        Binding("s", "ask('save')", "save"),
        Binding("c", "ask('command')", "command"),
        Binding("1", "source('system')", "system"),
        Binding("2", "source('file')", "lxc.log"),
        Binding("3", "source('console')", "console"),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup,ctrl+u", "page(-1)", show=False),
        Binding("pagedown,ctrl+d", "page(1)", show=False),
        Binding("home,g", "top", show=False),
        Binding("end,G", "end", show=False),
    ]

    def __init__(self, session: Session, rows: Sequence[Instance], source: str = "") -> None:
        """source: "" = "system" while all run, else their log files."""
        super().__init__()
        self.session = session
        self.rows = rows
        self.source = source or ("system" if all(row.status == "Running" for row in rows) else "file")
        self.words: Sequence[str] = SYSTEM
        self.buffer = LogBuffer()
        self._asked = ""
        self._changed = False

    def compose(self) -> ComposeResult:
        yield OneLine(id="inside-title")
        yield LogView(self.buffer, names=len(self.rows), id="log")
        yield Input(id="inside-input", compact=True)
        yield OneLine(id="inside-help")

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    @property
    def input(self) -> Input:
        return self.query_one(Input)

    def on_mount(self) -> None:
        self.input.display = False
        self.set_interval(PAINT, self._paint)
        self._begin()

    # -- reading

    def _begin(self) -> None:
        """Read the source of every instance anew."""
        self.buffer = LogBuffer()
        self.view.buffer = self.buffer
        self.view.following = True
        self.view.restyle()
        for number, row in enumerate(self.rows):
            self.run_worker(self._read(row, self.buffer), group=f"log-{number}", exclusive=True)
        self._say()

    async def _read(self, row: Instance, buffer: LogBuffer) -> None:
        backend = self.session.backend
        if backend is None:
            return
        label = f"{row.host}:{row.name}" if len({one.host for one in self.rows}) > 1 else row.name
        while True:
            try:
                async with contextlib.aclosing(self._stream(backend.fleet.hosts[row.host], row)) as stream:
                    async for data in stream:
                        if data:
                            buffer.add(label, data)
                        else:
                            buffer.flush()
                        self._changed = True
                        await asyncio.sleep(0)  # a command may be quicker than everything else
                return
            except (ApiError, ActionError) as error:
                buffer.note(label, str(error))
                self._changed = True
                return
            except HostError as error:
                buffer.note(label, f"{error}; trying again")
                self._changed = True
            await asyncio.sleep(AGAIN)

    async def _stream(self, host: Host, row: Instance) -> AsyncGenerator[bytes]:
        if self.source == "console":
            stream = logs.follow_console(host, row.name, row.project)
        elif self.source in ("system", "command"):
            stream = logs.follow_command(host, row.name, row.project, self.words)
        else:
            names = await logs.names(host, row.name, row.project)
            name = next((one for one in ("lxc.log", "qemu.log") if one in names), names[0] if names else "")
            if not name:
                raise ActionError("the host keeps no log of it")
            stream = logs.follow_file(host, row.name, row.project, name)
        async with contextlib.aclosing(stream):
            async for data in stream:
                yield data

    def _paint(self) -> None:
        if self._changed:
            self._changed = False
            self.view.data_changed()
            self._say()

    # -- words around it

    def _say(self) -> None:
        view, buffer = self.view, self.buffer
        what = {"system": "system log", "file": "log file", "console": "console"}.get(
            self.source, shlex.join(self.words)
        )
        names = text.names([f"{row.host}:{row.name}" for row in self.rows], 3)
        state = "following" if view.following else "paused" + (f", {view.unseen} new" if view.unseen else "")
        lost = f", {buffer.dropped} older gone" if buffer.dropped else ""
        marks = " wrap" * view.wrap + " time" * view.time + (f" /{view.search}" if view.search else "")
        self.query_one("#inside-title", OneLine).say(
            Text(f" {what} of {names}"), Text(f"{text.count(len(buffer), 'line')}{lost}{marks}  {state} ")
        )
        keys = (
            "space pause  / search  n N next  w wrap  t time  s save  c command  1 system 2 file 3 console  esc close"
        )
        self.query_one("#inside-help", OneLine).say(Text(f" {keys}"))

    @on(LogView.Moved)
    def _moved(self) -> None:
        self._say()

    def action_close(self) -> None:
        if self.input.display:
            self._close_input()
        else:
            self.dismiss(None)

    def action_follow(self) -> None:
        self.view.follow(not self.view.following)

    def action_toggle_wrap(self) -> None:
        self.view.wrap = not self.view.wrap
        self.view.restyle()
        self._say()

    def action_toggle_time(self) -> None:
        self.view.time = not self.view.time
        self.view.restyle()
        self._say()

    def action_move(self, lines: int) -> None:
        self.view.move(lines)

    def action_page(self, pages: int) -> None:
        self.view.move(pages * max(1, self.view.size.height - 1))

    def action_top(self) -> None:
        self.view.move(-self.buffer.end)

    def action_end(self) -> None:
        self.view.follow(True)

    def action_find(self, step: int) -> None:
        if self.view.search and not self.view.find(step):
            self.session.say("info", f"no more {self.view.search!r}")
            self.app.bell()

    def action_source(self, source: str) -> None:
        self.source, self.words = source, SYSTEM
        self._begin()

    # -- the input line

    def action_ask(self, what: str) -> None:
        self._asked = what
        first = self.rows[0].name if len(self.rows) == 1 else "instances"
        file = f"{first}-{time.strftime('%Y%m%d-%H%M%S')}.log"
        self.input.value = {"/": self.view.search, "save": file}.get(what, "")
        self.input.placeholder = {"/": "search for", "save": "save to file", "command": "follow a command"}[what]
        self.input.display = True
        self.input.focus()

    @on(Input.Submitted)
    async def _given(self, event: Input.Submitted) -> None:
        value = event.value.strip()
        self._close_input()
        if self._asked == "/":
            self.view.search = value
            self.view.restyle()
            self.action_find(-1)
        elif self._asked == "save" and value:
            await self._save(Path(value).expanduser())
        elif self._asked == "command" and value:
            try:
                self.words = shlex.split(value)
            except ValueError as error:
                self.query_one("#inside-help", OneLine).say(Text(f" {error}".lower()))
                return
            self.source = "command"
            self._begin()
        self._say()

    async def _save(self, path: Path) -> None:
        try:
            await asyncio.to_thread(path.write_text, self.buffer.text(), encoding="utf-8")
        except OSError as error:
            self.notify(f"{path}: {error.strerror}", severity="error", markup=False)
        else:
            self.notify(f"{text.count(len(self.buffer), 'line')} saved to {path}", markup=False)

    def _close_input(self) -> None:
        self.input.display = False
        self.view.focus()
