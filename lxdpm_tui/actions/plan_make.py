"""From an act and the instances it is about to a plan. Looks at the inventory only; asks no host."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lxdpm_tui.actions.plan import Call, Goal, Item, Limits, Plan
from lxdpm_tui.actions.registry import ActionError, Danger
from lxdpm_tui.actions.resolve import check_instance_name
from lxdpm_tui.fleet.inventory import Instance, Inventory

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that can be done to many instances.

    doing: "Stopping".  options: what may be said of it, with the defaults.  calls: what is sent for one row; the last
    argument is its number in the plan, from 1.  check: raises ActionError for what cannot be asked of these rows.
    makes: the name of the instance that it makes.
    """

    doing: str
    calls: Callable[[Instance, Options, int], tuple[Call, ...]]
    options: Mapping[str, Any]
    danger: Danger = Danger.CONFIRM
    check: Callable[[Sequence[Instance], Options], None] | None = None
    makes: Callable[[Instance, Options, int], str] | None = None


def path(row: Instance, *more: str) -> str:
    """`/1.0/instances/NAME/...`"""
    return "/".join(("/1.0/instances", quote(row.name, safe=""), *(quote(part, safe="") for part in more)))


def make(
    inventory: Inventory, act: str, rows: Sequence[Instance], options: Options, limits: Limits | None = None
) -> Plan:
    """The plan of an act. Raises ActionError: 404 no such act, 400 options it does not know or that cannot be,
    409 names that are taken."""
    kind = ACTS.get(act)
    if kind is None:
        raise ActionError(f"there is no bulk act {act!r}; there are {', '.join(ACTS)}", 404)
    strange = sorted(options.keys() - kind.options.keys())
    if strange:
        raise ActionError(f"{act} has no option {strange[0]!r}")
    for name, value in options.items():
        if not _fits(kind.options[name], value):
            raise ActionError(f"{act}: {name} cannot be {value!r}")
    rows = list({row.key: row for row in rows}.values())
    if not rows:
        raise ActionError(f"{act}: no instances")
    given = {**kind.options, **options}
    if kind.check is not None:
        kind.check(rows, given)
    plan = Plan(act, f"{kind.doing} {_count(rows)}", [], limits or Limits())
    for number, row in enumerate(rows, 1):
        made = kind.makes(row, given, number) if kind.makes else ""
        plan.items.append(Item(row.host, row.name, kind.calls(row, given, number), row.project, made))
    plan.arrange()
    free_names(inventory, plan)
    return plan


def _fits(default: object, value: object) -> bool:
    """Whether an option may have that value, by its default: plans are asked for in other people's JSON, too."""
    if isinstance(default, bool):
        return isinstance(value, bool)
    if default is None or isinstance(default, int):
        return (value is None and default is None) or (isinstance(value, int) and not isinstance(value, bool))
    if isinstance(default, str):
        return isinstance(value, str)
    if isinstance(default, Mapping):
        return isinstance(value, Mapping)
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def free_names(inventory: Inventory, plan: Plan, claims: frozenset[tuple[str, str]] = frozenset()) -> None:
    """Raises ActionError 409 when an instance that the plan makes is there already, or is made twice."""
    made = [(item.project, item.makes) for item in plan.items if item.makes]
    for (project, name), times in Counter(made).items():
        if times > 1:
            raise ActionError(f"{times} instances would be called {name!r}: use {{name}}, {{host}} or {{n}}", 409)
        if inventory.find_instances(project, name) or (project, name) in claims:
            raise ActionError(f'Instance "{name}" already exists', 409)


def _count(rows: Sequence[Instance]) -> str:
    return f"instance{'s' * (len(rows) > 1)}"


_FIELD = re.compile(r"\{(\w*)\}")


