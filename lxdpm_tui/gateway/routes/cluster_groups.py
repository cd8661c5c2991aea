"""/1.0/cluster/groups: groups that were made here, and those that hosts are in by their labels."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from aiohttp import web

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import answers, groups
from lxdpm_tui.gateway.call import Call
from lxdpm_tui.gateway.routes.settings import as_text
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.scheduler.membership import Group

_ALL = "/1.0/cluster/groups"
_ONE = f"{_ALL}/{{name}}"


def _shown(call: Call, name: str, hosts: list[str]) -> dict[str, Any]:
    said = call.manager.membership.groups.get(name, Group())
    description = said.description or ("All hosts" if name == groups.DEFAULT else "")
    return {"name": name, "description": description, "members": hosts, "config": dict(said.config)}


def _url(name: str) -> str:
    return f"{_ALL}/{quote(name, safe='')}"


async def list_all(call: Call) -> web.StreamResponse:
    found = groups.members(call.manager)
    if call.recursion:
        return answers.sync([_shown(call, name, hosts) for name, hosts in found.items()])
    return answers.sync([_url(name) for name in found])


def _find(call: Call) -> dict[str, Any]:
    """Raises ActionError 404."""
    name = call.vars["name"]
    hosts = groups.members(call.manager).get(name)
    if hosts is None:
        raise ActionError("Cluster group not found", 404)
    return _shown(call, name, hosts)


async def read(call: Call) -> web.StreamResponse:
    shown = _find(call)
    return answers.sync(shown, etag=shown)


async def create(call: Call) -> web.StreamResponse:
    """{"name", "description", "members"}."""
    body = await call.json()
    async with call.manager.membership.changing:
        name = _new_name(call, body)
        await _keep(call, name, {"members": [], **body})
    call.tell("cluster-group-created", _url(name))
    return answers.created(_url(name))


async def change(call: Call) -> web.StreamResponse:
    """Its description and members. Those that are in it by a label cannot be left out."""
    _find(call)
    body = await call.json()
    async with call.manager.membership.changing:
        shown = _find(call)
        answers.check_match(call.request, shown, "the group")
        if call.request.method == "PATCH":
            given = body.get("config")
            config = {**shown["config"], **given} if isinstance(given, dict) else given or shown["config"]
            body = {**shown, **body, "config": config}
        await _keep(call, shown["name"], {"members": [], **body})
    call.tell("cluster-group-updated", call.path)
    return answers.sync({})


async def rename(call: Call) -> web.StreamResponse:
    """{"name"}."""
    _find(call)
    body = await call.json()
    async with call.manager.membership.changing:
        old = _find(call)["name"]
        if old == groups.DEFAULT:
            raise ActionError('The "default" group cannot be renamed', 403)
        _refuse_labels(call, old)
        new = _new_name(call, body)
        await call.manager.membership.rename_group(old, new)
    await call.manager.store.append_audit(call.caller, "group-rename", {"name": old, "new_name": new}, result="Success")
    call.tell("cluster-group-renamed", _url(new), {"old_name": old})
    return answers.created(_url(new))


async def delete(call: Call) -> web.StreamResponse:
    """Only an empty one, as LXD has it."""
    async with call.manager.membership.changing:
        shown = _find(call)
        if shown["name"] == groups.DEFAULT:
            raise ActionError("The 'default' cluster group cannot be deleted", 403)
        _refuse_labels(call, shown["name"])
        if shown["members"]:
            raise ActionError("Only empty cluster groups can be removed")
        await call.manager.membership.delete_group(shown["name"])
    await call.manager.store.append_audit(call.caller, "group-delete", {"name": shown["name"]}, result="Success")
    call.tell("cluster-group-deleted", call.path)
    return answers.sync({})


def _new_name(call: Call, body: dict[str, Any]) -> str:
    """Raises ActionError in LXD's words."""
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise ActionError("No name provided")
    resolve.check_name("Cluster group", name)
    if " " in name:
        raise ActionError("Cluster group names may not contain spaces")
    if name in groups.members(call.manager):
        raise ActionError("This cluster group already exists", 409)
    return name


def _by_label(call: Call, group: str) -> list[str]:
    """The hosts that are in it by a label, or because all are."""
    records = call.manager.inventory.hosts.values()
    return [record.name for record in records if group in groups.by_label(record)]


def _refuse_labels(call: Call, group: str) -> None:
    hosts = _by_label(call, group)
    if hosts:
        raise ActionError(f"{group} is a label of {', '.join(hosts)}: change it with `lxdpm-tui host label`")


async def _keep(call: Call, name: str, body: dict[str, Any]) -> None:
    """Raises ActionError 400, 404 for an unknown member."""
    hosts, description, config = body.get("members") or [], body.get("description") or "", body.get("config") or {}
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise ActionError("members must be a list of names")
    if not isinstance(description, str) or not isinstance(config, dict):
        raise ActionError("description must be a text, and config an object")
    if any(host not in call.manager.inventory.hosts for host in hosts):
        raise ActionError("Cluster member not found", 404)
    if any(not key.startswith("user.") for key in config):
        raise ActionError("the config of a group has keys user.* only")
    labelled = _by_label(call, name)
    if stay := [host for host in labelled if host not in hosts]:
        if name == groups.DEFAULT:
            raise ActionError(f"all hosts are in the group default, {', '.join(stay)} too")
        raise ActionError(f"{', '.join(stay)} are in {name} by a label: change it with `lxdpm-tui host label`")
    made = Group(description, {key: value for key, value in as_text(config).items() if value})
    await call.manager.membership.set_group(name, made, [host for host in hosts if host not in labelled])
    await call.manager.store.append_audit(call.caller, "group-edit", {"name": name, "hosts": hosts}, result="Success")


ROUTES = [
    Route("GET", _ALL, list_all, Access.TRUSTED),
    Route("POST", _ALL, create, Access.SERVER),
    Route("GET", _ONE, read, Access.TRUSTED),
    Route("PUT", _ONE, change, Access.SERVER),
    Route("PATCH", _ONE, change, Access.SERVER),
    Route("POST", _ONE, rename, Access.SERVER),
    Route("DELETE", _ONE, delete, Access.SERVER),
]
