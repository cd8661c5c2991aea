"""Images as people and clients ask for them: import to all hosts, delete everywhere, aliases.

Images belong to a project (`project`), as on a single host.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from lxdpm_tui.actions.image_aliases import create_alias, delete_alias, rename_alias, update_alias
from lxdpm_tui.actions.image_body import clean_spool, drop, from_files, from_spool
from lxdpm_tui.actions.image_distribute import PENDING, Copy, Pull, Source, Upload, distribute
from lxdpm_tui.actions.image_find import BUDGET, Found, locate
from lxdpm_tui.actions.image_host import Wanted, delete_image, read_alias, read_image
from lxdpm_tui.actions.image_pending import PendingImages
from lxdpm_tui.actions.own_files import own_path
from lxdpm_tui.actions.registry import ActionError, Danger, Param, registry
from lxdpm_tui.fleet.inventory import Image
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Status, Task

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

__all__ = [
    "Found",
    "aliases_of",
    "begin",
    "by_properties",
    "create_alias",
    "delete",
    "delete_alias",
    "import_json",
    "import_upload",
    "locate",
    "make_available",
    "rename_alias",
    "succeeded",
    "update_alias",
]

KNOWN_SERVERS = {
    "images": "https://images.linuxcontainers.org",
    "ubuntu": "https://cloud-images.ubuntu.com/releases",
    "ubuntu-daily": "https://cloud-images.ubuntu.com/daily",
}
_SERVER = re.compile(r"(simplestreams|lxd|incus)\+(https://[^#]+)#(.+)")
_PULLED = ("image", "url")


def begin(manager: Manager) -> Callable[[], None]:
    """Once, when the manager starts: clean up the spool and watch for hosts that images wait for. Returns the end."""
    clean_spool(manager.paths.state_dir)
    return PendingImages(manager).close


# -- for the gateway


async def import_upload(
    manager: Manager, spool: Path, content_type: str, headers: Mapping[str, str], project: str = "default"
) -> Task:
    """Distribute the body of a POST /1.0/images that was written to `spool` (made by image_body.new_spool_file).

    headers: the request's; X-LXD- and X-Incus- ones count the same. The spool file is taken over, whatever happens.
    Raises ActionError.
    """
    given = {name.lower().removeprefix("x-lxd-").removeprefix("x-incus-"): value for name, value in headers.items()}
    try:
        body = await from_spool(spool, content_type)
        if (said := given.get("fingerprint")) and said != body.fingerprint:
            raise ActionError(f"fingerprints don't match, got {body.fingerprint} expected {said}")
        await _must_lack(manager, body.fingerprint, project)
        aliases = dict.fromkeys((value for _, value in parse_qsl(given.get("aliases", ""))), "")
        wanted = Wanted(
            project=project,
            public=given.get("public", "").lower() in ("true", "1", "t"),
            filename=given.get("filename", ""),
            profiles=given.get("profiles", ""),
            properties=dict(parse_qsl(given.get("properties", ""), keep_blank_values=True)),
            aliases=aliases,
        )
    except BaseException:
        drop(spool)
        raise
    return await distribute(manager, Upload(body, spool), wanted)


async def _must_lack(manager: Manager, fingerprint: str, project: str) -> None:
    """An upload of what every host has is refused, as one host refuses it. Where some lack it, it is sent to those."""
    asked = manager.fleet.distinct(manager.fleet.usable())
    looks = await manager.fleet.fan_out(lambda host: read_image(host, project, fingerprint), asked, budget=BUDGET)
    if looks and all(isinstance(found, dict) for found in looks.values()):
        raise ActionError("Image with same fingerprint already exists", 409)


async def import_json(manager: Manager, body: Mapping[str, Any], project: str = "default") -> Task:
    """Distribute what a JSON POST /1.0/images asks for (source.type image or url). Raises ActionError."""
    source = body.get("source")
    if not isinstance(source, dict) or source.get("type") not in _PULLED:
        raise ActionError("Invalid images JSON")
    for key, value in source.items():
        if value is not None and not isinstance(value, str | bool):
            raise ActionError(f"source.{key} must be a text")
    if source["type"] == "url" and not source.get("url"):
        raise ActionError("Missing URL")
    if source["type"] == "image" and not source.get("server"):
        raise ActionError("Must specify a server to copy the image from")
    if source["type"] == "image" and not (source.get("alias") or source.get("fingerprint")):
        raise ActionError("must specify one of alias or fingerprint for init from image")
    profiles, properties = body.get("profiles") or [], body.get("properties") or {}
    if not isinstance(profiles, list) or not all(isinstance(name, str) for name in profiles):
        raise ActionError("profiles must be a list of names")
    if not isinstance(properties, dict):
        raise ActionError("properties must be an object")
    wanted = Wanted(
        project=project,
        public=bool(body.get("public")),
        filename=str(body.get("filename") or ""),
        profiles="&".join(f"profile={name}" for name in profiles),
        properties={str(key): str(value) for key, value in properties.items()},
        aliases=aliases_of(body),
    )
    return await distribute(manager, Pull(source), wanted)


def aliases_of(body: Mapping[str, Any]) -> dict[str, str]:
    """name -> description of the aliases that a body asks for. Raises ActionError."""
    given = body.get("aliases") or []
    if not isinstance(given, list) or not all(isinstance(alias, dict) for alias in given):
        raise ActionError("aliases must be a list of objects")
    found: dict[str, str] = {}
    for alias in given:
        name, description = alias.get("name"), alias.get("description") or ""
        if not isinstance(name, str) or not name or not isinstance(description, str):
            raise ActionError("an alias must have a name, and its description must be a text")
        found[name] = description
    return found


# -- for launches


def by_properties(manager: Manager, wanted: Mapping[str, Any], project: str) -> list[Image]:
    """Rows of the inventory whose properties include all those wanted."""
    found = []
    for row in manager.inventory.all_images():
        if row.project == project:
            properties = (msgspec.json.decode(row.raw).get("properties") or {}) if row.raw else {}
            if all(properties.get(key) == value for key, value in wanted.items()):
                found.append(row)
    return found


async def make_available(manager: Manager, fingerprint: str, project: str, host: str) -> None:
    """Have a host of the fleet hold an image that another one holds; waits until it does.

    Several callers at once cause one copy. Raises ActionError, and the HostError family for the host itself.
    """
    while await read_image(manager.fleet.hosts[host], project, fingerprint) is None:
        coming = [
            task
            for task in manager.tasks.tasks.values()
            if not task.status.final and host in task.hosts and task.metadata.get("fingerprint") == fingerprint
            if task.kind in ("image-import", "image-copy") and task.project == project
        ]
        if coming:
            await coming[0].wait()
            continue
        rows = [
            row
            for row in manager.inventory.all_images()
            if row.fingerprint == fingerprint and row.project == project and row.host != host
            if not manager.inventory.is_stale(row.host)
        ]
        if not rows:
            raise ActionError(f"Image {fingerprint[:12]} is on no host that answers", 503)
        source = Copy(rows[0].host, fingerprint, project)
        wanted = Wanted(project=project, public=rows[0].public)
        await succeeded(await distribute(manager, source, wanted, [host], kind="image-copy"))


async def succeeded(task: Task) -> None:
    """Wait for a task; raises ActionError with its error when it did not succeed."""
    if await task.wait() is not Status.SUCCESS:
        raise ActionError(task.error or task.status.text, task.error_code or 500)


# -- the actions


@registry.action(
    "image-import",
    "Bring an image to all hosts, or to none",
    Param(
        "source",
        "a file; a URL; images:ALIAS or ubuntu:ALIAS; HOST:IMAGE; or simplestreams|lxd|incus+https://SERVER#IMAGE",
        kind="file",
        positional=True,
        required=True,
    ),
    Param("rootfs", "the root file system, when the image is in two files", kind="file", default=""),
    Param("aliases", "a name for it, may be repeated", many=True),
    Param("hosts", "only this host, may be repeated; all when left out", many=True, complete="host"),
    Param("project", "the project", default="default", complete="project"),
    Param("public", "let everybody who reaches the hosts have it", kind="flag"),
    Param("pending", "hosts that are down get it when they come back", kind="flag"),
    Param("reuse", "move aliases that exist", kind="flag"),
    Param("certificate", "PEM file of the server's certificate, when no authority vouches for it", kind="file"),
    subject="image",
)
async def _import(
    manager: Manager,
    *,
    source: str,
    rootfs: str,
    aliases: Sequence[str],
    hosts: Sequence[str],
    project: str,
    public: bool,
    pending: bool,
    reuse: bool,
    certificate: str | None,
) -> Task:
    found = await parse_source(manager, source, project, rootfs, certificate or "")
    named = found.body.parts[0] if isinstance(found, Upload) and not rootfs else None
    wanted = Wanted(
        project=project,
        public=public,
        filename=named.name if isinstance(named, Path) else "",
        aliases=dict.fromkeys(aliases, ""),
        reuse=reuse,
    )
    return await distribute(manager, found, wanted, hosts, pending=pending)


async def parse_source(
    manager: Manager, text: str, project: str = "default", rootfs: str = "", certificate: str = ""
) -> Source:
    """From what people write to a source. Raises ActionError."""
    pem = _pem(certificate) if certificate else ""
    if server := _SERVER.fullmatch(text):
        return Pull(_from_server(server[1], server[2], server[3], pem))
    if text.startswith(("https://", "http://")):
        return Pull({"type": "url", "url": text})
    name, colon, ref = text.partition(":")
    if colon and ref and name in manager.inventory.hosts:
        return await _copy(manager, name, ref, project)
    if colon and ref and name in KNOWN_SERVERS:
        return Pull(_from_server("simplestreams", KNOWN_SERVERS[name], ref, pem))
    return Upload(await from_files(_path(text), _path(rootfs) if rootfs else None))


def _path(text: str) -> Path:
    return own_path(text).absolute()


def _pem(file: str) -> str:
    """file: its name, or the text itself."""
    if file.startswith("-----BEGIN "):
        return file
    try:
        return _path(file).read_text()
    except OSError as error:
        raise ActionError(f"{file}: {error.strerror}") from error


def _from_server(protocol: str, server: str, image: str, certificate: str) -> dict[str, str]:
    key = "fingerprint" if re.fullmatch("[0-9a-f]{12,64}", image) else "alias"
    source = {"type": "image", "mode": "pull", "protocol": protocol, "server": server, key: image}
    return {**source, "certificate": certificate} if certificate else source


async def _copy(manager: Manager, name: str, ref: str, project: str) -> Copy:
    record, host = manager.inventory.hosts[name], manager.fleet.hosts[name]
    if not record.usable:
        raise ActionError(f"{name}: {record.reason or record.status}", 503)
    try:
        alias = await read_alias(host, project, ref)
        image = await read_image(host, project, alias["target"] if alias else ref)
    except HostError as error:
        raise ActionError(str(error), 503) from error
    except ApiError as error:
        raise ActionError(str(error), error.code) from error
    if image is None:
        raise ActionError(f"{name}: Image not found", 404)
    return Copy(name, image["fingerprint"], project)


@registry.action(
    "image-delete",
    "Delete an image from every host that has it",
    Param("fingerprint", "fingerprint, its beginning, or an alias", positional=True, required=True, complete="image"),
    Param("project", "the project", default="default", complete="project"),
    Param("force", "also when hosts are down that may have it: they keep theirs", kind="flag"),
    danger=Danger.CONFIRM,
    subject="image",
)
async def _delete(manager: Manager, *, fingerprint: str, project: str, force: bool) -> Task:
    return await delete(manager, fingerprint, project, force=force, aliases=True)


async def delete(
    manager: Manager, ref: str, project: str = "default", *, force: bool = False, aliases: bool = False
) -> Task:
    """Delete it on all holders. After a crash the deletion is finished, for it cannot be undone.

    ref: a fingerprint or its beginning; with `aliases` also an alias. Raises ActionError: 404, 400 ambiguous, 503
    naming hosts that cannot be asked (not with force), 409 another task works on the image.
    """
    found = await locate(manager, ref, project, aliases=aliases)
    if found.silent and not force:
        raise ActionError(f"Nothing was deleted: cannot ask {found.silence}", 503)
    for other in manager.tasks.tasks.values():
        if (
            not other.status.final
            and other.kind.startswith("image-")
            and (other.metadata.get("fingerprint"), other.project) == (found.fingerprint, project)
        ):
            raise ActionError(f"Image {found.fingerprint[:12]}: task {other.id} works on it", 409)
    hosts = {
        **{name: {"status": "waiting"} for name in found.images},
        **{name: {"status": "left out", "error": reason} for name, reason in found.silent.items()},
    }
    task = Task(
        kind="image-delete",
        description="Deleting image",
        project=project,
        resources={"images": [f"/1.0/images/{found.fingerprint}"]},
        metadata={"fingerprint": found.fingerprint},
        hosts=hosts,
        owner=manager.caller,
    )

    async def run(task: Task, journal: Journal) -> None:
        await _delete_on(manager, task, journal, found)

    return await manager.tasks.start(task, run, journal=True, finish=True)


async def _delete_on(manager: Manager, task: Task, journal: Journal, found: Found) -> None:
    args = {"project": task.project, "fingerprint": found.fingerprint}
    await journal.intend_all((name, "image.absent", args) for name in found.images)

    async def one(name: str) -> str:
        task.update(host=name, status="deleting")
        try:
            await delete_image(manager.fleet.hosts[name], task.project, found.fingerprint)
        except (ApiError, HostError) as error:
            task.update(host=name, status="failed", error=str(error))
            return str(error)
        task.update(host=name, status="deleted")
        manager.fleet.watch(name).touch("images")
        return ""

    failed = [error for error in await asyncio.gather(*(one(name) for name in found.images)) if error]
    waiting = [
        row.id
        for row in await manager.store.list_pending(PENDING)
        if row.args["fingerprint"] == found.fingerprint and row.args["project"] == task.project
    ]
    await manager.store.remove_pending(*waiting)
    await journal.commit()
    if failed:
        raise ActionError("; ".join(failed), 500)
