"""What takes back one journalled step on one host. Idempotent: each looks first and acts only on what is ours.

Handlers get the step's args with "host" (name) and "task" (id) in them. They raise HostError when the host cannot be
asked (they are called again when it can), and ApiError or ActionError when it refuses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxdpm_tui.actions import files_undo, server_config
from lxdpm_tui.actions.image_host import make_absent, restore_alias, unstage
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.hosts.transport import ApiError, Unreachable

if TYPE_CHECKING:
    from lxdpm_tui.hosts.host import Host
    from lxdpm_tui.manager import Manager

Handler = Callable[[dict[str, Any]], Awaitable[None]]


def undo_handlers(manager: Manager) -> dict[str, Handler]:
    """All handlers, by the names that journals use."""

    def on_host(work: Callable[[Host, dict[str, Any]], Awaitable[None]]) -> Handler:
        async def handler(args: dict[str, Any]) -> None:
            host = manager.fleet.hosts.get(args["host"])
            if host is None and manager.fleet.may_come(args["host"]):
                raise Unreachable("its cluster was not reached yet", args["host"])
            if host is None:
                raise ActionError(f"{args['host']} is no longer in the fleet", 404)
            if not any(host.dialect.version):
                await host.server()  # after a crash this may be the first that is asked of it
            await work(host, args)

        return handler

    return {name: on_host(work) for name, work in _HANDLERS.items()}


async def _image_absent(host: Host, args: dict[str, Any]) -> None:
    await make_absent(host, args["project"], args["fingerprint"])


async def _image_alias(host: Host, args: dict[str, Any]) -> None:
    await restore_alias(host, args["project"], args["name"], args["before"], args["after"])


async def _image_unstage(host: Host, args: dict[str, Any]) -> None:
    await unstage(host, args["project"])


# -- profiles


async def _profile_absent(host: Host, args: dict[str, Any]) -> None:
    """{project, name}: one that we created."""
    if await _read(host, _profile(args["name"]), args) is not None:
        await _change(host, "DELETE", _profile(args["name"]), args)


async def _profile_present(host: Host, args: dict[str, Any]) -> None:
    """{project, body}: one that we deleted."""
    if await _read(host, _profile(args["body"]["name"]), args) is None:
        await _change(host, "POST", "/1.0/profiles", args, args["body"])


async def _profile_restore(host: Host, args: dict[str, Any]) -> None:
    """{project, name, before, after}: back to `before`, as long as it is still the `after` that we made of it."""
    own = await _read(host, _profile(args["name"]), args)
    if own is not None and all(own.get(part) == value for part, value in args["after"].items()):
        await _change(host, "PUT", _profile(args["name"]), args, args["before"])


async def _profile_renamed_back(host: Host, args: dict[str, Any]) -> None:
    """{project, name, old_name}: `name` is what we called it."""
    if await _read(host, _profile(args["old_name"]), args) is None:
        await _change(host, "POST", _profile(args["name"]), args, {"name": args["old_name"]})


def _profile(name: str) -> str:
    return f"/1.0/profiles/{quote(name, safe='')}"


# -- networks, pools, projects and whatever else all hosts have under one name (actions/shared.py)


async def _shared_absent(host: Host, args: dict[str, Any]) -> None:
    """{project, collection, name}: one that we created."""
    path = _shared(args, args["name"])
    if await _read(host, path, args) is not None:
        await _change(host, "DELETE", path, args)


async def _shared_present(host: Host, args: dict[str, Any]) -> None:
    """{project, collection, name, body}: one that we deleted."""
    if await _read(host, _shared(args, args["name"]), args) is None:
        await _change(host, "POST", args["collection"], args, args["body"])


async def _shared_restore(host: Host, args: dict[str, Any]) -> None:
    """{project, path, before, after}: what we changed goes back, as far as it is still what we made of it."""
    own = await _read(host, args["path"], args)
    if own is None:
        return
    wanted = {part: _restored(own.get(part), before, args["after"][part]) for part, before in args["before"].items()}
    if any(own.get(part) != value for part, value in wanted.items()):
        await _change(host, "PUT", args["path"], args, wanted)


def _restored(own: Any, before: Any, after: Any) -> Any:
    if not isinstance(before, dict):
        return before if own == after else own
    kept = dict(own or {})
    for key in before.keys() | after.keys():
        if before.get(key) == after.get(key):
            continue
        if kept.get(key) == after.get(key) or after.get(key) == "auto":  # the host has put a value for it
            kept.pop(key, None)
            if key in before:
                kept[key] = before[key]
    return kept


async def _shared_renamed_back(host: Host, args: dict[str, Any]) -> None:
    """{project, collection, name, old_name}: `name` is what we called it."""
    if await _read(host, _shared(args, args["old_name"]), args) is None:
        await _change(host, "POST", _shared(args, args["name"]), args, {"name": args["old_name"]})


def _shared(args: Mapping[str, Any], name: str) -> str:
    return f"{args['collection']}/{quote(name, safe='')}"


async def _project_profile(host: Host, args: dict[str, Any]) -> None:
    """{project, body}: the default profile of a project that was deleted and made anew."""
    if await _read(host, _profile("default"), args) is not None:
        await _change(host, "PUT", _profile("default"), args, args["body"])


# -- instances


async def _instance_absent(host: Host, args: dict[str, Any]) -> None:
    """{project, name, uuid}: one that a broken launch left. Another of the same name is not ours.

    A host that cannot be told the volatile.uuid (LXD 4) is asked by name alone.
    """
    for operation in await _creating(host, args):
        # How it ended does not matter: what is there now does.
        try:
            await host.wait(operation)
        except ApiError:
            continue
    path = f"/1.0/instances/{quote(args['name'], safe='')}"
    own = await _read(host, path, args)
    if own is None or (host.dialect.volatile_uuid and (own.get("config") or {}).get("volatile.uuid") != args["uuid"]):
        return
    if own.get("status") not in ("Stopped", "Error"):
        await _change(host, "PUT", f"{path}/state", args, {"action": "stop", "force": True, "timeout": 30})
    await _change(host, "DELETE", path, args)


async def _creating(host: Host, args: Mapping[str, Any]) -> list[str]:
    """URLs of the operations that create this instance and have not ended."""
    by_status = await host.get("/1.0/operations", project=args["project"], recursion=1) or {}
    return [
        f"/1.0/operations/{operation['id']}"
        for operations in by_status.values()
        for operation in operations or ()
        if int(operation.get("status_code", 0)) < 200
        and any(
            str(url).partition("?")[0].rpartition("/")[2] == args["name"]
            for urls in (operation.get("resources") or {}).values()
            for url in urls or ()
        )
    ]


# -- asking


async def _read(host: Host, path: str, args: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = await host.get(path, project=args["project"])
    except ApiError as error:
        if error.code == 404:
            return None
        raise
    return found


async def _change(host: Host, method: str, path: str, args: Mapping[str, Any], body: object = None) -> None:
    """Send a change and follow it to its end."""
    reply = await host.request(method, path, params={"project": args["project"]}, json=body)
    if reply.operation:
        await host.wait(reply.operation)


_HANDLERS: dict[str, Callable[[Any, dict[str, Any]], Awaitable[None]]] = {
    "file.absent": files_undo.absent,
    "file.replaced": files_undo.replaced,
    "image.absent": _image_absent,
    "image.alias": _image_alias,
    "image.unstage": _image_unstage,
    "instance.absent": _instance_absent,
    "profile.absent": _profile_absent,
    "profile.present": _profile_present,
    "profile.renamed-back": _profile_renamed_back,
    "profile.restore": _profile_restore,
    "project.profile": _project_profile,
    "shared.absent": _shared_absent,
    "shared.present": _shared_present,
    "shared.renamed-back": _shared_renamed_back,
    "shared.restore": _shared_restore,
    "server.config": server_config.restore,
}
