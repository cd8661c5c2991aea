"""Actions about plans: run one from a file, a bulk act as one, and what a person says to one that waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lxdpm_tui.actions import plan_exec, plan_run, resolve
from lxdpm_tui.actions.instance_settings import pairs
from lxdpm_tui.actions.instances import PLANNERS
from lxdpm_tui.actions.own_files import own_path
from lxdpm_tui.actions.plan import Limits, Plan, State, read
from lxdpm_tui.actions.plan_make import ACTS, make
from lxdpm_tui.actions.plan_run import PlanRun
from lxdpm_tui.actions.registry import ActionError, Danger, Param, registry
from lxdpm_tui.fleet.fields import INSTANCES
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.fleet.query import QueryError, parse
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

del plan_exec  # loaded for the act that it enters
ON_ERROR = ("pause", "continue", "stop")
_LIMITS = (
    Param("per_host", "calls at once on one host", kind="integer", default=4),
    Param("at_once", "calls at once in the fleet", kind="integer", default=64),
    Param("wave", "instances of one host in a wave, 0 for all", kind="integer", default=8),
    Param("canary", "instances in a first wave of their own", kind="integer", default=0),
    Param("on_error", "pause until told to go on, continue, or stop", kind="choice", choices=ON_ERROR, default="pause"),
)
_PROJECT = Param("project", "the project", default="default", complete="project")


def plan_of(manager: Manager, action: str, arguments: Mapping[str, Any]) -> Plan:
    """The plan that an action would run, with limits for a person who watches. Raises ActionError, 404 for an action
    that is no plan of calls."""
    entry = registry.actions.get(action)
    if action == "bulk" and entry is not None:
        return _bulk_plan(manager, **registry.complete(entry, arguments))
    if action == "run" and entry is not None:
        return read(text_of(str(arguments.get("plan", ""))))
    planner = PLANNERS.get(action)
    if planner is None or entry is None:
        raise ActionError(f"{action} has no plan of calls", 404)
    return planner(manager, registry.complete(entry, arguments), Limits())


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    host: str
    name: str
    project: str = "default"


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    act: str
    rows: list[_Row]
    options: dict[str, Any] = {}
    limits: Limits = msgspec.field(default_factory=Limits)


def asked(act: str, rows: Iterable[Instance], options: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """What `plan_asked` takes, for the plan of an act over exactly these instances."""
    keys = [_Row(row.host, row.name, row.project) for row in rows]
    found: dict[str, Any] = msgspec.to_builtins(_Asked(act, keys, dict(options), limits))
    return found


def plan_asked(manager: Manager, body: Mapping[str, Any]) -> Plan:
    """The plan that somebody else's console asks for. Raises ActionError."""
    try:
        wanted = msgspec.convert(body, _Asked)
    except msgspec.ValidationError as error:
        raise ActionError(str(error)) from error
    rows = [resolve.instance(manager, f"{row.host}:{row.name}", row.project) for row in wanted.rows]
    return make(manager.inventory, wanted.act, rows, wanted.options, wanted.limits)


# -- running


