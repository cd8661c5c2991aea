"""What the hosts have and do: resources, metrics, members' state, and the description of configuration keys."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any
from urllib.parse import quote

from aiohttp import web

from lxdpm_tui.actions.hosts import set_maintenance
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers, metrics, proxy, shared
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.gather import gather
from lxdpm_tui.gateway.routes.cluster import record_of
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.hosts.dialect import parse_version
from lxdpm_tui.hosts.host import Host

SCRAPE_GRACE = 2.0  # seconds that a silent host keeps a scrape, which mostly has 10 s for all
_NOT_SUMMED = frozenset({"hugepages_size"})


async def resources(call: Call) -> web.StreamResponse:
    """Numbers of all hosts summed, lists one after the other. ?target= shows that host's own."""
    if call.target:
        return await proxy.forward(call, call.target)

    async def ask(host: Host) -> dict[str, Any]:
        found: dict[str, Any] = await host.get("/1.0/resources")
        return found

    found = await gather(call.manager.fleet, ask, needed=True)
    if found.errors and not found.live:
        raise next(iter(found.errors.values()))
    if not found.live:
        raise ActionError("no host can be asked", 503)
    total: dict[str, Any] = {}
    for host in call.manager.inventory.hosts:
        if host in found.live:
            total = joined(total, found.live[host])
    return answers.sync(total)


def joined(left: Any, right: Any) -> Any:
    """Two hosts' answers as one: objects key by key, lists appended, numbers summed; of texts the first."""
    if isinstance(left, dict) and isinstance(right, dict):
        both = {key: joined(value, right[key]) if key in right else value for key, value in left.items()}
        both.update({key: left[key] for key in _NOT_SUMMED & left.keys()})
        return {**both, **{key: value for key, value in right.items() if key not in left}}
    if isinstance(left, list) and isinstance(right, list):
        return [*left, *right]
    if left is None:
        return right
    if _is_number(left) and _is_number(right):
        return left + right
    return left


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


async def all_metrics(call: Call) -> web.StreamResponse:
    """Every host's metrics with a label `location`, and which hosts are up. Restricted callers see their projects'."""
    if call.target and call.client.projects is None:
        return await proxy.forward(call, call.target)
    params = {"project": call.query["project"]} if "project" in call.query else None

    async def ask(host: Host) -> str:
        if not host.dialect.metrics:
            return ""
        reply = await host.request("GET", "/1.0/metrics", params=params)
        packed = reply.headers.get("Content-Encoding") == "gzip"
        return (await asyncio.to_thread(gzip.decompress, reply.body) if packed else reply.body).decode()

    hosts = [call.target] if call.target else None
    found = await gather(call.manager.fleet, ask, hosts, grace=SCRAPE_GRACE)
    if found.errors and not found.live:
        raise next(iter(found.errors.values()))
    order = [host for host in call.manager.inventory.hosts if host in found.live]
    up = {name: record.usable for name, record in call.manager.inventory.hosts.items()}
    allows = None if call.client.projects is None else call.allows
    return web.Response(
        text=metrics.merge({host: found.live[host] for host in order}, up, allows), content_type="text/plain"
    )


async def configuration(call: Call) -> web.StreamResponse:
    """What the newest host says that it knows; of LXD rather than of Incus, as that is what the gateway is."""
    records = call.manager.inventory.hosts.values()
    able = [record for record in records if "metadata_configuration" in record.extensions]
    usable = [record for record in able if record.usable]
    if not usable:
        raise ActionError("no host that knows it can be asked", 503) if able else ActionError("not found", 404)
    best = max(usable, key=lambda record: (record.kind == "lxd", parse_version(record.version)))
    return await proxy.forward(call, best.name)


# -- members


async def member_state(call: Call) -> web.StreamResponse:
    """Memory in bytes, the load, and the space in pools. Uptime and swap are not known (0)."""
    record = record_of(call)
    proxy.must_answer(call, record.name)
    host = call.manager.fleet.hosts[record.name]
    found = await host.get("/1.0/resources")
    memory, load = found.get("memory") or {}, found.get("load") or {}
    pools = {}
    for name in record.pools:
        pools[name] = await host.get(f"/1.0/storage-pools/{quote(name, safe='')}/resources")
    total, used = memory.get("total", 0), memory.get("used", 0)
    sysinfo = {
        "uptime": 0,
        "load_averages": [load.get(key, 0.0) for key in ("Average1Min", "Average5Min", "Average10Min")],
        "total_ram": total,
        "free_ram": total - used,
        "shared_ram": 0,
        "buffer_ram": 0,
        "total_swap": 0,
        "free_swap": 0,
        "processes": load.get("Processes", 0),
        "logical_cpus": (found.get("cpu") or {}).get("total", 0),
    }
    return answers.sync({"sysinfo": sysinfo, "storage_pools": pools})


async def change_state(call: Call) -> web.StreamResponse:
    """{"action": "evacuate" or "restore"}: out of placement, and back in. What runs there must be stopped first."""
    record, name = record_of(call), call.vars["name"]
    action = (await call.json()).get("action")
    if action not in ("evacuate", "restore"):
        raise ActionError(f"Unknown action {action!r}")
    if action == "evacuate":
        if record.maintenance:
            raise ActionError("Cluster member is already evacuated")
        proxy.must_answer(call, name)
        await call.manager.fleet.watch(name).read_now("instances")
        rows = call.manager.inventory.instances.get(name, {}).values()
        running = sorted(row.name for row in rows if row.status == "Running")
        if running:
            shown = ", ".join([*running[:5], *(["..."] if len(running) > 5 else [])])
            raise ActionError(
                f"{len(running)} instances run on {name} ({shown}): stop or move them first. To place nothing there"
                f" while they run on: lxdpm-tui maintenance {name} on"
            )
    on = "on" if action == "evacuate" else "off"
    if call.manager.upstream.ours:
        return shared.operation(call, await call.manager.run("maintenance", host=name, on=on))
    # LXD's own words: front ends tell by them what goes on.
    words = f"{'Evacuating' if action == 'evacuate' else 'Restoring'} cluster member"
    task = await set_maintenance(call.manager, name, on == "on", words)
    await call.manager.audit("maintenance", {"host": name, "on": on}, task)
    call.tell("cluster-member-evacuated" if on == "on" else "cluster-member-restored", f"/1.0/cluster/members/{name}")
    return shared.operation(call, task)


ROUTES = [
    Route("GET", "/1.0/resources", resources, Access.TRUSTED),
    Route("GET", "/1.0/metrics", all_metrics, Access.TRUSTED),
    Route("GET", "/1.0/metadata/configuration", configuration, Access.TRUSTED),
    Route("GET", "/1.0/cluster/members/{name}/state", member_state, Access.TRUSTED),
    Route("POST", "/1.0/cluster/members/{name}/state", change_state, Access.SERVER),
]
