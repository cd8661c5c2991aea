"""The snapshots of an instance: go back to one, or delete one."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from lxdpm_tui.console import text
from lxdpm_tui.console.session import REFUSALS, Session
from lxdpm_tui.fleet.fields import epoch
from lxdpm_tui.fleet.inventory import Instance


class Chosen(NamedTuple):
    """action: "restore" or "snapshot-delete"."""

    action: str
    snapshot: str


class SnapshotsScreen(ModalScreen[Chosen | None]):
    """Asks the instance's host for its snapshots; the list is there when the host has answered."""

    CSS_PATH = ["form.tcss", "snapshots.tcss"]
    BINDINGS = [
        Binding("escape,q", "close", "close"),
        Binding("D", "delete", "delete"),
    ]

    def __init__(self, session: Session, row: Instance) -> None:
        super().__init__()
        self.session = session
        self.row = row

    def compose(self) -> ComposeResult:
        with Vertical(id="snapshots"):
            yield Static(f"Snapshots of {self.row.name} on {self.row.host}", id="snapshots-title", markup=False)
            yield Static("Asking the host…", id="snapshots-word", markup=False)
            yield OptionList(id="snapshots-list", compact=True)
            yield Static("enter go back to it   D delete   esc close", id="snapshots-help", markup=False)

    def on_mount(self) -> None:
        self.run_worker(self._load(), exclusive=True)

    async def _load(self) -> None:
        word = self.query_one("#snapshots-word", Static)
        try:
            found = await self.session.snapshots(self.row)
        except REFUSALS as refusal:
            word.update(text.clean(str(refusal)))
            return
        word.update("" if found else "There are none. p takes one.")
        word.display = not found
        options = self.query_one(OptionList)
        options.add_options(Option(text.clean(self._words(one)), id=str(one["name"])) for one in reversed(found))
        if found:
            options.highlighted = 0
            options.focus()

    @staticmethod
    def _words(one: dict[str, Any]) -> str:
        born = epoch(str(one.get("created_at", "")))
        age = f"{text.span(time.time() - born)} ago" if born else ""
        kinds = "with processes" if one.get("stateful") else ""
        return f"{one['name']:<24} {age:<12} {text.size(one.get('size') or -1):<6} {kinds}"

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(Chosen("restore", str(event.option.id)))

    def action_delete(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self.dismiss(Chosen("snapshot-delete", str(options.get_option_at_index(options.highlighted).id)))

    def action_close(self) -> None:
        self.dismiss(None)
