"""What is typed at the bottom: a filter that works as it is typed, or a command with its completion and history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxdpm_tui.console.screens.main import MainScreen

HINTS = 6  # completions named beside the line


class TypingLine:
    """Bound to the main screen and its prompt."""

    def __init__(self, screen: MainScreen) -> None:
        self._screen = screen

    def open(self, line: str = "") -> None:
        """The `:` line, with something in it already."""
        screen = self._screen
        screen.prompt.remember(":", screen.ordering.memory.lines)
        screen.prompt.open(":", line, screen.acts.complete)
        if line:
            self.typed(":", line)

    def run(self, line: str) -> None:
        """Run a line as if it were typed; what is wrong with it is said."""
        wrong = self._screen.acts.command(line)
        if wrong:
            self._screen.session.say("warn", wrong)

    def typed(self, sign: str, value: str) -> None:
        """The text changed."""
        screen = self._screen
        if sign == "/":
            wrong = screen.set_filter(value)
            if wrong:
                screen.prompt.hint(wrong, wrong=True)
            else:
                self.count()
            return
        offers = screen.acts.complete(value) if value else []
        names: Iterable[str] = (line.rpartition(" ")[2] for line in offers[:HINTS])
        screen.prompt.hint("  ".join(names) + (" …" if len(offers) > HINTS else ""))

    def count(self) -> None:
        """Say how many rows pass the filter, while it is typed."""
        prompt, view = self._screen.prompt, self._screen.table.view
        if prompt.opened and prompt.sign == "/":
            prompt.hint(f"{len(view)} of {view.total}")

    def given(self, sign: str, value: str) -> None:
        """Enter was pressed: do it, or say what is wrong with it."""
        screen = self._screen
        if sign == ":" and value.strip():
            screen.ordering.memory.line(value.strip())
        wrong = screen.set_filter(value) if sign == "/" else screen.acts.command(value)
        if wrong:
            screen.prompt.hint(wrong, wrong=True)
        elif screen.prompt.sign == sign:
            self._close()

    def closed(self, sign: str) -> None:
        """Escape was pressed."""
        if sign == "/":
            self._screen.set_filter("")
        self._close()

    def _close(self) -> None:
        screen = self._screen
        if screen.prompt.opened:
            screen.prompt.close()
            screen.set_focus(screen.table)
        screen.refresh_words()