def named(pattern: str, row: Instance, number: int) -> str:
    """A name out of a pattern with {name} {host} {n} {date} {time}. Raises ActionError for another field."""
    known = {
        "name": row.name,
        "host": row.host,
        "n": str(number),
        "date": time.strftime("%Y%m%d"),
        "time": time.strftime("%H%M%S"),
    }

    def fill(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise ActionError(f"{match[0]} in {pattern!r}: there are {', '.join(f'{{{key}}}' for key in known)}")
        return known[match[1]]

    return _FIELD.sub(fill, pattern)


# -- states


def _state(action: str, after: str, row: Instance, options: Options) -> Call:
    body = {"action": action, "timeout": options.get("timeout", 30), "force": options.get("force", False)}
    goal = None
    if after:
        goal = Goal(path(row), "gone" if after == "Stopped" and row.ephemeral else after)
    return Call("PUT", path(row, "state"), body, goal=goal)


def _change(doing: str, action: str, after: str, danger: Danger, options: Options) -> Act:
    return Act(doing, lambda row, given, _: (_state(action, after, row, given),), options, danger)


_FORCIBLE = {"force": False, "timeout": 30}


# -- delete


def is_running(row: Instance) -> bool:
    return row.status not in ("Stopped", "Error")


def _may_delete(rows: Sequence[Instance], options: Options) -> None:
    running = next((row for row in rows if is_running(row)), None)
    if running and not options["force"]:
        raise ActionError(f"{running.host}:{running.name} is {running.status}: stop it first, or use force")


def _delete(row: Instance, options: Options, _: int) -> tuple[Call, ...]:
    calls = []
    if is_running(row):
        calls.append(_state("stop", "Stopped", row, {"force": True}))
    if not (calls and row.ephemeral):
        calls.append(Call("DELETE", path(row), goal=Goal(path(row), "gone")))
    return tuple(calls)


# -- snapshots


def _check_snapshot_name(name: str) -> None:
    if "/" in name or " " in name:
        raise ActionError(f"Invalid snapshot name {name!r}: no slashes, no spaces")


def _check_snapshot_rename(rows: Sequence[Instance], options: Options) -> None:
    if not options["snapshot"] or not options["new_name"]:
        raise ActionError("snapshot-rename: which snapshot, and what name?")
    _check_snapshot_name(named(options["new_name"], rows[0], 1))


def _check_snapshot(rows: Sequence[Instance], options: Options) -> None:
    _check_snapshot_name(named(options["name"], rows[0], 1))
    if options["expires"]:
        expiry(options["expires"])


_SPAN = re.compile(r"(\d+)\s*([hdwmy])")
_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400, "m": 30 * 86400, "y": 365 * 86400}


def expiry(text: str, now: float | None = None) -> str | None:
    """When a snapshot expires, as LXD takes it: from "12h", "30d", "6w", a date or a time of ISO 8601; None for never.

    Raises ActionError.
    """
    if text in ("", "never"):
        return None
    if match := _SPAN.fullmatch(text.strip()):
        when = (time.time() if now is None else now) + int(match[1]) * _SECONDS[match[2]]
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return f"{text}T00:00:00Z"
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text):
        return text
    raise ActionError(f"{text!r} is no time: 12h, 30d, 6w, 2030-01-31, 2030-01-31T12:00:00Z or never")


def _snapshot(row: Instance, options: Options, number: int) -> tuple[Call, ...]:
    name = named(options["name"], row, number)
    body: dict[str, Any] = {"name": name, "stateful": options["stateful"]}
    if options["expires"]:
        body["expires_at"] = expiry(options["expires"])
    goal = Goal(path(row, "snapshots", name), "there") if name else None
    return (Call("POST", path(row, "snapshots"), body, goal=goal),)


def _needs(option: str, words: str) -> Callable[[Sequence[Instance], Options], None]:
    def check(rows: Sequence[Instance], options: Options) -> None:
        if not options[option]:
            raise ActionError(words)

    return check


def _snapshot_name(row: Instance, options: Options, number: int) -> str:
    return named(options["snapshot"], row, number)


def _restore(row: Instance, options: Options, number: int) -> tuple[Call, ...]:
    return (Call("PUT", path(row), {"restore": _snapshot_name(row, options, number)}),)


def _snapshot_delete(row: Instance, options: Options, number: int) -> tuple[Call, ...]:
    at = path(row, "snapshots", _snapshot_name(row, options, number))
    return (Call("DELETE", at, goal=Goal(at, "gone")),)


def _snapshot_rename(row: Instance, options: Options, number: int) -> tuple[Call, ...]:
    name = named(options["new_name"], row, number)
    at = path(row, "snapshots", _snapshot_name(row, options, number))
    return (Call("POST", at, {"name": name}, goal=Goal(path(row, "snapshots", name), "there")),)


def _snapshot_expiry(row: Instance, options: Options, number: int) -> tuple[Call, ...]:
    at = path(row, "snapshots", _snapshot_name(row, options, number))
    # LXD takes the zero time for never.
    return (Call("PUT", at, {"expires_at": expiry(options["expires"]) or "0001-01-01T00:00:00Z"}),)


# -- names


def _new_name(row: Instance, options: Options, number: int) -> str:
    name = named(options["new_name"], row, number)
    check_instance_name(name)
    return name


def _made_at(row: Instance, name: str) -> Goal:
    return Goal(f"/1.0/instances/{quote(name, safe='')}", "there")


def _rename(row: Instance, options: Options, number: int) -> tuple[Call, ...]:
    name = _new_name(row, options, number)
    return (Call("POST", path(row), {"name": name}, goal=_made_at(row, name)),)


