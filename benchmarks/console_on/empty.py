"""Run as a program by console.py: the least that Textual needs for a paint."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static


class Empty(App[None]):
    """One line; it ends after its first paint."""

    def compose(self) -> ComposeResult:
        yield Static("nothing")

    def on_mount(self) -> None:
        self.set_timer(0.3, self.exit)


if __name__ == "__main__":
    Empty().run()
