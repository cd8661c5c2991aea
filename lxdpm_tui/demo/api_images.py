"""Routes of /1.0/images."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from email.utils import formatdate
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, MultipartWriter, web

from lxdpm_tui.demo import images, render
from lxdpm_tui.demo.answers import Call, Handler, accepted, created, decode, done, stream, sync
from lxdpm_tui.demo.content import Content, receive
from lxdpm_tui.demo.state import Image, Project, etag
from lxdpm_tui.demo.variants import JSON, Problem

_NO_PROJECT = "Check if project has images: fetch project: Project not found"
_LONGEST_JSON = 1 << 20


async def list_images(call: Call) -> web.Response:
    state = call.state
    projects = {
        id(p): p for p in (state.holder("images", p) for p in call.projects("images_all_projects", _NO_PROJECT))
    }
    found = [(project, image) for project in projects.values() for image in project.images.values()]
    if call.recursion:
        return sync([render.image(state, project, image) for project, image in found])
    return sync([state.url("images", image.fingerprint, project=project.name) for project, image in found])


async def upload(call: Call) -> web.Response:
    """A JSON source, or the bytes of an image: one file, or metadata and rootfs as multipart."""
    project = call.holder("images", _NO_PROJECT)
    kind = call.request.content_type
    headers = {
        name[len(call.state.variant.headers) :].lower(): value
        for name, value in call.request.headers.items()
        if name.lower().startswith(call.state.variant.headers.lower())
    }
    if kind == "multipart/form-data":
        content = await _split_image(call.request)
        return accepted(images.import_file(call.state, project, content, headers))
    first = await call.request.content.readany()
    if kind == "application/json" or first.startswith(b"{"):
        while len(first) < _LONGEST_JSON and (more := await call.request.content.readany()):
            first += more
        return accepted(images.fetch(call.state, project, decode(first)))
    content = await receive(_after(first, call.request))
    return accepted(images.import_file(call.state, project, content, headers))


async def _after(first: bytes, request: web.BaseRequest) -> AsyncIterator[bytes]:
    yield first
    async for chunk in request.content.iter_any():
        yield chunk


async def _split_image(request: web.BaseRequest) -> Content:
    parts: dict[str, bytes] = {}
    reader = MultipartReader(request.headers, request.content)
    while (part := await reader.next()) is not None:
        if isinstance(part, BodyPartReader):
            parts["metadata" if part.name == "metadata" else "rootfs"] = bytes(await part.read())
    metadata, rootfs = parts.get("metadata", b""), parts.get("rootfs", b"")
    return Content(metadata, 0, hashlib.sha256(metadata + rootfs).hexdigest(), rootfs)


def _find(call: Call, *, plain: bool = False) -> tuple[Project, Image]:
    project = call.holder("images", _NO_PROJECT)
    return project, images.find(call.state, project, call.parts["fingerprint"], plain=plain)


def _etag(image: Image) -> str:
    return etag(image.public, image.auto_update, image.properties)


async def get(call: Call) -> web.Response:
    project, image = _find(call)
    return sync(render.image(call.state, project, image), _etag(image))


async def put(call: Call) -> web.Response:
    project, image = _find(call, plain=True)
    call.check_etag(_etag(image))
    body = await call.body()
    image.properties = {key: str(value) for key, value in (body.get("properties") or {}).items()}
    _update(image, {"public": False, "auto_update": False} | body)
    images.tell(call.state, project, image, "updated")
    return done()


async def patch(call: Call) -> web.Response:
    project, image = _find(call, plain=True)
    call.check_etag(_etag(image))
    body = await call.body()
    image.properties |= {key: str(value) for key, value in (body.get("properties") or {}).items()}
    _update(image, body)
    images.tell(call.state, project, image, "updated")
    return done()


def _update(image: Image, body: JSON) -> None:
    image.public = bool(body.get("public", image.public))
    image.auto_update = bool(body.get("auto_update", image.auto_update))
    image.profiles = body.get("profiles") or image.profiles


async def delete(call: Call) -> web.Response:
    project, image = _find(call, plain=True)
    return accepted(images.delete(call.state, project, image))


async def export(call: Call) -> web.StreamResponse:
    project, image = _find(call)
    images.tell(call.state, project, image, "retrieved")
    name = image.fingerprint + image.content.suffix
    headers = {"X-Incus-Type": "incus"} if call.state.variant.incus else {}
    if image.content.rootfs is not None:
        with MultipartWriter("form-data") as writer:
            for field, data in (("metadata", image.content.head), ("rootfs", image.content.rootfs)):
                part = writer.append(data, {"Content-Type": "application/octet-stream"})
                part.set_content_disposition("form-data", name=field, filename=name)
        return web.Response(body=writer, headers=headers)
    headers |= {"Accept-Ranges": "bytes", "Content-Disposition": f"inline;filename={name}"}
    headers["Last-Modified"] = formatdate(usegmt=True)
    return await stream(call.request, image.content.chunks(), image.content.size, headers)


async def secret(call: Call) -> web.Response:
    project, image = _find(call)
    return accepted(images.secret(call.state, project, image))


# -- aliases


async def list_aliases(call: Call) -> web.Response:
    project = call.holder("images", _NO_PROJECT)
    names = sorted(project.aliases)
    if call.recursion:
        return sync([render.alias(project, name) for name in names])
    return sync([call.state.url("images", "aliases", name, project=project.name) for name in names])


def _tell(call: Call, project: Project, name: str, what: str, context: JSON | None = None) -> str:
    url = call.state.url("images", "aliases", name, project=project.name)
    call.state.hub.lifecycle(project.name, f"image-alias-{what}", url, context=context)
    return url


def _target(project: Project, fingerprint: str) -> str:
    if fingerprint not in project.images:
        raise Problem(404, "Image not found")
    return fingerprint


async def create_alias(call: Call) -> web.Response:
    project = call.holder("images", _NO_PROJECT)
    body = await call.body()
    name, target = body.get("name"), body.get("target")
    if not name or not target:
        raise Problem(400, "name and target are required")
    if name in project.aliases:
        raise Problem(409, f'Alias "{name}" already exists')
    project.aliases[name] = {"description": body.get("description") or "", "target": _target(project, target)}
    return created(_tell(call, project, name, "created", {"target": target}))


def _alias(call: Call) -> tuple[Project, str]:
    project = call.holder("images", _NO_PROJECT)
    if call.parts["alias"] not in project.aliases:
        raise Problem(404, "Image alias not found")
    return project, call.parts["alias"]


def _alias_etag(alias: JSON) -> str:
    return etag(alias["description"], alias["target"])


async def get_alias(call: Call) -> web.Response:
    project, name = _alias(call)
    return sync(render.alias(project, name), _alias_etag(project.aliases[name]))


async def put_alias(call: Call) -> web.Response:
    project, name = _alias(call)
    call.check_etag(_alias_etag(project.aliases[name]))
    body = await call.body()
    if not body.get("target"):
        raise Problem(400, "The target field is required")
    return _set_alias(call, project, name, {"description": ""} | body)


async def patch_alias(call: Call) -> web.Response:
    project, name = _alias(call)
    call.check_etag(_alias_etag(project.aliases[name]))
    return _set_alias(call, project, name, project.aliases[name] | await call.body())


def _set_alias(call: Call, project: Project, name: str, body: dict[str, Any]) -> web.Response:
    target = _target(project, body["target"])
    project.aliases[name] = {"description": body["description"] or "", "target": target}
    _tell(call, project, name, "updated", {"target": target})
    return done()


async def rename_alias(call: Call) -> web.Response:
    body = await call.body()
    new_name = body.get("name") or ""
    if new_name in call.holder("images", _NO_PROJECT).aliases:
        raise Problem(409, f'Alias "{new_name}" already exists')
    project, name = _alias(call)
    project.aliases[new_name] = project.aliases.pop(name)
    return created(_tell(call, project, new_name, "renamed", {"old_name": name}))


async def delete_alias(call: Call) -> web.Response:
    project, name = _alias(call)
    del project.aliases[name]
    _tell(call, project, name, "deleted")
    return done()


_ONE = "/1.0/images/{fingerprint}"
ROUTES: dict[str, dict[str, Handler]] = {
    "/1.0/images": {"GET": list_images, "POST": upload},
    "/1.0/images/aliases": {"GET": list_aliases, "POST": create_alias},
    "/1.0/images/aliases/{alias...}": {
        "GET": get_alias,
        "PUT": put_alias,
        "PATCH": patch_alias,
        "POST": rename_alias,
        "DELETE": delete_alias,
    },
    _ONE: {"GET": get, "PUT": put, "PATCH": patch, "DELETE": delete},
    f"{_ONE}/export": {"GET": export},
    f"{_ONE}/secret": {"POST": secret},
}
