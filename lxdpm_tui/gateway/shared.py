"""What hosts have under one name - networks, pools, projects, ACLs, zones - as one object each; a copy on every host.

Reads show what most hosts have and where; ?target= shows that host's own. Writes are the difference between what the
client had read and what it sends (actions/shared.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any
from urllib.parse import quote

from aiohttp import web

from lxdpm_tui.actions import resolve, shared
from lxdpm_tui.actions.images import succeeded
from lxdpm_tui.actions.profiles import target_hosts
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.actions.shared import Kind
from lxdpm_tui.gateway import access, answers, filters, proxy
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.gather import gather
from lxdpm_tui.gateway.routes.instances import stale_header
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.gateway.settle import forward_sync
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.tasks.task import Task

DRIFT_HEADER = "X-LXDPM-Drift"

Row = dict[str, Any]
Copies = dict[str, Row]  # host -> its own copy


@dataclass(frozen=True, slots=True)
class View:
    """How a kind is shown.

    local: keys of config that are shown with ?target= only.  located: rows say on which hosts they are, and may be
    made in LXD's two phases (each member its own keys first).  all_projects: the extension that lists all projects.
    visible: whether the caller may see the one of this (project, name).
    """

    kind: Kind
    local: frozenset[str] = frozenset()
    located: bool = False
    all_projects: str = ""
    visible: Callable[[Call, tuple[str, str]], bool] = lambda call, key: call.allows(key[0])


ViewOf = Callable[[Call], View]


# -- reading


async def gathered(call: Call, view: View) -> tuple[dict[tuple[str, str], Copies], dict[str, str]]:
    """(project, name) -> every host's copy, and headers that say which are the last known ones."""

    async def ask(host: Host) -> list[tuple[str, Row]]:
        return await _rows(call, view, host)

    found = await gather(call.manager.fleet, ask, needed=True)  # no event keeps what we remember true
    if found.errors and not found.live:
        raise next(iter(found.errors.values()))
    scope = "*" if call.all_projects else call.project
    rows = {**found.live}
    for host, live in found.live.items():
        call.gateway.remembered[(view.kind.collection, host, scope)] = live
    for host in found.cached:
        rows[host] = call.gateway.remembered.get((view.kind.collection, host, scope), [])
    merged: dict[tuple[str, str], Copies] = {}
    for host in call.manager.inventory.hosts:  # in their order, whoever answered first
        for project, row in rows.get(host, ()):
            merged.setdefault((project, row["name"]), {})[host] = row
    return merged, stale_header(call, found)


async def _rows(call: Call, view: View, host: Host) -> list[tuple[str, Row]]:
    """(project, row) of what one host has."""
    collection = view.kind.collection
    if not call.all_projects or not view.kind.scoped:
        rows = await host.get(collection, recursion=1, project=call.project if view.kind.scoped else None)
        return [(call.project if view.kind.scoped else "default", row) for row in rows or ()]
    record = call.manager.inventory.hosts[host.name]
    if view.all_projects in record.extensions:
        rows = await host.get(collection, recursion=1, **{"all-projects": "true"})
        return [(row.get("project") or "default", row) for row in rows or ()]
    found = []
    for project in await host.get("/1.0/projects", recursion=1):
        if project["name"] == "default" or (project.get("config") or {}).get("features.networks") == "true":
            rows = await host.get(collection, recursion=1, project=project["name"])
            found += [(project["name"], row) for row in rows or ()]
    return found


def shown(call: Call, view: View, copies: Copies) -> tuple[Row, list[str]]:
    """What most hosts have, and the hosts whose copy differs from it in more than what differs by nature."""
    kind = view.kind
    managed = {host: copy for host, copy in copies.items() if copy.get("managed") is not False} or copies
    keys = {host: answers.etag_of(kind.common(copy)) for host, copy in managed.items()}
    most = Counter(keys.values()).most_common(1)[0][0]
    best = next(copy for host, copy in managed.items() if keys[host] == most)
    row = {**best, "config": {k: v for k, v in (best.get("config") or {}).items() if k not in view.local}}
    row["used_by"] = access.users(call, (url for copy in managed.values() for url in copy.get("used_by") or ()))
    if view.located:
        if call.client.projects is not None:
            row["config"] = {}  # as LXD: it is the hosts', not the project's
        row["locations"] = list(managed) if best.get("managed") is not False else best.get("locations")
        row["status"] = next((c["status"] for c in managed.values() if c.get("status") != "Created"), best["status"])
    return row, [host for host, key in keys.items() if key != most]


def etag_of(view: View, row: Row) -> Any:
    return [row["name"], *(row.get(part) for part in view.kind.fixed), view.kind.content(row)]


def url_of(view: View, project: str, name: str) -> str:
    query = "" if project == "default" or not view.kind.scoped else f"?project={quote(project, safe='')}"
    return f"{view.kind.path(name)}{query}"


