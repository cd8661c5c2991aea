"""/1.0/instances, also as /1.0/containers and /1.0/virtual-machines."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

import msgspec
from aiohttp import web

from lxdpm_tui.actions import create as creating
from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet import decode
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.gateway import answers, filters, proxy
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.gather import GRACE, LONG_GRACE, Gathered, gather
from lxdpm_tui.gateway.routes.instance_import import import_backup
from lxdpm_tui.gateway.routes.instance_migrate import receive, send
from lxdpm_tui.gateway.routing import Handler, Route
from lxdpm_tui.gateway.splice import is_upgrade, tunnel
from lxdpm_tui.hosts.host import Host

STALE_HEADER = "X-LXDPM-Stale"
_TYPE_OF = {"containers": "container", "virtual-machines": "virtual-machine"}
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])


async def list_all(call: Call) -> web.StreamResponse:
    """Every instance of every host; rows of hosts that cannot be asked are the last known, with status Error."""
    matches = filters.parse(call.query.get("filter", ""))
    wanted_type = _TYPE_OF.get(call.collection) or call.query.get("instance-type")
    if wanted_type and wanted_type not in _TYPE_OF.values():
        raise ActionError("Invalid instance type")
    names_only = not call.recursion and not wanted_type and matches is None  # much cheaper for the hosts
    params = {"recursion": "0" if names_only else "2" if call.recursion == 2 else "1"}
    if call.all_projects:
        if "project" in call.query:
            raise ActionError("Cannot specify a project when requesting all projects")
        params["all-projects"] = "true"
    else:
        params["project"] = call.project

    async def ask(host: Host) -> list[msgspec.Raw]:
        return decode.rows_of((await host.request("GET", "/1.0/instances", params=params)).body)

    # The inventory has neither state nor snapshots: what recursion=2 is asked for.
    found = await gather(call.manager.fleet, ask, grace=LONG_GRACE if call.recursion == 2 else GRACE)
    rows: list[tuple[str, str, dict[str, msgspec.Raw]]] = []
    for host in call.manager.inventory.hosts:  # twins in this order, whoever answered first
        rows += [_named(raw) if names_only else _row(host, raw) for raw in found.live.get(host, ())]
        if host not in found.cached:
            continue
        for known in call.manager.inventory.instances.get(host, {}).values():
            if call.all_projects or known.project == call.project:
                rows.append(_row(host, known.raw, call.recursion, found.cached[host]))
    _unless_all_refused(found)
    rows = [row for row in rows if call.allows(row[0])]
    if wanted_type:
        rows = [row for row in rows if _text(row[2], "type") in (wanted_type, "")]
    if matches is not None:
        rows = [row for row in rows if matches(msgspec.json.decode(msgspec.json.encode(row[2])))]
    rows.sort(key=lambda row: row[:2])
    headers = stale_header(call, found)
    if call.recursion:
        return answers.sync([row[2] for row in rows], headers=headers)
    return answers.sync([_url(call.collection, project, name) for project, name, _ in rows], headers=headers)


def _named(raw: msgspec.Raw) -> tuple[str, str, Any]:
    """Project and name out of a host's URL of an instance."""
    path, _, query = str(msgspec.json.decode(raw)).partition("?")
    project = dict(parse_qsl(query)).get("project", "default") if query else "default"
    return project, unquote(path.rpartition("/")[2]), {}


def _row(host: str, raw: msgspec.Raw | bytes, recursion: int = 1, down: bool = False) -> tuple[str, str, Any]:
    row = _raw.decode(raw)
    row["location"] = msgspec.Raw(msgspec.json.encode(host))
    if down:
        row["status"], row["status_code"] = msgspec.Raw(b'"Error"'), msgspec.Raw(b"112")
    if recursion == 2:
        for missing in ("state", "snapshots", "backups"):
            row.setdefault(missing, msgspec.Raw(b"null"))
    return _text(row, "project") or "default", _text(row, "name"), row


def _text(row: dict[str, msgspec.Raw], key: str) -> str:
    return str(msgspec.json.decode(row[key])) if key in row else ""


def _url(collection: str, project: str, name: str) -> str:
    query = "" if project == "default" else f"?project={quote(project, safe='')}"
    plain = name.isascii() and name.replace("-", "").isalnum()  # as nearly all are; quote() looks at every letter
    return f"/1.0/{collection}/{name if plain else quote(name, safe='')}{query}"


