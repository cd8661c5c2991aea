"""What image work does on one host. Each function may be called again; all raise ApiError and the HostError family."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from lxdpm_tui.actions.image_body import CHUNK, ImageBody, write_spool
from lxdpm_tui.hosts.transport import ApiError, Deadlines, HostError

if TYPE_CHECKING:
    from lxdpm_tui.hosts.host import Host  # for annotations: `lxdpm-tui --help` must not load aiohttp

QUICK = Deadlines(connect=5.0, first_byte=15.0, idle=15.0)
SETTLE = 1.0  # seconds between two looks that must agree before an image counts as gone for good
PROGRESS_EVERY = 0.5  # seconds

Progress = Callable[[int], None]  # percent
Alias = dict[str, str]  # {"target": fingerprint, "description": text}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a distributed image is to look like on every host that does not have it yet.

    profiles: as in LXD's X-LXD-profiles header ("profile=a&profile=b").  aliases: name -> description.
    reuse: an alias that points elsewhere is moved, else that is an error.
    """

    project: str = "default"
    public: bool = False
    filename: str = ""
    profiles: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    reuse: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; Wanted(**it) is the same again."""
        return {
            "project": self.project,
            "public": self.public,
            "filename": self.filename,
            "profiles": self.profiles,
            "properties": dict(self.properties),
            "aliases": dict(self.aliases),
            "reuse": self.reuse,
        }


# -- reading


async def read_image(host: Host, project: str, fingerprint: str) -> dict[str, Any] | None:
    """The host's image object; None when it has no such image. The fingerprint may be a prefix."""
    path = f"/1.0/images/{quote(fingerprint, safe='')}"
    return await _found(host, path, project)


async def read_alias(host: Host, project: str, name: str) -> Alias | None:
    found = await _found(host, _alias_path(name), project)
    return None if found is None else {"target": found["target"], "description": found.get("description") or ""}


async def _found(host: Host, path: str, project: str) -> dict[str, Any] | None:
    try:
        reply = await host.request("GET", path, params={"project": project}, deadlines=QUICK)
    except ApiError as error:
        if error.code == 404:
            return None
        raise
    found: dict[str, Any] = reply.metadata
    return found


# -- bringing an image there


