"""Routes of /1.0/instances."""

from __future__ import annotations

from dataclasses import replace as changed
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from aiohttp import web

from lxdpm_tui.demo import exec as execution
from lxdpm_tui.demo import images, instances, render, rules, snapshots
from lxdpm_tui.demo.answers import Call, Handler, accepted, done, file, sync
from lxdpm_tui.demo.content import receive
from lxdpm_tui.demo.operations import Operation
from lxdpm_tui.demo.state import Image, Instance, Snapshot, etag
from lxdpm_tui.demo.tree import Node, normal
from lxdpm_tui.demo.variants import JSON, Problem

_TYPES = {"containers": "container", "virtual-machines": "virtual-machine"}


async def list_instances(call: Call) -> web.Response:
    kind = _TYPES.get(call.kind) or call.query("instance-type")
    if kind not in ("", "container", "virtual-machine"):
        raise call.state.variant.problem("instance-type")
    scope = call.scope("instance_all_projects")
    found = [
        one for one in call.state.instances() if (scope is None or one.project == scope) and kind in ("", one.type)
    ]
    found.sort(key=lambda one: (one.project, one.name))
    if call.recursion == 0:
        return sync([call.state.url(call.kind, one.name, project=one.project) for one in found])
    draw = render.instance if call.recursion == 1 else render.instance_full
    return sync([draw(call.state, one) for one in found])


async def create(call: Call) -> web.Response:
    state = call.state
    if call.request.content_type == "application/octet-stream":
        (await receive(call.request.content.iter_any())).metadata()
        raise Problem(501, "not implemented")  # a backup: not simulated
    body = await call.body()
    if call.query("target"):
        raise Problem(400, "Target only allowed when clustered")
    project = state.project(call.project, "Failed loading project: Project not found")
    body["type"] = body.get("type") or _TYPES.get(call.kind, "container")
    body["name"] = body.get("name") or instances.free_name(state, project)
    rules.check_name(body["name"])
    source = body.get("source") or {}
    kind = source.get("type") or ""
    if kind == "image":
        body["profiles"] = _profiles(body, ["default"])
        rules.check_profiles(state, project, body["profiles"])
        return accepted(instances.create(state, project, body, image=_image(call, source), wants_image=True))
    if kind == "none":
        body["profiles"] = _profiles(body, ["default"])
        rules.check_profiles(state, project, body["profiles"])
        return accepted(instances.create(state, project, body))
    if kind == "copy":
        return accepted(_copy(call, body, source))
    if kind == "migration":
        raise Problem(501, "not implemented")
    raise Problem(400, f"Unknown source type {kind}")


def _profiles(body: JSON, default: list[str]) -> list[str]:
    return default if body.get("profiles") is None else body["profiles"]


def _image(call: Call, source: JSON) -> Image | None:
    """The image a source names; None if it is not there and that is to be found out later."""
    project = call.holder("images")
    alias = source.get("alias")
    if source.get("server"):
        try:
            return images.public_image(alias or "")
        except KeyError:
            return None
    if alias:
        if alias in project.aliases:
            return project.images[project.aliases[alias]["target"]]
        if call.state.variant.incus:
            return None
        raise call.state.variant.problem("image-alias-for-create")
    try:
        return images.find(call.state, project, source.get("fingerprint") or "-")
    except Problem:
        return None


def _copy(call: Call, body: JSON, source: JSON) -> Operation:
    state = call.state
    name = source.get("source") or ""
    if not name:
        raise Problem(400, "Must specify a source instance")
    owner_name, _, snapshot = name.partition("/")
    where = source.get("project") or call.project
    owner = state.project(where).instances.get(owner_name)
    if owner is None:
        raise Problem(404, f'Failed to fetch instance "{owner_name}" in project "{where}": Instance not found')
    found: Instance | Snapshot = snapshots.find(state, owner, snapshot) if snapshot else owner
    body["profiles"] = _profiles(body, list(found.profiles) if state.variant.incus else [])
    body["type"] = owner.type
    return instances.create(state, state.project(call.project), body, source=found, source_of=owner)


