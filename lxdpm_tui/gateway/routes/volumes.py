"""Volumes and buckets of storage pools: each on one host; lists are those of all hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from aiohttp import web

from lxdpm_tui.actions import resolve, storage
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers, filters, proxy
from lxdpm_tui.gateway.backup_index import read_head
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.gather import gather
from lxdpm_tui.gateway.holder import holder, holders
from lxdpm_tui.gateway.routes.instances import stale_header
from lxdpm_tui.gateway.routing import Route
from lxdpm_tui.gateway.settle import forward_sync
from lxdpm_tui.gateway.splice import is_upgrade, tunnel
from lxdpm_tui.hosts.host import Host

Row = dict[str, Any]

VOLUME = "Storage volume"
BUCKET = "Storage bucket"
_POOL = "/1.0/storage-pools/{pool}"


def _pool(call: Call) -> str:
    return f"/1.0/storage-pools/{quote(call.vars['pool'], safe='')}"


def _volume(call: Call, name: str = "", pool: str = "") -> str:
    path = f"/1.0/storage-pools/{quote(pool, safe='')}" if pool else _pool(call)
    kind = quote(call.vars.get("type") or "custom", safe="")
    return f"{path}/volumes/{kind}/{quote(name or call.vars['volume'], safe='')}"


# -- lists


async def list_volumes(call: Call) -> web.StreamResponse:
    """Those of one pool on all hosts, with their location."""
    kind = f"/{quote(call.vars['type'], safe='')}" if "type" in call.vars else ""
    path = f"{_pool(call)}/volumes{kind}"

    async def ask(host: Host) -> list[Row]:
        return await _of_pool(call, host, path, call.vars["pool"], "storage_volumes_all_projects")

    return await _list(call, ask, _volume_url)


async def list_buckets(call: Call) -> web.StreamResponse:
    async def ask(host: Host) -> list[Row]:
        rows = await _of_pool(call, host, f"{_pool(call)}/buckets", call.vars["pool"], "storage_buckets_all_projects")
        return [{**row, "type": "bucket"} for row in rows]

    return await _list(call, ask, _bucket_url)


async def list_everywhere(call: Call) -> web.StreamResponse:
    """Those of all pools."""
    kind = f"/{quote(call.vars['type'], safe='')}" if "type" in call.vars else ""

    async def ask(host: Host) -> list[Row]:
        found = []
        for pool in await host.get("/1.0/storage-pools") or ():
            name = str(pool).rpartition("/")[2]
            found += await _of_pool(call, host, f"{pool}/volumes{kind}", name, "storage_volumes_all_projects")
        return found

    return await _list(call, ask, _volume_url)


async def _of_pool(call: Call, host: Host, path: str, pool: str, all_projects: str) -> list[Row]:
    record = call.manager.inventory.hosts[host.name]
    if not call.all_projects:
        params: list[dict[str, str]] = [{"project": call.project}]
    elif all_projects in record.extensions:
        params = [{"all-projects": "true"}]
    else:
        params = [{"project": project} for project in record.projects]
    found: dict[tuple[str, str, str], Row] = {}
    for param in params:
        for row in await host.get(path, recursion=1, **param) or ():
            project = row.get("project") or param.get("project") or "default"
            # A project without volumes of its own shows those of default, under the name that it was asked by.
            found.setdefault((project, row.get("type", ""), row["name"]), {**row, "pool": pool, "project": project})
    return list(found.values())


async def _list(call: Call, ask: Any, url: Any) -> web.StreamResponse:
    """The rows of all hosts; of those that are down the last known. No event tells of volumes: who is only silent is
    waited for."""
    matches = filters.parse(call.query.get("filter", ""))
    found = await gather(call.manager.fleet, ask, needed=True)
    if found.errors and not found.live:
        raise next(iter(found.errors.values()))
    remembered, scope = call.gateway.remembered, "*" if call.all_projects else call.project
    rows: list[Row] = []
    for host in call.manager.inventory.hosts:
        key = (unquote(call.path), host, scope)  # a path has many spellings, each of which would be kept
        if host in found.live:
            remembered[key] = [(row["project"], {**row, "location": host}) for row in found.live[host]]
        if host in found.live or host in found.cached:
            rows += [row for project, row in remembered.get(key, ()) if call.allows(project)]
    if matches is not None:
        rows = [row for row in rows if matches(row)]
    headers = stale_header(call, found)
    if not call.recursion:
        return answers.sync(list(dict.fromkeys(url(row) for row in rows)), headers=headers)
    return answers.sync(rows, headers=headers)


def _query(row: Row) -> str:
    return "" if row["project"] == "default" else f"?project={quote(row['project'], safe='')}"


def _volume_url(row: Row) -> str:
    name, slash, snapshot = row["name"].partition("/")
    path = f"/1.0/storage-pools/{quote(row['pool'], safe='')}/volumes/{row['type']}/{quote(name, safe='')}"
    return f"{path}/snapshots/{quote(snapshot, safe='')}{_query(row)}" if slash else path + _query(row)


def _bucket_url(row: Row) -> str:
    return f"/1.0/storage-pools/{quote(row['pool'], safe='')}/buckets/{quote(row['name'], safe='')}{_query(row)}"


# -- making one


async def create(call: Call) -> web.StreamResponse:
    """On the host named, on that of the volume that it is a copy of, or on the one with the most room in that pool."""
    stream: AsyncIterator[bytes] | None = None
    body: Row = {}
    if call.sends_json:
        body = await call.json()
        name = body.get("name")
    else:
        given = call.request.headers
        name = given.get("X-LXD-name") or given.get("X-Incus-name")
        stream = call.request.content.iter_any()
        if not name:
            backup = await read_head(stream)
            name, stream = backup.name, backup.body
            if not name:
                raise ActionError("The name of the volume cannot be read from the backup: say it in X-LXD-name")
    if not isinstance(name, str) or not name:
        raise ActionError("No name provided")
    resolve.check_name(VOLUME, name)
    host = await _host_for(call, body)
    sent = stream if stream is not None else msgspec.json.encode(body)
    source = body.get("source")
    source = source if isinstance(source, dict) else {}
    kind = source.get("type")
    if kind == "copy" and source.get("refresh") and await _exists(call, _volume(call, name), host, anywhere=False):
        return await _change(call, host, False, sent)
    at_once = stream is None and kind not in ("copy", "migration")
    return await _make(call, host, _volume(call, name), f'Volume "{name}" already exists', sent, at_once)


async def _host_for(call: Call, body: Row) -> str:
    source = body.get("source")
    target = call.target
    if isinstance(source, dict) and source.get("type") == "copy":
        call.must_allow(str(source.get("project") or call.project))
        name = str(source.get("name") or "").partition("/")[0]
        if not name:
            raise ActionError("No source volume name supplied")
        having = await holders(
            call,
            _volume(call, name, str(source.get("pool") or call.vars["pool"])),
            VOLUME,
            str(source.get("project") or call.project),
        )
        wanted = source.get("location") or (target if target in having else None)
        if len(having) > 1 and wanted not in having:
            raise ActionError(f"{VOLUME} found on more than one cluster member. Please target a specific member", 409)
        host = str(wanted) if wanted in having else having[0]
        if target and target != host:
            raise ActionError("copies to another host are not implemented yet", 501)
        return host
    # Incus 6.0 dies of what LXD sends of a volume with snapshots; who will send is not known before.
    coming = isinstance(source, dict) and source.get("type") == "migration"
    return target or storage.roomiest(call.manager, call.vars["pool"], "lxd" if coming else "")


async def create_bucket(call: Call) -> web.StreamResponse:
    body = await call.json()
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise ActionError("No name provided")
    resolve.check_name(BUCKET, name)
    host = call.target or storage.roomiest(call.manager, call.vars["pool"])
    path = f"{_pool(call)}/buckets/{quote(name, safe='')}"
    return await _make(call, host, path, f'Bucket "{name}" already exists', msgspec.json.encode(body), True)


async def _make(
    call: Call, host: str, path: str, taken: str, body: bytes | AsyncIterator[bytes], at_once: bool
) -> web.StreamResponse:
    """The name is claimed until the host has made it, so that two calls never make twins. at_once: see `_change`."""
    claim = (call.project, path)
    claimed = call.gateway.claimed
    if claim in claimed:
        raise ActionError(taken, 409)
    claimed.add(claim)

    async def release() -> None:
        claimed.discard(claim)

    try:
        if await _exists(call, path, host, anywhere=not call.target):
            raise ActionError(taken, 409)
        answer = await _change(call, host, at_once, body)
    except BaseException:
        claimed.discard(claim)
        raise
    operation = answer.headers.get("Location", "").rpartition("/")[2] if answer.status == 202 else ""
    call.gateway.hub.operations.afterwards(operation, release)
    return answer


async def _exists(call: Call, path: str, host: str, anywhere: bool) -> bool:
    """Whether a host that answers has it, or that one. With ?target= only one counts: so twins are made on purpose."""

    async def ask(daemon: Host) -> None:
        await daemon.request("GET", path, params={"project": call.project})

    found = await call.manager.fleet.fan_out(ask, None if anywhere else [host])
    return any(answer is None for answer in found.values())


# -- one of them


async def volume(call: Call) -> web.StreamResponse:
    """The volume itself or what it has: to its owner."""
    return await _pass(call, await holder(call, _volume(call), VOLUME))


async def bucket(call: Call) -> web.StreamResponse:
    path = f"{_pool(call)}/buckets/{quote(call.vars['bucket'], safe='')}"
    return await _pass(call, await holder(call, path, BUCKET))


async def rename(call: Call) -> web.StreamResponse:
    """Also a move to another pool, or a migration's source."""
    body = await call.json()
    call.must_allow(str(body.get("project") or call.project))
    having = await holders(call, _volume(call), VOLUME)
    target = call.target
    if target and target not in having:
        raise ActionError("moves between hosts are not implemented yet", 501)
    if len(having) > 1 and not target:
        raise ActionError(f"{VOLUME} found on more than one cluster member. Please target a specific member", 409)
    host = target or having[0]
    name, pool = body.get("name"), str(body.get("pool") or call.vars["pool"])
    if isinstance(name, str) and name and not body.get("migration"):
        resolve.check_name(VOLUME, name)
        path = _volume(call, name, pool)
        if path != _volume(call):
            sent, at_once = msgspec.json.encode(body), pool == call.vars["pool"] and not body.get("project")
            return await _make(call, host, path, f'Volume "{name}" already exists', sent, at_once)
    return await _change(call, host, False, msgspec.json.encode(body))


