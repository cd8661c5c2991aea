"""Asking before something is done: a plain yes, or the name typed, by how dangerous it is."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.widgets.choice import Choice
from lxdpm_tui.console.widgets.lines import Lines

Answer = dict[str, bool]


class ConfirmScreen(ModalScreen[Answer | None]):
    """Gives the options chosen, or None for no."""

    CSS_PATH = ["form.tcss", "confirm.tcss"]
    BINDINGS = [
        Binding("escape,n", "no", "no"),
        Binding("y", "yes", "yes"),
        Binding("left,right", "other", show=False),
    ]

    def __init__(
        self,
        question: str,
        about: Sequence[Line] = (),
        *,
        yes: str = "Yes",
        expect: str = "",
        options: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        """question: one line, host and project named.  about: what it is done to.  yes: the button's word.
        expect: what has to be typed first, "" = nothing.  options: (id, words for no, words for yes) of choices."""
        super().__init__()
        self.question = question
        self.about = about
        self.yes = yes
        self.expect = expect
        self.options = options

    def compose(self) -> ComposeResult:
        with Vertical(id="confirm", classes="-dangerous" if self.expect else ""):
            yield Static(self.question, id="confirm-question", markup=False)
            if self.about:
                lines = Lines(id="confirm-about")
                lines.styles.height = min(10, len(self.about))
                yield lines
            for id, no, yes in self.options:
                yield Choice((("", no), ("yes", yes)), id=f"option-{id}")
            if self.expect:
                yield Static(f"Type  {self.expect}  to go on:", id="confirm-expect", markup=False)
                yield Input(id="confirm-input", compact=True)
            with Horizontal(id="confirm-buttons"):
                sign = "" if self.expect else "  y"
                yield Button(
                    f"{self.yes}{sign}",
                    id="confirm-yes",
                    compact=True,
                    variant="error" if self.expect else "primary",
                    disabled=bool(self.expect),
                )
                yield Button("No  esc", id="confirm-no", compact=True)

    def on_mount(self) -> None:
        if self.about:
            self.query_one("#confirm-about", Lines).show_lines(self.about)
        self.set_focus(self.query_one("#confirm-input" if self.expect else "#confirm-no"))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.query_one("#confirm-yes", Button).disabled = event.value.strip() != self.expect

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        if event.value.strip() == self.expect:
            self._answer()

    @on(Button.Pressed, "#confirm-yes")
    def _pressed(self) -> None:
        self._answer()

    @on(Button.Pressed, "#confirm-no")
    def action_no(self) -> None:
        self.dismiss(None)

    def action_yes(self) -> None:
        if not self.expect:
            self._answer()

    def action_other(self) -> None:
        """From one button to the other."""
        yes, no = self.query_one("#confirm-yes", Button), self.query_one("#confirm-no", Button)
        (no if yes.has_focus or yes.disabled else yes).focus()

    def _answer(self) -> None:
        self.dismiss({id: self.query_one(f"#option-{id}", Choice).value == "yes" for id, _, _ in self.options})
