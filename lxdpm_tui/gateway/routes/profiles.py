"""/1.0/profiles: one object each for clients, every host's own copy behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from lxdpm_tui.actions import profiles, resolve
from lxdpm_tui.actions.images import succeeded
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.gateway import access, answers, filters, proxy
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.gather import gather
from lxdpm_tui.gateway.routes.instances import stale_header
from lxdpm_tui.gateway.routing import Route
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.tasks.task import Task

DRIFT_HEADER = "X-LXDPM-Drift"
_PARTS = ("description", "config", "devices")

Copies = dict[str, dict[str, Any]]  # host -> its own copy


async def _gathered(call: Call) -> tuple[dict[tuple[str, str], Copies], dict[str, str]]:
    """(project, name) -> every host's copy, and headers that say which are the last known ones."""
    params = {"recursion": "1", "project": call.project}
    all_projects = call.all_projects

    async def ask(host: Host) -> list[dict[str, Any]]:
        reply = await host.request("GET", "/1.0/profiles", params=params)
        return [msgspec.json.decode(raw) for raw in decode.rows_of(reply.body)]

    merged: dict[tuple[str, str], Copies] = {}
    headers: dict[str, str] = {}
    if not all_projects:
        found = await gather(call.manager.fleet, ask)
        for host, rows in found.live.items():
            for row in rows:
                merged.setdefault((row.get("project") or call.project, row["name"]), {})[host] = row
        cached: Mapping[str, bool] = found.cached
        headers = stale_header(call, found)
        if found.errors and not found.live:
            raise next(iter(found.errors.values()))
    else:
        cached = dict.fromkeys(call.manager.inventory.hosts, False)
    for host in cached:
        for known in call.manager.inventory.profiles.get(host, {}).values():
            if all_projects or known.project == call.project:
                merged.setdefault((known.project, known.name), {})[host] = msgspec.json.decode(known.raw)
    return merged, headers


def content(copy: Mapping[str, Any]) -> dict[str, Any]:
    return {part: copy.get(part) or ({} if part != "description" else "") for part in _PARTS}


def shown(copies: Copies) -> tuple[dict[str, Any], list[str]]:
    """What most hosts have, with the used_by of all; and the hosts whose copy differs from it."""
    keys = {host: answers.etag_of(content(copy)) for host, copy in copies.items()}
    common = Counter(keys.values()).most_common(1)[0][0]
    best = next(copy for host, copy in copies.items() if keys[host] == common)
    used = [url for copy in copies.values() for url in copy.get("used_by") or ()]
    return {**best, "used_by": list(dict.fromkeys(used))}, [host for host, key in keys.items() if key != common]


def _visible(call: Call, row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "used_by": access.users(call, row["used_by"])}


async def list_all(call: Call) -> web.StreamResponse:
    merged, headers = await _gathered(call)
    matches = filters.parse(call.query.get("filter", ""))
    rows = [(key, _visible(call, shown(copies)[0])) for key, copies in sorted(merged.items()) if call.allows(key[0])]
    if matches is not None:
        rows = [(key, row) for key, row in rows if matches(row)]
    if call.recursion:
        return answers.sync([row for _, row in rows], headers=headers)
    return answers.sync([_url(project, name) for (project, name), _ in rows], headers=headers)


def _url(project: str, name: str) -> str:
    query = "" if project == "default" else f"?project={quote(project, safe='')}"
    return f"/1.0/profiles/{quote(name, safe='')}{query}"


async def _copies(call: Call) -> Copies:
    """Every host's own copy of the one named. Raises ActionError 404, 503."""
    name = call.vars["name"]

    async def ask(host: Host) -> dict[str, Any] | None:
        reply = await host.request("GET", f"/1.0/profiles/{quote(name, safe='')}", params={"project": call.project})
        found: dict[str, Any] = reply.metadata
        return found

    found = await gather(call.manager.fleet, ask)
    copies = {host: copy for host, copy in found.live.items() if copy is not None}
    for host in found.cached:
        known = call.manager.inventory.profiles.get(host, {}).get(Key(host, call.project, name))
        if known is not None:
            copies[host] = msgspec.json.decode(known.raw)
    for error in found.errors.values():
        if error.code != 404:
            raise error
    if not copies:
        raise resolve.unknown(call.manager, "Profile")
    return copies


