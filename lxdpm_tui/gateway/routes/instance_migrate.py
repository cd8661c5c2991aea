"""Instances on their way from and to other servers, as LXD's clients copy between remotes: pull, push and relay.

Both halves are operations of a host's own. Whoever connects to their websockets, the other server or a client that
relays, comes to this gateway with the operation's secret, and is tunnelled on.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from lxdpm_tui.actions import create as creating
from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import proxy
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.routes.instance_place import to_chosen


async def receive(call: Call, body: dict[str, Any]) -> web.StreamResponse:
    """POST /1.0/instances with source.type "migration": the host that the scheduler chooses connects to the other
    server (pull), or waits for it (push). Raises ActionError 400, 409, 503."""
    mode = body["source"].get("mode") or "pull"
    if mode not in ("pull", "push"):
        raise ActionError(f"Mode {mode!r} not implemented", 501)
    name = body.get("name")
    if isinstance(name, str):
        await resolve.forget_gone(call.manager, call.project, name)
        if body["source"].get("refresh") and call.manager.inventory.find_instances(call.project, name):
            host = await proxy.owner(call, name)
            answer = await proxy.forward(call, host, body=msgspec.json.encode(body))
            await call.manager.store.append_audit(
                call.caller, "instance-receive", {"name": name, "project": call.project, "host": host}, result="sent"
            )
            return answer
    plan = creating.prepare(call.manager, body, call.project, call.targets, by_group=call.by_group)
    return await to_chosen(call, msgspec.json.encode(plan.body), "instance-receive", plan.request)


async def send(call: Call, host: str, body: dict[str, Any]) -> web.StreamResponse:
    """POST /1.0/instances/NAME with migration and no target: its host waits for the other server, or connects to it."""
    answer = await proxy.forward(call, host, body=msgspec.json.encode(body))
    arguments = {"name": call.vars["name"], "project": call.project, "host": host}
    await call.manager.store.append_audit(call.caller, "instance-send", arguments, result="sent")
    return answer