def _check_copy(rows: Sequence[Instance], options: Options) -> None:
    target = options["target"]
    away = next((row for row in rows if target and row.host != target), None)
    if away is not None:
        raise ActionError(
            f"{away.name} is on {away.host}: a copy is made on the same host; to bring it to {target}, export it there"
            " and import it (lxc export, lxc import)",
            501,
        )


def _copy(row: Instance, options: Options, number: int) -> tuple[Call, ...]:
    name = _new_name(row, options, number)
    source = {"type": "copy", "source": row.name, "instance_only": options["instance_only"]}
    # Config and devices come along by themselves; profiles do not on LXD 5.0.
    body: dict[str, Any] = {"name": name, "profiles": list(row.profiles), "source": source}
    calls = [Call("POST", "/1.0/instances", body, goal=_made_at(row, name))]
    if options["start"]:
        state = {"action": "start", "timeout": 30, "force": False}
        at = f"/1.0/instances/{quote(name, safe='')}"
        calls.append(Call("PUT", f"{at}/state", state, goal=Goal(at, "Running")))
    return tuple(calls)


def _publish(row: Instance, options: Options, number: int) -> tuple[Call, ...]:
    aliases = [named(alias, row, number) for alias in options["aliases"]]
    body = {
        "source": {"type": "instance", "name": row.name},
        "public": options["public"],
        "properties": dict(options["properties"]),
    }
    calls = [Call("POST", "/1.0/images", body)]
    hosts = options["hosts"]
    # What is to be had under its names everywhere is brought to the other hosts, or to none.
    spread = {"hosts": list(hosts), "aliases": aliases, "reuse": options["reuse"], "public": options["public"]}
    calls.append(Call("POST", "/1.0/images", spread, via="distribute"))
    return tuple(calls)


# -- settings


def _configure(row: Instance, options: Options, _: int) -> tuple[Call, ...]:
    patch = {part: dict(options[part]) for part in ("config", "devices") if options[part]}
    return (Call("PUT", path(row), patch, merge=True),)


def _check_settings(rows: Sequence[Instance], options: Options) -> None:
    if not options["config"] and not options["devices"]:
        raise ActionError("nothing to change: name a key or a device")
    for key in options["config"]:
        if key.startswith("volatile."):
            raise ActionError(f"{key} is the host's own")


_PLAIN = Danger.NONE

ACTS: dict[str, Act] = {
    "start": _change("Starting", "start", "Running", _PLAIN, {}),
    "stop": _change("Stopping", "stop", "Stopped", Danger.CONFIRM, _FORCIBLE),
    "restart": _change("Restarting", "restart", "", Danger.CONFIRM, _FORCIBLE),
    "freeze": _change("Freezing", "freeze", "Frozen", Danger.CONFIRM, {}),
    "unfreeze": _change("Unfreezing", "unfreeze", "Running", _PLAIN, {}),
    "delete": Act("Deleting", _delete, {"force": False}, Danger.TYPE_NAME, _may_delete),
    "snapshot": Act(
        "Snapshotting", _snapshot, {"name": "", "stateful": False, "expires": ""}, _PLAIN, _check_snapshot
    ),
    "restore": Act("Restoring", _restore, {"snapshot": ""}, check=_needs("snapshot", "restore: which snapshot?")),
    "snapshot-delete": Act(
        "Deleting a snapshot of",
        _snapshot_delete,
        {"snapshot": ""},
        check=_needs("snapshot", "snapshot-delete: which snapshot?"),
    ),
    "snapshot-rename": Act(
        "Renaming a snapshot of", _snapshot_rename, {"snapshot": "", "new_name": ""}, _PLAIN, _check_snapshot_rename
    ),
    "snapshot-expiry": Act(
        "Setting the expiry of a snapshot of",
        _snapshot_expiry,
        {"snapshot": "", "expires": ""},
        _PLAIN,
        _needs("snapshot", "snapshot-expiry: which snapshot?"),
    ),
    "rename": Act(
        "Renaming", _rename, {"new_name": ""}, _PLAIN, _needs("new_name", "rename: what name?"), _new_name
    ),
    "copy": Act(
        "Copying",
        _copy,
        {"new_name": "{name}-copy", "instance_only": False, "start": False, "target": ""},
        _PLAIN,
        _check_copy,
        _new_name,
    ),
    "publish": Act(
        "Publishing",
        _publish,
        {"aliases": (), "hosts": (), "public": False, "reuse": False, "properties": {}},
        _PLAIN,
    ),
    "configure": Act("Configuring", _configure, {"config": {}, "devices": {}}, _PLAIN, _check_settings),
}  # fmt: skip
