"""What is shown or done here, said elsewhere: as a `lxdpm-tui` line, as `lxc` over the gateway, as a call of the API.

`lxc` lines name the remote FLEET: the gateway as `lxc remote add fleet ...` knows it. No widgets, no I/O.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from lxdpm_tui.actions.registry import Action, option
from lxdpm_tui.console.keymap import Place

REMOTE = "fleet"
Words = list[str]
Given = Mapping[str, Any]


class Equivalent(NamedTuple):
    """The same thing three times. An empty list: there is no such form."""

    cli: list[str]
    lxc: list[str]
    api: list[str]


# -- what is shown

_LISTS: dict[Place, tuple[str, str]] = {
    "hosts": ("cluster list {r}", "/1.0/cluster/members"),
    "instances": ("list {r}", "/1.0/instances"),
    "images": ("image list {r}", "/1.0/images"),
    "profiles": ("profile list {r}", "/1.0/profiles"),
    "tasks": ("operation list {r}", "/1.0/operations"),
    "networks": ("network list {r}", "/1.0/networks"),
    "storage": ("storage list {r}", "/1.0/storage-pools"),
    "projects": ("project list {r}", "/1.0/projects"),
    "warnings": ("warning list {r}", "/1.0/warnings"),
    "events": ("monitor {r} --type=lifecycle", "/1.0/events?type=lifecycle"),
}
_SCOPED = ("instances", "images", "profiles", "networks")
_ONE: dict[Place, tuple[str, str]] = {
    "hosts": ("cluster show {r}{name}", "/1.0/cluster/members/{name}"),
    "instances": ("config show {r}{name} --expanded", "/1.0/instances/{name}"),
    "images": ("image info {r}{name}", "/1.0/images/{name}"),
    "profiles": ("profile show {r}{name}", "/1.0/profiles/{name}"),
    "tasks": ("operation show {r}{name}", "/1.0/operations/{name}"),
    "networks": ("network show {r}{name}", "/1.0/networks/{name}"),
    "projects": ("project show {r}{name}", "/1.0/projects/{name}"),
    "warnings": ("warning show {r}{name}", "/1.0/warnings/{name}"),
}


def of_view(place: Place, filter: str = "", project: str = "") -> Equivalent:
    """A table with its filter and project."""
    words = ["lxdpm-tui", "--view", place, *(["--filter", filter] if filter else [])]
    words += ["--project", project] if project else []
    lxc, path = _LISTS[place]
    line = "lxc " + lxc.format(r=f"{REMOTE}:")
    query = {"recursion": "1"} if "?" not in path else {}
    if place in _SCOPED:
        line += f" --project {shlex.quote(project)}" if project else " --all-projects" if place == "instances" else ""
        query |= {"project": project} if project else {"all-projects": "true"}
    api = f"GET {path}" + (f"?{urlencode(query)}" if query else "")
    return Equivalent([shlex.join(words)], [line], [api])


def of_row(place: Place, name: str, project: str = "") -> Equivalent:
    """One row. name: as the API knows it (an image's fingerprint, a task's id)."""
    field = {"images": "fingerprint", "tasks": "", "events": "", "warnings": ""}.get(place, "name")
    cli = f"lxdpm-tui --view {place} --filter {shlex.quote(f'{field}:={name}')}" if field else ""
    found = _ONE.get(place)
    if found is None:
        return Equivalent([cli] if cli else [], [], [])
    scoped = project if place in _SCOPED and project not in ("", "default") else ""
    line = "lxc " + found[0].format(r=f"{REMOTE}:", name=shlex.quote(name))
    path = found[1].format(name=quote(name, safe=""))
    if scoped:
        line += f" --project {shlex.quote(scoped)}"
        path += f"?{urlencode({'project': scoped})}"
    return Equivalent([cli] if cli else [], [line], [f"GET {path}"])


# -- what is done


def of_action(action: Action, given: Given) -> Equivalent:
    """An action with its arguments, as given (defaults may be left out)."""
    words: list[str] = ["lxdpm-tui", action.name]
    options: list[str] = []
    for param in action.params:
        value = given.get(param.name)
        if value is None or value == param.default or value in ("", [], {}, False):
            continue
        if param.positional:
            words += [str(each) for each in value] if param.many else [str(value)]
        elif param.kind == "flag":
            options.append(option(param))
        elif isinstance(value, Mapping):
            for key, each in value.items():
                text = ",".join(f"{k}={v}" for k, v in each.items()) if isinstance(each, Mapping) else each
                options += [option(param), f"{key}={text}"]
        elif isinstance(value, list | tuple):
            for each in value:
                options += [option(param), str(each)]
        else:
            options += [option(param), str(value)]
    said = {key: value for key, value in given.items() if value not in (None, "", [], {})}
    body = json.dumps(said, ensure_ascii=False)
    api = _api(action.name, given) or [f"POST /1.0/fleet/actions/{action.name} {body}"]
    return Equivalent([shlex.join([*words, *options])], [shlex.join(line) for line in _lxc(action.name, given)], api)


def _names(given: Given) -> list[str]:
    """The instances, without the hosts that a reference may name: the gateway finds them."""
    refs = given.get("instances") or [given.get("instance") or ""]
    return [str(ref).rpartition(":")[2] for ref in refs if ref]


def _ids(given: Given) -> list[str]:
    """Of warnings, without the hosts that have them."""
    return [str(ref).rpartition(":")[2] for ref in given.get("warnings") or ()]


def _at(name: str) -> str:
    return f"{REMOTE}:{name}"


def _keys(mapping: Any) -> Words:
    return [f"{key}={value}" for key, value in (mapping or {}).items()]


def _flags(given: Given, **names: str) -> Words:
    return [flag for name, flag in names.items() if given.get(name)]


def _state(verb: str) -> Callable[[Given], list[Words]]:
    def lines(given: Given) -> list[Words]:
        timeout = given.get("timeout")
        more = [f"--timeout={timeout}"] if timeout and verb in ("stop", "restart") and timeout != 30 else []
        return [[verb, *map(_at, _names(given)), *_flags(given, force="--force"), *more]]

    return lines


def _launch(given: Given) -> list[Words]:
    words = ["init" if given.get("no_start") else "launch", _at(str(given.get("image")))]
    words.append(_at(str(given.get("name") or "")))
    for profile in given.get("profiles") or ():
        words += ["--profile", profile]
    for pair in _keys(given.get("config")):
        words += ["--config", pair]
    for name, device in (given.get("devices") or {}).items():
        settings = device if isinstance(device, str) else ",".join(_keys(device))
        words += ["--device", f"{name},{settings}"]
    for key, flag in (("storage", "--storage"), ("network", "--network"), ("target", "--target")):
        words += [flag, str(given[key])] if given.get(key) else []
    words += ["--vm"] if given.get("type") == "virtual-machine" else []
    words += _flags(given, ephemeral="--ephemeral")
    return [words] * int(given.get("count") or 1)


def _shared(noun: str) -> dict[str, Callable[[Given], list[Words]]]:
    """What profiles, networks and projects have in common."""

    def edit(given: Given) -> list[Words]:
        lines = [[noun, "set", _at(str(given["name"])), *_keys(given.get("config"))]] if given.get("config") else []
        for name, device in (given.get("devices") or {}).items():
            settings = _keys(device) if isinstance(device, Mapping) else str(device).split(",")
            lines.append([noun, "device", "add", _at(str(given["name"])), name, *settings])
        return lines

    def create(given: Given) -> list[Words]:
        kind = ["--type", str(given["type"])] if given.get("type") else []
        pairs = _keys(given.get("config"))
        if noun == "network":
            return [[noun, "create", _at(str(given["name"])), *kind, *pairs]]
        return [[noun, "create", _at(str(given["name"])), *(x for p in pairs for x in ("--config", p))]]

    return {
        f"{noun}-create": create,
        f"{noun}-edit": edit,
        f"{noun}-rename": lambda g: [[noun, "rename", _at(str(g["name"])), str(g["new_name"])]],
        f"{noun}-delete": lambda g: [[noun, "delete", _at(str(g["name"]))]],
    }


def _many(prefix: Words, flag: str, values: Any) -> Words:
    return [*prefix, *(word for value in values or () for word in (flag, str(value)))]


_LXC: dict[str, Callable[[Given], list[Words]]] = {
    "launch": _launch,
    "start": _state("start"),
    "stop": _state("stop"),
    "restart": _state("restart"),
    "freeze": _state("pause"),
    "unfreeze": _state("start"),
    "delete": _state("delete"),
    "rename": lambda g: [["rename", _at(_names(g)[0]), str(g["new_name"])]],
    "copy": lambda g: [["copy", _at(_names(g)[0]), _at(str(g["new_name"])),
                        *(["--target", str(g["target"])] if g.get("target") else []),
                        *_flags(g, instance_only="--instance-only")]],
    "publish": lambda g: [_many(["publish", _at(_names(g)[0]), _at("")], "--alias", g.get("aliases"))],
    "snapshot": lambda g: [["snapshot", _at(_names(g)[0]), *filter(None, [str(g.get("name") or "")]),
                            *_flags(g, stateful="--stateful")]],
    "restore": lambda g: [["restore", _at(_names(g)[0]), str(g["snapshot"])]],
    "snapshot-delete": lambda g: [["delete", _at(f"{_names(g)[0]}/{g['snapshot']}")]],
    "snapshot-rename": lambda g: [["rename", _at(f"{_names(g)[0]}/{g['snapshot']}"),
                                   f"{_names(g)[0]}/{g['new_name']}"]],
    "profile-assign": lambda g: [["profile", "assign", _at(_names(g)[0]), ",".join(g.get("profiles") or ())]],
    "config-set": lambda g: [["config", "set", _at(_names(g)[0]), *map(str, g.get("settings") or ())]],
    "config-unset": lambda g: [["config", "unset", _at(_names(g)[0]), str(key)] for key in g.get("keys") or ()],
    "device-add": lambda g: [["config", "device", "add", _at(_names(g)[0]), str(g["name"]),
                              *map(str, g.get("settings") or ())]],
    "device-remove": lambda g: [["config", "device", "remove", _at(_names(g)[0]), *map(str, g.get("names") or ())]],
    "image-import": lambda g: [_many(["image", "import", str(g["source"]), _at("")], "--alias", g.get("aliases"))],
    "image-delete": lambda g: [["image", "delete", _at(str(g["fingerprint"]))]],
    "image-alias-create": lambda g: [["image", "alias", "create", _at(str(g["name"])), str(g["fingerprint"])]],
    "image-alias-rename": lambda g: [["image", "alias", "rename", _at(str(g["name"])), str(g["new_name"])]],
    "image-alias-delete": lambda g: [["image", "alias", "delete", _at(str(g["name"]))]],
    "warning-ack": lambda g: [] if g.get("again") else [["warning", "acknowledge", _at(id)] for id in _ids(g)],
    "warning-delete": lambda g: [["warning", "delete", _at(id)] for id in _ids(g)],
    **_shared("profile"),
    **_shared("network"),
    **_shared("project"),
}  # fmt: skip
_UNSCOPED = ("project-", "pool-", "warning-", "maintenance")


def _lxc(name: str, given: Given) -> list[Words]:
    made = _LXC.get(name)
    if made is None:
        return []
    project = str(given.get("project") or "default")
    more = [] if project == "default" or name.startswith(_UNSCOPED) else ["--project", project]
    return [["lxc", *line, *more] for line in made(given)]


_STATES = {"start": "start", "stop": "stop", "restart": "restart", "freeze": "freeze", "unfreeze": "unfreeze"}


def _api(name: str, given: Given) -> list[str]:
    """LXD's own calls, for what is one call of LXD; [] when it is not."""
    project = str(given.get("project") or "default")
    query = "" if project == "default" else f"?{urlencode({'project': project})}"
    paths = [f"/1.0/instances/{quote(each, safe='')}" for each in _names(given)]
    if name in _STATES:
        body: dict[str, Any] = {"action": _STATES[name]}
        body |= {"force": True} if given.get("force") else {}
        body |= {"timeout": given["timeout"]} if given.get("timeout") else {}
        return [f"PUT {path}/state{query} {json.dumps(body)}" for path in paths]
    if name == "delete" and not given.get("force"):
        return [f"DELETE {path}{query}" for path in paths]
    if name == "rename":
        return [f"POST {paths[0]}{query} {json.dumps({'name': given['new_name']})}"]
    if name == "snapshot":
        body = {"name": given.get("name") or "", "stateful": bool(given.get("stateful"))}
        return [f"POST {paths[0]}/snapshots{query} {json.dumps(body)}"]
    if name == "restore":
        return [f"PUT {paths[0]}{query} {json.dumps({'restore': given['snapshot']})}"]
    if name == "warning-delete":
        return [f"DELETE /1.0/warnings/{id}" for id in _ids(given)]
    if name == "warning-ack":
        status = json.dumps({"status": "new" if given.get("again") else "acknowledged"})
        return [f"PUT /1.0/warnings/{id} {status}" for id in _ids(given)]
    if name == "snapshot-delete":
        return [f"DELETE {paths[0]}/snapshots/{quote(str(given['snapshot']), safe='')}{query}"]
    return []


def lines(found: Equivalent) -> Sequence[tuple[str, str]]:
    """(form, line) pairs to show; a form that does not exist says so."""
    shown = []
    for form, given in (("lxdpm-tui", found.cli), ("lxc", found.lxc), ("API", found.api)):
        shown += [(form if number == 0 else " ", line) for number, line in enumerate(given)]
        if not given:
            shown.append((form, "(there is no such form)"))
    return shown
