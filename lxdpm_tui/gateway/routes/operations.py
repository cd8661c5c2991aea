"""/1.0/operations and /1.0/events."""

from __future__ import annotations

import asyncio
import hmac
import re
from typing import Any

import msgspec
from aiohttp import web

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers
from lxdpm_tui.gateway.access import without_secrets
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.events import OF_PROJECTS, TYPES, Subscriber
from lxdpm_tui.gateway.gather import gather
from lxdpm_tui.gateway.operations import Operation
from lxdpm_tui.gateway.proxy import forward
from lxdpm_tui.gateway.routes.certificates import token_operation
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.gateway.splice import is_upgrade, tunnel
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError

_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LONGEST = 10**9  # seconds; clocks of event loops take no more
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LISTED = ("pending", "running", "cancelling", "success", "failure", "cancelled")


async def list_all(call: Call) -> web.StreamResponse:
    """A map of status to operations, the hosts' and the manager's own; of a silent host those that its events told."""

    async def ask(host: Host) -> list[tuple[str, str, msgspec.Raw]]:
        return [row for project in _projects(call, host.name) for row in await _of_project(host, project)]

    found = await gather(call.manager.fleet, ask)
    operations = call.gateway.hub.operations
    shown: dict[str, list[Any]] = {}
    for host, rows in found.live.items():
        for project, status, raw in rows:
            shown.setdefault(status, []).append(operations.seen(host, raw, project))
    silent = [known for host, down in found.cached.items() if not down for known in operations.open_on(host)]
    for known in [*silent, *operations.own_tasks()]:
        if (call.all_projects or known.project == call.project) and call.allows(known.project):
            status = str(msgspec.json.decode(known.shown["status"])).lower()
            shown.setdefault(status, []).append(known)
    result: dict[str, list[Any]] = {}
    tokens = await call.gateway.trust.tokens() if call.client.projects is None else []
    for status in sorted(shown, key=lambda name: _LISTED.index(name) if name in _LISTED else len(_LISTED)):
        visible: list[Operation] = [row for row in shown[status] if call.allows(row.project)]
        result[status] = [_shown(call, row) for row in visible] if call.recursion else [_url(r.id) for r in visible]
    if tokens:
        shown_tokens = [token_operation(call, row) if call.recursion else _url(row.id) for row in tokens]
        result["running"] = [*result.get("running", []), *shown_tokens]
    return answers.sync(result)


def _projects(call: Call, host: str) -> list[str]:
    """The projects to ask a host for, one by one: LXD 5.0 takes no all-projects here, and says in no operation of
    which project it is."""
    if not call.all_projects:
        return [call.project]
    known = call.manager.inventory.hosts[host].projects or ("default",)
    return [project for project in known if call.allows(project)]


async def _of_project(host: Host, project: str) -> list[tuple[str, str, msgspec.Raw]]:
    """(project, status, operation) of those of one host."""
    reply = await host.request("GET", "/1.0/operations", params={"recursion": "1", "project": project})
    found = msgspec.json.decode(reply.envelope.metadata, type=dict[str, list[msgspec.Raw]] | None)
    return [(project, status, raw) for status, raws in (found or {}).items() for raw in raws]


def _shown(call: Call, found: Operation) -> dict[str, Any]:
    """Whoever may only read gets no secrets: by those of an exec it could work the shell of somebody else."""
    return without_secrets(found.shown) if call.client.read_only else found.shown


def _url(id: str) -> str:
    return f"/1.0/operations/{id}"


async def _find(call: Call) -> Operation:
    """Raises ActionError 404 (also for what a restricted caller may not see), 503."""
    found = await call.gateway.hub.operations.find(call.vars["id"]) if _ID.fullmatch(call.vars["id"]) else None
    if found is not None and call.client.projects is not None and not found.placed:
        await _place(call, found)
    if found is not None and not call.allows(found.project):
        raise ActionError("Operation not found", 404)
    if found is None:
        silent = call.manager.fleet.silent()
        if silent:
            raise ActionError(f"Operation not found on the hosts that answer; could not ask {', '.join(silent)}", 503)
        raise ActionError("Operation not found", 404)
    return found


async def _place(call: Call, found: Operation) -> None:
    """Find out of which project it is, as its host lists it in one of the caller's or not. Raises ActionError 404."""
    host = call.manager.fleet.hosts[found.host]
    for project in _projects(call, found.host) if call.all_projects else sorted(call.client.projects or ()):
        try:
            rows = await _of_project(host, project)
        except ApiError:
            continue  # it has no such project
        if any(msgspec.json.decode(_raw.decode(raw)["id"]) == found.id for _, _, raw in rows):
            call.gateway.hub.operations.seen(found.host, msgspec.json.encode(found.shown), project)
            return
    raise ActionError("Operation not found", 404)


