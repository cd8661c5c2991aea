"""PUT and PATCH of /1.0: keys of the gateway's own, or with ?target= those of one host."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers, browser, proxy
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.routing import Access, Route

PASSWORD = "core.trust_password"  # noqa: S105
_SET = "true"  # all that is shown of it, and kept with the other keys


def is_own(key: str) -> bool:
    """Whether the gateway keeps this key itself."""
    return key.startswith("user.") or key in browser.KEYS or key == PASSWORD


def as_text(config: dict[str, Any] | None) -> dict[str, str]:
    """Only text: a client of Incus dies of anything else."""
    return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in (config or {}).items()}


async def change(call: Call) -> web.StreamResponse:
    given = (await call.json()).get("config")
    if not isinstance(given, dict):
        raise ActionError("config must be an object")
    if call.target:
        return await _change_host(call, call.target, given)
    old = call.gateway.config
    _check_match(call, old)
    wanted = as_text(given)
    for key, value in wanted.items():
        if value and not is_own(key):
            raise ActionError(f"{key} is host-local, use --target")
    if call.request.method == "PATCH":
        wanted = {**old, **wanted}
    new = {**wanted, PASSWORD: await _set_password(call, wanted.get(PASSWORD, ""), old)}
    await call.gateway.set_config({key: value for key, value in new.items() if value})
    await call.manager.store.append_audit(call.caller, "config-set", {"config": new}, result="Success")
    return answers.sync({})


async def _set_password(call: Call, given: str, old: dict[str, str]) -> str:
    """What is shown of it from now on. What a client read as "true" was only the mask."""
    if given == old.get(PASSWORD, ""):
        return given
    await call.gateway.trust.set_password(given or None)
    return _SET if given else ""


async def _change_host(call: Call, host: str, given: dict[str, Any]) -> web.StreamResponse:
    proxy.must_answer(call, host)
    daemon = call.manager.fleet.hosts[host]
    reply = await daemon.request("GET", "/1.0")
    _check_match(call, as_text(reply.metadata.get("config")))
    # Of LXD too: as a value the mask would become the password.
    sent = {key: True if key == PASSWORD and value in (_SET, True) else value for key, value in given.items()}
    headers = {"If-Match": reply.etag} if reply.etag else None
    await call.manager.fleet.operate(host, call.request.method, "/1.0", json={"config": sent}, headers=headers)
    told = {"host": host, "config": {**given, **({PASSWORD: _SET} if given.get(PASSWORD) else {})}}
    await call.manager.store.append_audit(call.caller, "config-set", told, result="Success")
    return answers.sync({}, headers={proxy.HOST_HEADER: host})


def _check_match(call: Call, config: dict[str, str]) -> None:
    match = call.request.headers.get("If-Match", "").strip('"')
    if match and match != answers.etag_of(config).strip('"'):
        raise ActionError("Precondition failed: the configuration has changed, read it again", 412)


ROUTES = [
    Route("PUT", "/1.0", change, Access.SERVER),
    Route("PATCH", "/1.0", change, Access.SERVER),
]