async def _pass(call: Call, host: str) -> web.StreamResponse:
    if is_upgrade(call.request):
        proxy.must_answer(call, host)
        return await tunnel(call.request, call.manager.fleet.hosts[host], proxy.host_target(call))
    if call.request.method in ("GET", "HEAD"):
        return await proxy.forward(call, host)
    rest = call.vars.get("rest", "")
    part = rest.partition("/")[0]
    at_once = part in ("", "keys") or (part == "snapshots" and call.request.method in ("PUT", "PATCH"))
    return await _change(call, host, at_once)


async def _change(
    call: Call, host: str, at_once: bool, body: bytes | AsyncIterator[bytes] | None = None
) -> web.StreamResponse:
    """at_once: whether the API answers it without an operation, whatever this host does."""
    answer = await (forward_sync(call, host, body) if at_once else proxy.forward(call, host, body=body))
    arguments = {"project": call.project, "hosts": [host]}
    await call.manager.store.append_audit(call.caller, f"{call.request.method} {call.path}", arguments, result="sent")
    return answer


def _routes() -> list[Route]:
    volumes, one = f"{_POOL}/volumes", f"{_POOL}/volumes/{{type}}/{{volume}}"
    buckets, one_bucket = f"{_POOL}/buckets", f"{_POOL}/buckets/{{bucket}}"
    routes = [
        Route("GET", volumes, list_volumes),
        Route("POST", volumes, create),
        Route("GET", f"{volumes}/{{type}}", list_volumes),
        Route("POST", f"{volumes}/{{type}}", create),
        Route("POST", one, rename),
        Route("POST", f"{one}/{{rest...}}", volume),
        Route("GET", buckets, list_buckets),
        Route("POST", buckets, create_bucket),
        Route("POST", f"{one_bucket}/{{rest...}}", bucket),
        Route("GET", "/1.0/storage-volumes", list_everywhere),
        Route("GET", "/1.0/storage-volumes/{type}", list_everywhere),
    ]
    for method in ("GET", "PUT", "PATCH", "DELETE", "HEAD"):
        routes += [Route(method, pattern, volume) for pattern in (one, f"{one}/{{rest...}}")]
        routes += [Route(method, pattern, bucket) for pattern in (one_bucket, f"{one_bucket}/{{rest...}}")]
    return routes


ROUTES = _routes()
