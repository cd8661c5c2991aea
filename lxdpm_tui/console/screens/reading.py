"""Something to read in a box: help, messages, a placement, an error at the start."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.widgets.lines import Lines


class ReadingScreen(ModalScreen[None]):
    """Lines under a title; scrolls, and closes on escape, enter, q or `?`."""

    CSS_PATH = ["form.tcss", "reading.tcss"]
    BINDINGS = [
        Binding("escape,enter,q,question_mark", "close", "close"),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("pagedown,space", "scroll(10)", show=False),
        Binding("home,g", "scroll(-100000)", show=False),
        Binding("end,G", "scroll(100000)", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[Line], *, label: int = 16, end: bool = False) -> None:
        """label: cells for the labels.  end: begin at the last line."""
        super().__init__()
        self.title_text = title
        self.lines = lines
        self.label = label
        self.at_end = end

    def compose(self) -> ComposeResult:
        with Vertical(id="reading"):
            yield Static(self.title_text, id="reading-title", markup=False)
            yield Lines(label=self.label, id="reading-lines")
            yield Static("↑↓ scroll   esc close", id="reading-help", markup=False)

    def on_mount(self) -> None:
        self.query_one(Lines).show_lines(self.lines)
        if self.at_end:
            self.call_after_refresh(self.action_scroll, 100000)

    def on_resize(self) -> None:
        self.query_one(Lines).styles.max_height = max(3, self.size.height - 6)

    def action_scroll(self, step: int) -> None:
        self.query_one(Lines).action_by(step)

    def action_close(self) -> None:
        self.dismiss(None)