async def read(call: Call) -> web.StreamResponse:
    if (token := await _token(call)) is not None:
        return answers.sync(token)
    return answers.sync(_shown(call, await _find(call)))


async def wait(call: Call) -> web.StreamResponse:
    """Served from the table. The head goes out at once, as current daemons do, so that no client gives up; so a
    failure, or the time being over, comes as an error in a body with status 200. Strangers need its secret."""
    secret = call.query.get("secret", "")
    if not call.client.trusted and not secret:
        raise ActionError("not authorized", 403)
    found = await _find(call)
    if not call.client.trusted and not _is_secret(found, secret):
        raise ActionError("not authorized", 403)
    text = call.query.get("timeout", "-1")
    try:
        timeout = int(text)
    except ValueError as error:
        raise ActionError(f"timeout must be a number of seconds, not {text!r}") from error
    out = web.StreamResponse(headers={"Content-Type": "application/json"})
    await out.prepare(call.request)
    try:
        async with asyncio.timeout(None if timeout < 0 else min(timeout, _LONGEST)):
            await found.ended.wait()
    except TimeoutError:
        body: dict[str, Any] = answers.error_envelope(500, "context deadline exceeded")
    else:
        if found.code == 200:
            body = answers.sync_envelope(_shown(call, found))
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
    """With the operation's secret anybody may connect, as hosts do for migrations; the host checks it.

    To a command or a console only who started it: the host cannot tell the gateway's callers apart.
    """
    if not call.query.get("secret"):
        raise ActionError("missing secret")
    found = await _find(call)
    if found.requestor and found.requestor != call.caller and "fds" in _metadata(found):
        raise ActionError("Operation requestor mismatch", 403)
    if not found.host:
        raise ActionError("Only websocket operations can be connected")
    if not is_upgrade(call.request):
        raise ActionError("Missing or invalid upgrade header")
    query = call.request.raw_path.partition("?")[2]
    call.gateway.openings.connected(found.id)
    path = f"/1.0/operations/{found.id}/websocket"
    return await tunnel(call.request, call.manager.fleet.hosts[found.host], f"{path}?{query}" if query else path)


def _metadata(found: Operation) -> dict[str, Any]:
    return msgspec.json.decode(found.shown.get("metadata", msgspec.Raw(b"null"))) or {}


def _is_secret(found: Operation, text: str) -> bool:
    kept = _metadata(found).get("secret")
    return isinstance(kept, str) and hmac.compare_digest(kept.encode(), text.encode())


async def events(call: Call) -> web.StreamResponse:
    """All hosts' events in one stream; ?type= and ?project= choose, ?all-projects=true takes all projects."""
    if call.request.headers.get("Upgrade", "").lower() != "websocket":
        raise ActionError("Missing or invalid upgrade header")
    wanted = [name for name in call.query.get("type", "").split(",") if name]
    for name in wanted:
        if name not in TYPES:
            raise ActionError(f'"{name}" isn\'t a supported event type')
    if call.all_projects and "project" in call.query:
        raise ActionError("Cannot specify a project when requesting all projects")
    project = None if call.all_projects or call.query.get("project") == "*" else call.project
    if project is None and call.client.projects is not None:
        raise ActionError("not authorized", 403)
    allowed = TYPES
    if call.client.projects is not None or call.client.read_only:
        allowed = OF_PROJECTS  # a daemon's log has the addresses of websockets, secrets and all
    if not allowed.issuperset(wanted):
        raise ActionError("Forbidden", 403)
    client = Subscriber(
        frozenset(wanted) or allowed,
        project,
        restricted=call.client.projects is not None,
        read_only=call.client.read_only,
        named=bool(wanted),
    )
    return await call.gateway.hub.serve(call.request, client)


ROUTES = [
    Route("GET", "/1.0/operations", list_all),
    Route("GET", "/1.0/operations/{id}", read, Access.TRUSTED),
    Route("DELETE", "/1.0/operations/{id}", cancel, Access.TRUSTED),
    Route("GET", "/1.0/operations/{id}/wait", wait, Access.PUBLIC),
    Route("GET", "/1.0/operations/{id}/websocket", websocket, Access.PUBLIC),
    Route("GET", "/1.0/events", events),
]
