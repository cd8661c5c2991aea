"""/1.0/storage-pools: one object each, a copy on every host that has it, and the space in them."""

from __future__ import annotations

from aiohttp import web

from lxdpm_tui.actions import resolve, storage
from lxdpm_tui.gateway import answers, proxy, shared
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.gather import gather
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.hosts.host import Host

POOLS = shared.View(storage.POOLS, storage.LOCAL_KEYS, located=True, visible=lambda call, key: True)


async def resources(call: Call) -> web.StreamResponse:
    """Bytes and inodes of all hosts together."""
    if call.target:
        return await proxy.forward(call, call.target)

    async def ask(host: Host) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = await host.get(call.path)
        return found

    found = await gather(call.manager.fleet, ask, needed=True)
    if not found.live:
        for error in found.errors.values():
            if "not found" not in error.text:  # LXD 5 says so with code 500
                raise error
        raise resolve.unknown(call.manager, "Storage pool")
    total: dict[str, dict[str, int]] = {"space": {"used": 0, "total": 0}, "inodes": {"used": 0, "total": 0}}
    for answer in found.live.values():
        for what, figures in total.items():
            for key in figures:
                figures[key] += (answer.get(what) or {}).get(key, 0)
    return answers.sync(total)


def _pools(call: Call) -> shared.View:
    return POOLS


ROUTES: list[Route] = [
    *shared.routes("/1.0/storage-pools", _pools, ("GET", "PUT", "PATCH", "DELETE"), Access.TRUSTED),
    Route("GET", "/1.0/storage-pools/{name}/resources", resources, Access.TRUSTED),
]
