"""/1.0/operations and /1.0/events."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.events import TYPES
from lxdpm_tui.gateway.gather import gather
from lxdpm_tui.gateway.operations import Operation
from lxdpm_tui.gateway.proxy import forward
from lxdpm_tui.gateway.routes.certificates import token_operation
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.gateway.splice import is_upgrade, tunnel
from lxdpm_tui.hosts.host import Host

_LISTED = ("pending", "running", "cancelling", "success", "failure", "cancelled")


async def list_all(call: Call) -> web.StreamResponse:
    """A map of status to operations, the hosts' and the manager's own."""
    params: dict[str, str] = {"recursion": "1"}
    if call.all_projects:
        params["all-projects"] = "true"
    else:
        params["project"] = call.project

    async def ask(host: Host) -> dict[str, list[msgspec.Raw]]:
        reply = await host.request("GET", "/1.0/operations", params=params)
        found: dict[str, list[msgspec.Raw]] = msgspec.json.decode(
            reply.envelope.metadata, type=dict[str, list[msgspec.Raw]]
        )
        return found

    found = await gather(call.manager.fleet, ask)
    project = "" if call.all_projects else call.project
    operations = call.gateway.hub.operations
    shown: dict[str, list[Any]] = {}
    for host, by_status in found.live.items():
        for status, raws in by_status.items():
            for raw in raws:
                shown.setdefault(status, []).append(operations.seen(host, raw, project))
    for own in operations.own_tasks():
        if (call.all_projects or own.project == call.project) and call.allows(own.project):
            status = str(msgspec.json.decode(own.shown["status"])).lower()
            shown.setdefault(status, []).append(own)
    result: dict[str, list[Any]] = {}
    tokens = await call.gateway.trust.tokens() if call.client.projects is None else []
    for status in sorted(shown, key=lambda name: _LISTED.index(name) if name in _LISTED else len(_LISTED)):
        rows: list[Operation] = shown[status]
        rows = [row for row in rows if call.allows(row.project)]
        result[status] = [row.shown for row in rows] if call.recursion else [_url(r.id) for r in rows]
    if tokens:
        shown_tokens = [token_operation(call, row) if call.recursion else _url(row.id) for row in tokens]
        result["running"] = [*result.get("running", []), *shown_tokens]
    return answers.sync(result)


def _url(id: str) -> str:
    return f"/1.0/operations/{id}"


async def _find(call: Call) -> Operation:
    """Raises ActionError 404 (also for what a restricted caller may not see), 503."""
    found = await call.gateway.hub.operations.find(call.vars["id"])
    if found is not None and not call.allows(found.project):
        raise ActionError("Operation not found", 404)
    if found is None:
        silent = call.manager.fleet.silent()
        if silent:
            raise ActionError(f"Operation not found on the hosts that answer; could not ask {', '.join(silent)}", 503)
        raise ActionError("Operation not found", 404)
    return found


async def read(call: Call) -> web.StreamResponse:
    if (token := await _token(call)) is not None:
        return answers.sync(token)
    return answers.sync((await _find(call)).shown)


async def wait(call: Call) -> web.StreamResponse:
    """Served from the table. The head goes out at once, as current daemons do, so that no client gives up; so a
    failure, or the time being over, comes as an error in a body with status 200."""
    found = await _find(call)
    text = call.query.get("timeout", "-1")
    try:
        timeout = float(text)
    except ValueError as error:
        raise ActionError(f"timeout must be a number of seconds, not {text!r}") from error
    out = web.StreamResponse(headers={"Content-Type": "application/json"})
    await out.prepare(call.request)
    try:
        async with asyncio.timeout(None if timeout < 0 else timeout):
            await found.ended.wait()
    except TimeoutError:
        body: dict[str, Any] = answers.error_envelope(500, "context deadline exceeded")
    else:
        if found.code == 200:
            body = answers.sync_envelope(found.shown)
        else:
            body = answers.error_envelope(found.code, found.error)
    await out.write(msgspec.json.encode(body))
    await out.write_eof()
    return out


async def _token(call: Call) -> dict[str, Any] | None:
    """The token of that id, for callers that may make some."""
    if call.client.projects is None:
        for row in await call.gateway.trust.tokens():
            if row.id == call.vars["id"]:
                return token_operation(call, row)
    return None


async def cancel(call: Call) -> web.StreamResponse:
    if await _token(call) is not None:
        await call.gateway.trust.revoke(call.vars["id"])
        return answers.sync({})
    found = await _find(call)
    if found.host:
        return await forward(call, found.host)
    if not call.gateway.hub.operations.cancel_task(found.id):
        raise ActionError("This operation can't be cancelled")
    return answers.sync({})


async def websocket(call: Call) -> web.StreamResponse:
    """With the operation's secret anybody may connect, as hosts do for migrations; the host checks it."""
    if not call.client.trusted and not call.query.get("secret"):
        raise ActionError("not authorized", 403)
    found = await _find(call)
    if not found.host:
        raise ActionError("Only websocket operations can be connected")
    if not is_upgrade(call.request):
        raise ActionError("Missing or invalid upgrade header")
    query = call.request.raw_path.partition("?")[2]
    path = f"/1.0/operations/{found.id}/websocket"
    return await tunnel(call.request, call.manager.fleet.hosts[found.host], f"{path}?{query}" if query else path)


async def events(call: Call) -> web.StreamResponse:
    """All hosts' events in one stream; ?type= and ?project= choose, ?all-projects=true takes all projects."""
    if call.request.headers.get("Upgrade", "").lower() != "websocket":
        raise ActionError("Missing or invalid upgrade header")
    wanted = [name for name in call.query.get("type", "").split(",") if name]
    for name in wanted:
        if name not in TYPES:
            raise ActionError(f'"{name}" isn\'t a supported event type')
    project = None if call.all_projects or call.query.get("project") == "*" else call.project
    if project is None and call.client.projects is not None:
        raise ActionError("Certificate is restricted", 403)
    return await call.gateway.hub.serve(call.request, frozenset(wanted) or TYPES, project)


ROUTES = [
    Route("GET", "/1.0/operations", list_all),
    Route("GET", "/1.0/operations/{id}", read, Access.TRUSTED),
    Route("DELETE", "/1.0/operations/{id}", cancel, Access.TRUSTED),
    Route("GET", "/1.0/operations/{id}/wait", wait, Access.TRUSTED),
    Route("GET", "/1.0/operations/{id}/websocket", websocket, Access.PUBLIC),
    Route("GET", "/1.0/events", events),
]