async def read(call: Call) -> web.StreamResponse:
    """What most hosts have; a header names those that differ. ?target= shows that host's own."""
    if call.target:
        return await proxy.forward(call, call.target)
    found, drifted = shown(await _copies(call))
    headers = {DRIFT_HEADER: ", ".join(drifted)} if drifted else {}
    return answers.sync(_visible(call, found), headers=headers, etag=content(found))


async def _finish(call: Call, action: str, arguments: dict[str, Any], task: Task) -> None:
    await call.manager.audit(action, arguments, task)
    await succeeded(task)


async def create(call: Call) -> web.StreamResponse:
    """LXD's own body goes to all hosts or to none; {"hostname", "profilesPost"} or ?target= to one."""
    body = await call.json()
    hosts = [call.target] if call.target else []
    if "profilesPost" in body:
        inner, hostname = body["profilesPost"], body.get("hostname")
        if not isinstance(inner, dict) or not isinstance(hostname, str):
            raise ActionError("expected hostname (a host's name) and profilesPost (a profile)")
        body, hosts = inner, [hostname]
    task = await profiles.create_profile(call.manager, body, hosts, call.project)
    await _finish(call, "profile-create", {"name": body["name"], "hosts": hosts}, task)
    return answers.created(_url("default", str(body["name"])))


async def change(call: Call) -> web.StreamResponse:
    """PUT and PATCH: the difference between what the client had read and what it sends, on every host's own copy.

    A client that sends no If-Match has read nothing that is known here: then the hosts must agree, or ?target= choose.
    """
    body = await call.json()
    name = call.vars["name"]
    copies = await _copies(call)
    if call.target:
        if call.target not in copies:
            raise ActionError("Profile not found", 404)
        copies = {call.target: copies[call.target]}
    found, drifted = shown(copies)
    old = content(found)
    match = call.request.headers.get("If-Match", "").strip('"')
    if match and match != answers.etag_of(old).strip('"'):
        raise ActionError("Precondition failed: the profile has changed, read it again", 412)
    if drifted and not match:
        raise ActionError(
            f"The profile differs between hosts ({', '.join(drifted)} from the others): send If-Match with the ETag"
            " of what you read, or choose one host by ?target=",
            409,
        )
    for part in ("config", "devices"):
        if body.get(part) is not None and not isinstance(body[part], dict):
            raise ActionError(f"{part} must be an object")
    new = content(body)
    if call.request.method == "PATCH":
        new = {
            "description": body.get("description", old["description"]),
            "config": {**old["config"], **(body.get("config") or {})},
            "devices": {**old["devices"], **(body.get("devices") or {})},
        }
    task = await profiles.edit_profile(call.manager, name, old, new, sorted(copies), call.project)
    await _finish(call, "profile-edit", {"name": name, "hosts": sorted(copies)}, task)
    return answers.sync({})


async def rename(call: Call) -> web.StreamResponse:
    body = await call.json()
    new_name = body.get("name")
    if not isinstance(new_name, str):
        raise ActionError("No name provided")
    hosts = [call.target] if call.target else []
    task = await profiles.rename_profile(call.manager, call.vars["name"], new_name, hosts, call.project)
    await _finish(call, "profile-rename", {"name": call.vars["name"], "new_name": new_name}, task)
    return answers.created(_url("default", new_name))


async def delete(call: Call) -> web.StreamResponse:
    hosts = [call.target] if call.target else []
    task = await profiles.delete_profile(call.manager, call.vars["name"], hosts, call.project)
    await _finish(call, "profile-delete", {"name": call.vars["name"], "hosts": hosts}, task)
    return answers.sync({})


ROUTES = [
    Route("GET", "/1.0/profiles", list_all),
    Route("POST", "/1.0/profiles", create),
    Route("GET", "/1.0/profiles/{name}", read),
    Route("PUT", "/1.0/profiles/{name}", change),
    Route("PATCH", "/1.0/profiles/{name}", change),
    Route("POST", "/1.0/profiles/{name}", rename),
    Route("DELETE", "/1.0/profiles/{name}", delete),
]