async def bulk_state(call: Call) -> web.Response:
    body = (await call.body()).get("state") or {}
    action = body.get("action") or ""
    chosen = [one for one in call.state.project(call.project).instances.values() if one.running != (action == "start")]

    async def work(_: Operation) -> None:
        for one in chosen:
            await instances.change_state(call.state, one, body).done.wait()

    urls = {"instances": [call.state.url("instances", one.name, project=one.project) for one in chosen]}
    description = f"{instances.STATE_VERBS.get(action, 'Stopping')} instance"
    return accepted(call.state.operations.start(description, call.project, work, resources=urls))


def _etag(one: Instance) -> str:
    return etag("x86_64", one.config, one.devices, one.ephemeral, one.profiles)


async def get(call: Call) -> web.Response:
    found = call.instance()
    full = call.recursion > 0 and call.state.variant.has("instance_get_full")
    draw = render.instance_full if full else render.instance
    return sync(draw(call.state, found), _etag(found))


async def put(call: Call) -> web.Response:
    found = call.instance()
    call.check_etag(_etag(found))
    body = await call.body()
    if body.get("restore"):
        return accepted(snapshots.restore(call.state, found, body["restore"]))
    return accepted(instances.replace(call.state, found, body))


async def patch(call: Call) -> web.Response:
    found = call.instance()
    call.check_etag(_etag(found))
    instances.patch(call.state, found, await call.body())
    return done()


async def rename(call: Call) -> web.Response:
    found = call.state.project(call.project).instances.get(call.parts["name"])
    if found is None:
        raise call.state.variant.problem("instance-to-rename-missing")
    body = await call.body()
    if body.get("migration"):
        raise Problem(501, "not implemented")
    return accepted(instances.rename(call.state, found, body.get("name") or ""))


async def delete(call: Call) -> web.Response:
    return accepted(instances.delete(call.state, call.instance()))


async def get_state(call: Call) -> web.Response:
    return sync(render.instance_state(call.state, call.instance()))


async def put_state(call: Call) -> web.Response:
    found = call.instance()
    return accepted(instances.change_state(call.state, found, await call.body()))


async def execute(call: Call) -> web.Response:
    found = call.instance()
    return accepted(execution.execute(call.state, found, await call.body()))


async def open_console(call: Call) -> web.Response:
    found = call.instance()
    return accepted(execution.console(call.state, found, await call.body()))


async def console_log(call: Call) -> web.Response:
    found = call.instance()
    if not call.state.variant.incus:
        if found.running:
            raise call.state.variant.problem("no-ring-buffer")
        raise call.state.variant.problem("no-console-log", name=found.name)
    return web.Response(body=b"", content_type="application/octet-stream")


# -- snapshots


async def list_snapshots(call: Call) -> web.Response:
    found = call.instance()
    if call.recursion:
        return sync([render.snapshot(found, one) for one in found.snapshots.values()])
    url = call.state.url
    return sync([url(call.kind, found.name, "snapshots", name, project=found.project) for name in found.snapshots])


async def take_snapshot(call: Call) -> web.Response:
    found = call.instance()
    return accepted(snapshots.take(call.state, found, await call.body()))


async def get_snapshot(call: Call) -> web.Response:
    found = call.instance()
    one = snapshots.find(call.state, found, call.parts["snapshot"])
    return sync(render.snapshot(found, one), etag(one.expires_at))


async def rename_snapshot(call: Call) -> web.Response:
    body = await call.body()
    return accepted(snapshots.rename(call.state, call.instance(), call.parts["snapshot"], body.get("name") or ""))


async def put_snapshot(call: Call) -> web.Response:
    found = call.instance()
    one = snapshots.find(call.state, found, call.parts["snapshot"])
    call.check_etag(etag(one.expires_at))
    return accepted(snapshots.update(call.state, found, one.name, await call.body()))


async def delete_snapshot(call: Call) -> web.Response:
    return accepted(snapshots.delete(call.state, call.instance(), call.parts["snapshot"]))


# -- logs


async def list_logs(call: Call) -> web.Response:
    found = call.instance()
    url = call.state.url
    return sync(
        [url("instances", found.name, "logs", name, project=found.project) for name in ("lxc.log", *found.logs)]
    )


