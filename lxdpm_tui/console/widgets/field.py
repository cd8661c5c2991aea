"""One field of a form: a label and a compact input, described as data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input, Label, TextArea

from lxdpm_tui.console.completion import Candidate, Completer
from lxdpm_tui.console.widgets.choice import Choice


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """hint: shown while the field is empty.  options: (value, label) of a choice.  lines: of an area.
    secret: not shown.  kept: in a draft; nothing secret is."""

    id: str
    label: str
    kind: Literal["text", "area", "choice"] = "text"
    value: str = ""
    hint: str = ""
    options: tuple[tuple[str, str], ...] = ()
    complete: Completer | None = None
    lines: int = 2
    secret: bool = False
    kept: bool = True


_SECRET = re.compile(r"(?i)(passw|token|secret|private|credential|api.?key)[^\s=:]*\s*[=:]|://[^/\s:@]*:[^/\s@]+@")
"""A setting whose name says that it is a secret, or a URL with a password."""

YES_NO = (("yes", "yes"), ("no", "no"))


class _Inline(Suggester):
    def __init__(self, completer: Completer) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._completer = completer

    async def get_suggestion(self, value: str) -> str | None:
        return next((c.value for c in self._completer(value) if c.value.startswith(value) and c.value != value), None)


class CompletingInput(Input):
    """An input that offers values: the right arrow takes the grey one, up and down go through them all."""

    class Offers(Message):
        """The values that fit what is typed now; `at` is the one that was chosen with the arrows, or -1."""

        def __init__(self, field: CompletingInput, offers: Sequence[Candidate], at: int) -> None:
            super().__init__()
            self.field = field
            self.offers = offers
            self.at = at

    def __init__(self, value: str, *, placeholder: str, completer: Completer, id: str) -> None:
        super().__init__(value, placeholder=placeholder, suggester=_Inline(completer), compact=True, id=id)
        self._completer = completer
        self._typed = value
        self._at = -1

    def on_focus(self) -> None:
        self._typed, self._at = "" if self.value in self._values("") else self.value, -1
        self._tell()

    def on_input_changed(self, event: Input.Changed) -> None:
        if self._at < 0 or event.value != self._offer(self._at):
            self._typed, self._at = event.value, -1
            self._tell()

    def on_key(self, event: events.Key) -> None:
        if event.key not in ("up", "down"):
            return
        offers = self._completer(self._typed)
        if offers:
            event.stop()
            event.prevent_default()
            self._at = (self._at + (1 if event.key == "down" else -1)) % len(offers)
            self.value = offers[self._at].value
            self.cursor_position = len(self.value)
            self._tell()

    def _values(self, typed: str) -> list[str]:
        return [candidate.value for candidate in self._completer(typed)]

    def _offer(self, at: int) -> str | None:
        values = self._values(self._typed)
        return values[at] if at < len(values) else None

    def _tell(self) -> None:
        self.post_message(self.Offers(self, self._completer(self._typed), self._at))


class Field(Horizontal):
    """A labelled field. `value` is always text."""

    DEFAULT_CSS = """
    Field {
        height: auto;
        & > Label { width: 12; color: $text-muted; }
        & > Input, & > TextArea { width: 1fr; background: $surface; border: none; padding: 0; }
        & > Input:focus, & > TextArea:focus { background: $block-cursor-background; }
        &.-wrong > Label { color: $text-error; text-style: bold; }
        &.-here > Label { color: $primary; text-style: bold; }
        &.-wrong.-here > Label { color: $text-error; text-style: bold; }
    }
    """

    def __init__(self, spec: FieldSpec, value: str | None = None) -> None:
        super().__init__(id=f"field-{spec.id}")
        self.spec = spec
        self._first = spec.value if value is None else value

    def on_descendant_focus(self) -> None:
        self.add_class("-here")

    def on_descendant_blur(self) -> None:
        self.remove_class("-here")

    def compose(self) -> ComposeResult:
        yield Label(self.spec.label)
        yield self._make()

    def _make(self) -> Widget:
        spec, id = self.spec, f"input-{self.spec.id}"
        if spec.kind == "choice":
            return Choice(spec.options, self._first, id=id)
        if spec.kind == "area":
            area = TextArea(
                self._first,
                compact=True,
                tab_behavior="focus",
                placeholder=spec.hint,
                highlight_cursor_line=False,
                id=id,
            )
            area.styles.height = spec.lines
            return area
        if spec.complete is not None:
            return CompletingInput(self._first, placeholder=spec.hint, completer=spec.complete, id=id)
        return Input(self._first, placeholder=spec.hint, compact=True, password=spec.secret, id=id)

    @property
    def input(self) -> Widget:
        return self.query_one(f"#input-{self.spec.id}")

    @property
    def value(self) -> str:
        widget = self.input
        if isinstance(widget, TextArea):
            return widget.text
        if isinstance(widget, Input | Choice):
            return widget.value
        raise TypeError(f"field {self.spec.id} has no value")

    @value.setter
    def value(self, value: str) -> None:
        widget = self.input
        if isinstance(widget, TextArea):
            widget.text = value
        elif isinstance(widget, Input | Choice):
            widget.value = value

    @property
    def draft(self) -> str | None:
        """The value, as far as it may be kept for another time; None when it may not."""
        if self.spec.secret or not self.spec.kept or _SECRET.search(self.value):
            return None
        return self.value
