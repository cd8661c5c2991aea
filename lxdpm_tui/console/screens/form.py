"""The base of all forms: fields as data, validation, and an action of the registry behind the button."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static, TextArea

from lxdpm_tui.console import text
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.session import REFUSALS, Draft, Session
from lxdpm_tui.console.widgets.choice import Choice
from lxdpm_tui.console.widgets.field import CompletingInput, Field, FieldSpec
from lxdpm_tui.console.widgets.lines import Lines
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.tasks.task import Task


class FormError(ValueError):
    """What was typed cannot be used. field: its id, "" for the whole form."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field
        self.text = text


Planned = tuple[str, Sequence[Instance], dict[str, Any]]


class FormScreen(ModalScreen[Task | None]):
    """A form over one action. Subclasses give `form`, `action`, `title_text`, `button`, `specs` and `arguments`.

    It closes when the task began. What was typed is there again when the form is left with escape, or the task fails,
    and it is opened for the same thing.
    """

    CSS_PATH = "form.tcss"
    BINDINGS = [
        Binding("escape", "close", "cancel"),
        Binding("ctrl+s", "submit", "do it"),
        Binding("ctrl+l", "afresh", "afresh"),
        Binding("enter", "next", show=False),
    ]
    AUTO_FOCUS = "Input, TextArea, Choice"
    form = ""
    action = ""
    button = "Do it"
    wide = False
    tells = False  # what stands aside needs room, however few the fields

    def __init__(self, session: Session, values: dict[str, str] | None = None) -> None:
        """values: what the fields begin with; a draft goes before it."""
        super().__init__()
        self.session = session
        self._fresh = dict(values or {})
        self.draft: Draft | None = None
        self._begun_with: dict[str, str] | None = None  # what leaving would not be worth a draft; None with one
        self.first: dict[str, str] = self._fresh
        self.busy = False
        self.offering = False

    # -- what a form is

    @property
    def draft_key(self) -> str:
        """Of the form and what it is about, as that was when it was opened: a draft of older settings is no use."""
        return repr((self.form, self.about, sorted(self._fresh.items())))

    @property
    def about(self) -> object:
        """What the form is about, for its draft."""
        return self.title_text

    @property
    def title_text(self) -> str:
        raise NotImplementedError

    def specs(self) -> Sequence[FieldSpec]:
        """The fields, from top to bottom."""
        raise NotImplementedError

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        """The action's arguments. Raises FormError."""
        raise NotImplementedError

    def runs(self, values: dict[str, str]) -> Sequence[dict[str, Any]]:
        """The arguments of each run of the action; one unless the form is about several things. Raises FormError."""
        return [self.arguments(values)]

    def steps(self, values: dict[str, str]) -> Sequence[tuple[str, dict[str, Any]]]:
        """Every action with its arguments, one after the other. Raises FormError."""
        return [(self.action, arguments) for arguments in self.runs(values)]

    async def prepare(self, values: dict[str, str]) -> None:
        """What has to be asked before it may begin. Raises FormError."""

    def planned(self, values: dict[str, str]) -> Planned | None:
        """When it is about several instances: the act, the rows and its options. Raises FormError."""
        return None

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        """What is said below or beside the fields while nothing is offered."""
        return ()

    # -- the widget

    def compose(self) -> ComposeResult:
        self.draft = self.session.drafts.get(self.draft_key)
        if self.draft is not None:
            self.first = {**self._fresh, **self.draft.values}
        specs = self.specs()
        rows = sum(spec.lines if spec.kind == "area" else 1 for spec in specs)
        size = "-bare" if rows <= 3 and not self.tells else "-short" if rows <= 11 else ""
        with Vertical(id="form", classes=f"{'-wide' if self.wide else ''} {size}"):
            yield Static(self.title_text, id="form-title", markup=False)
            with Horizontal(id="form-body"):
                with VerticalScroll(id="form-fields", can_focus=False):
                    for spec in specs:
                        yield Field(spec, self.first.get(spec.id))
                yield Lines(id="form-aside")
            yield Static("", id="form-error", markup=False)
            with Horizontal(id="form-buttons"):
                yield Button(f"{self.button}  ctrl+s", id="form-submit", compact=True, variant="primary")
                yield Button("Cancel  esc", id="form-cancel", compact=True)
                yield Static("tab next  ↑↓ choose  → take", id="form-help", markup=False)

    def on_mount(self) -> None:
        self._begun_with = self.kept if self.draft is None else None
        if self.draft is not None:
            what = "These are the values of the attempt that failed" if self.draft.failed else "This is as you left it"
            self.note(f"{what}; ctrl+l starts afresh.")
        self.refresh_aside()

    def field(self, id: str) -> Field:
        return self.query_one(f"#field-{id}", Field)

    @property
    def values(self) -> dict[str, str]:
        return {field.spec.id: field.value for field in self.query(Field)}

    @property
    def kept(self) -> dict[str, str]:
        """The values that may be kept for another time."""
        return {field.spec.id: value for field in self.query(Field) if (value := field.draft) is not None}

    @property
    def error(self) -> str:
        return str(self.query_one("#form-error", Static).render())

    def complain(self, field: str, words: str) -> None:
        """Say what is wrong, and show where."""
        self.note(words)
        self.query_one("#form-error").remove_class("-note")
        for each in self.query(Field):
            each.set_class(each.spec.id == field, "-wrong")
        if field:
            self.field(field).input.focus()

    def note(self, words: str) -> None:
        """Say something that is not wrong."""
        said = self.query_one("#form-error", Static)
        said.update(Text(text.clean(words)))
        said.add_class("-note")

    def refresh_aside(self) -> None:
        """Say again what stands beside the fields, unless values are offered in its place."""
        if self.offering:
            return
        self.query_one("#form-aside", Lines).show_lines(self.aside(self.values))

    # -- what happens in it

    @on(CompletingInput.Offers)
    def _offered(self, event: CompletingInput.Offers) -> None:
        if not event.field.has_focus:
            return
        offers = event.offers
        if not offers or (len(offers) == 1 and offers[0].value == event.field.value):
            self.offering = False
            self.refresh_aside()
            return
        self.offering = True
        width = min(28, max(len(offer.value) for offer in offers))
        begin = max(0, event.at - 4)
        shown = [
            Line(
                "",
                f"{'→' if n == event.at else ' '} {offer.value:<{width}}  {offer.note}",
                "good" if n == event.at else "",
            )
            for n, offer in enumerate(offers[begin : begin + 40], begin)
        ]
        self.query_one("#form-aside", Lines).show_lines(shown, top=True)

    @on(Input.Changed)
    @on(TextArea.Changed)
    @on(Choice.Changed)
    def _edited(self) -> None:
        self.edited()

    def edited(self) -> None:
        """Some value changed."""
        if not isinstance(self.focused, CompletingInput):
            self.offering = False
        self.refresh_aside()

    def on_descendant_focus(self) -> None:
        if not isinstance(self.focused, CompletingInput):
            self.offering = False
            self.refresh_aside()

    @on(Input.Submitted)
    def _entered(self) -> None:
        self.action_next()

    def action_next(self) -> None:
        """Enter goes to the next field, and from the last one to the button."""
        if isinstance(self.focused, Button):
            self.focused.press()
        else:
            self.focus_next()

    @on(Button.Pressed, "#form-cancel")
    def action_close(self) -> None:
        if not self.busy:
            kept = self.kept
            if kept == self._begun_with:
                self.session.drafts.pop(self.draft_key, None)
            elif self.draft is None or kept != self.draft.values:
                self.session.keep_draft(self.draft_key, Draft(kept))
            self.dismiss(None)

    def action_afresh(self) -> None:
        """Throw away what was typed, now or before."""
        if self.busy:
            return
        self.session.drafts.pop(self.draft_key, None)
        self.draft = None
        for field in self.query(Field):
            field.value = self._fresh.get(field.spec.id, field.spec.value)
        self._begun_with = self.kept
        self.note("")

    @on(Button.Pressed, "#form-submit")
    def action_submit(self) -> None:
        if not self.busy:
            self.busy = True
            self.run_worker(self._submit(), exclusive=True)

    async def plan(self, planned: Planned) -> Task | None:
        """Show what would be done; gives the task when it was begun."""
        from lxdpm_tui.console.screens.plan import PlanScreen

        act, rows, options = planned
        screen = PlanScreen(self.session, lambda _, limits: self.session.plan_over(act, rows, options, limits))
        return await self.app.push_screen_wait(screen)

    async def _submit(self) -> None:
        values = self.values
        try:
            task = None
            planned = self.planned(values)
            if planned is not None:
                task = await self.plan(planned)
                if task is None:
                    return  # looked at the plan, and did not run it: what was typed stays
            else:
                await self.prepare(values)
                kept = self.kept
                for action, arguments in self.steps(values):
                    task = await self.session.run(action, form=self.draft_key, values=kept, **arguments)
        except FormError as error:
            self.complain(error.field, error.text)
        except REFUSALS as refusal:
            self.complain("", str(refusal))
        else:
            if task is None or not task.status.final:
                self.session.drafts.pop(self.draft_key, None)
            self.dismiss(task)
        finally:
            self.busy = False


