"""A bulk act: its plan before it runs, then the board of the run. It may be left, and opened again from the tasks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from lxdpm_tui.actions.plan import Limits, Plan, State, read
from lxdpm_tui.console import plan_words, text
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.session import REFUSALS, Session
from lxdpm_tui.console.widgets.lines import Lines
from lxdpm_tui.tasks.task import Task

WIDEST = 160  # columns, as plan.tcss has it
LOOK = 0.25  # seconds between two looks at the task
WAVES = (0, 1, 2, 4, 8, 16)
PER_HOST = (1, 2, 4, 8)
ON_ERROR = ("pause", "continue", "stop")

Make = Callable[[Mapping[str, Any], Limits], Plan | Awaitable[Plan]]
"""Makes the plan from the options that were chosen, at once, or as soon as the server has it. Raises REFUSALS."""


class PlanScreen(ModalScreen[Task | None]):
    """Gives the task that was begun, or None. make: for a plan that is not begun; task: of one that is."""

    CSS_PATH = ["form.tcss", "plan.tcss"]
    AUTO_FOCUS = ""
    BINDINGS = [
        Binding("enter,y", "go", "run"),
        Binding("escape,q", "leave", "leave"),
        Binding("f", "force", "force"),
        Binding("w", "wave", "wave"),
        Binding("h", "per_host", "at once"),
        Binding("c", "canary", "canary"),
        Binding("e", "on_error", "on error"),
        Binding("s", "save", "save"),
        Binding("p", "pause", "pause"),
        Binding("r", "say('plan-retry')", "retry"),
        Binding("k", "say('plan-skip')", "skip"),
        Binding("x", "cancel", "cancel"),
        Binding("v", "view", "calls"),
        Binding("o", "output", "output"),
        Binding("up", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("pagedown,space", "scroll(10)", show=False),
        Binding("home,g", "scroll(-100000)", show=False),
        Binding("end,G", "scroll(100000)", show=False),
    ]

    def __init__(
        self, session: Session, make: Make | None = None, *, forcible: bool = False, task: Task | None = None
    ) -> None:
        """forcible: the act has the option `force`."""
        super().__init__()
        self.session = session
        self.task_shown = task
        self.options: dict[str, Any] = {}
        self.limits = Limits()
        self.plan: Plan | None = None
        self._make, self._forcible = make, forcible
        self._error = ""
        self._asking = ""  # what the input is for: "expect" or "save"
        self._calls = task is None
        self._seen = 0.0
        self._busy = False
        self._coming: asyncio.Future[Plan] | None = None  # the plan, while the server makes it

    # -- what it shows

    def compose(self) -> ComposeResult:
        with Vertical(id="plan"):
            yield Static("", id="plan-title", markup=False)
            yield Static("", id="plan-limits", markup=False)
            yield Lines(id="plan-lines", label=10)
            yield Static("", id="plan-error", markup=False)
            yield Static("", id="plan-expect", markup=False)
            yield Input(id="plan-input", compact=True)
            yield Static("", id="plan-keys", markup=False)

    def on_mount(self) -> None:
        self._ask("")
        if self.task_shown is None:
            self._remake()
        self._look()
        self.set_interval(LOOK, self._look)

    def on_resize(self) -> None:
        self._show()

    @property
    def state(self) -> str:
        """ "ready" before it runs, then "running", "paused" or "done"."""
        if self.task_shown is None:
            return "ready"
        if self.task_shown.status.final:
            return "done"
        return self.plan.state if self.plan is not None and self.plan.state == "paused" else "running"

    def _remake(self) -> None:
        """The plan anew, from what was chosen."""
        if self._make is None:
            return
        self._forget_coming()
        try:
            made = self._make(self.options, self.limits)
        except REFUSALS as refusal:
            self.plan, self._error = None, str(refusal)
        else:
            if isinstance(made, Plan):
                self.plan, self._error = made, ""
            else:  # until it is there the one before stays in sight, and cannot be run
                self._coming = asyncio.ensure_future(made)
                self._coming.add_done_callback(self._came)
        self._show()

    def _came(self, coming: asyncio.Future[Plan]) -> None:
        if coming.cancelled() or coming is not self._coming:
            return
        self._coming = None
        try:
            self.plan, self._error = coming.result(), ""
        except REFUSALS as refusal:
            self.plan, self._error = None, str(refusal)
        self._show()

    def _forget_coming(self) -> None:
        if self._coming is not None:
            self._coming.cancel()
            self._coming = None

    def on_unmount(self) -> None:
        self._forget_coming()

    def _look(self) -> None:
        task = self.task_shown
        if task is not None and task.updated != self._seen and "plan" in task.metadata:
            self._seen = task.updated
            self.plan = read(task.metadata["plan"])
            self._show()

    def _show(self) -> None:
        if not self.is_mounted:
            return
        plan, lines = self.plan, self.query_one("#plan-lines", Lines)
        self.query_one("#plan-error", Static).update(Text(text.clean(self._error)))
        self._show_keys()
        if plan is None:
            lines.show_lines([Line("", "The server makes the plan…", "dim")] if self._coming else [])
            return
        force = ", force" if self.options.get("force") else ""
        self.query_one("#plan-title", Static).update(Text(f"{plan_words.title(plan)}{force}"))
        self.query_one("#plan-limits", Static).update(Text(plan_words.limits(plan)))
        lines.show_lines(plan_words.calls(plan) if self._calls else plan_words.board(plan, lines.size.width))

    def offered(self) -> list[tuple[str, str]]:
        """The keys that work now, with their words."""
        state, plan = self.state, self.plan
        failed = plan is not None and bool(plan.of(State.FAILED))
        found: list[tuple[str, str]] = []
        if state == "ready":
            if plan is not None and self._coming is None:
                found.append(("enter", "run it"))
            if self._forcible:
                found.append(("f", "not by force" if self.options.get("force") else "force"))
            if plan is not None and len(plan.items) > 1:
                found += [("w", "wave"), ("h", "at once"), ("c", "canary"), ("e", "on error")]
        elif state == "running":
            found += [("p", "pause"), ("x", "cancel")]
        elif state == "paused":
            found += [("r", "retry failed"), ("k", "skip failed")] if failed else []
            found += [("p", "go on"), ("x", "cancel")]
        elif plan is not None and plan.of(State.FAILED, State.WAITING):
            found.append(("r", "retry failed"))
        if plan is not None:
            found.append(("s", "save"))
            if state != "ready":
                found.append(("v", "board" if self._calls else "calls left"))
                found += [("o", "output")] if plan.act == "exec" else []
        found.append(("esc", "no" if state == "ready" else "leave it"))
        return found

    def _show_keys(self) -> None:
        found = [("enter", "go on"), ("esc", "back")] if self._asking else self.offered()
        room = min(self.size.width, WIDEST) - 4  # its border and padding
        words, used = Text(no_wrap=True, overflow="ellipsis", end=""), 0
        for key, label in found:
            size = len(key) + 1 + len(label)
            if used:
                between, used = ("   ", used + 3) if used + 3 + size <= room else ("\n", 0)
                words.append(between)
            words.append(key, style="bold")
            words.append(f" {label}")
            used += size
        bar = self.query_one("#plan-keys", Static)
        bar.update(words)
        bar.styles.height = 1 + words.plain.count("\n")

    # -- before it runs

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A letter typed into the input is no key."""
        return action in ("leave", "go") or not self._asking

    def _turn(self, values: tuple[Any, ...], now: Any) -> Any:
        return values[(values.index(now) + 1) % len(values)] if now in values else values[0]

    def action_force(self) -> None:
        if self.state == "ready" and self._forcible:
            self.options = {**self.options, "force": not self.options.get("force")}
            self._remake()

    def _limit(self, name: str, values: tuple[Any, ...]) -> None:
        if self.state == "ready":
            setattr(self.limits, name, self._turn(values, getattr(self.limits, name)))
            self._remake()

    def action_wave(self) -> None:
        self._limit("wave", WAVES)

    def action_per_host(self) -> None:
        self._limit("per_host", PER_HOST)

    def action_on_error(self) -> None:
        self._limit("on_error", ON_ERROR)

    def action_canary(self) -> None:
        """None, one, or one of each host."""
        hosts = len(self.plan.hosts) if self.plan else 1
        self._limit("canary", tuple(dict.fromkeys((0, 1, hosts))))

    def action_go(self) -> None:
        if self.state != "ready" or self.plan is None or self._asking or self._coming is not None:
            return
        expect = plan_words.expected(self.plan)
        if expect:
            self._ask("expect", f"Type  {expect}  to go on:")
        else:
            self._begin()

    def _ask(self, asking: str, words: str = "", value: str = "") -> None:
        self._asking = asking
        prompt, field = self.query_one("#plan-expect", Static), self.query_one("#plan-input", Input)
        prompt.update(Text(words))
        prompt.display = field.display = bool(asking)
        field.value = value
        self.set_focus(field if asking else None)
        self._show_keys()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        value = event.value.strip()
        if self._asking == "save":
            self._ask("")
            self.run_worker(self._save(value))
        elif self.plan is not None and value == plan_words.expected(self.plan):
            self._ask("")
            self._begin(value)

    def _begin(self, typed: str = "") -> None:
        if not self._busy and self.plan is not None:
            self._busy = True
            self.run_worker(self._run("run", bulk=self.plan, typed=typed, plan=self.plan.to_json()), exclusive=True)

    async def _run(self, action: str, **arguments: Any) -> None:
        """Begin, or say something to the run; the board is of the task that this gives."""
        try:
            task = await self.session.run(action, **arguments)
        except REFUSALS as refusal:
            self._error = str(refusal)
        else:
            self._error, self._calls, self._seen = "", False, 0.0
            self.task_shown = task
            self._look()
        finally:
            self._busy = False
        self._show()

    # -- while it runs

    def action_say(self, action: str) -> None:
        task = self.task_shown
        allowed = {"plan-retry": ("paused", "done"), "plan-skip": ("paused",)}
        if task is not None and self.state in allowed.get(action, ("running", "paused")) and not self._busy:
            self._busy = True
            self.run_worker(self._run(action, task=task.id), exclusive=True)

    def action_pause(self) -> None:
        self.action_say("plan-resume" if self.state == "paused" else "plan-pause")

    def action_cancel(self) -> None:
        if self.task_shown is not None:
            self.task_shown.cancel()

    def action_view(self) -> None:
        """The board, or the calls that are left."""
        if self.state != "ready":
            self._calls = not self._calls
            self._show()

    def action_output(self) -> None:
        """All that a command said, instance by instance."""
        from lxdpm_tui.console.inside.results import ResultsScreen

        if self.task_shown is not None and self.plan is not None and self.plan.act == "exec":
            self.app.push_screen(ResultsScreen(self.session, self.task_shown))

    def action_scroll(self, step: int) -> None:
        self.query_one("#plan-lines", Lines).action_by(step)

    # -- keeping and leaving

    def action_save(self) -> None:
        if self.plan is not None:
            name = f"{self.plan.act}-{len(self.plan.items)}-{time.strftime('%Y%m%d-%H%M%S')}.json"
            self._ask("save", "Save the plan in the file:", name)

    async def _save(self, name: str) -> None:
        if not name or self.plan is None:
            return
        file = Path(name).expanduser().absolute()
        try:
            await asyncio.to_thread(file.write_text, self.plan.to_json())
        except OSError as error:
            self._error = f"{file}: {error.strerror}"
        else:
            self._error = ""
            self.session.say("info", f"Saved: lxdpm-tui run {file}")
            self.notify(f"lxdpm-tui run {file}", title="Saved", timeout=6)
        self._show()

    def action_leave(self) -> None:
        if self._asking:
            self._ask("")
        else:
            self.dismiss(self.task_shown)
