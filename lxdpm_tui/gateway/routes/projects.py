"""/1.0/projects: one object each, a copy on every host that has it."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from lxdpm_tui.actions import projects, resolve
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers, proxy, shared
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.gather import gather
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.hosts.host import Host

PROJECTS = shared.View(projects.PROJECTS, visible=lambda call, key: call.allows(key[1]))
_ONE = "/1.0/projects/{name}"


async def list_all(call: Call) -> web.StreamResponse:
    if call.recursion:
        return await shared.list_all(call, PROJECTS)
    merged, headers = await shared.gathered(call, PROJECTS)
    known = {name for record in call.manager.inventory.hosts.values() for name in record.projects}
    names = sorted({"default", *known, *(name for _, name in merged)})
    return answers.sync([f"/1.0/projects/{quote(n, safe='')}" for n in names if call.allows(n)], headers=headers)


async def read(call: Call) -> web.StreamResponse:
    return await shared.read(call, PROJECTS)


async def state(call: Call) -> web.StreamResponse:
    """The use on all hosts together; of limits, which hold on each host, the smallest."""
    if not call.allows(call.vars["name"]):
        raise ActionError("Project not found", 404)
    if call.target:
        return await proxy.forward(call, call.target)

    async def ask(host: Host) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = (await host.get(call.path))["resources"]
        return found

    found = await gather(call.manager.fleet, ask, needed=True)
    for error in found.errors.values():
        if error.code != 404:
            raise error
    if not found.live:
        raise resolve.unknown(call.manager, "Project")
    total: dict[str, dict[str, int]] = {}
    for resources in found.live.values():
        for what, figures in resources.items():
            known = total.setdefault(what, {"Limit": -1, "Usage": 0})
            known["Usage"] += figures["Usage"]
            limits = [limit for limit in (known["Limit"], figures["Limit"]) if limit >= 0]
            known["Limit"] = min(limits, default=-1)
    return answers.sync({"resources": total})


async def create(call: Call) -> web.StreamResponse:
    body = await call.json()
    task = await projects.create(call.manager, body, [call.target] if call.target else [])
    await shared.finish(call, "project-create", {"name": body["name"]}, task)
    return answers.created(f"/1.0/projects/{quote(str(body['name']), safe='')}")


async def change(call: Call) -> web.StreamResponse:
    return await shared.change(call, PROJECTS)


async def rename(call: Call) -> web.StreamResponse:
    """An operation, as LXD has it."""
    new_name = (await call.json()).get("name")
    if not isinstance(new_name, str):
        raise ActionError("No name provided")
    task = await projects.rename(call.manager, call.vars["name"], new_name)
    await call.manager.audit("project-rename", {"name": call.vars["name"], "new_name": new_name}, task)
    return shared.operation(call, task)


async def delete(call: Call) -> web.StreamResponse:
    task = await projects.delete(call.manager, call.vars["name"], [call.target] if call.target else [])
    await shared.finish(call, "project-delete", {"name": call.vars["name"]}, task)
    return answers.sync({})


async def access(call: Call) -> web.StreamResponse:
    raise ActionError("who may use a project is said in /1.0/certificates", 501)


ROUTES = [
    Route("GET", "/1.0/projects", list_all, Access.TRUSTED),
    Route("POST", "/1.0/projects", create, Access.SERVER),
    Route("GET", _ONE, read, Access.TRUSTED),
    Route("PUT", _ONE, change, Access.SERVER),
    Route("PATCH", _ONE, change, Access.SERVER),
    Route("POST", _ONE, rename, Access.SERVER),
    Route("DELETE", _ONE, delete, Access.SERVER),
    Route("GET", f"{_ONE}/state", state, Access.TRUSTED),
    Route("GET", f"{_ONE}/access", access, Access.TRUSTED),
]
