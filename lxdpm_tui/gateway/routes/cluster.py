"""The hosts, seen as the members of one cluster. What is said of them here is kept by the gateway, not by the hosts."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from aiohttp import web

from lxdpm_tui.actions import hosts_edit
from lxdpm_tui.actions.images import succeeded
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import HostRecord
from lxdpm_tui.gateway import answers, groups
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.routes.settings import as_text
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.gateway.shared import finish
from lxdpm_tui.scheduler.membership import ALL, GROUP, MANUAL, PLACEMENT, Word

LABEL = "user.label."  # keys of a member's config that show its labels
DOMAIN = "default"


async def cluster(call: Call) -> web.StreamResponse:
    """That there is one: what clients ask before they ask for its members."""
    shown = {"server_name": "fleet", "enabled": True, "member_config": []}
    return answers.sync(shown, etag=shown)


def _described(record: HostRecord) -> str:
    return f"{record.kind} {record.version}".strip()


def _member(call: Call, record: HostRecord) -> dict[str, Any]:
    if not record.usable:
        age = f"last seen {time.time() - record.reached:.0f} s ago" if record.reached else "never seen"
        status, message = "Offline", f"{record.status}: {record.reason or 'connecting'} ({age})"
    elif record.maintenance:
        status, message = "Evacuated", "Unavailable due to maintenance"
    else:
        status, message = "Online", record.reason or "Fully operational"
    word = call.manager.membership.of(record.name)
    return {
        "server_name": record.name,
        "url": record.address,
        "database": False,
        "status": status,
        "message": message,
        "architecture": record.architectures[0] if record.architectures else "",
        "failure_domain": word.failure_domain or DOMAIN,
        "description": word.description or _described(record),
        "config": {**{f"{LABEL}{key}": value for key, value in record.labels.items()}, **word.config},
        "roles": [],
        "groups": groups.groups_of(call.manager, record),
    }


def _writable(shown: dict[str, Any]) -> dict[str, Any]:
    return {key: shown[key] for key in ("description", "failure_domain", "roles", "config", "groups")}


async def members(call: Call) -> web.StreamResponse:
    records = call.manager.inventory.hosts.values()
    if call.recursion:
        return answers.sync([_member(call, record) for record in records])
    return answers.sync([f"/1.0/cluster/members/{quote(record.name, safe='')}" for record in records])


def record_of(call: Call) -> HostRecord:
    """The member that the path names. Raises ActionError 404."""
    record = call.manager.inventory.hosts.get(call.vars["name"])
    if record is None:
        raise ActionError("Cluster member not found", 404)
    return record


async def member(call: Call) -> web.StreamResponse:
    shown = _member(call, record_of(call))
    return answers.sync(shown, etag=_writable(shown))


# -- what people say of a member


async def change(call: Call) -> web.StreamResponse:
    """Description, failure domain, config (scheduler.instance, user.*), groups. What a host is by its labels stays."""
    record_of(call)
    body = await call.json()
    async with call.manager.membership.changing:
        told = await _change(call, body)
    await call.manager.store.append_audit(call.caller, "member-edit", told, result="Success")
    call.tell("cluster-member-updated", call.path)
    return answers.sync({})


async def _change(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """What the audit is told of it. Raises ActionError."""
    record = record_of(call)
    shown = _writable(_member(call, record))
    answers.check_match(call.request, shown, "the member")
    config = body.get("config")
    if config is not None and not isinstance(config, dict):
        raise ActionError("config must be an object")
    if call.request.method == "PATCH":
        body = {**shown, **body, "config": {**shown["config"], **(config or {})}}
    word = Word(
        description="" if (text := _text(body, "description")) == _described(record) else text,
        failure_domain="" if (text := _text(body, "failure_domain")) == DOMAIN else text,
        config=_config(record, as_text(body.get("config"))),
        groups=_groups(call, record, body.get("groups")),
    )
    if roles := body.get("roles"):
        raise ActionError(f"Invalid cluster role {roles!r}: the members of a fleet have no roles")
    if word == call.manager.membership.of(record.name):
        _refuse_if_by_labels_only(record, shown, body)
    await call.manager.membership.set_host(record.name, word)
    return {"host": record.name, "groups": list(word.groups), "config": dict(word.config)}


def _text(body: dict[str, Any], key: str) -> str:
    found = body.get(key) or ""
    if not isinstance(found, str):
        raise ActionError(f"{key} must be a text")
    return found


def _config(record: HostRecord, given: dict[str, str]) -> dict[str, str]:
    """What is to be kept of it. Raises ActionError."""
    for key, value in given.items():
        if key.startswith(LABEL):
            if value and value != record.labels.get(key.removeprefix(LABEL)):
                raise ActionError(f"{key} is a label: lxdpm-tui host label {record.name} {key[len(LABEL) :]}={value}")
        elif key == PLACEMENT:
            if value not in (ALL, MANUAL, GROUP, ""):
                raise ActionError(f'Invalid cluster configuration key "{key}" value')
        elif not key.startswith("user."):
            raise ActionError(f'Invalid cluster configuration key "{key}"')
    return {key: value for key, value in given.items() if value and not key.startswith(LABEL)}


def _groups(call: Call, record: HostRecord, given: object) -> tuple[str, ...]:
    """Those that it is to be in beside those of its labels. Raises ActionError."""
    if not isinstance(given, list) or not given or not all(isinstance(name, str) for name in given):
        raise ActionError("Cluster members need to belong to at least one group")
    known = groups.members(call.manager)
    for name in given:
        if name not in known:
            raise ActionError(f'Cluster group not found: "{name}"', 404)
    return tuple(name for name in dict.fromkeys(given) if name not in groups.by_label(record))


def _refuse_if_by_labels_only(record: HostRecord, shown: dict[str, Any], body: dict[str, Any]) -> None:
    """A change that would come to nothing is refused: all that it takes away is there by the host's labels."""
    kept = [name for name in shown["groups"] if name not in body["groups"]]
    kept += [key for key in shown["config"] if key.startswith(LABEL) and key not in (body.get("config") or {})]
    if kept:
        raise ActionError(f"{record.name} has {', '.join(kept)} by its labels: change them with `lxdpm-tui host label`")


