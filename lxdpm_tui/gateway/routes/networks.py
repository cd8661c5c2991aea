"""/1.0/networks with what hangs on them, /1.0/network-acls, -zones, -address-sets and -allocations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import update_wrapper
from typing import Any
from urllib.parse import quote

from aiohttp import web

from lxdpm_tui.actions import networks, resolve
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import access, answers, proxy, shared
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.gather import Gathered, gather
from lxdpm_tui.gateway.holder import holder
from lxdpm_tui.gateway.routing import Access, Handler, Route
from lxdpm_tui.gateway.settle import forward_sync
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError

NETWORKS = shared.View(networks.NETWORKS, networks.LOCAL_KEYS, located=True, all_projects="networks_all_projects")
ACLS = shared.View(networks.ACLS, all_projects="network_acls_all_projects")
ZONES = shared.View(networks.ZONES, all_projects="network_zones_all_projects")
ADDRESS_SETS = shared.View(networks.ADDRESS_SETS)


def _records(call: Call) -> shared.View:
    return shared.View(networks.records(call.vars["zone"]))


# -- what all hosts have of a network


async def _each(call: Call, title: str, **params: Any) -> Gathered[Any]:
    """Every host's answer to this path. Raises ActionError when no host has one."""

    async def ask(host: Host) -> Any:
        return await host.get(call.path, project=call.project, **params)

    found = await gather(call.manager.fleet, ask, needed=True)
    for error in found.errors.values():
        if error.code != 404:
            raise error
    if not found.live:
        if found.errors and all(error.text == "not found" for error in found.errors.values()):
            raise next(iter(found.errors.values()))  # none of the daemons knows the path
        raise resolve.unknown(call.manager, title)
    return found


async def state(call: Call) -> web.StreamResponse:
    """Addresses of all hosts one after the other, counters summed, the rest as the first host has it."""
    if call.target:
        return await proxy.forward(call, call.target)
    states: list[dict[str, Any]] = list((await _each(call, "Network")).live.values())
    first = dict(states[0])
    first["addresses"] = [address for state in states for address in state.get("addresses") or ()]
    counters: dict[str, int] = {}
    for state in states:
        for key, value in (state.get("counters") or {}).items():
            counters[key] = counters.get(key, 0) + value
    return answers.sync({**first, "counters": counters})


async def _located(call: Call, title: str) -> list[dict[str, Any]]:
    """The rows of all hosts, each with where it is from."""
    hosts = (await _each(call, title, recursion=1)).live
    order = [host for host in call.manager.inventory.hosts if host in hosts]
    return [{**row, "location": host} for host in order for row in hosts[host] or ()]


async def leases(call: Call) -> web.StreamResponse:
    if call.target:
        return await proxy.forward(call, call.target)
    return answers.sync(await _located(call, "Network"))


async def allocations(call: Call) -> web.StreamResponse:
    """Overlapping subnets on different hosts are normal, so nothing is merged."""

    async def ask(host: Host) -> list[dict[str, Any]]:
        params = {"all-projects": "true"} if call.all_projects else {"project": call.project}
        return await host.get(call.path, **params) or []

    found = await gather(call.manager.fleet, ask, needed=True)
    if found.errors and not found.live:
        raise next(iter(found.errors.values()))
    rows = [row for live in found.live.values() for row in live]
    return answers.sync([row for row in rows if access.users(call, [row.get("used_by") or ""])])


async def acl_log(call: Call) -> web.StreamResponse:
    """The hosts' logs one after the other."""
    logs: dict[str, bytes] = {}
    missing: ApiError | None = None
    for host in call.manager.fleet.usable():
        daemon = call.manager.fleet.hosts[host]
        try:
            logs[host] = (await daemon.request("GET", call.path, params={"project": call.project})).body
        except ApiError as error:
            missing = error
    if not logs and missing is not None:
        raise missing
    return web.Response(body=b"".join(logs.values()), content_type="application/octet-stream")


# -- forwards, load balancers and peers: each on one host


_TITLES = {"forwards": "Network forward", "load-balancers": "Network load balancer", "peers": "Network peer"}


async def parts(call: Call, part: str) -> web.StreamResponse:
    """Those of all hosts, with their location."""
    if call.target:
        return await proxy.forward(call, call.target)
    rows = await _located(call, "Network")
    if call.recursion:
        return answers.sync(rows)
    key = "name" if part == "peers" else "listen_address"
    return answers.sync([f"{call.path}/{quote(row[key], safe='')}" for row in rows])


async def add_part(call: Call, part: str) -> web.StreamResponse:
    """Make one on the host named, or on the only one that has the network."""
    path = networks.NETWORKS.path(call.vars["network"])
    return await _change(call, await holder(call, path, "Network"))


async def one_part(call: Call, part: str) -> web.StreamResponse:
    """To the host that has it."""
    host = await holder(call, call.path, _TITLES[part])
    return await (proxy.forward(call, host) if call.request.method == "GET" else _change(call, host))


async def _change(call: Call, host: str) -> web.StreamResponse:
    answer = await forward_sync(call, host)
    arguments = {"project": call.project, "hosts": [host]}
    await call.manager.store.append_audit(call.caller, f"{call.request.method} {call.path}", arguments, result="sent")
    return answer


def _bound(work: Callable[[Call, str], Awaitable[web.StreamResponse]], part: str) -> Handler:
    return update_wrapper(lambda call: work(call, part), work)


def _part_routes() -> list[Route]:
    routes = []
    for part in _TITLES:
        base = f"/1.0/networks/{{network}}/{part}"
        routes.append(Route("GET", base, _bound(parts, part)))
        routes.append(Route("POST", base, _bound(add_part, part), Access.SERVER))
        routes.append(Route("GET", f"{base}/{{part}}", _bound(one_part, part)))
        for method in ("PUT", "PATCH", "DELETE"):
            routes.append(Route(method, f"{base}/{{part}}", _bound(one_part, part), Access.SERVER))
    return routes


# -- OVN interconnection: what it is about is one host's own


async def integrations(call: Call) -> web.StreamResponse:
    if not call.target:
        raise ActionError("network integrations belong to one host: choose it by ?target=", 501)
    return await proxy.forward(call, call.target)


_INTEGRATIONS = "/1.0/network-integrations"

ROUTES = [
    *shared.routes("/1.0/networks", lambda _: NETWORKS),
    *shared.routes("/1.0/network-acls", lambda _: ACLS),
    *shared.routes("/1.0/network-zones", lambda _: ZONES, ("GET", "PUT", "PATCH", "DELETE")),
    *shared.routes("/1.0/network-zones/{zone}/records", _records, ("GET", "PUT", "PATCH", "DELETE")),
    *shared.routes("/1.0/network-address-sets", lambda _: ADDRESS_SETS),
    Route("GET", "/1.0/network-acls/{name}/log", acl_log, Access.SERVER),
    Route("GET", "/1.0/networks/{network}/state", state),
    Route("GET", "/1.0/networks/{network}/leases", leases),
    Route("GET", "/1.0/network-allocations", allocations),
    *_part_routes(),
    *(
        Route(method, path, integrations, Access.SERVER)
        for path in (_INTEGRATIONS, f"{_INTEGRATIONS}/{{name}}")
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
    ),
]
