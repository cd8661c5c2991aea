"""Changes of an image on all hosts that hold it, its refresh, and its ways to other servers."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from lxdpm_tui.actions import image_edit, images
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers, proxy, shared
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.routes.images import writable
from lxdpm_tui.gateway.routing import Route


async def change(call: Call) -> web.StreamResponse:
    """PUT and PATCH: what differs from what the client had read, on every holder's own copy."""
    found = await image_edit.holders(call.manager, call.vars["fingerprint"], call.project)
    body = await call.json()
    if body.get("properties") is not None and not isinstance(body["properties"], dict):
        raise ActionError("properties must be an object")
    old: dict[str, Any] = next(iter(found.images.values()))
    answers.check_match(call.request, writable(old), "the image")
    if call.request.method == "PATCH":
        old, new = {}, body
    else:
        new = {**body, "properties": body.get("properties") or {}}
    task = await image_edit.edit(call.manager, found, old, new, call.project)
    await call.manager.audit("image-edit", {"fingerprint": found.fingerprint, "project": call.project}, task)
    await images.succeeded(task)
    return answers.sync({})


async def refresh(call: Call) -> web.StreamResponse:
    task = await image_edit.refresh(call.manager, call.vars["fingerprint"], call.project)
    await call.manager.audit("image-refresh", {"fingerprint": call.vars["fingerprint"], "project": call.project}, task)
    return shared.operation(call, task)


async def secret(call: Call) -> web.StreamResponse:
    """A secret of one of the holders, by which somebody else may fetch the image here."""
    found = await images.locate(call.manager, call.vars["fingerprint"], call.project)
    host = next(iter(found.images))
    answer = await proxy.forward(call, host, f"/1.0/images/{found.fingerprint}/secret")
    if answer.status == 202 and isinstance(answer, web.Response) and isinstance(answer.body, bytes):
        envelope = msgspec.json.decode(answer.body)
        text = envelope["metadata"]["metadata"]["secret"]
        call.gateway.secrets.add(call.project, found.fingerprint, text, host, envelope["operation"])
    return answer


async def push(call: Call) -> web.StreamResponse:
    """A holder sends it to the server that the body names."""
    found = await images.locate(call.manager, call.vars["fingerprint"], call.project)
    arguments = {"fingerprint": found.fingerprint, "project": call.project}
    await call.manager.store.append_audit(call.caller, "image-push", arguments, result="sent")
    return await proxy.forward(call, next(iter(found.images)), f"/1.0/images/{found.fingerprint}/export")


_ONE = "/1.0/images/{fingerprint}"

ROUTES = [
    Route("PUT", _ONE, change),
    Route("PATCH", _ONE, change),
    Route("POST", f"{_ONE}/refresh", refresh),
    Route("POST", f"{_ONE}/secret", secret),
    Route("POST", f"{_ONE}/export", push),
]
