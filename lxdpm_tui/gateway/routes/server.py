"""/, /1.0, the cluster view that clients see the hosts by, what clients ask on their way, and the planner."""

from __future__ import annotations

import platform
import time
from collections import Counter
from typing import Any
from urllib.parse import quote

from aiohttp import web

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import HostRecord
from lxdpm_tui.gateway import answers, proxy
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.extensions import advertised
from lxdpm_tui.gateway.groups import groups_of
from lxdpm_tui.gateway.routes import settings
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.scheduler.model import Strategy

API_VERSION = "5.0.2"
"""What the answers are shaped like; clients read it to know what they can expect."""


async def root(call: Call) -> web.StreamResponse:
    return answers.sync(["/1.0"])


async def server(call: Call) -> web.StreamResponse:
    """One LXD cluster made of all hosts. ?target= shows that host's own answer."""
    if not call.client.trusted:
        return answers.sync(_untrusted(call))
    target = call.target
    shown = _server(call)
    if target:
        proxy.must_answer(call, target)
        own = await call.manager.fleet.hosts[target].get("/1.0")
        kept = {"certificate", "certificate_fingerprint", "addresses", "server_clustered"}
        environment = {**own["environment"], **{k: v for k, v in shown["environment"].items() if k in kept}}
        shown = {
            **shown,
            "environment": {**environment, "server_name": target},
            "config": settings.as_text(own.get("config")) if call.client.projects is None else {},
        }
    return answers.sync(shown, etag=shown["config"])


def _untrusted(call: Call) -> dict[str, Any]:
    """What anybody may know: enough to enrol."""
    return {
        "config": {},
        "api_extensions": advertised(call.manager.inventory.hosts.values()),
        "api_status": "stable",
        "api_version": "1.0",
        "auth": "untrusted",
        "public": False,
        "auth_methods": ["tls"],
        "client_certificate": bool(call.client.certificate),
    }


def _server(call: Call) -> dict[str, Any]:
    records = list(call.manager.inventory.hosts.values())
    architectures = list(dict.fromkeys(name for record in records for name in record.architectures))
    return {
        "config": dict(call.gateway.config) if call.client.projects is None else {},
        "api_extensions": advertised(records),
        "api_status": "stable",
        "api_version": "1.0",
        "auth": "trusted",
        "public": False,
        "auth_methods": ["tls"],
        "auth_user_name": call.caller,
        "auth_user_method": call.client.method,
        "client_certificate": bool(call.client.certificate),
        "environment": {
            "addresses": list(call.gateway.addresses),
            "architectures": architectures,
            "certificate": call.gateway.certificate,
            "certificate_fingerprint": call.gateway.fingerprint,
            "driver": _most(records, lambda r: "lxc") or "lxc",
            "driver_version": "",
            "firewall": "",
            "kernel": platform.system(),
            "kernel_architecture": architectures[0] if architectures else platform.machine(),
            "kernel_features": {},
            "kernel_version": platform.release(),
            "lxc_features": {},
            "os_name": "",
            "os_version": "",
            "project": call.project,
            "server": "lxd",
            "server_clustered": True,
            "server_event_mode": "full-mesh",
            "server_name": "fleet",
            "server_pid": 0,
            "server_version": API_VERSION,
            "storage": _most(records, lambda r: next((pool.driver for pool in r.pools.values()), "")),
            "storage_version": "",
            "storage_supported_drivers": _drivers(records),
        },
    }


def _most(records: list[HostRecord], value: Any) -> str:
    found = Counter(text for record in records if (text := value(record)))
    return found.most_common(1)[0][0] if found else ""


def _drivers(records: list[HostRecord]) -> list[dict[str, Any]]:
    names = sorted({pool.driver for record in records for pool in record.pools.values()})
    return [{"Name": name, "Version": "1", "Remote": False} for name in names]


# -- the hosts, seen as a cluster


async def cluster(call: Call) -> web.StreamResponse:
    shown = {"server_name": "fleet", "enabled": True, "member_config": []}
    return answers.sync(shown, etag=shown)


def _member(record: HostRecord) -> dict[str, Any]:
    if not record.usable:
        age = f"last seen {time.time() - record.reached:.0f} s ago" if record.reached else "never seen"
        status, message = "Offline", f"{record.status}: {record.reason or 'connecting'} ({age})"
    elif record.maintenance:
        status, message = "Evacuated", "Unavailable due to maintenance"
    else:
        status, message = "Online", record.reason or "Fully operational"
    return {
        "server_name": record.name,
        "url": record.address,
        "database": False,
        "status": status,
        "message": message,
        "architecture": record.architectures[0] if record.architectures else "",
        "failure_domain": "default",
        "description": f"{record.kind} {record.version}".strip(),
        "config": {f"user.label.{key}": value for key, value in record.labels.items()},
        "roles": [],
        "groups": groups_of(record),
    }


async def members(call: Call) -> web.StreamResponse:
    records = call.manager.inventory.hosts.values()
    if call.recursion:
        return answers.sync([_member(record) for record in records])
    return answers.sync([f"/1.0/cluster/members/{quote(record.name, safe='')}" for record in records])


async def member(call: Call) -> web.StreamResponse:
    record = call.manager.inventory.hosts.get(call.vars["name"])
    if record is None:
        raise ActionError("Cluster member not found", 404)
    shown = _member(record)
    return answers.sync(shown, etag=[shown["config"], shown["groups"]])


# -- the planner


async def planner(call: Call) -> web.StreamResponse:
    """The strategy's name."""
    return answers.sync(str(call.manager.scheduler.strategy))


async def set_planner(call: Call) -> web.StreamResponse:
    """{"state": "random" | "scatter" | "gather"}; "State" counts too."""
    body = await call.json()
    wanted = body.get("state", body.get("State"))
    if not isinstance(wanted, str) or wanted not in tuple(Strategy):
        raise ActionError(f"state must be one of {', '.join(Strategy)}, not {wanted!r}")
    await call.manager.scheduler.set_strategy(wanted)
    await call.manager.store.append_audit(call.caller, "planner", {"state": wanted}, result="Success")
    return answers.sync({})


ROUTES = [
    Route("GET", "/", root, Access.PUBLIC),
    Route("GET", "/1.0", server, Access.PUBLIC),
    Route("GET", "/1.0/cluster", cluster, Access.TRUSTED),
    Route("GET", "/1.0/cluster/members", members, Access.TRUSTED),
    Route("GET", "/1.0/cluster/members/{name}", member, Access.TRUSTED),
    Route("GET", "/1.0/planner", planner, Access.TRUSTED),
    Route("PUT", "/1.0/planner", set_planner, Access.SERVER),
    Route("POST", "/1.0/planner", set_planner, Access.SERVER),
]
