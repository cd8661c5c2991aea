"""/, /1.0, and the planner."""

from __future__ import annotations

import platform
from collections import Counter
from typing import Any

from aiohttp import web

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import HostRecord
from lxdpm_tui.gateway import answers, proxy
from lxdpm_tui.gateway.call import Call
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
        "api_extensions": call.gateway.advertised(call.manager.inventory.hosts.values()),
        "api_status": "stable",
        "api_version": "1.0",
        "auth": "untrusted",
        "public": False,
        "auth_methods": ["tls"],
        "client_certificate": bool(call.client.certificate),
    }


def _server(call: Call) -> dict[str, Any]:
    records = list(call.manager.inventory.hosts.values())
    os = _most(records, lambda r: r.os)
    architectures = list(dict.fromkeys(name for record in records for name in record.architectures))
    return {
        "config": settings.shown(call),
        "api_extensions": call.gateway.advertised(records),
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
            "driver": "lxc",
            "driver_version": "",
            "firewall": "",
            "kernel": platform.system(),
            "kernel_architecture": architectures[0] if architectures else platform.machine(),
            "kernel_features": {},
            "instance_types": list(dict.fromkeys(kind for record in records for kind in record.instance_types)),
            "kernel_version": _most(records, lambda r: r.kernel) or platform.release(),
            "lxc_features": {},
            "os_name": os.rpartition(" ")[0],
            "os_version": os.rpartition(" ")[2],
            "project": call.project,
            "server": "lxd",
            "server_clustered": True,
            "server_event_mode": "full-mesh",
            "server_name": "fleet",
            "server_pid": 0,
            "server_version": API_VERSION,
            "storage": "",
            "storage_version": "",
            "storage_supported_drivers": _drivers(records),
            **next((record.environment for record in records if record.environment), {}),
        },
    }


def _most(records: list[HostRecord], value: Any) -> str:
    found = Counter(text for record in records if (text := value(record)))
    return found.most_common(1)[0][0] if found else ""


def _drivers(records: list[HostRecord]) -> list[dict[str, Any]]:
    """Those that every host has."""
    known = [{name: (version, remote) for name, version, remote in record.drivers} for record in records]
    known = [drivers for drivers in known if drivers]
    names = [name for name in known[0] if all(name in drivers for drivers in known)] if known else []
    return [{"Name": name, "Version": known[0][name][0], "Remote": known[0][name][1]} for name in names]


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
    Route("GET", "/1.0/planner", planner, Access.TRUSTED),
    Route("PUT", "/1.0/planner", set_planner, Access.SERVER),
    Route("POST", "/1.0/planner", set_planner, Access.SERVER),
]