def words(value: str) -> list[str]:
    """Names separated by commas or spaces."""
    return value.replace(",", " ").split()


def mapping(field: str, value: str) -> dict[str, str]:
    """KEY=VALUE lines. Raises FormError naming the line."""
    found: dict[str, str] = {}
    for number, line in enumerate(value.splitlines(), 1):
        if not line.strip():
            continue
        key, equals, rest = line.partition("=")
        if not equals or not key.strip():
            raise FormError(field, f"line {number}: expected KEY=VALUE, found {line.strip()!r}")
        if key.strip() in found:
            raise FormError(field, f"line {number}: {key.strip()} is there twice")
        found[key.strip()] = rest.strip()
    return found


def devices(field: str, value: str) -> dict[str, dict[str, str]]:
    """NAME: key=value, key=value lines. Raises FormError naming the line."""
    found: dict[str, dict[str, str]] = {}
    for number, line in enumerate(value.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, rest = line.partition(":")
        settings = dict(part.strip().partition("=")[::2] for part in rest.split(",") if part.strip())
        if not colon or not name.strip() or "type" not in settings:
            raise FormError(field, f"line {number}: expected NAME: type=disk, path=/, pool=default")
        found[name.strip()] = settings
    return found


def whole_number(field: str, value: str, least: int = 1, most: int = 1000) -> int:
    """A number in a range. Raises FormError."""
    if not value.strip().isdigit() or not least <= int(value) <= most:
        raise FormError(field, f"a whole number from {least} to {most}, not {value.strip() or 'nothing'!r}")
    return int(value)