def _unless_all_refused(found: Gathered[Any]) -> None:
    """An error that every host gave is the answer; one that only some gave means that they have nothing."""
    if found.errors and not found.live:
        raise next(iter(found.errors.values()))


def stale_header(call: Call, found: Gathered[Any]) -> dict[str, str]:
    """Which hosts' rows are the last known ones, and how old: "h2=43s, h3=2s"."""
    ages = []
    for host, down in found.cached.items():
        record = call.manager.inventory.hosts.get(host)  # None: it left meanwhile
        reached = record.reached if record is not None else 0.0
        if down:
            ages.append(f"{host}={time.time() - reached:.0f}s" if reached else f"{host}=never")
    return {STALE_HEADER: ", ".join(ages)} if ages else {}


async def create(call: Call) -> web.StreamResponse:
    """The scheduler chooses the host, unless ?target= does; the answer is an operation of the gateway's own."""
    if not call.sends_json:
        return await import_backup(call)
    body = await call.json()
    if call.collection in _TYPE_OF:
        body["type"] = _TYPE_OF[call.collection]
    source = body.get("source")
    targets = call.targets
    if isinstance(source, dict) and source.get("type") == "copy":
        targets = _copy_targets(call, source, targets)
        if source.get("refresh") and call.manager.inventory.find_instances(call.project, str(body.get("name"))):
            return await _refresh(call, body, targets)
    if isinstance(source, dict) and source.get("type") == "migration":
        return await receive(call, body)
    start = bool(body.pop("start", False))
    if isinstance(body.get("name"), str):
        await resolve.forget_gone(call.manager, call.project, body["name"])
    plan = creating.prepare(call.manager, body, call.project, targets, by_group=call.by_group)
    task = await creating.create(call.manager, [plan], start=start, owner=call.caller)
    await call.manager.audit("launch", {"body": body, "project": call.project}, task)
    operation = call.gateway.hub.operations.of_task(task)
    return answers.operation({**operation.shown, "id": task.id}, {proxy.HOST_HEADER: _chosen(task.metadata)})


def _chosen(metadata: dict[str, Any]) -> str:
    return str(metadata["placement"][0]["chosen"])


def _copy_targets(call: Call, source: dict[str, Any], targets: frozenset[str]) -> frozenset[str]:
    """A copy is made where its source is."""
    name = str(source.get("source", "")).partition("/")[0]
    project = str(source.get("project") or call.project)
    call.must_allow(project)
    row = resolve.instance(call.manager, name, project)
    if targets and row.host not in targets:
        raise ActionError("copies to another host are not implemented yet", 501)
    return frozenset({row.host})


async def _refresh(call: Call, body: dict[str, Any], sources: frozenset[str]) -> web.StreamResponse:
    """A copy that is there is brought up to date by its host."""
    row = resolve.instance(call.manager, str(body["name"]), call.project)
    if row.host not in sources:
        raise ActionError("copies to another host are not implemented yet", 501)
    return await proxy.forward(call, row.host, body=msgspec.json.encode(body))


async def read(call: Call) -> web.StreamResponse:
    """Of a host that cannot be asked: the last known, with status Error; its state and files: 503."""
    host = await proxy.owner(call, call.vars["name"])
    record = call.manager.inventory.hosts[host]
    if record.usable:
        return await proxy.forward(call, host)
    known = call.manager.inventory.instances[host][Key(host, call.project, call.vars["name"])]
    _, _, row = _row(host, known.raw, call.recursion * 2, down=True)
    age = time.time() - record.reached
    return answers.sync(row, headers={proxy.HOST_HEADER: host, STALE_HEADER: f"{host}={age:.0f}s"})