def text_of(source: str) -> str:
    """A plan's JSON: the text itself, or what is in the file of that name."""
    if source.lstrip().startswith("{"):
        return source
    try:
        return own_path(source).read_text()
    except OSError as error:
        raise ActionError(f"{source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ActionError(f"{source}: this is no plan: {error.reason}") from error


@registry.action(
    "run",
    "Run a saved plan: what of it is not done yet",
    Param("plan", "the file of the plan", kind="file", positional=True, required=True),
    Param("again", "forget what was done, run all of it", kind="flag"),
    Param("on_error", "pause until told to go on, continue, or stop; as the plan says when left out", kind="choice",
          choices=ON_ERROR),
)  # fmt: skip
async def run(
    manager: Manager, *, plan: str, again: bool, on_error: Literal["pause", "continue", "stop"] | None
) -> Task:
    found = read(text_of(plan))
    if again:
        for item in found.items:
            item.forget()
    if on_error:
        found.limits.on_error = on_error
    return await plan_run.start(manager, found)


# -- a bulk act

# What the options of the acts are called on a command line; False, "", [] and {} mean that it was not said.
_OPTIONS = (
    Param("force", "stop, restart, delete: end what runs", kind="flag"),
    Param("timeout", "stop, restart: seconds to shut down", kind="integer"),
    Param("name", "snapshot: its name; may have {name} {host} {n} {date} {time}", default=""),
    Param("stateful", "snapshot: with processes", kind="flag"),
    Param("expires", "snapshot: when it goes by itself", default=""),
    Param("snapshot", "restore, snapshot-delete, -rename, -expiry: which", default="", complete="snapshot"),
    Param("new_name", "copy, rename: a name with {name}, {host} or {n}", default=""),
    Param("instance_only", "copy: without snapshots", kind="flag"),
    Param("start", "copy: start the copies", kind="flag"),
    Param("aliases", "publish: a name with {name}, {host} or {n}, may be repeated", many=True),
    Param("hosts", "publish: only this host, may be repeated", many=True, complete="host"),
    Param("public", "publish: for everybody", kind="flag"),
    Param("reuse", "publish: move aliases that exist", kind="flag"),
    Param("run", "exec: the command, its words quoted as for a shell", default=""),
    Param("set", "configure: KEY=VALUE, may be repeated; an empty value takes the key away", many=True),
)


def rows_for(manager: Manager, refs: Sequence[str], query: str, project: str) -> list[Instance]:
    """The instances named, and those of the project that a filter finds. Raises ActionError."""
    rows = [resolve.instance(manager, ref, project) for ref in refs]
    if query:
        try:
            wanted = parse(query, INSTANCES)
        except QueryError as error:
            raise ActionError(error.text) from error
        rows += [row for row in manager.inventory.all_instances() if row.project == project and wanted(row)]
    return rows


def bulk_words(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], Limits]:
    """The act's own options and the limits, out of the arguments of `bulk`. Raises ActionError."""
    limits = Limits(**{param.name: arguments[param.name] for param in _LIMITS})
    said = {param.name: arguments[param.name] for param in _OPTIONS}
    options = {name: value for name, value in said.items() if value not in (None, False, "", [], {})}
    if "set" in options:
        options["config"] = {key: value or None for key, value in pairs(options.pop("set")).items()}
    return options, limits


def _bulk_plan(manager: Manager, **arguments: Any) -> Plan:
    options, limits = bulk_words(arguments)
    rows = rows_for(manager, arguments["instances"], arguments["filter"], arguments["project"])
    return make(manager.inventory, arguments["act"], rows, options, limits)


@registry.action(
    "bulk",
    "One act on many instances, in waves: " + ", ".join(ACTS),
    Param("act", "what to do", positional=True, required=True),
    Param("instances", "NAME or HOST:NAME", positional=True, many=True, complete="instance"),
    Param("filter", "also those that this filter of the console finds", default=""),
    _PROJECT,
    *_OPTIONS,
    *_LIMITS,
    danger=Danger.TYPE_NAME,
    subject="instance",
)
async def bulk(manager: Manager, **arguments: Any) -> Task:
    return await plan_run.start(manager, _bulk_plan(manager, **arguments))


# -- to one that runs

_TASK = Param("task", "id of the plan's task, or its beginning", positional=True, required=True)


def _running(manager: Manager, ref: str) -> PlanRun:
    found = [run for id, run in manager.plans.items() if id.startswith(ref)]
    if len(found) != 1:
        raise ActionError(
            f"no plan of that id runs: {ref}" if not found else f"{len(found)} plans begin with {ref}", 404
        )
    return found[0]


@registry.action("plan-pause", "Let a running plan begin nothing more", _TASK)
async def plan_pause(manager: Manager, *, task: str) -> Task:
    run = _running(manager, task)
    run.pause()
    return run.task


@registry.action("plan-resume", "Let a paused plan go on; what failed stays failed", _TASK)
async def plan_resume(manager: Manager, *, task: str) -> Task:
    run = _running(manager, task)
    run.resume()
    return run.task


@registry.action("plan-skip", "Let a paused plan go on, without counting what failed", _TASK)
async def plan_skip(manager: Manager, *, task: str) -> Task:
    run = _running(manager, task)
    run.skip()
    return run.task


@registry.action("plan-retry", "Do again what failed of a plan, and go on; also of one that has ended", _TASK)
async def plan_retry(manager: Manager, *, task: str) -> Task:
    if any(id.startswith(task) for id in manager.plans):
        run = _running(manager, task)
        run.retry()
        return run.task
    for ended in await manager.tasks.history(1000):
        if ended.id.startswith(task) and "plan" in ended.metadata:
            plan = read(ended.metadata["plan"])
            if not plan.of(State.FAILED, State.WAITING, State.RUNNING):
                raise ActionError("nothing of this plan failed")
            return await plan_run.start(manager, plan)
    raise ActionError(f"there is no plan {task}", 404)
