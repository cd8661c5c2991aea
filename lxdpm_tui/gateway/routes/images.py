"""/1.0/images and its aliases: each image once, whoever holds it; uploads go to all hosts or to none."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from lxdpm_tui.actions import images, resolve
from lxdpm_tui.actions.image_body import new_spool_file, write_spool
from lxdpm_tui.actions.image_find import locate_alias
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet import decode
from lxdpm_tui.gateway import answers, filters, proxy
from lxdpm_tui.gateway.call import BINARY, Call
from lxdpm_tui.gateway.gather import gather
from lxdpm_tui.gateway.routes.image_push import await_pushed, take_pushed
from lxdpm_tui.gateway.routes.instances import stale_header
from lxdpm_tui.gateway.routing import Access, Route
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

HELD_HEADER = "X-LXDPM-Hosts"
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])

Merged = dict[tuple[str, str], tuple[dict[str, msgspec.Raw], list[str]]]  # (project, fingerprint) -> image, holders


async def _gathered(call: Call) -> tuple[Merged, dict[str, str]]:
    """Every image of the project once, aliases united, and the headers that mark last-known rows."""
    params = {"recursion": "1", "project": call.project}

    async def ask(host: Host) -> list[msgspec.Raw]:
        return decode.rows_of((await host.request("GET", "/1.0/images", params=params)).body)

    rows: list[tuple[str, str, msgspec.Raw | bytes]] = []
    headers: dict[str, str] = {}
    if call.all_projects:
        rows = [(row.project, row.host, row.raw) for row in call.manager.inventory.all_images()]
    else:
        found = await gather(call.manager.fleet, ask)
        if found.errors and not found.live:
            raise next(iter(found.errors.values()))
        rows = [(call.project, host, raw) for host, raws in found.live.items() for raw in raws]
        for host in found.cached:
            known = call.manager.inventory.images.get(host, {}).values()
            rows += [(row.project, host, row.raw) for row in known if row.project == call.project]
        headers = stale_header(call, found)
    merged: Merged = {}
    for project, host, raw in rows:
        image = _raw.decode(raw)
        if not _may_see(call, project, image):
            continue
        key = (project, str(msgspec.json.decode(image["fingerprint"])))
        if key in merged:
            _unite(merged[key][0], image)
            merged[key][1].append(host)
        else:
            merged[key] = (image, [host])
    return merged, headers


def _may_see(call: Call, project: str, image: dict[str, msgspec.Raw]) -> bool:
    """Public images are for everybody, others for those who may be in their project."""
    return bytes(image.get("public", b"false")) == b"true" or (call.client.trusted and call.allows(project))


@contextlib.contextmanager
def _discreet(call: Call, what: str) -> Iterator[None]:
    """Strangers learn of nothing but public images: not of hosts that are silent, nor that something is ambiguous."""
    try:
        yield
    except ActionError as error:
        if _is_insider(call):
            raise
        if error.code == 503:
            raise ActionError("some hosts cannot be asked", 503) from error
        raise ActionError(f"{what} not found", 404) from error


def _told(call: Call, headers: dict[str, str]) -> dict[str, str]:
    """Headers that name hosts, which is nothing for strangers."""
    return headers if _is_insider(call) else {}


def _is_insider(call: Call) -> bool:
    return call.client.trusted and call.allows(call.project)


def _unite(image: dict[str, msgspec.Raw], other: dict[str, msgspec.Raw]) -> None:
    """Aliases of both; of the times and the like the later one."""
    aliases = {alias["name"]: alias for one in (other, image) for alias in _aliases(one)}
    image["aliases"] = msgspec.Raw(msgspec.json.encode([aliases[name] for name in sorted(aliases)]))
    for key in ("uploaded_at", "last_used_at"):
        if key in other and bytes(other[key]) > bytes(image.get(key, b"")):
            image[key] = other[key]


def _aliases(image: dict[str, msgspec.Raw]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] | None = msgspec.json.decode(image.get("aliases", msgspec.Raw(b"null")))
    return found or []


def _url(project: str, rest: str) -> str:
    query = "" if project == "default" else f"?project={quote(project, safe='')}"
    return f"/1.0/images/{rest}{query}"


async def list_all(call: Call) -> web.StreamResponse:
    merged, headers = await _gathered(call)
    matches = filters.parse(call.query.get("filter", ""))
    rows = sorted(merged.items())
    if matches is not None:
        rows = [row for row in rows if matches(msgspec.json.decode(msgspec.json.encode(row[1][0])))]
    headers = _told(call, headers)
    if call.recursion:
        return answers.sync([image for _, (image, _) in rows], headers=headers)
    return answers.sync([_url(project, fingerprint) for (project, fingerprint), _ in rows], headers=headers)


async def create(call: Call) -> web.StreamResponse:
    """An upload or a source, to all hosts or to none; the answer is an operation of the gateway's own.

    Which of both it is, is told by the body unless the client says so: curl calls everything a form.
    """
    manager = call.manager
    if not call.client.trusted:
        return await take_pushed(call, _upload)
    for project in call.request.query.getall("project", ["default"]):
        call.must_allow(project or "default")
    begun = await call.request.content.readany() if call.sends_json else b""
    if call.content_type != "application/json" and not begun.lstrip().startswith(b"{"):
        task = await _upload(call, begun)
    else:
        body = await call.json(begun)
        source = body.get("source")
        if isinstance(source, dict) and source.get("type") in ("instance", "snapshot", "container", "virtual-machine"):
            return await _publish(call, body, source)
        if isinstance(source, dict) and source.get("mode") == "push" and not source.get("type"):
            return await_pushed(call, source)
        task = await images.import_json(manager, _with_headers(call, body), call.project)
    await manager.audit("image-import", {"project": call.project, "content_type": call.content_type}, task)
    return _operation(call, task)


async def _upload(call: Call, begun: bytes) -> Task:
    """The body goes to a file first: it is sent to many hosts, and its fingerprint is needed before."""
    spool = new_spool_file(call.manager.paths.state_dir)

    async def body() -> AsyncIterator[bytes]:
        if begun:
            yield begun
        async for chunk in call.request.content.iter_any():
            yield chunk

    try:
        await write_spool(spool, body(), lambda _: None)
    except BaseException:
        spool.unlink(missing_ok=True)
        raise
    kind = call.request.headers["Content-Type"] if call.content_type in BINARY else "application/octet-stream"
    return await images.import_upload(call.manager, spool, kind, call.request.headers, call.project)


def _with_headers(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Older clients say some of it in headers beside a JSON body; the body wins."""
    given = {k.lower().removeprefix("x-lxd-").removeprefix("x-incus-"): v for k, v in call.request.headers.items()}
    merged = dict(body)
    if "filename" in given:
        merged.setdefault("filename", given["filename"])
    if "public" in given:
        merged.setdefault("public", given["public"].lower() in ("1", "true", "t"))
    return merged


