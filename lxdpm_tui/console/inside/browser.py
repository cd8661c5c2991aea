"""The files of an instance: look around, fetch, put, edit a text file, delete."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from lxdpm_tui.console import text
from lxdpm_tui.console.inside.editor import edit_file
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.screens.confirm import ConfirmScreen
from lxdpm_tui.console.session import REFUSALS, Session, reference
from lxdpm_tui.console.widgets.one_line import OneLine
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.hosts.files import DIRECTORY, FILE, SYMLINK, Entry, Files

AT_ONCE = 8  # names looked at at a time: the API tells of one each time
EDITABLE = 1 << 20  # bytes of a file that is given to an editor


class FilesScreen(Screen[None]):
    """One directory at a time. Names are there at once, what they are as the host tells it."""

    CSS_PATH = "inside.tcss"
    AUTO_FOCUS = "OptionList"
    BINDINGS = [
        Binding("escape,q", "close", "close"),
        Binding("backspace,left,h", "up", "up"),
        Binding("right", "enter", show=False),
        Binding("g", "ask('go')", "go to"),
        Binding("p", "ask('pull')", "pull"),
        Binding("P", "ask('push')", "push"),
        Binding("e", "edit", "edit"),
        Binding("D", "delete", "delete"),
        Binding("r", "reload", "reload"),
    ]

    def __init__(self, session: Session, row: Instance, path: str = "/root") -> None:
        super().__init__()
        self.session = session
        self.row = row
        self.path = path
        self.entries: dict[str, Entry | None] = {}
        self._asked = ""

    @property
    def files(self) -> Files:
        """Raises LookupError while there is no manager, or the host has gone from it."""
        if self.session.backend is None:
            raise LookupError("no manager")
        return Files(self.session.backend.fleet.hosts[self.row.host], self.row.name, self.row.project)

    def compose(self) -> ComposeResult:
        yield OneLine(id="inside-title")
        yield OptionList(id="inside-list", compact=True, markup=False)
        yield Input(id="inside-input", compact=True)
        yield OneLine(id="inside-help")

    @property
    def options(self) -> OptionList:
        return self.query_one(OptionList)

    @property
    def input(self) -> Input:
        return self.query_one(Input)

    @property
    def here(self) -> str | None:
        """The name under the cursor; None on `..` and in an empty list."""
        option = self.options.highlighted_option
        return None if option is None or option.id is None or option.id == "/up" else str(option.id)[1:]

    def on_mount(self) -> None:
        self.input.display = False
        keys = "enter open  ← up  p pull  P push  e edit  D delete  g go to  r reload  esc close"
        self.query_one("#inside-help", OneLine).say(Text(f" {keys}"))
        self.go(self.path)

    # -- showing a directory

    def go(self, path: str, at: str = "") -> None:
        """Show a directory. at: the name to put the cursor on."""
        self.run_worker(self._load(path, at), group="directory", exclusive=True)

    def _say(self, words: str = "", right: str = "") -> None:
        where = f" {self.row.host}:{self.row.name} (project {self.row.project})  {text.clean(self.path)}"
        self.query_one("#inside-title", OneLine).say(Text(where), Text(f"{text.clean(words or right)} "))

    async def _load(self, path: str, at: str) -> None:
        self._say("asking the host…")
        try:
            names = await self.files.names(path)
        except NotADirectoryError:
            self._say(f"{path} is no directory")
            return
        except (*REFUSALS, LookupError) as refusal:
            self._say(str(refusal))
            return
        self.path = path
        self.entries = dict.fromkeys(names)
        options = self.options
        options.clear_options()
        if path != "/":
            options.add_option(Option("..", id="/up"))
        options.add_options(Option(self._row(name), id=f"/{name}") for name in names)
        if options.option_count:
            first = names.index(at) + (path != "/") if at in names else 0
            options.highlighted = first
        options.focus()
        self._say(right=text.count(len(names), "name"))
        limit = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._look(path, name, limit))

    async def _look(self, path: str, name: str, limit: asyncio.Semaphore) -> None:
        async with limit:
            try:
                entry = await self.files.look(join(path, name))
            except (*REFUSALS, LookupError):
                return  # a pipe or socket: the daemon tells nothing of it
        if self.path == path and name in self.entries:
            self.entries[name] = entry
            self.options.replace_option_prompt(f"/{name}", self._row(name))

    def _row(self, name: str) -> Text:
        entry = self.entries[name]
        line = Text("                         " if entry is None else "")
        if entry is not None:
            sign = {DIRECTORY: "d", SYMLINK: "l"}.get(entry.kind, "-")
            size = text.size(entry.size) if entry.size >= 0 else ""
            line.append(f"{sign}{entry.mode:04o} {entry.uid:>5}:{entry.gid:<5} {size:>6}  ", "dim")
        kind = entry.kind if entry is not None else ""
        line.append(
            text.clean(name) + ("/" if kind == DIRECTORY else ""), {DIRECTORY: "bold", SYMLINK: "cyan"}.get(kind, "")
        )
        return line

    # -- going about

    @on(OptionList.OptionSelected)
    def action_enter(self) -> None:
        name = self.here
        if name is None:
            self.action_up()
        elif (entry := self.entries.get(name)) is None or entry.kind != FILE:
            self.go(join(self.path, name))
        else:
            self.action_edit()

    def action_up(self) -> None:
        path = PurePosixPath(self.path)
        if self.path != "/":
            self.go(str(path.parent), path.name)

    def action_reload(self) -> None:
        self.go(self.path, self.here or "")

    def action_close(self) -> None:
        if self.input.display:
            self._close_input()
        else:
            self.dismiss(None)

    # -- deeds

    def action_ask(self, what: str) -> None:
        if what == "pull" and self.here is None:
            return
        self._asked = what
        self.input.value = {"go": self.path, "pull": str(Path.cwd()), "push": str(Path.cwd()) + "/"}[what]
        self.input.placeholder = {"go": "directory", "pull": "to where", "push": "file or directory to put here"}[what]
        self._say({"go": "go to", "pull": f"pull {self.here} to", "push": "push here"}[what])
        self.input.display = True
        self.input.focus()

    @on(Input.Submitted)
    def _given(self, event: Input.Submitted) -> None:
        value = event.value.strip()
        self._close_input()
        if not value:
            return
        if self._asked == "go":
            self.go(value if value.startswith("/") else join(self.path, value))
            return
        local = str(Path(value).expanduser().absolute())
        common: dict[str, Any] = {"project": self.row.project, "to": local}
        if self._asked == "pull":
            arguments = {**common, "instance": reference(self.row.key), "path": join(self.path, self.here or "")}
            self.run_worker(self._run("file-pull", arguments), group="deeds")
        else:
            arguments = {**common, "instances": [reference(self.row.key)], "source": local,
                         "to": self.path.rstrip("/") + "/"}  # fmt: skip
            self.run_worker(self._run("file-push", arguments), group="deeds")

    async def _run(self, action: str, arguments: dict[str, Any]) -> None:
        """A transfer, its progress in the title; it goes on as a task when this screen is closed."""
        try:
            task = await self.session.run(action, **arguments)
        except REFUSALS as refusal:
            self._say(str(refusal))
            return
        while not await self._ended(task):
            states = list(task.hosts.values())
            share = f" {states[0]['progress']}%" if states and "progress" in states[0] else ""
            self._say(f"{action}{share} {text.long_size(states[0].get('bytes', 0)) if states else ''}")
        self._say(task.error or f"{action}: done")
        if action == "file-push" and not task.error:
            self.go(self.path, self.here or "")

    @staticmethod
    async def _ended(task: Any) -> bool:
        return bool((await task.wait(0.25)).final)

    def action_delete(self) -> None:
        if self.here is not None:
            self.run_worker(self._delete(self.here), group="deeds")

    async def _delete(self, name: str) -> None:
        entry, path = self.entries.get(name), join(self.path, name)
        if entry is None:  # a key was quicker than the host: a directory is not to be taken for a file
            with contextlib.suppress(*REFUSALS, LookupError):
                entry = await self.files.look(path)
        directory = entry is not None and entry.kind == DIRECTORY
        question = f"Delete {path} in {self.row.host}:{self.row.name} (project {self.row.project})?"
        lines = [Line("", "With all that is below it." if directory else "It cannot be brought back.", "warn")]
        expect = name if directory else ""
        if await self.app.push_screen_wait(ConfirmScreen(question, lines, yes="Delete", expect=expect)) is None:
            return
        try:
            await self.files.delete_tree(path)
        except (*REFUSALS, LookupError) as refusal:
            self._say(str(refusal))
        else:
            self.go(self.path)

    def action_edit(self) -> None:
        name = self.here
        if name is not None:
            self.run_worker(self._edit(name), group="deeds")

    async def _edit(self, name: str) -> None:
        path = join(self.path, name)
        try:
            async with self.files.open(path) as opened:
                entry = opened.entry
                if entry.kind != FILE or entry.size > EDITABLE:
                    self._say(
                        f"{name} is no file to edit" if entry.kind != FILE else f"{name} is too large to edit: pull it"
                    )
                    return
                data = b"".join([chunk async for chunk in opened.chunks])
            if b"\0" in data:
                self._say(f"{name} is not text: pull it")
                return
            with tempfile.TemporaryDirectory(prefix="lxdpm-") as folder:
                file = Path(folder) / name
                await asyncio.to_thread(file.write_bytes, data)
                await edit_file(self.app, file)
                changed = await asyncio.to_thread(file.read_bytes)
            if changed == data:
                self._say("nothing was changed")
                return
            # Its owner and mode stay; what was written meanwhile by somebody else is not overwritten.
            async with self.files.open(path) as opened:
                now = b"".join([chunk async for chunk in opened.chunks])
            if now != data:
                kept = Path(tempfile.gettempdir()) / f"{self.row.name}-{name}.edited"
                await asyncio.to_thread(kept.write_bytes, changed)
                self._say(f"it was changed by somebody else meanwhile; your text is in {kept}")
                return
            await self.files.write(path, changed, mode=entry.mode, uid=entry.uid, gid=entry.gid)
            self._say(f"{name} saved")
        except (*REFUSALS, LookupError, OSError) as refusal:
            self._say(str(refusal))

    def _close_input(self) -> None:
        self.input.display = False
        self.options.focus()


def join(folder: str, name: str) -> str:
    """An absolute path below a directory."""
    return f"{folder.rstrip('/')}/{name}"
