"""What a cluster's API has and a fleet of independent hosts does not: refused in words, not as an unknown path."""

from __future__ import annotations

from aiohttp import web

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.routing import Access, Route

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_WITH_ALL_BELOW = (
    "/1.0/auth",
    "/1.0/cluster/links",
    "/1.0/placement-groups",
    "/1.0/replicators",
)


async def join(call: Call) -> web.StreamResponse:
    raise ActionError("fleet gateway: add hosts with `lxdpm-tui host add`")


async def members(call: Call) -> web.StreamResponse:
    raise ActionError("fleet gateway: add hosts with `lxdpm-tui host add`", 501)


async def unserved(call: Call) -> web.StreamResponse:
    raise ActionError("not implemented", 501)


ROUTES = [
    Route("PUT", "/1.0/cluster", join, Access.SERVER),
    Route("PUT", "/1.0/cluster/certificate", unserved, Access.SERVER),
    Route("POST", "/1.0/cluster/members", members, Access.SERVER),
    *(Route(m, path, unserved, Access.TRUSTED) for path in _WITH_ALL_BELOW for m in _METHODS),
    *(Route(m, f"{path}/{{rest...}}", unserved, Access.TRUSTED) for path in _WITH_ALL_BELOW for m in _METHODS),
]