async def _publish(call: Call, body: dict[str, Any], source: dict[str, Any]) -> web.StreamResponse:
    """The owner of the instance makes the image; it is on that host then."""
    name = str(source.get("name", "")).partition("/")[0]
    row = resolve.instance(call.manager, name, call.project)
    for alias in images.aliases_of(body):
        if await locate_alias(call.manager, alias, call.project):
            raise ActionError(f'Alias "{alias}" already exists', 409)
    return await proxy.forward(call, row.host, body=msgspec.json.encode(body))


def _operation(call: Call, task: Task) -> web.StreamResponse:
    operation = call.gateway.hub.operations.of_task(task)
    return answers.operation({**operation.shown, "id": task.id})


async def _holders(call: Call) -> tuple[dict[str, msgspec.Raw], list[str], str]:
    """The image that the fingerprint or its beginning names: merged, who has it, and the whole fingerprint."""
    with _discreet(call, "Image"):
        found = await images.locate(call.manager, call.vars["fingerprint"], call.project)
    merged: dict[str, msgspec.Raw] | None = None
    for image in found.images.values():
        raw = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in image.items()}
        if merged is None:
            merged = raw
        else:
            _unite(merged, raw)
    if merged is None or not (_may_see(call, call.project, merged) or await _has_secret(call, found.fingerprint)):
        raise ActionError("Image not found", 404)
    return merged, list(found.images), found.fingerprint


async def _has_secret(call: Call, fingerprint: str) -> bool:
    """Whether ?secret= is good for it. At its first use it ends on the host, as it would there."""
    found = call.gateway.secrets.use(call.project, fingerprint, call.query.get("secret", ""))
    if found is None:
        return False
    host, operation = found
    if operation:
        # That it has ended already is as good.
        with contextlib.suppress(ApiError, HostError):
            await call.manager.fleet.hosts[host].request("DELETE", operation)
    return True


def writable(image: Mapping[str, Any]) -> dict[str, Any]:
    """What an image's ETag is taken over."""
    return {key: image[key] for key in ("public", "auto_update", "properties") if key in image}


async def read(call: Call) -> web.StreamResponse:
    image, hosts, _ = await _holders(call)
    return answers.sync(image, headers=_told(call, {HELD_HEADER: ", ".join(hosts)}), etag=writable(image))


async def delete(call: Call) -> web.StreamResponse:
    task = await images.delete(call.manager, call.vars["fingerprint"], call.project)
    await call.manager.audit("image-delete", {"fingerprint": call.vars["fingerprint"], "project": call.project}, task)
    return _operation(call, task)


async def export(call: Call) -> web.StreamResponse:
    """Streamed from a host that has it."""
    _, hosts, fingerprint = await _holders(call)
    return await proxy.forward(call, hosts[0], f"/1.0/images/{fingerprint}/export")


# -- aliases