async def list_all(call: Call, view: View) -> web.StreamResponse:
    if call.target and view.located:
        if call.all_projects and call.client.projects is not None:
            raise ActionError(access.REFUSED, 403)  # the host would show all of them
        return await proxy.forward(call, call.target)
    merged, headers = await gathered(call, view)
    matches = filters.parse(call.query.get("filter", ""))
    rows = {key: shown(call, view, copies)[0] for key, copies in merged.items() if view.visible(call, key)}
    for (collection, project, name), waiting in call.gateway.pending.items():
        if collection == view.kind.collection and (call.all_projects or project == call.project):
            rows.setdefault((project, name), _pending_row(view, name, waiting))
    found = sorted(rows.items())
    if matches is not None:
        found = [(key, row) for key, row in found if matches(row)]
    if call.recursion:
        return answers.sync([row for _, row in found], headers=headers)
    return answers.sync([url_of(view, project, name) for (project, name), _ in found], headers=headers)


def _pending_row(view: View, name: str, waiting: Copies) -> Row:
    first = next(iter(waiting.values()))
    fixed = {part: first.get(part) or "" for part in view.kind.fixed}
    shown = {"name": name, **fixed, **view.kind.content({}), "used_by": [], "managed": True}
    return {**shown, "status": "Pending", "locations": list(waiting)}


async def copies_of(call: Call, view: View) -> Copies:
    """Every host's own copy of the one named. Raises ActionError 404, 503."""
    path = view.kind.path(call.vars["name"])

    async def ask(host: Host) -> Row:
        found: Row = await host.get(path, project=call.project if view.kind.scoped else None)
        return found

    found = await gather(call.manager.fleet, ask, needed=True)
    for error in found.errors.values():
        if error.code != 404:
            raise error
    if not found.live:
        raise resolve.unknown(call.manager, view.kind.title)
    return {host: found.live[host] for host in call.manager.inventory.hosts if host in found.live}


async def read(call: Call, view: View) -> web.StreamResponse:
    """What most hosts have; a header names those that differ. ?target= shows that host's own."""
    if not view.visible(call, (call.project if view.kind.scoped else "default", call.vars["name"])):
        raise ActionError(f"{view.kind.title} not found", 404)
    if call.target:
        return await proxy.forward(call, call.target)
    waiting = call.gateway.pending.get(_key(call, view, call.vars["name"]))
    if waiting:
        row = _pending_row(view, call.vars["name"], waiting)
        return answers.sync(row, etag=etag_of(view, row))
    found, drifted = shown(call, view, await copies_of(call, view))
    headers = {DRIFT_HEADER: ", ".join(drifted)} if drifted else {}
    return answers.sync(found, headers=headers, etag=etag_of(view, found))


# -- changing


def _key(call: Call, view: View, name: str) -> tuple[str, str, str]:
    return view.kind.collection, call.project if view.kind.scoped else "default", name


def operation(call: Call, task: Task) -> web.Response:
    """202 for a task that goes on."""
    return answers.operation({**call.gateway.hub.operations.of_task(task).shown, "id": task.id})


async def finish(call: Call, action: str, arguments: dict[str, Any], task: Task) -> None:
    """Enter it in the audit and wait for its end. Raises ActionError when it failed."""
    await call.manager.audit(action, arguments, task)
    await succeeded(task)


async def create(call: Call, view: View) -> web.StreamResponse:
    """On all hosts or on none. Where members may differ, ?target= only notes what that host is to have; the call
    without it then makes the object on the hosts that were noted."""
    body = await call.json()
    kind = view.kind
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise ActionError("No name provided")
    if body.get("config") is not None and not isinstance(body["config"], dict):
        raise ActionError("config must be an object")
    project = call.project if kind.scoped else "default"
    key = _key(call, view, name)
    waiting = call.gateway.pending.get(key, {})
    if call.target and view.located:
        if call.target in waiting or await shared.having(call.manager, kind, name, project, [call.target]):
            raise ActionError(f'The {kind.noun} "{name}" is already defined on member {call.target}', 409)
        call.gateway.pending.setdefault(key, {})[call.target] = body
        return answers.created(url_of(view, project, name))
    hosts = list(waiting) or target_hosts(call.manager, [call.target] if call.target else [])
    bodies = {host: _joined(kind, waiting.get(host, {}), body) for host in hosts}
    task = await shared.create(call.manager, kind, bodies, project)
    await finish(call, f"{kind.noun}-create", {"name": name, "hosts": hosts, "project": project}, task)
    call.gateway.pending.pop(key, None)
    return answers.created(url_of(view, project, name))


