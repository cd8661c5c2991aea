"""The line at the bottom where a filter or a command is typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.suggester import Suggester
from textual.widgets import Input, Label

Completer = Callable[[str], Sequence[str]]


class _First(Suggester):
    """Suggests the first completion of the whole line."""

    def __init__(self, completer: Completer) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._completer = completer

    async def get_suggestion(self, value: str) -> str | None:
        return next((line for line in self._completer(value) if line.startswith(value) and line != value), None)


class _Line(Input):
    """An input that does not have the whole screen laid out and painted anew at each letter (20 ms)."""

    virtual_size = reactive(Size(0, 0), layout=False)


class Prompt(Horizontal):
    """An input with a sign before it (`/` or `:`); hidden while nothing is typed."""

    DEFAULT_CSS = """
    Prompt {
        height: 1; display: none; background: $surface; padding: 0 1;
        & > Label { color: $primary; text-style: bold; width: auto; }
        & > Input { background: $surface; width: 1fr; }
        & > #prompt-hint { color: $text-muted; text-style: none; width: 50%; text-align: right; text-wrap: nowrap; }
        &.-wrong > #prompt-hint { color: $text-error; }
    }
    Prompt.-open { display: block; }
    """
    BINDINGS = [Binding("escape", "close", show=False)]

    class Typed(Message):
        """The text changed."""

        def __init__(self, sign: str, value: str) -> None:
            super().__init__()
            self.sign = sign
            self.value = value

    class Given(Message):
        """Enter was pressed."""

        def __init__(self, sign: str, value: str) -> None:
            super().__init__()
            self.sign = sign
            self.value = value

    class Closed(Message):
        """Escape was pressed."""

        def __init__(self, sign: str) -> None:
            super().__init__()
            self.sign = sign

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.sign = "/"
        self._completer: Completer = lambda value: ()
        self._history: dict[str, list[str]] = {}
        self._back = 0

    def compose(self) -> ComposeResult:
        yield Label("/", id="prompt-sign")
        yield _Line(compact=True, id="prompt-input", select_on_focus=False)
        yield Label("", id="prompt-hint")

    @property
    def opened(self) -> bool:
        return self.has_class("-open")

    @property
    def input(self) -> Input:
        return self.query_one("#prompt-input", Input)

    def open(self, sign: str, value: str = "", completer: Completer | None = None) -> None:
        """Show it and take the keys."""
        self.sign = sign
        self._back = 0
        self._completer = completer or (lambda value: ())
        self.query_one("#prompt-sign", Label).update(sign, layout=False)
        field = self.input
        field.suggester = _First(self._completer) if completer else None
        with self.prevent(Input.Changed):
            field.value = value
        field.cursor_position = len(value)
        self.hint("")
        self.add_class("-open")
        self.screen.set_focus(field)  # at once: what was typed ahead is meant for it

    def remember(self, sign: str, lines: Sequence[str]) -> None:
        """What was given before under a sign, the oldest first; up and down go through it."""
        self._history[sign] = list(lines)

    def close(self) -> None:
        self.remove_class("-open")

    def hint(self, words: str, *, wrong: bool = False) -> None:
        """A word at the right: how many rows are left, or what is wrong."""
        self.set_class(wrong, "-wrong")
        self.query_one("#prompt-hint", Label).update(words, layout=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(self.sign, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            lines = self._history.setdefault(self.sign, [])
            if event.value in lines:
                lines.remove(event.value)
            lines.append(event.value)
            del lines[:-200]
        self.post_message(self.Given(self.sign, event.value))

    def on_key(self, event: events.Key) -> None:
        if event.key in ("up", "down"):
            event.stop()
            lines = self._history.get(self.sign, [])
            self._back = min(max(self._back + (1 if event.key == "up" else -1), 0), len(lines))
            self.input.value = lines[-self._back] if self._back else ""
            self.input.cursor_position = len(self.input.value)
        elif event.key == "tab":
            event.stop()
            event.prevent_default()
            self._complete()

    def _complete(self) -> None:
        field = self.input
        found = [line for line in self._completer(field.value) if line.startswith(field.value)]
        if not found:
            return
        common = found[0]
        for line in found[1:]:
            while not line.startswith(common):
                common = common[:-1]
        if len(found) == 1:
            common += " "
        if len(common) > len(field.value):
            field.value = common
            field.cursor_position = len(common)
        else:
            self.hint("  ".join(line.split()[-1] for line in found[:6]) + (" …" if len(found) > 6 else ""))

    def action_close(self) -> None:
        self.post_message(self.Closed(self.sign))