async def list_aliases(call: Call) -> web.StreamResponse:
    merged, headers = await _gathered(call)
    found: dict[str, dict[str, Any]] = {}
    for (_, fingerprint), (image, _) in sorted(merged.items()):
        kind = msgspec.json.decode(image.get("type", msgspec.Raw(b'"container"')))
        for alias in _aliases(image):
            row = {"name": alias["name"], "description": alias.get("description") or "", "target": fingerprint}
            found.setdefault(alias["name"], {**row, "type": kind})
    if call.recursion:
        return answers.sync([found[name] for name in sorted(found)], headers=headers)
    urls = [f"/1.0/images/aliases/{quote(name, safe='')}" for name in sorted(found)]
    return answers.sync(urls, headers=headers)


async def read_alias(call: Call) -> web.StreamResponse:
    """The image most hosts mean by it."""
    name = call.vars["name"]
    with _discreet(call, "Image alias"):
        fingerprint, rows = _by_alias(call, name)
    if not _may_see(call, call.project, _raw.decode(rows[0].raw)):
        raise ActionError("Image alias not found", 404)
    description = _description(rows, name)
    shown = {"name": name, "description": description, "target": fingerprint, "type": rows[0].type}
    return answers.sync(shown, etag=_writable_alias(fingerprint, description))


def _writable_alias(fingerprint: str, description: str) -> dict[str, str]:
    """What an alias' ETag is taken over."""
    return {"description": description, "target": fingerprint}


def _description(rows: list[Any], name: str) -> str:
    aliases = [a for row in rows for a in _aliases(_raw.decode(row.raw)) if a["name"] == name]
    return aliases[0].get("description") or "" if aliases else ""


def _by_alias(call: Call, name: str) -> tuple[str, list[Any]]:
    if not any(name in row.aliases for row in call.manager.inventory.all_images() if row.project == call.project):
        raise resolve.unknown(call.manager, "Image alias")
    return resolve.image(call.manager, name, call.project)


async def _done(call: Call, action: str, arguments: dict[str, Any], task: Task) -> None:
    await call.manager.audit(action, arguments, task)
    await images.succeeded(task)
    for host in task.hosts:
        await call.manager.fleet.watch(host).read_now("images")


async def create_alias(call: Call) -> web.StreamResponse:
    body = await call.json()
    name, target = body.get("name"), body.get("target")
    if not isinstance(name, str) or not isinstance(target, str):
        raise ActionError("Alias name and target are required")
    _texts(body, "description")
    task = await images.create_alias(call.manager, name, target, body.get("description") or "", call.project)
    await _done(call, "image-alias-create", {"name": name, "target": target}, task)
    return answers.created(f"/1.0/images/aliases/{quote(name, safe='')}")


def _texts(body: dict[str, Any], *fields: str) -> None:
    """Raises ActionError for one that is there, and no text."""
    for field in fields:
        if not isinstance(body.get(field), str | None):
            raise ActionError(f"The {field} field is no text")


async def change_alias(call: Call) -> web.StreamResponse:
    body = await call.json()
    _texts(body, "target", "description")
    target, description = body.get("target"), body.get("description")
    if call.request.method == "PUT" and not target:
        raise ActionError("The target field is required")
    name = call.vars["name"]
    if "If-Match" in call.request.headers:  # else the hosts are asked: one may be too new for the inventory
        fingerprint, rows = _by_alias(call, name)
        answers.check_match(call.request, _writable_alias(fingerprint, _description(rows, name)), "the alias")
    task = await images.update_alias(call.manager, name, target, description, call.project)
    await _done(call, "image-alias-change", {"name": name, "target": target}, task)
    return answers.sync({})


async def rename_alias(call: Call) -> web.StreamResponse:
    body = await call.json()
    new_name = body.get("name")
    if not isinstance(new_name, str):
        raise ActionError("No name provided")
    task = await images.rename_alias(call.manager, call.vars["name"], new_name, call.project)
    await _done(call, "image-alias-rename", {"name": call.vars["name"], "new_name": new_name}, task)
    return answers.created(f"/1.0/images/aliases/{quote(new_name, safe='')}")


async def delete_alias(call: Call) -> web.StreamResponse:
    task = await images.delete_alias(call.manager, call.vars["name"], call.project)
    await _done(call, "image-alias-delete", {"name": call.vars["name"]}, task)
    return answers.sync({})


_ALIAS = "/1.0/images/aliases/{name...}"  # a name may hold slashes

ROUTES = [
    Route("GET", "/1.0/images", list_all, Access.PUBLIC),
    Route("POST", "/1.0/images", create, Access.PUBLIC),
    Route("GET", "/1.0/images/aliases", list_aliases),
    Route("POST", "/1.0/images/aliases", create_alias),
    Route("GET", _ALIAS, read_alias, Access.PUBLIC),
    Route("PUT", _ALIAS, change_alias),
    Route("PATCH", _ALIAS, change_alias),
    Route("POST", _ALIAS, rename_alias),
    Route("DELETE", _ALIAS, delete_alias),
    Route("GET", "/1.0/images/{fingerprint}", read, Access.PUBLIC),
    Route("DELETE", "/1.0/images/{fingerprint}", delete),
    Route("GET", "/1.0/images/{fingerprint}/export", export, Access.PUBLIC),
]
