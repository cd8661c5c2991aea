"""A one-line choice among a few words: left and right change it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from lxdpm_tui.console.theme import text_colors


class Choice(Widget, can_focus=True):
    """Shows all options on one line, the chosen one set off."""

    DEFAULT_CSS = """
    Choice { height: 1; width: 1fr; }
    Choice:focus { background: $block-cursor-background; }
    """
    BINDINGS = [
        Binding("left,h", "turn(-1)", show=False),
        Binding("right,l,space", "turn(1)", show=False),
    ]
    value: reactive[str] = reactive("")

    class Changed(Message):
        """Another option was chosen."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> Choice:
            return self.choice

    def __init__(self, options: Sequence[tuple[str, str]], value: str = "", *, id: str | None = None) -> None:
        """options: (value, label); value: the one chosen at first."""
        super().__init__(id=id)
        self.options = list(options)
        self.set_reactive(Choice.value, value if value in dict(options) else self.options[0][0])

    def watch_value(self) -> None:
        self.post_message(self.Changed(self))

    def action_turn(self, step: int) -> None:
        values = [value for value, _ in self.options]
        self.value = values[(values.index(self.value) + step) % len(values)]

    def on_click(self, event: events.Click) -> None:
        x = 0
        for value, label in self.options:
            x += len(label) + 4
            if event.x < x:
                self.value = value
                return

    def render(self) -> Text:
        theme = text_colors(self.app.theme_variables)
        line = Text(no_wrap=True, overflow="ellipsis", end="")
        for value, label in self.options:
            if value == self.value:
                line.append(f"● {label}", style=f"bold {theme['primary']}" if self.has_focus else "bold")
            else:
                line.append(f"○ {label}", style=theme["text-muted"])
            line.append("  ")
        return line