async def rename(call: Call) -> web.StreamResponse:
    """A rename, or a move to another pool or project of its host: to the owner, once the new name is claimed in the
    whole fleet. Also the beginning of a migration to another server."""
    host = await proxy.owner(call, call.vars["name"])
    body = await call.json()
    call.must_allow(str(body.get("project") or call.project))
    if body.get("migration") and call.target:
        raise ActionError("moves between hosts are not implemented yet", 501)
    if body.get("migration") and not body.get("pool") and not body.get("project"):
        return await send(call, host, body)
    new_name = body.get("name")
    if not isinstance(new_name, str):
        raise ActionError("No name provided")
    manager = call.manager
    project = str(body.get("project") or call.project)
    claim = (project, new_name)
    if body.get("migration") and claim == (call.project, call.vars["name"]):
        return await send(call, host, body)  # from one pool to another, under its name
    await resolve.forget_gone(manager, *claim)
    if manager.inventory.find_instances(*claim) or claim in manager.claims:
        raise ActionError(f'Name "{new_name}" already in use', 409)
    manager.claims.add(claim)
    old, new = Key(host, call.project, call.vars["name"]), Key(host, project, new_name)

    async def release() -> None:
        await resolve.read_again(manager, old, new)
        manager.claims.discard(claim)

    try:
        answer = await proxy.forward(call, host, body=msgspec.json.encode(body))
    except BaseException:
        manager.claims.discard(claim)
        raise
    # Other hosts would take the name until it is seen on this one: it stays claimed until the rename has ended.
    call.gateway.hub.operations.afterwards(answer.headers.get("Location", "").rpartition("/")[2], release)
    return answer


async def change(call: Call) -> web.StreamResponse:
    answer = await proxy.instance(call)
    await _audit(call)
    return answer


async def session(call: Call) -> web.StreamResponse:
    """A command or a console: sent when its sockets can be connected in time."""
    openings = call.gateway.openings
    await openings.turn()
    try:
        answer = await change(call)
        operation: dict[str, Any] = {}
        if answer.status == 202 and isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            operation = msgspec.json.decode(answer.body)["metadata"]
        sockets = (operation.get("metadata") or {}).get("fds") or {}
    except BaseException:
        openings.give_back()
        raise
    if sockets:
        openings.begun(operation["id"], len(sockets.keys() - {"control"}))
    else:
        openings.give_back()
    return answer


async def _audit(call: Call) -> None:
    await call.manager.store.append_audit(
        call.caller, f"{call.request.method} {call.path}", {"project": call.project}, result="sent"
    )


async def sftp(call: Call) -> web.StreamResponse:
    if not is_upgrade(call.request):
        raise ActionError("Missing or invalid upgrade header")
    host = await proxy.owner(call, call.vars["name"])
    proxy.must_answer(call, host)
    return await tunnel(call.request, call.manager.fleet.hosts[host], proxy.host_target(call))


_READS: tuple[str, ...] = (
    "state", "files", "snapshots", "snapshots/{snapshot}", "console", "metadata", "metadata/templates", "logs",
    "logs/{file}", "backups", "backups/{backup}", "backups/{backup}/export",
)  # fmt: skip
_CHANGES: tuple[tuple[str, str], ...] = (
    ("PUT", "state"),
    ("DELETE", "console"),
    ("POST", "files"),
    ("DELETE", "files"),
    ("POST", "snapshots"),
    ("POST", "snapshots/{snapshot}"),
    ("PUT", "snapshots/{snapshot}"),
    ("PATCH", "snapshots/{snapshot}"),
    ("DELETE", "snapshots/{snapshot}"),
    ("PUT", "metadata"),
    ("PATCH", "metadata"),
    ("POST", "metadata/templates"),
    ("DELETE", "metadata/templates"),
    ("DELETE", "logs/{file}"),
    ("POST", "backups"),
    ("POST", "backups/{backup}"),
    ("DELETE", "backups/{backup}"),
)


def _routes() -> list[Route]:
    routes = []
    for collection in ("instances", "containers", "virtual-machines"):
        base = f"/1.0/{collection}"
        one = f"{base}/{{name}}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", base, list_all),
            ("POST", base, create),
            ("GET", one, read),
            ("POST", one, rename),
            ("PUT", one, change),
            ("PATCH", one, change),
            ("DELETE", one, change),
            ("HEAD", f"{one}/files", proxy.instance),
            ("GET", f"{one}/sftp", sftp),
            ("POST", f"{one}/exec", session),
            ("POST", f"{one}/console", session),
        ]
        table += [("GET", f"{one}/{rest}", proxy.instance) for rest in _READS]
        table += [(method, f"{one}/{rest}", change) for method, rest in _CHANGES]
        routes += [Route(*entry) for entry in table]
    return routes


ROUTES = _routes()