def _joined(kind: Kind, own: Row, body: Row) -> Row:
    """The body for one host: what all get, and what was noted for it alone."""
    fixed = {part: own[part] for part in kind.fixed if own.get(part) and not body.get(part)}
    return {**body, **fixed, "config": {**(body.get("config") or {}), **(own.get("config") or {})}}


async def change(call: Call, view: View) -> web.StreamResponse:
    """PUT and PATCH: the difference to what the client had read, on every host's own copy.

    A PUT without If-Match comes of reading nothing that is known here: then the hosts must agree, or ?target= choose.
    """
    kind = view.kind
    if call.target:
        answer = await forward_sync(call, call.target)
        arguments = {"name": call.vars["name"], "hosts": [call.target]}
        await call.manager.store.append_audit(call.caller, f"{kind.noun}-edit", arguments, result="sent")
        return answer
    body = await call.json()
    if body.get("config") is not None and not isinstance(body["config"], dict):
        raise ActionError("config must be an object")
    for name in view.local & (body.get("config") or {}).keys():
        raise ActionError(f'Config key "{name}" is cluster member specific')
    copies = {h: copy for h, copy in (await copies_of(call, view)).items() if copy.get("managed") is not False}
    if not copies:
        raise ActionError(f"{kind.title} not found", 404)
    found, drifted = shown(call, view, copies)
    match = call.request.headers.get("If-Match", "").strip('"')
    if match and match != answers.etag_of(etag_of(view, found)).strip('"'):
        raise ActionError(f"Precondition failed: the {kind.noun} has changed, read it again", 412)
    unlike = {part: {str(copy.get(part)) for copy in copies.values()} for part in kind.fixed}
    for part, values in unlike.items():
        if len(values) > 1:
            raise ActionError(f"Hosts have a {kind.noun} of this name of another {part} ({', '.join(values)}):"
                              " choose one host by ?target=", 409)  # fmt: skip
    patch = call.request.method == "PATCH"
    if drifted and not match and not patch:
        raise ActionError(
            f"The {kind.noun} differs between hosts ({', '.join(drifted)} from the others): send If-Match with the ETag"
            " of what you read, or choose one host by ?target=",
            409,
        )
    old, new = (_patched if patch else _replaced)(kind, kind.content(found), body)
    project = call.project if kind.scoped else "default"
    task = await shared.edit(call.manager, kind, call.vars["name"], old, new, (), project)
    await finish(call, f"{kind.noun}-edit", {"name": call.vars["name"], "hosts": list(copies)}, task)
    return answers.sync({})


def _replaced(kind: Kind, old: Row, body: Row) -> tuple[Row, Row]:
    return old, kind.content(body)


def _patched(kind: Kind, old: Row, body: Row) -> tuple[Row, Row]:
    """What is named is set on every host, whatever it was there; the rest stays."""
    new = {part: body.get(part) if body.get(part) is not None else old[part] for part in kind.parts}
    if body.get("description") is not None:
        old = {**old, "description": "\0"}
    return {**old, "config": {}}, {**new, "config": body.get("config") or {}}


async def rename(call: Call, view: View) -> web.StreamResponse:
    body = await call.json()
    new_name = body.get("name")
    if not isinstance(new_name, str):
        raise ActionError("No name provided")
    name, project = call.vars["name"], call.project if view.kind.scoped else "default"
    hosts = [call.target] if call.target else []
    task = await shared.rename(call.manager, view.kind, name, new_name, hosts, project)
    await finish(call, f"{view.kind.noun}-rename", {"name": name, "new_name": new_name}, task)
    return answers.created(url_of(view, project, new_name))


async def delete(call: Call, view: View) -> web.StreamResponse:
    name, project = call.vars["name"], call.project if view.kind.scoped else "default"
    if call.gateway.pending.pop(_key(call, view, name), None):
        return answers.sync({})
    hosts = [call.target] if call.target else []
    task = await shared.delete(call.manager, view.kind, name, hosts, project)
    await finish(call, f"{view.kind.noun}-delete", {"name": name, "hosts": hosts}, task)
    return answers.sync({})


_VERBS = {"GET": read, "PUT": change, "PATCH": change, "POST": rename, "DELETE": delete}


def routes(pattern: str, view_of: ViewOf, verbs: Iterable[str] = _VERBS, reads: Access = Access.PROJECT) -> list[Route]:
    """The routes of a kind. Restricted callers may read, each what its projects see, and change nothing."""

    def bound(work: Callable[[Call, View], Any]) -> Callable[[Call], Any]:
        return update_wrapper(lambda call: work(call, view_of(call)), work)

    found = [
        Route("GET", pattern, bound(list_all), reads),
        Route("POST", pattern, bound(create), Access.SERVER),
    ]
    for verb in verbs:
        access = reads if verb == "GET" else Access.SERVER
        found.append(Route(verb, f"{pattern}/{{name}}", bound(_VERBS[verb]), access))
    return found
