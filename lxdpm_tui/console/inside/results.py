"""One command in many instances: the form, and what came of it, with the output of each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from lxdpm_tui.console import text
from lxdpm_tui.console.deeds.asking import subject
from lxdpm_tui.console.inside.log_buffer import plain
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.screens.form import FormError, FormScreen, Planned, whole_number
from lxdpm_tui.console.session import Session, reference
from lxdpm_tui.console.widgets.field import FieldSpec
from lxdpm_tui.console.widgets.lines import Lines
from lxdpm_tui.console.widgets.one_line import OneLine
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.tasks.task import Task

_STATES = {"skipped": "left out"}
_ORDER = {"failed": 0, "left out": 1, "not begun": 1, "running": 2, "waiting": 3, "done": 4}


@dataclass(frozen=True, slots=True)
class Result:
    """What a command came to in one instance. status: a word of _ORDER.  found: as actions.exec keeps it, {} so far."""

    status: str
    error: str
    found: dict[str, Any]


def results_of(task: Task) -> dict[str, Result]:
    """By HOST:NAME, of the action `exec` and of a plan of it."""
    plan = task.metadata.get("plan")
    if plan is None:
        kept = task.metadata.get("exec") or {}
        return {
            label: Result(str(state.get("status") or ""), str(state.get("error") or ""), kept.get(label) or {})
            for label, state in task.hosts.items()
        }
    return {
        f"{item['host']}:{item['name']}": Result(
            _STATES.get(item.get("state", ""), item.get("state", "waiting")),
            item.get("error", ""),
            item.get("result") or {},
        )
        for item in plan["items"]
    }


def command_of(task: Task) -> list[str]:
    """The words of the command."""
    plan = task.metadata.get("plan")
    if plan is None:
        return list(task.metadata.get("command") or ())
    return next((list(call["body"]["command"]) for item in plan["items"] for call in item["calls"]), [])


class ExecForm(FormScreen):
    """A command for instances."""

    CSS_PATH = "../screens/form.tcss"
    form = "exec"
    action = "exec"
    button = "Run"

    def __init__(self, session: Session, rows: Sequence[Instance]) -> None:
        super().__init__(session)
        self.rows = rows

    @property
    def about(self) -> object:
        return [tuple(row.key) for row in self.rows]

    @property
    def title_text(self) -> str:
        return f"Run a command in {subject(self.rows)}"

    def specs(self) -> Sequence[FieldSpec]:
        return (
            FieldSpec("run", "command", hint="uname -a"),
            FieldSpec("shell", "read by", "choice", value="yes",
                      options=(("yes", "sh: pipes, variables, several commands"), ("no", "nobody: words as they are"))),
            FieldSpec("cwd", "directory", hint="root's own"),
            FieldSpec("timeout", "seconds", value="600", hint="each gets; 0 for no limit"),
        )  # fmt: skip

    def _options(self, values: dict[str, str]) -> dict[str, Any]:
        line = values["run"].strip()
        if not line:
            raise FormError("run", "which command?")
        if values["shell"] == "yes":
            line = shlex.join(["sh", "-c", line])
        timeout = whole_number("timeout", values["timeout"], 0, 86400)
        return {"run": line, "cwd": values["cwd"].strip(), "timeout": timeout}

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        row = self.rows[0]
        return {**self._options(values), "instances": [reference(row.key)], "project": row.project}

    def planned(self, values: dict[str, str]) -> Planned | None:
        """In several it goes in waves; how many at once, and what becomes of failures, is chosen with the plan."""
        return ("exec", self.rows, self._options(values)) if len(self.rows) > 1 else None

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        stopped = [row.name for row in self.rows if row.status != "Running"]
        lines = [Line("", f"{row.host}:{row.name}, project {row.project}") for row in self.rows[:50]]
        if stopped:
            lines.insert(0, Line("", f"Not running, so it will fail there: {text.names(stopped)}", "warn"))
        return lines


class ResultsScreen(Screen[None]):
    """Instances with exit code and output, failures first, while the task goes on and afterwards."""

    CSS_PATH = "inside.tcss"
    AUTO_FOCUS = "OptionList"
    BINDINGS = [
        Binding("escape,q", "close", "close"),
        Binding("c", "cancel", "cancel"),
        Binding("left_square_bracket", "scroll(-5)", show=False),
        Binding("right_square_bracket", "scroll(5)", show=False),
    ]

    def __init__(self, session: Session, task: Task) -> None:
        super().__init__()
        self.session = session
        self.work = task
        self._changed = True
        self._results: dict[str, Result] = {}
        self._moved = False  # by the person: until then the first line is looked at, whichever it is

    def on_key(self) -> None:
        self._moved = True

    def compose(self) -> ComposeResult:
        yield OneLine(id="inside-title")
        yield OptionList(id="results-list", compact=True, markup=False)
        yield Lines(id="inside-lines")
        yield OneLine(id="inside-help")

    def on_mount(self) -> None:
        self._undo = self.work.subscribe(self._task_changed)
        self.set_interval(0.5, self._refresh)
        self.query_one("#inside-help", OneLine).say(Text(" ↑↓ instance   [ ] scroll its output   c cancel   esc close"))
        self._refresh()

    def on_unmount(self) -> None:
        self._undo()

    def _task_changed(self, task: Task) -> None:
        self._changed = True

    def _refresh(self) -> None:
        if not self._changed:
            return
        self._changed = False
        self._results = states = results_of(self.work)
        labels = sorted(states, key=lambda label: (_ORDER.get(states[label].status, 2), label))
        options = self.query_one(OptionList)
        kept = options.highlighted_option.id if options.highlighted_option is not None else None
        width = max((len(label) for label in labels), default=8)
        options.clear_options()
        options.add_options(Option(self._row(label, width), id=label) for label in labels)
        if labels:
            options.highlighted = labels.index(kept) if self._moved and kept in labels else 0
        counts = {word: sum(state.status == word for state in states.values()) for word in _ORDER}
        words = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
        command = shlex.join(command_of(self.work))
        self.query_one("#inside-title", OneLine).say(Text(f" {command}"), Text(f"{words}  {self.work.status.text} "))

    def _row(self, label: str, width: int) -> Text:
        result = self._results[label]
        found, status = result.found, result.status
        code = found.get("return")
        last = (found.get("error") or found.get("stderr") or found.get("stdout") or "").strip().rpartition("\n")[2]
        took = f"{found['seconds']:.1f} s" if "seconds" in found else ""
        style = {"failed": "bold red", "done": "green"}.get(status, "dim")
        line = Text(f"{label:<{width}}  ")
        line.append(f"{status:<9} ", style)
        line.append(f"{'' if code is None else code:>3} {took:>8}  {text.clean(plain(last))[:200]}")
        return line

    @on(OptionList.OptionHighlighted)
    def _shown(self, event: OptionList.OptionHighlighted) -> None:
        self.query_one(Lines).show_lines(output_lines(self.work, str(event.option.id)), top=True)

    def action_scroll(self, step: int) -> None:
        self.query_one(Lines).action_by(step)

    def action_cancel(self) -> None:
        if not self.work.cancel():
            self.app.bell()

    def action_close(self) -> None:
        self.dismiss(None)


def output_lines(task: Task, label: str) -> list[Line]:
    """The output of one instance, errors first marked as such."""
    result = results_of(task)[label]
    found = result.found
    if not found:
        return [Line("", result.error or "Nothing yet.", "dim")]
    lines = []
    if found.get("error"):
        lines.append(Line("", found["error"], "bad"))
    if found.get("lost"):
        lines.append(Line("", f"{text.long_size(found['lost'])} of earlier output were not kept", "warn"))
    for stream, style in (("stderr", "warn"), ("stdout", "")):
        for line in plain(found.get(stream) or "").splitlines():
            lines.append(Line("", line, style))  # type: ignore[arg-type]
    return lines or [Line("", "No output.", "dim")]
