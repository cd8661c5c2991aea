"""A create whose operation is the host's own: its body can be sent once, or its answer has what the client needs."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.create import refusal
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.gateway import proxy
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.scheduler.model import Request


async def to_chosen(
    call: Call, body: bytes | AsyncIterator[bytes], action: str, *requests: Request
) -> web.StreamResponse:
    """Pass the call on to the host that the scheduler chooses for the first of the requests that one can take.

    The name stays claimed, and the room reserved, until the operation has ended. action: what the audit says.
    Raises ActionError: 409 the name is taken, 503 no host can take it, and the HostError family.
    """
    manager = call.manager
    claim = (call.project, requests[0].instance)
    await resolve.forget_gone(manager, *claim)
    if manager.inventory.find_instances(*claim) or claim in manager.claims:
        raise ActionError(f'Instance "{claim[1]}" already exists', 409)
    manager.claims.add(claim)
    try:
        for request in requests:
            decision, reservation = await manager.scheduler.place(request)
            if reservation is not None:
                break
        if reservation is None:
            raise ActionError(refusal(decision), 503)
        host = reservation.host
        try:
            answer = await proxy.forward(call, host, body=body)
        except BaseException:
            await manager.scheduler.release(reservation)
            raise
    except BaseException:
        manager.claims.discard(claim)
        raise

    async def release() -> None:
        await resolve.read_again(manager, Key(host, *claim))
        await manager.scheduler.release(reservation)
        manager.claims.discard(claim)

    operation = answer.headers.get("Location", "").rpartition("/")[2] if answer.status == 202 else ""
    call.gateway.hub.operations.afterwards(operation, release)
    arguments = {"name": claim[1], "project": call.project, "host": host}
    await manager.store.append_audit(call.caller, action, arguments, result="sent")
    return answer
