"""A plan in words: what it would send, and the board of a run. No widgets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lxdpm_tui.actions.plan import Item, Plan, State
from lxdpm_tui.actions.plan_make import ACTS
from lxdpm_tui.actions.registry import Danger
from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Style
from lxdpm_tui.console.resources.base import Line, heading

MANY = 20  # instances from which a count is typed even for what can be taken back
OUTPUT = 5  # lines shown of what a command said in one instance
CELL = 9  # a wave's column on the board


def subject(plan: Plan) -> str:
    """`web-1 on h1 (project default)`, or `40 instances on 4 hosts (project default)`."""
    projects = list(dict.fromkeys(item.project for item in plan.items))
    where = f"project {projects[0]}" if len(projects) == 1 else f"{len(projects)} projects: {text.names(projects, 3)}"
    if len(plan.items) == 1:
        return f"{plan.items[0].name} on {plan.items[0].host} ({where})"
    return f"{text.count(len(plan.items), 'instance')} on {text.count(len(plan.hosts), 'host')} ({where})"


def title(plan: Plan) -> str:
    """`Stop 40 instances on 4 hosts (project default)`."""
    return f"{plan.act.capitalize().replace('-', ' ')} {subject(plan)}"


def expected(plan: Plan) -> str:
    """What has to be typed before it runs, by its danger and its size; "" for nothing."""
    danger = ACTS[plan.act].danger if plan.act in ACTS else Danger.CONFIRM
    if danger is Danger.TYPE_NAME and len(plan.items) == 1:
        return plan.items[0].name
    if danger is Danger.TYPE_NAME or (danger is Danger.CONFIRM and len(plan.items) >= MANY):
        return str(len(plan.items))
    return ""


def limits(plan: Plan) -> str:
    """How it is run, in one line."""
    own = plan.limits
    wave = f"waves of {own.wave} a host" if own.wave else "one wave"
    canary = f"{text.count(own.canary, 'canary', 'canaries')} first, " if own.canary else ""
    return f"{canary}{wave}, {own.per_host} at once on a host; on error {own.on_error}"


def wave_name(number: int) -> str:
    return f"wave {number}" if number else "canary"


def calls(plan: Plan) -> Iterable[Line]:
    """Every call that is still to be made, by wave and host."""
    wave, host = -1, ""
    for item, call in plan.calls():
        if item.wave != wave:
            count = sum(1 for other in plan.items if other.wave == item.wave)
            yield heading(f"{wave_name(item.wave)}: {text.count(count, 'instance')}")
            wave, host = item.wave, ""
        yield Line(item.host if item.host != host else " ", call.text(item.project))
        host = item.host


def summary(plan: Plan) -> Line:
    """Where it is, in one line."""
    counts = plan.counts()
    done = counts[State.DONE]
    parts = [f"{done} of {len(plan.items)} done"]
    parts += [f"{counts[state]} {state}" for state in (State.RUNNING, State.FAILED, State.SKIPPED) if counts[state]]
    if plan.state in ("running", "paused") and plan.wave is not None:
        waves = plan.waves
        parts.insert(0, f"{wave_name(plan.wave)} ({waves.index(plan.wave) + 1} of {len(waves)})")
    share = text.meter(sum(counts[s] for s in (State.DONE, State.FAILED, State.SKIPPED)) / len(plan.items), 16)
    style: Style = "bad" if counts[State.FAILED] else "good" if done == len(plan.items) else "busy"
    return Line("", f"{share}  {', '.join(parts)}", style)


def board(plan: Plan, width: int) -> Iterable[Line]:
    """The run: hosts down, waves across, then what failed with its host and cause.

    A cell is `done/all`, with `…n` under way and `!n` failed. width: cells there are; far waves are left out.
    """
    yield summary(plan)
    if plan.state == "paused":
        yield Line("", f"Paused: {plan.why}", "warn")
    yield Line()
    by_host: dict[str, dict[int, list[Item]]] = {}
    for item in plan.items:
        by_host.setdefault(item.host, {}).setdefault(item.wave, []).append(item)
    name = min(24, max(4, *(len(host) for host in by_host)))
    shown = _near(plan, max(1, (width - name - 4) // CELL))
    header = "".join(f"{wave_name(wave) if wave else 'canary':<{CELL}}" for wave in shown)
    more = len(plan.waves) - len(shown)
    yield Line("", f"{'HOST':<{name}}  {header}{f'+{more}' if more else ''}".rstrip(), "dim")
    for host, waves in by_host.items():
        cells = "".join(f"{_cell(waves.get(wave, [])):<{CELL}}" for wave in shown)
        yield Line("", f"{text.fit(host, name)}  {cells}".rstrip(), _style([i for w in waves.values() for i in w]))
    failed = plan.of(State.FAILED)
    if failed:
        yield Line()
        yield heading(f"failed: {len(failed)}")
        for item in failed:
            doubt = "  (it may have worked)" if item.unsure else ""
            yield Line(item.name, f"{item.error}{doubt}", "bad")
    yield from _output(plan)


def _output(plan: Plan) -> Iterable[Line]:
    """What a command said in each instance, the last lines of it."""
    spoken = [item for item in plan.items if item.result and "stdout" in item.result]
    if spoken:
        yield Line()
        yield heading("output")
    for item in spoken:
        result = item.result or {}
        said = f"{result['stdout']}\n{result['stderr']}".strip().splitlines()[-OUTPUT:]
        style: Style = "bad" if item.state is State.FAILED else ""
        for number, line in enumerate(said or ["(nothing)"]):
            yield Line(item.name if number == 0 else " ", line, style)


def _near(plan: Plan, room: int) -> Sequence[int]:
    """The waves around the one that is under way."""
    waves = plan.waves
    at = waves.index(plan.wave) if plan.wave in waves else len(waves) - 1
    begin = max(0, min(at - room // 2, len(waves) - room))
    return waves[begin : begin + room]


def _cell(items: Sequence[Item]) -> str:
    if not items:
        return "·"
    count = {state: sum(item.state is state for item in items) for state in State}
    done = count[State.DONE] + count[State.SKIPPED]
    marks = f" …{count[State.RUNNING]}" if count[State.RUNNING] else ""
    marks += f" !{count[State.FAILED]}" if count[State.FAILED] else ""
    return f"{done}/{len(items)}{marks}"


def _style(items: Sequence[Item]) -> Style:
    states = {item.state for item in items}
    if State.FAILED in states:
        return "bad"
    if State.RUNNING in states:
        return "busy"
    return "good" if states <= {State.DONE, State.SKIPPED} else "dim" if states == {State.WAITING} else ""
