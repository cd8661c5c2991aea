"""The table and the detail of tasks, and the words for their progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lxdpm_tui.console import text
from lxdpm_tui.console.activity import instances_of
from lxdpm_tui.console.columns import Column, Look, Style
from lxdpm_tui.console.resources.base import Line, heading, when
from lxdpm_tui.fleet.query import Field, Schema
from lxdpm_tui.tasks.task import Status, Task

STYLES: dict[Status, Style] = {
    Status.SUCCESS: "good",
    Status.FAILURE: "bad",
    Status.CANCELLED: "warn",
    Status.CANCELLING: "warn",
    Status.RUNNING: "busy",
    Status.PENDING: "dim",
}

SCHEMA = Schema(
    fields={
        "status": Field("text", lambda task: task.status.text),
        "kind": Field("text", lambda task: task.kind),
        "host": Field("text", lambda task: tuple(task.hosts)),
        "project": Field("text", lambda task: task.project),
        "owner": Field("text", lambda task: task.owner),
        "error": Field("text", lambda task: task.error),
        "age": Field("age", lambda task: task.created),
    },
    name=lambda task: str(task.kind),
    text=lambda task: " ".join((task.status.text, what(task), task.error, *task.hosts)),
)


def what(task: Task) -> str:
    """The work in words: its description and what it is about."""
    about = [name for _, name in instances_of(task)]
    subject = f": {text.names(about)}" if about and about[0] not in task.description else ""
    return f"{task.description}{subject}"


def progress(task: Task) -> float:
    """How far it is, 0 to 1; negative when nobody knows."""
    if task.status is Status.SUCCESS:
        return 1.0
    given = [_number(result.get("progress")) for result in task.hosts.values()]
    known = [number for number in given if number >= 0]
    if known:
        return sum(known) / len(given) / 100
    return _number(task.metadata.get("progress")) / 100


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else -1.0


def failed_hosts(task: Task) -> list[str]:
    return [name for name, result in task.hosts.items() if result.get("error")]


def hosts(task: Task) -> str:
    """`4 hosts, 1 failed`; the name when there is one."""
    failed = len(failed_hosts(task))
    words = (
        next(iter(task.hosts)) if len(task.hosts) == 1 else text.count(len(task.hosts), "host") if task.hosts else ""
    )
    return f"{words}, {failed} failed" if failed and len(task.hosts) > 1 else words


def bar(task: Task, look: Look) -> str:
    share = progress(task)
    if task.status.final or share < 0:
        return ""
    return f"{text.meter(share, 8)} {text.percent(share):>4}"


def took(task: Task, look: Look) -> str:
    end = task.updated if task.status.final else look.now
    return f"{end - task.created:.1f} s" if end - task.created < 10 else text.span(end - task.created)


def outcome(task: Task) -> str:
    """The error, or where the new instance went."""
    if task.error:
        return task.error.replace("\n", " ")
    plan = task.metadata.get("plan") or {}
    if plan.get("state") == "paused":
        return f"paused: {plan.get('why', '')}"
    return ", ".join(f"{d.get('instance')} on {d.get('chosen')}" for d in placements(task) if d.get("chosen"))


def placements(task: Task) -> list[Mapping[str, Any]]:
    """The placement decisions kept with the task."""
    kept = task.metadata.get("placement") or []
    return [kept] if isinstance(kept, Mapping) else [entry for entry in kept if isinstance(entry, Mapping)]


COLUMNS = (
    Column(
        "status", "STATUS", lambda t, _: t.status.text, 10, style=lambda t, _: STYLES[t.status], sort=lambda t: t.status
    ),
    Column("what", "WHAT", lambda t, _: what(t), 22, grow=2, most=50, sort=what),
    Column("progress", "PROGRESS", bar, 13, drop=3, style=lambda t, _: "busy"),
    Column("took", "TOOK", took, 7, right=True, drop=4),
    Column(
        "started",
        "STARTED",
        lambda t, look: f"{text.span(look.now - t.created)} ago",
        10,
        right=True,
        drop=5,
        style=lambda t, _: "dim",
        sort=lambda t: t.created,
        downwards=True,
    ),
    Column("hosts", "HOSTS", lambda t, _: hosts(t), 12, grow=1, most=26, drop=2),
    Column(
        "outcome",
        "RESULT",
        lambda t, _: outcome(t),
        12,
        grow=4,
        most=120,
        style=lambda t, _: "bad" if t.error else "dim",
    ),
    Column("owner", "BY", lambda t, _: t.owner, 8, drop=6, style=lambda t, _: "dim", sort=lambda t: t.owner),
)


def decision(entry: Mapping[str, Any]) -> Iterable[Line]:
    """A placement decision as a table: every host with its score or why it was left out."""
    name, chosen, strategy = entry.get("instance", ""), entry.get("chosen"), entry.get("strategy", "")
    yield heading(f"{name or 'placement'}: {chosen or 'no host fits'}  (strategy {strategy})")
    verdicts = [verdict for verdict in entry.get("hosts") or [] if isinstance(verdict, Mapping)]
    verdicts.sort(key=lambda v: (v.get("host") != chosen, bool(v.get("reason")), -(v.get("score") or 0.0)))
    width = max([4, *(len(str(verdict.get("host"))) for verdict in verdicts)])
    yield Line("", f"  {'HOST':<{width}}   SCORE     FREE  INSTANCES  CPUS", "dim")
    for verdict in verdicts:
        host = str(verdict.get("host"))
        if verdict.get("reason"):
            yield Line("", f"  {host:<{width}}  left out: {verdict['reason']}", "dim")
            continue
        here = host == chosen
        score = text.score(verdict.get("score"))
        free = text.long_size(_number(verdict.get("memory_free")))
        instances, cpus = int(_number(verdict.get("instances"))), int(_number(verdict.get("cpus")))
        numbers = f"{score:>7}  {free:>7}  {instances:>9}  {cpus:>4}"
        yield Line("", f"{'→' if here else ' '} {host:<{width}} {numbers}", "good" if here else "")


def detail(task: Task, look: Look) -> Iterable[Line]:
    """Everything known of one task."""
    yield heading(what(task))
    yield Line("status", task.status.text, STYLES[task.status])
    if task.error:
        for number, line in enumerate(task.error.splitlines()):
            yield Line("error" if number == 0 else " ", line, "bad")
    share = progress(task)
    if share >= 0 and not task.status.final:
        yield Line("progress", f"{text.meter(share, 20)} {text.percent(share)}")
    yield Line("started", when(task.created, look.now))
    yield Line("took" if task.status.final else "runs for", took(task, look))
    yield Line("project", task.project)
    yield Line("by", task.owner)
    yield Line("id", task.id)
    for project, name in instances_of(task):
        yield Line("instance", name if project == "default" else f"{name} ({project})")
    if task.hosts:
        yield Line()
        yield heading("hosts")
        for name, result in sorted(task.hosts.items()):
            words = str(result.get("error") or result.get("status") or "")
            if _number(result.get("progress")) >= 0 and not result.get("error"):
                words = f"{words} {result['progress']}%".strip()
            yield Line(name, words, "bad" if result.get("error") else "")
    for entry in placements(task):
        yield Line()
        yield from decision(entry)
    rest = {
        key: value
        for key, value in task.metadata.items()
        if key not in ("placement", "hosts", "plan") and not key.endswith("progress")
    }
    for key, value in rest.items():
        yield Line(key, value if isinstance(value, str) else str(value))
