"""Asking for a few texts: a plugin's inputs, a name for something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from lxdpm_tui.console.widgets.field import Field, FieldSpec

Check = Callable[[Mapping[str, str]], str]


class InputsScreen(ModalScreen[dict[str, str] | None]):
    """Gives the texts by the ids of their fields, None for no. check: says what is wrong with them, "" for nothing."""

    CSS_PATH = "form.tcss"
    CSS = "InputsScreen { align: center middle; background: $background 60%; }"
    BINDINGS = [Binding("escape", "no", show=False), Binding("ctrl+s", "take", show=False)]
    AUTO_FOCUS = "Input"

    def __init__(
        self, title: str, specs: Sequence[FieldSpec], *, button: str = "Go on", check: Check = lambda given: ""
    ) -> None:
        super().__init__()
        self._title = title
        self._specs = specs
        self._button = button
        self._check = check

    def compose(self) -> ComposeResult:
        with Vertical(id="form", classes="-bare"):
            yield Static(self._title, id="form-title", markup=False)
            for spec in self._specs:
                yield Field(spec)
            yield Static("", id="form-error", markup=False)
            with Horizontal(id="form-buttons"):
                yield Button(f"{self._button}  ctrl+s", id="form-submit", compact=True, variant="primary")
                yield Button("Cancel  esc", id="form-cancel", compact=True)

    @on(Input.Submitted)
    def _next(self) -> None:
        fields = list(self.query(Input))
        if self.focused is fields[-1]:
            self.action_take()
        else:
            self.focus_next()

    @on(Button.Pressed, "#form-submit")
    def action_take(self) -> None:
        given = {field.spec.id: field.value for field in self.query(Field)}
        wrong = self._check(given)
        if wrong:
            self.query_one("#form-error", Static).update(wrong)
        else:
            self.dismiss(given)

    @on(Button.Pressed, "#form-cancel")
    def action_no(self) -> None:
        self.dismiss(None)
