"""The rarer calls on instances: the state of all of them, rebuild, and what only some daemons have."""

from __future__ import annotations

import msgspec
from aiohttp import web

from lxdpm_tui.actions import bulk, images, resolve
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import proxy, shared
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.routes.instances import change
from lxdpm_tui.gateway.routing import Access, Handler, Route
from lxdpm_tui.gateway.splice import is_upgrade, tunnel


async def set_state(call: Call) -> web.StreamResponse:
    """The same change of state for all instances of the project; the answer is an operation of the gateway's own."""
    state = (await call.json()).get("state")
    if not isinstance(state, dict):
        raise ActionError("state must be an object")
    if call.all_projects and call.client.projects is not None:
        raise ActionError("not authorized", 403)
    task = await bulk.set_state(call.manager, state, call.project, all_projects=call.all_projects)
    await call.manager.audit("instances-state", {"state": state, "project": call.project}, task)
    return shared.operation(call, task)


async def rebuild(call: Call) -> web.StreamResponse:
    """From an image of the fleet: its host gets that first, if it has not."""
    host = await proxy.owner(call, call.vars["name"])
    proxy.must_answer(call, host)
    body = await call.json()
    source = body.get("source")
    if isinstance(source, dict) and source.get("type") == "image" and not source.get("server"):
        ref = source.get("fingerprint") or source.get("alias")
        if not isinstance(ref, str):
            raise ActionError("Must specify one of alias or fingerprint for init from image")
        fingerprint, copies = resolve.image(call.manager, ref, call.project)
        if not any(copy.host == host for copy in copies):
            await images.make_available(call.manager, fingerprint, call.project, host)
        body = {**body, "source": {"type": "image", "fingerprint": fingerprint}}
    answer = await proxy.forward(call, host, body=msgspec.json.encode(body))
    arguments = {"name": call.vars["name"], "project": call.project}
    await call.manager.store.append_audit(call.caller, "rebuild", arguments, result="sent")
    return answer


async def connect(call: Call) -> web.StreamResponse:
    """A byte connection to the owner, when the client asks for one."""
    if not is_upgrade(call.request):
        return await proxy.instance(call)
    host = await proxy.owner(call, call.vars["name"])
    proxy.must_answer(call, host)
    return await tunnel(call.request, call.manager.fleet.hosts[host], proxy.host_target(call))


# A host that does not know one of these says so itself.
_PASSED: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "logs/exec-output", proxy.instance),
    ("GET", "logs/exec-output/{file}", proxy.instance),
    ("DELETE", "logs/exec-output/{file}", change),
    ("GET", "uefi-vars", proxy.instance),
    ("PUT", "uefi-vars", change),
    ("GET", "nvram", proxy.instance),
    ("PUT", "nvram", change),
    ("GET", "debug/memory", proxy.instance),
    ("POST", "debug/repair", change),
    ("GET", "bitmaps", proxy.instance),
    ("POST", "bitmaps", change),
    ("GET", "bitmaps/{bitmap}", proxy.instance),
    ("DELETE", "bitmaps/{bitmap}", change),
    ("GET", "nbd", connect),
    ("GET", "port-forward", connect),
    ("POST", "port-forward", connect),
    ("POST", "rebuild", rebuild),
)


def _routes() -> list[Route]:
    routes = []
    for collection in ("instances", "containers", "virtual-machines"):
        base = f"/1.0/{collection}"
        routes.append(Route("PUT", base, set_state))
        # Who else may use the host's instance is not for those who are restricted to it.
        routes.append(Route("GET", f"{base}/{{name}}/access", proxy.instance, Access.SERVER))
        routes += [Route(method, f"{base}/{{name}}/{rest}", handler) for method, rest, handler in _PASSED]
    return routes


ROUTES = _routes()