async def get_log(call: Call) -> web.Response:
    found = call.instance()
    name = call.parts["file"]
    if name != "lxc.log" and name not in found.logs:
        raise call.state.variant.problem("log-missing", name=name)
    source = call.state.url("instances", found.name, "backups", name, project=found.project)  # the daemon's own mix-up
    call.state.hub.lifecycle(found.project, "instance-log-retrieved", source)
    return file(found.logs.get(name, b""), call.request, {"Content-Disposition": f"inline;filename={name}"})


async def list_backups(call: Call) -> web.Response:
    call.instance()
    return sync([])


# -- files


def _path(call: Call) -> tuple[Instance, str]:
    found = call.instance()
    if not call.query("path"):
        raise Problem(400, "Missing path argument")
    return found, normal(call.query("path"))


def _headers(call: Call, node: Node) -> dict[str, str]:
    prefix = call.state.variant.headers
    modified = datetime.fromtimestamp(int(node.mtime), UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
    return {
        f"{prefix}Gid": str(node.gid),
        f"{prefix}Mode": f"0{node.mode & 0o777:o}",
        f"{prefix}Modified": modified,
        f"{prefix}Type": node.type,
        f"{prefix}Uid": str(node.uid),
    }


async def get_file(call: Call) -> web.Response:
    found, path = _path(call)
    node = found.files.get(path)
    headers = _headers(call, node)
    if node.type == "directory":
        answer = sync(found.files.entries(path), headers=headers)
    else:
        data = found.files.link_target(path).encode() if node.type == "symlink" else node.data
        headers["Content-Disposition"] = f"inline;filename={path.rpartition('/')[2]}"
        headers["Last-Modified"] = formatdate(node.mtime, usegmt=True)
        answer = file(data, call.request, headers)
    if call.request.method == "GET":
        instances.tell(call.state, found, "file-retrieved", {"path": path})
    return answer


async def push_file(call: Call) -> web.Response:
    found, path = _path(call)
    kind = call.header("Type", "file")
    write = call.header("Write", "overwrite")
    if kind not in ("file", "directory", "symlink"):
        raise Problem(400, f"Bad file type: {kind}")
    if write not in ("overwrite", "append"):
        raise Problem(400, f"Bad file write mode: {write}")
    data = await call.request.content.read()
    old = found.files.find(path)
    if kind == "directory" and old is not None and old.type == "directory":
        return done()
    node = old if old is not None and old.type == kind else Node(kind, mode=0o777 if kind == "symlink" else 0o644)
    given: dict[str, Any] = {"data": node.data + data if write == "append" else data}
    for name, base in (("uid", 10), ("gid", 10), ("mode", 8)):
        if call.header(name):
            given[name] = int(call.header(name), base)
    if kind == "directory" and "mode" not in given:
        given["mode"] = 0o755
    found.files.put(path, changed(node, **given))
    instances.tell(call.state, found, "file-pushed", {"path": path})
    return done()


async def delete_file(call: Call) -> web.Response:
    found, path = _path(call)
    found.files.delete(path)
    instances.tell(call.state, found, "file-deleted", {"path": path})
    return done()


_ONE = "/1.0/instances/{name}"
ROUTES: dict[str, dict[str, Handler]] = {
    "/1.0/instances": {"GET": list_instances, "POST": create, "PUT": bulk_state},
    _ONE: {"GET": get, "PUT": put, "PATCH": patch, "POST": rename, "DELETE": delete},
    f"{_ONE}/state": {"GET": get_state, "PUT": put_state},
    f"{_ONE}/exec": {"POST": execute},
    f"{_ONE}/console": {"POST": open_console, "GET": console_log},
    f"{_ONE}/files": {"GET": get_file, "HEAD": get_file, "POST": push_file, "DELETE": delete_file},
    f"{_ONE}/snapshots": {"GET": list_snapshots, "POST": take_snapshot},
    f"{_ONE}/snapshots/{{snapshot}}": {
        "GET": get_snapshot,
        "POST": rename_snapshot,
        "PUT": put_snapshot,
        "DELETE": delete_snapshot,
    },
    f"{_ONE}/logs": {"GET": list_logs},
    f"{_ONE}/logs/{{file}}": {"GET": get_log},
    f"{_ONE}/logs/exec-output/{{file}}": {"GET": get_log},
    f"{_ONE}/backups": {"GET": list_backups},
}