async def rename(call: Call) -> web.StreamResponse:
    """{"server_name"}: what the host is called here; on the host nothing changes."""
    record = record_of(call)
    new_name = (await call.json()).get("server_name")
    if not isinstance(new_name, str) or not new_name:
        raise ActionError("No name provided")
    task = await hosts_edit.rename(call.manager, record.name, new_name)
    await finish(call, "host-rename", {"host": record.name, "new_name": new_name}, task)
    url = f"/1.0/cluster/members/{quote(new_name, safe='')}"
    call.tell("cluster-member-renamed", url, {"old_name": record.name})
    return answers.sync({})


async def detach(call: Call) -> web.StreamResponse:
    """Take the host out of the fleet; on the host nothing changes. Refused while it has instances, unless force=1."""
    record = record_of(call)
    rows = call.manager.inventory.instances.get(record.name, {}).values()
    if rows and call.query.get("force", "") not in ("1", "true"):
        raise ActionError(f"Node still has the following containers: {', '.join(sorted(row.name for row in rows))}")
    await succeeded(await call.manager.run("host-remove", host=record.name))
    await call.manager.membership.set_host(record.name, Word())
    call.tell("cluster-member-removed", call.path)
    return answers.sync({})


_ONE = "/1.0/cluster/members/{name}"

ROUTES = [
    Route("GET", "/1.0/cluster", cluster, Access.TRUSTED),
    Route("GET", "/1.0/cluster/members", members, Access.TRUSTED),
    Route("GET", _ONE, member, Access.TRUSTED),
    Route("PUT", _ONE, change, Access.SERVER),
    Route("PATCH", _ONE, change, Access.SERVER),
    Route("POST", _ONE, rename, Access.SERVER),
    Route("DELETE", _ONE, detach, Access.SERVER),
]
