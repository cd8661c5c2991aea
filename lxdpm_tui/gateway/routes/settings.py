"""PUT and PATCH of /1.0: keys of the gateway's own, those that are the fleet's, or with ?target= those of one host."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aiohttp import web

from lxdpm_tui.actions import server_config
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.environment import FLEET_KEYS
from lxdpm_tui.gateway import answers, browser, proxy
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.gateway.shared import finish

PASSWORD = "core.trust_password"  # noqa: S105
_SET = "true"  # all that is shown of it, and kept with the other keys


def is_own(key: str) -> bool:
    """Whether the gateway keeps this key itself."""
    return key.startswith("user.") or key in browser.KEYS or key == PASSWORD


def as_text(config: dict[str, Any] | None) -> dict[str, str]:
    """Only text: a client of Incus dies of anything else. null takes a key away, as "" does."""
    return {key: _text(value) for key, value in (config or {}).items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


async def change(call: Call) -> web.StreamResponse:
    body = await call.json()
    given = body.get("config", {} if call.request.method == "PATCH" else None)
    if not isinstance(given, dict):
        raise ActionError("config must be an object")
    if call.target:
        return await _change_host(call, call.target, given)
    old = shown(call)
    answers.check_match(call.request, old, "the configuration")
    wanted = as_text(given)
    for key, value in wanted.items():
        if value and not is_own(key) and not FLEET_KEYS.match(key):
            raise ActionError(f"{key} is host-local, use --target")
    if call.request.method == "PATCH":
        changed = {key: value for key, value in wanted.items() if FLEET_KEYS.match(key)}
    else:
        keys = [key for key in {**old, **wanted} if FLEET_KEYS.match(key)]
        changed = {key: wanted.get(key, "") for key in keys if wanted.get(key, "") != old.get(key, "")}
    if changed:
        task = await server_config.edit(call.manager, changed)
        await finish(call, "server-config", {"config": changed}, task)
    own = {key: value for key, value in wanted.items() if is_own(key)}
    if call.request.method == "PATCH":
        own = {**call.gateway.config, **own}  # as it is by now: hosts take their time, and others change keys meanwhile
    new = {**own, PASSWORD: await _set_password(call, own.get(PASSWORD, ""))}
    await call.gateway.set_config({key: value for key, value in new.items() if value})
    await call.manager.store.append_audit(call.caller, "config-set", {"config": new}, result="Success")
    call.tell("config-updated", "/1.0")
    return answers.sync({})


def shown(call: Call) -> dict[str, str]:
    """The gateway's own keys, and of the fleet's what most hosts have. Restricted callers see none."""
    if call.client.projects is not None:
        return {}
    records = [record for record in call.manager.inventory.hosts.values() if record.version]
    found = dict(call.gateway.config)
    for key in dict.fromkeys(key for record in records for key in record.config):
        value = Counter(record.config.get(key, "") for record in records).most_common(1)[0][0]
        if value:
            found[key] = value
    return found


async def _set_password(call: Call, given: str) -> str:
    """What is shown of it from now on. What a client read as "true" was only the mask."""
    if given == call.gateway.config.get(PASSWORD, ""):
        return given
    await call.gateway.trust.set_password(given or None)
    return _SET if given else ""


async def _change_host(call: Call, host: str, given: dict[str, Any]) -> web.StreamResponse:
    proxy.must_answer(call, host)
    daemon = call.manager.fleet.hosts[host]
    reply = await daemon.request("GET", "/1.0")
    answers.check_match(call.request, as_text(reply.metadata.get("config")), "the configuration")
    # Of LXD too: as a value the mask would become the password.
    sent = {key: True if key == PASSWORD and value in (_SET, True) else value for key, value in given.items()}
    headers = {"If-Match": reply.etag} if reply.etag else None
    await call.manager.fleet.operate(host, call.request.method, "/1.0", json={"config": sent}, headers=headers)
    told = {"host": host, "config": {**given, **({PASSWORD: _SET} if given.get(PASSWORD) else {})}}
    await call.manager.store.append_audit(call.caller, "config-set", told, result="Success")
    return answers.sync({}, headers={proxy.HOST_HEADER: host})


ROUTES = [
    Route("PUT", "/1.0", change, Access.SERVER),
    Route("PATCH", "/1.0", change, Access.SERVER),
]
