"""Who may do what: strangers, certificates restricted to projects, and those that may only read.

Towards the hosts the gateway is the administrator, so that all of it is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from aiohttp import web

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.hosts.transport import ApiError, HostError

if TYPE_CHECKING:
    from lxdpm_tui.gateway.call import Call, Client
    from lxdpm_tui.hosts.host import Host

REFUSED = "not authorized"
LOOK_UP = 5.0
_READS = frozenset({"GET", "HEAD"})
_VOLUMES = "/1.0/storage-pools/{pool}/volumes"
_BUCKETS = "/1.0/storage-pools/{pool}/buckets"
_LET_OUT = ("/export", "/secret")  # a POST there gives an image to somebody, and changes nothing


def check(route: Route, client: Client, request: web.BaseRequest) -> None:
    """Raises ActionError 403. What a PUBLIC route shows to whom is for its handler."""
    reads = request.method in _READS and ("Upgrade" not in request.headers or route.pattern == "/1.0/events")
    if client.read_only and not reads:
        raise ActionError(REFUSED, 403)
    if route.access is Access.PUBLIC and (not client.trusted or reads or route.pattern == "/1.0/certificates"):
        return
    if not client.trusted:
        raise ActionError(REFUSED, 403)
    if client.projects is None or route.access is Access.TRUSTED:
        return
    if route.access is Access.SERVER:
        raise ActionError(REFUSED, 403)
    query = request.query
    if route.lists and "project" not in query and query.get("all-projects", "").lower() in ("true", "1"):
        return
    if not all((project or "default") in client.projects for project in query.getall("project", ["default"])):
        raise ActionError(REFUSED, 403)


async def check_owner(call: Call, route: Route) -> None:
    """Refuse a restricted caller's change of what its project only borrows from default: images, profiles, volumes.

    LXD itself lets that pass. Raises ActionError 403, 503 when no host can say what the project has of its own.
    """
    if call.client.projects is None or call.request.method in _READS or "default" in call.client.projects:
        return
    feature = _feature(call, route)
    if not feature:
        return
    path = f"/1.0/projects/{quote(call.project, safe='')}"

    async def ask(host: Host) -> bool:
        config = (await host.get(path)).get("config") or {}
        return bool(config.get(feature) == "true")

    found = (await call.manager.fleet.fan_out(ask, budget=LOOK_UP)).values()
    if any(own is False for own in found):
        raise ActionError(REFUSED, 403)
    if not any(own is True for own in found):
        refused = next((answer for answer in found if isinstance(answer, ApiError)), None)
        if refused is not None:
            raise refused
        silent = ", ".join(str(answer) for answer in found if isinstance(answer, HostError))
        raise ActionError(f"no host can be asked for the project: {silent}", 503)


def _feature(call: Call, route: Route) -> str:
    """The project's key that says whether it has what this route changes of its own; "" when it always has."""
    if route.pattern.startswith("/1.0/profiles"):
        return "features.profiles"
    if route.pattern.startswith("/1.0/images") and not route.pattern.endswith(_LET_OUT):
        return "features.images"
    if route.pattern.startswith(_VOLUMES) and call.vars.get("type", "custom") == "custom":
        return "features.storage.volumes"
    return "features.storage.buckets" if route.pattern.startswith(_BUCKETS) else ""


def users(call: Call, urls: Iterable[str]) -> list[str]:
    """Each URL once, without those in projects that the caller may not see."""
    return [
        url for url in dict.fromkeys(urls) if call.allows(parse_qs(urlsplit(url).query).get("project", ["default"])[0])
    ]


def veil(call: Call, row: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """A host's object without what a restricted caller may not see: users in other projects, and the configuration
    of networks and pools, as LXD leaves it out."""
    if call.client.projects is None:
        return row
    if "used_by" in row:
        urls: list[str] | None = msgspec.json.decode(row["used_by"])
        row["used_by"] = msgspec.Raw(msgspec.json.encode(users(call, urls or ())))
    if "locations" in row and "config" in row:
        row["config"] = msgspec.Raw(b"{}")
    return row


_SECRETS = frozenset({"fds", "secret", "control", "fs", "filesystem", "criu", "state"})


def without_secrets(shown: dict[str, Any]) -> dict[str, Any]:
    """An operation (values decoded or Raw) without what lets somebody connect to it."""
    metadata = shown.get("metadata")
    found = msgspec.json.decode(metadata) if isinstance(metadata, msgspec.Raw) else metadata
    if not isinstance(found, dict) or not _SECRETS & found.keys():
        return shown
    return {**shown, "metadata": {key: value for key, value in found.items() if key not in _SECRETS}}
