"""Routes of networks, storage pools and volumes."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from lxdpm_tui.demo import render
from lxdpm_tui.demo.answers import Call, Handler, created, done, sync
from lxdpm_tui.demo.api_admin import merge, no_project
from lxdpm_tui.demo.events import NEVER, timestamp
from lxdpm_tui.demo.state import etag
from lxdpm_tui.demo.variants import JSON, Problem

_DRIVERS = frozenset({"dir", "btrfs", "zfs", "lvm"})

# -- networks


async def list_networks(call: Call) -> web.Response:
    call.projects("networks_all_projects", no_project(call, "Failed to load"))
    names = render.network_names(call.state)
    if call.recursion:
        shown = [name for name in names if name != "eth0" or not call.state.variant.incus]
        return sync([render.network(call.state, name) for name in shown])
    return sync([call.state.url("networks", name) for name in names])


def _network(call: Call, missing: str = "Network not found") -> str:
    if call.parts["name"] not in render.network_names(call.state):
        raise Problem(404, missing)
    return call.parts["name"]


def _network_etag(call: Call, name: str) -> str:
    return etag(name, call.state.networks.get(name))


def _tell_network(call: Call, name: str, what: str) -> str:
    url = call.state.url("networks", name)
    call.state.hub.lifecycle("default", f"network-{what}", url)
    return url


async def create_network(call: Call) -> web.Response:
    body = await call.body()
    name = body.get("name") or ""
    if not name:
        raise Problem(400, "No name provided")
    if name in call.state.networks:
        raise call.state.variant.problem("network-exists", name=name)
    config = {key: str(value) for key, value in (body.get("config") or {}).items()}
    new = {"config": config, "description": body.get("description") or "", "type": body.get("type") or "bridge"}
    call.state.networks[name] = new
    return created(_tell_network(call, name, "created"))


async def get_network(call: Call) -> web.Response:
    name = _network(call)
    return sync(render.network(call.state, name), _network_etag(call, name))


async def put_network(call: Call) -> web.Response:
    return await _change_network(call, whole=True)


async def patch_network(call: Call) -> web.Response:
    return await _change_network(call, whole=False)


async def _change_network(call: Call, *, whole: bool) -> web.Response:
    name = _network(call)
    call.check_etag(_network_etag(call, name))
    body = await call.body()
    old = call.state.networks[name]
    empty = {"config": {}, "description": "", "type": old["type"]}
    call.state.networks[name] = merge(empty if whole else old, body, ("config", "description"))
    _tell_network(call, name, "updated")
    return done()


async def delete_network(call: Call) -> web.Response:
    name = _network(call, "Failed loading network: Network not found")
    if render.network(call.state, name)["used_by"]:
        raise Problem(400, "The network is currently in use")
    del call.state.networks[name]
    _tell_network(call, name, "deleted")
    return done()


async def network_state(call: Call) -> web.Response:
    return sync(render.network_state(call.state, _network(call)))


async def network_leases(call: Call) -> web.Response:
    return sync(render.leases(call.state, _network(call)))


# -- storage


async def list_pools(call: Call) -> web.Response:
    if call.recursion:
        return sync([render.pool(call.state, name) for name in call.state.pools])
    return sync([call.state.url("storage-pools", name) for name in call.state.pools])


def _pool(call: Call) -> str:
    if call.parts["pool"] not in call.state.pools:
        raise Problem(404, "Storage pool not found")
    return call.parts["pool"]


def _tell_pool(call: Call, name: str, what: str) -> str:
    url = call.state.url("storage-pools", name)
    call.state.hub.lifecycle("default", f"storage-pool-{what}", url)
    return url


async def create_pool(call: Call) -> web.Response:
    body = await call.body()
    name, driver = body.get("name") or "", body.get("driver") or ""
    if not name:
        raise Problem(400, "No name provided")
    if name in call.state.pools:
        raise Problem(409, "The storage pool already exists: The record already exists")
    if driver not in _DRIVERS:
        raise Problem(500, "Unknown driver")
    call.state.add_pool(name, driver, body.get("config") or {}, body.get("description") or "")
    return created(_tell_pool(call, name, "created"))


async def get_pool(call: Call) -> web.Response:
    name = _pool(call)
    found = render.pool(call.state, name)
    return sync(found, etag(name, found["driver"], found["config"]) if call.state.variant.incus else "")


async def put_pool(call: Call) -> web.Response:
    return await _change_pool(call, whole=True)


async def patch_pool(call: Call) -> web.Response:
    return await _change_pool(call, whole=False)


async def _change_pool(call: Call, *, whole: bool) -> web.Response:
    name = _pool(call)
    old: dict[str, Any] = call.state.pools[name]
    empty = {"config": {}, "description": ""}
    changed = merge(old | empty if whole else old, await call.body(), ("config", "description"))
    changed["config"]["source"] = old["config"]["source"]
    call.state.pools[name] = changed
    _tell_pool(call, name, "updated")
    return done()


async def delete_pool(call: Call) -> web.Response:
    name = _pool(call)
    if render.pool(call.state, name)["used_by"]:
        raise Problem(400, "The storage pool is currently in use")
    del call.state.pools[name]
    _tell_pool(call, name, "deleted")
    return done()


async def pool_resources(call: Call) -> web.Response:
    return sync(render.pool_resources(call.state, _pool(call)))


async def list_volumes(call: Call) -> web.Response:
    pool, kind = _pool(call), call.parts.get("kind", "")
    if kind not in ("", "container", "virtual-machine", "image", "custom"):
        raise Problem(400, "Invalid storage volume type name")
    rows = [row for row in render.volumes(call.state, pool, call.project) if kind in ("", row["type"])]
    if call.recursion:
        return sync(rows)
    url = call.state.url
    return sync([url("storage-pools", pool, "volumes", row["type"], row["name"], project=call.project) for row in rows])


def _tell_volume(call: Call, pool: str, name: str, what: str, context: JSON | None = None) -> None:
    url = call.state.url("storage-pools", pool, "volumes", "custom", f"{call.project}_{name}")
    call.state.hub.lifecycle(call.project, f"storage-volume-{what}", url, context=context)


async def create_volume(call: Call) -> web.Response:
    pool, body = _pool(call), await call.body()
    name = body.get("name") or ""
    volumes = call.state.project(call.project).volumes
    if (pool, name) in volumes:
        raise Problem(409, "Volume by that name already exists")
    new = {"config": body.get("config") or {}, "description": body.get("description") or ""}
    volumes[pool, name] = new | {"created_at": timestamp() if call.state.variant.incus else NEVER}
    _tell_volume(call, pool, name, "created", {"type": "custom"})
    return done()


def _volume(call: Call) -> JSON:
    rows = render.volumes(call.state, _pool(call), call.project)
    for row in rows:
        if (row["type"], row["name"]) == (call.parts["kind"], call.parts["volume"]):
            return row
    raise Problem(404, "Storage pool volume not found")


async def get_volume(call: Call) -> web.Response:
    found = _volume(call)
    return sync(found, etag(found["name"], found["type"], found["config"]))


async def delete_volume(call: Call) -> web.Response:
    found, pool = _volume(call), call.parts["pool"]
    if found["used_by"]:
        raise Problem(400, "The storage volume is still in use")
    del call.state.project(call.project).volumes[pool, found["name"]]
    _tell_volume(call, pool, found["name"], "deleted")
    return done()


_POOL = "/1.0/storage-pools/{pool}"
ROUTES: dict[str, dict[str, Handler]] = {
    "/1.0/networks": {"GET": list_networks, "POST": create_network},
    "/1.0/networks/{name}": {"GET": get_network, "PUT": put_network, "PATCH": patch_network, "DELETE": delete_network},
    "/1.0/networks/{name}/state": {"GET": network_state},
    "/1.0/networks/{name}/leases": {"GET": network_leases},
    "/1.0/storage-pools": {"GET": list_pools, "POST": create_pool},
    _POOL: {"GET": get_pool, "PUT": put_pool, "PATCH": patch_pool, "DELETE": delete_pool},
    f"{_POOL}/resources": {"GET": pool_resources},
    f"{_POOL}/volumes": {"GET": list_volumes},
    f"{_POOL}/volumes/{{kind}}": {"GET": list_volumes, "POST": create_volume},
    f"{_POOL}/volumes/{{kind}}/{{volume}}": {"GET": get_volume, "DELETE": delete_volume},
}