async def upload(host: Host, body: ImageBody, wanted: Wanted, progress: Progress) -> None:
    """Send the image and wait until the host has taken it in.

    Raises ApiError also when the host made another fingerprint of it.
    """
    prefix = host.dialect.header_prefix
    headers = {"Content-Type": body.content_type, "Content-Length": str(body.size)}
    headers[f"{prefix}public"] = "true" if wanted.public else "false"
    if wanted.filename:
        headers[f"{prefix}filename"] = wanted.filename
    if wanted.properties:
        headers[f"{prefix}properties"] = urlencode(wanted.properties)
    if wanted.profiles:
        headers[f"{prefix}profiles"] = wanted.profiles
    chunks = body.chunks(lambda sent: progress(99 * sent // max(body.size, 1)))
    reply = await host.request("POST", "/1.0/images", params={"project": wanted.project}, data=chunks, headers=headers)
    try:
        done = await host.wait(reply.operation)
        made = (done.get("metadata") or {}).get("fingerprint")
    except ApiError as error:
        # Operations are forgotten 5 s after their end: the image itself tells how it ended.
        if error.code != 404 or await read_image(host, wanted.project, body.fingerprint) is None:
            raise
        made = body.fingerprint
    if made != body.fingerprint:
        raise ApiError(host.name, 500, f"it made image {made} of {body.fingerprint}")
    progress(100)


async def export(host: Host, project: str, fingerprint: str, path: Path, got: Callable[[int], None]) -> str:
    """Write the host's image to a file as it comes; gives its content type."""
    target = f"/1.0/images/{fingerprint}/export?{urlencode({'project': project})}"
    async with host.stream("GET", target) as response:
        if response.status != 200:
            raise ApiError(host.name, response.status, _error_text(await response.read()))
        await write_spool(path, response.content.iter_chunked(CHUNK), got)
        return response.headers.get("Content-Type", "")


def _error_text(body: bytes) -> str:
    found = re.search(rb'"error":\s*"((?:[^"\\]|\\.)*)"', body)
    return (found[1] if found else body[:200]).decode(errors="replace")


async def follow(host: Host, operation: str, progress: Progress) -> dict[str, Any]:
    """Wait for an operation to end, passing its download progress on."""
    waiting = asyncio.create_task(host.wait(operation))
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=PROGRESS_EVERY)
            if not waiting.done():
                # Only to show something: what is wrong, if anything, the wait will tell.
                with contextlib.suppress(ApiError, HostError):
                    shown = (await host.get(operation.partition("?")[0])).get("metadata") or {}
                    if found := re.search(r"(\d+)%", str(shown.get("download_progress", ""))):
                        progress(int(found[1]))
        return waiting.result()
    finally:
        waiting.cancel()


# -- pulling into a project of its own, so that nothing that was there is touched


async def stage(host: Host, name: str, source: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Have the host pull an image into the new project `name`; gives the image object."""
    config = {"features.images": "true", "features.profiles": "false", "features.storage.volumes": "false"}
    body = {"name": name, "description": "lxdpm-tui: an image on its way", "config": config}
    await host.request("POST", "/1.0/projects", json=body, deadlines=QUICK)
    mapped = dict(source)
    if mapped.get("protocol") in ("lxd", "incus"):
        mapped["protocol"] = host.dialect.image_protocol
    reply = await host.request("POST", "/1.0/images", params={"project": name}, json={"source": mapped})
    done = await follow(host, reply.operation, progress)
    fingerprint = (done.get("metadata") or {}).get("fingerprint") or ""
    image = await read_image(host, name, fingerprint) if fingerprint else None
    if image is None:
        raise ApiError(host.name, 500, "the image was pulled but is not there")
    return image


async def unstage(host: Host, name: str) -> None:
    """Remove such a project with what is in it, however far it came."""
    if await _found(host, f"/1.0/projects/{name}", "default") is None:
        return
    while operations := await image_operations(host, name):
        await _ended(host, operations)
    for url in await host.get("/1.0/images", project=name) or ():
        fingerprint = str(url).partition("?")[0].rpartition("/")[2]
        await delete_image(host, name, fingerprint)
    await _delete(host, f"/1.0/projects/{name}", "default")


# -- taking it away


async def delete_image(host: Host, project: str, fingerprint: str) -> None:
    """Delete it, if it is there."""
    await _delete(host, f"/1.0/images/{fingerprint}", project)


async def _delete(host: Host, path: str, project: str) -> None:
    with _ignore_missing():
        reply = await host.request("DELETE", path, params={"project": project}, deadlines=QUICK)
        if reply.operation:
            await host.wait(reply.operation)


async def make_absent(host: Host, project: str, fingerprint: str) -> None:
    """Delete it and be sure that it does not come back by an upload that is under way or was when we died."""
    quiet = False
    while True:
        if await read_image(host, project, fingerprint) is not None:
            await delete_image(host, project, fingerprint)
            quiet = False
            continue
        if operations := await image_operations(host, project):
            await _ended(host, operations)
            quiet = False
            continue
        if quiet:
            return
        quiet = True
        await asyncio.sleep(SETTLE)


async def image_operations(host: Host, project: str) -> list[str]:
    """URLs of the host's operations that bring in images of that project and have not ended."""
    by_status = await host.get("/1.0/operations", project=project, recursion=1) or {}
    return [
        f"/1.0/operations/{operation['id']}"
        for operations in by_status.values()
        for operation in operations or ()
        if int(operation.get("status_code", 0)) < 200
        and "downloading image" in operation.get("description", "").lower()
    ]


async def _ended(host: Host, operations: list[str]) -> None:
    for operation in operations:
        # How it ended does not matter: the caller looks at what is there.
        with contextlib.suppress(ApiError):
            await host.wait(operation)


# -- aliases


async def set_alias(host: Host, project: str, name: str, wanted: Alias | None) -> None:
    """Make, change or remove (None) an alias.

    Once begun it ends, though the caller be cancelled: a change that is broken off is made all the same, maybe after
    its undo has looked.
    """
    change = asyncio.ensure_future(_set_alias(host, project, name, wanted))
    try:
        await asyncio.shield(change)
    except asyncio.CancelledError:
        await asyncio.wait({change})
        if not change.cancelled():
            change.exception()  # how it ended is seen by who looks
        raise


async def _set_alias(host: Host, project: str, name: str, wanted: Alias | None) -> None:
    params = {"project": project}
    path = _alias_path(name)
    current = await read_alias(host, project, name)
    if current == wanted:
        return
    if wanted is None:
        await _delete(host, path, project)
    elif current is None:
        body = {"name": name, **wanted}
        await host.request("POST", "/1.0/images/aliases", params=params, json=body, deadlines=QUICK)
    else:
        await host.request("PUT", path, params=params, json=wanted, deadlines=QUICK)


async def restore_alias(host: Host, project: str, name: str, before: Alias | None, after: Alias | None) -> None:
    """Put an alias back to `before`, unless it is something else by now than the `after` that we made of it. One that
    went along with our image is put back, too."""
    now = await read_alias(host, project, name)
    went = now is None and before and after and await read_image(host, project, after["target"]) is None
    if now == after or went:
        await set_alias(host, project, name, before)


def _alias_path(name: str) -> str:
    return f"/1.0/images/aliases/{quote(name, safe='')}"


@contextlib.contextmanager
def _ignore_missing() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        if error.code != 404:
            raise
