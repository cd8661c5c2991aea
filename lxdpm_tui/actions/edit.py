"""The properties of an instance, profile or image as one YAML text: what of it can be written, and writing it back.

A text is a change against the one it was made from: what somebody else changed in between is a conflict, never undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxdpm_tui.actions import image_edit, profiles, resolve
from lxdpm_tui.actions.registry import ActionError, Danger, Param, registry
from lxdpm_tui.hosts.transport import ApiError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

CONFLICT = 412
EDITABLE: dict[str, tuple[str, ...]] = {
    "instance": ("description", "profiles", "config", "devices", "ephemeral"),
    "profile": ("description", "config", "devices"),
    "image": ("properties", "public", "auto_update", "expires_at", "profiles"),
}
_VOLATILE = "volatile."


def path_of(kind: str, name: str) -> str:
    """Where the object is in the API. name: an image's fingerprint."""
    return f"/1.0/{kind}s/{quote(name, safe='')}"


def editable(kind: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object a person may change; without what the daemon keeps for itself."""
    found = {part: own[part] for part in EDITABLE[kind] if own.get(part) is not None}
    if kind == "instance":
        found["config"] = {key: text for key, text in found.get("config", {}).items() if not key.startswith(_VOLATILE)}
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any], at: str = "") -> list[str]:
    """What differs, a line each: `config.limits.cpu: 1 -> 2`, `devices.eth0: removed`."""
    lines: list[str] = []
    for key in dict.fromkeys((*before, *after)):
        path = f"{at}.{key}" if at else str(key)
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += changes(old, new, path)
        elif key not in after:
            lines.append(f"{path}: removed (was {old})")
        elif key not in before:
            lines.append(f"{path}: {new} (new)")
        else:
            lines.append(f"{path}: {old} -> {new}")
    return lines


def read(kind: str, text: str) -> dict[str, Any]:
    """A YAML text as an object of that kind. Raises ActionError that names the line."""
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ActionError(f"{where}{getattr(error, 'problem', None) or error}") from error
    if not isinstance(found, dict):
        raise ActionError(f"line 1: expected the properties of the {kind}, KEY: VALUE")
    unknown = [str(key) for key in found if key not in EDITABLE[kind]]
    if unknown:
        raise ActionError(f"a {kind} has no {', '.join(unknown)} to change; it has {', '.join(EDITABLE[kind])}")
    for part in ("config", "devices", "properties"):
        if part in found and found[part] is None:
            found[part] = {}
        if part in found and not isinstance(found[part], dict):
            raise ActionError(f"{part}: expected KEY: VALUE lines")
    for part in ("config", "properties"):
        found.update({part: {str(k): _text(v) for k, v in found[part].items()}} if part in found else {})
    if "devices" in found:
        for name, device in found["devices"].items():
            if not isinstance(device, dict):
                raise ActionError(f"devices.{name}: expected KEY: VALUE lines")
        found["devices"] = {
            str(name): {str(k): _text(v) for k, v in device.items()} for name, device in found["devices"].items()
        }
    return found


def _text(value: Any) -> str:
    """LXD's values are texts; YAML makes numbers and truths of them."""
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


@registry.action(
    "edit",
    "Change the properties of an instance, profile or image as YAML",
    Param("kind", "what it is", kind="choice", choices=tuple(EDITABLE), positional=True, required=True),
    Param("name", "NAME, or HOST:NAME for an instance; alias or fingerprint of an image", positional=True,
          required=True),
    Param("yaml", "its properties as they shall be", required=True),
    Param("was", "as they were when the text was begun: what changed since is a conflict"),
    Param("hosts", "a profile on these hosts; on all that have it when none is named", many=True, complete="host"),
    Param("project", "the project", default="default", complete="project"),
    danger=Danger.CONFIRM,
)  # fmt: skip
async def edit(
    manager: Manager, *, kind: str, name: str, yaml: str, was: str | None, hosts: Sequence[str], project: str
) -> Task:
    wanted = read(kind, yaml)
    before = read(kind, was) if was else None
    if kind == "instance":
        return await _instance(manager, name, wanted, before, project)
    if kind == "profile":
        copies = await profiles.holders(manager, name, project, hosts)
        now = [editable(kind, reply.metadata) for reply in copies.values()]
        _check(before, now)
        return await profiles.edit_profile(manager, name, before or now[0], {**now[0], **wanted}, hosts, project)
    fingerprint, _ = resolve.image(manager, name, project)
    found = await image_edit.holders(manager, fingerprint, project)
    own = [editable(kind, image) for image in found.images.values()]
    _check(before, own)
    return await image_edit.edit(manager, found, before or own[0], wanted, project)


def _check(before: Mapping[str, Any] | None, now: Sequence[Mapping[str, Any]]) -> None:
    """Raises ActionError 412 when no copy is any more as it was."""
    if before is not None and not any(changes(before, own) == [] for own in now):
        raise ActionError("changed meanwhile: " + "; ".join(changes(before, now[0])), CONFLICT)


async def _instance(
    manager: Manager, name: str, wanted: Mapping[str, Any], before: Mapping[str, Any] | None, project: str
) -> Task:
    row = resolve.instance(manager, name, project)
    path, params = path_of("instance", row.name), {"project": project}
    reply = await manager.fleet.hosts[row.host].request("GET", path, params=params)
    own: dict[str, Any] = reply.metadata
    _check(before, [editable("instance", own)])
    volatile = {key: text for key, text in (own.get("config") or {}).items() if key.startswith(_VOLATILE)}
    body = {key: own[key] for key in ("architecture", "stateful", *EDITABLE["instance"]) if key in own}
    body |= dict(wanted)
    body["config"] = {**volatile, **(wanted["config"] if "config" in wanted else own.get("config") or {})}
    headers = {"If-Match": reply.etag} if reply.etag else None
    label = f"{row.host}:{row.name}"
    task = Task(
        kind="instance-edit",
        description="Updating instance",
        project=project,
        resources={"instances": [path]},
        hosts={label: {"status": "waiting"}},
        owner=manager.caller,
    )

    async def run(task: Task, journal: Journal) -> None:
        task.update(host=label, status="running")
        try:
            await manager.fleet.operate(row.host, "PUT", path, params=params, json=body, headers=headers)
        except ApiError as error:
            task.update(host=label, status="failed", error=error.text)
            raise
        task.update(host=label, status="done")
        await resolve.read_again(manager, row.key)

    return await manager.tasks.start(task, run)
