"""Calls that the API answers at once, on daemons that have made operations of them (LXD 6.6 and later)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import web

from lxdpm_tui.gateway import answers, proxy
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.manager import Manager


async def forward_sync(call: Call, host: str, body: bytes | AsyncIterator[bytes] | None = None) -> web.StreamResponse:
    """proxy.forward, for what clients take as done when it is answered: an operation of the host's is waited for."""
    answer = await proxy.forward(call, host, body=body)
    created = call.path if call.request.method == "POST" else ""
    return await settled(call.manager, host, answer, created)


async def settled(manager: Manager, host: str, answer: web.StreamResponse, created: str = "") -> web.StreamResponse:
    """The answer itself, or in place of an operation what came of it. created: URL for a 201, "" for a 200.

    Raises ApiError with the operation's error, and the HostError family.
    """
    if answer.status != 202 or not isinstance(answer, web.Response) or not isinstance(answer.body, bytes):
        return answer
    operation: dict[str, Any] = await manager.fleet.hosts[host].wait(msgspec.json.decode(answer.body)["operation"])
    headers = {proxy.HOST_HEADER: host}
    if created and not operation.get("metadata"):
        return answers.created(created, headers)
    return answers.sync(operation.get("metadata") or {}, headers=headers)
