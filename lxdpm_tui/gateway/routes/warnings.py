"""/1.0/warnings: those of all hosts, and the gateway's own."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from lxdpm_tui.actions.own_warnings import ACKNOWLEDGED, DELETED, NEW
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers, filters, proxy
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.gather import gather
from lxdpm_tui.gateway.holder import holder
from lxdpm_tui.gateway.routes.instances import stale_header
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.hosts.host import Host


async def list_all(call: Call) -> web.StreamResponse:
    params = {"recursion": "1", **({"project": call.query["project"]} if "project" in call.query else {})}

    async def ask(host: Host) -> list[dict[str, Any]]:
        return (await host.request("GET", "/1.0/warnings", params=params)).metadata or []

    found = await gather(call.manager.fleet, ask, needed=True)
    project = call.query.get("project")
    own = [row for row in await call.manager.warnings.all() if not project or row["project"] in ("", project)]
    hosts = [host for host in call.manager.inventory.hosts if host in found.live]
    rows = [*own, *({**row, "location": host} for host in hosts for row in found.live[host])]
    matches = filters.parse(call.query.get("filter", ""))
    if matches is not None:
        rows = [row for row in rows if matches(row)]
    headers = stale_header(call, found)
    if call.recursion:
        return answers.sync(rows, headers=headers)
    return answers.sync([f"/1.0/warnings/{row['uuid']}" for row in rows], headers=headers)


async def read(call: Call) -> web.StreamResponse:
    own = await call.manager.warnings.get(call.vars["uuid"])
    if own is not None:
        return answers.sync(own, etag={"status": own["status"]})
    return await proxy.forward(call, await holder(call, call.path, "Warning"))


async def change(call: Call) -> web.StreamResponse:
    """{"status": "acknowledged" or "new"}."""
    own = await call.manager.warnings.get(call.vars["uuid"])
    if own is None:
        return await proxy.forward(call, await holder(call, call.path, "Warning"))
    status = (await call.json()).get("status")
    if status not in (ACKNOWLEDGED, NEW):
        raise ActionError(f"status must be {ACKNOWLEDGED} or {NEW}, not {status!r}")
    await call.manager.warnings.set_status(own["uuid"], status)
    return answers.sync({})


async def delete(call: Call) -> web.StreamResponse:
    """One of the gateway's own comes back when what it tells of changes."""
    own = await call.manager.warnings.get(call.vars["uuid"])
    if own is None:
        return await proxy.forward(call, await holder(call, call.path, "Warning"))
    await call.manager.warnings.set_status(own["uuid"], DELETED)
    return answers.sync({})


_ONE = "/1.0/warnings/{uuid}"

ROUTES = [
    Route("GET", "/1.0/warnings", list_all, Access.SERVER),
    Route("GET", _ONE, read, Access.SERVER),
    Route("PUT", _ONE, change, Access.SERVER),
    Route("PATCH", _ONE, change, Access.SERVER),
    Route("DELETE", _ONE, delete, Access.SERVER),
]
