"""An image to all target hosts, or to none.

The state before is recorded per host; every step is journalled before it is made. Uploads come first, then what was
taken in is verified, and aliases move last, on all hosts, when every host has the image. If anything fails, what was
absent is deleted by fingerprint, aliases go back, and what was there before stays as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.image_body import ImageBody, drop, from_spool, new_spool_file
from lxdpm_tui.actions.image_host import (
    Alias,
    Wanted,
    export,
    read_alias,
    read_image,
    set_alias,
    stage,
    unstage,
    upload,
)
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.journal import Journal
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.hosts.host import Host
    from lxdpm_tui.manager import Manager

PENDING = "image"  # kind of the rows kept for hosts that were down
AT_ONCE = "images.at_once"  # setting: to how many hosts an image is sent at a time
PULL_TRIES = 3  # hosts that are asked, one after the other, to pull from the source


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on this machine. spool: a file that is deleted in the end."""

    body: ImageBody
    spool: Path | None = None

    @property
    def text(self) -> str:
        return self.body.fingerprint[:12]


@dataclass(frozen=True, slots=True)
class Copy:
    """An image that a host of the fleet has."""

    host: str
    fingerprint: str
    project: str = "default"

    @property
    def text(self) -> str:
        return f"{self.host}:{self.fingerprint[:12]}"


@dataclass(frozen=True, slots=True)
class Pull:
    """Something that hosts fetch by themselves: LXD's `source` of POST /1.0/images (type image or url)."""

    source: Mapping[str, Any]

    @property
    def text(self) -> str:
        where = self.source.get("url") or self.source.get("server") or ""
        what = self.source.get("alias") or self.source.get("fingerprint") or ""
        return f"{where} {what}".strip()


Source = Upload | Copy | Pull


async def distribute(
    manager: Manager,
    source: Source,
    wanted: Wanted,
    hosts: Sequence[str] = (),
    *,
    pending: bool = False,
    kind: str = "image-import",
) -> Task:
    """Start to bring an image to the hosts named (all of the fleet when none is).

    pending: hosts that are down are served when they come back, else they make it refuse. Takes over an upload's spool
    file. Raises ActionError: 404 unknown host, 503 naming the hosts that are down, 409 another task works on it.
    """
    try:
        up, down = _targets(manager, hosts, pending)
        task = Task(
            kind=kind,
            description="Downloading image",
            project=wanted.project,
            metadata={"source": source.text},
            hosts={**{name: {"status": "waiting"} for name in up}, **{name: {"status": "pending"} for name in down}},
            owner=manager.caller,
        )
        work = _Distribution(manager, task, source, wanted, up, down)
        if not isinstance(source, Pull):
            work.claim(source.body.fingerprint if isinstance(source, Upload) else source.fingerprint)
        return await manager.tasks.start(task, work.run, journal=True)
    except BaseException:
        if isinstance(source, Upload):
            drop(source.spool)
        raise


def _targets(manager: Manager, hosts: Sequence[str], pending: bool) -> tuple[list[str], list[str]]:
    records = manager.inventory.hosts
    for name in hosts:
        if name not in records:
            raise ActionError(f"there is no host {name!r}", 404)
    names = manager.fleet.distinct(hosts or records)
    down = [name for name in names if not records[name].usable]
    up = [name for name in names if records[name].usable]
    if not up or (down and not pending):
        reasons = "; ".join(f"{name}: {records[name].reason or records[name].status}" for name in down)
        raise ActionError(f"No host was changed: cannot ask {reasons}" if down else "there are no hosts", 503)
    return up, down


class _Distribution:
    """One run. up, down: names of the target hosts."""

    def __init__(
        self, manager: Manager, task: Task, source: Source, wanted: Wanted, up: list[str], down: list[str]
    ) -> None:
        self.manager, self.task, self.source = manager, task, source
        self.wanted, self.up, self.down = wanted, up, down
        self.spools: list[Path] = [source.spool] if isinstance(source, Upload) and source.spool else []
        self.fingerprint = ""

    def claim(self, fingerprint: str) -> None:
        """From here on this image, on these hosts, is ours. Raises ActionError 409 when it is another task's."""
        for other in self.manager.tasks.tasks.values():
            if (
                other is not self.task
                and not other.status.final
                and other.kind.startswith("image-")
                and other.metadata.get("fingerprint") == fingerprint
                and other.project == self.wanted.project
                and other.hosts.keys() & {*self.up, *self.down}
            ):
                doing = other.metadata.get("undo") or other.description
                raise ActionError(f"Image {fingerprint[:12]}: task {other.id} works on it ({doing})", 409)
        self.fingerprint = fingerprint
        self.task.resources = {"images": [f"/1.0/images/{fingerprint}"]}
        self.task.update(metadata={"fingerprint": fingerprint})

    async def run(self, task: Task, journal: Journal) -> None:
        """The task's runner."""
        self.journal = journal
        try:
            await self._run()
        finally:
            for path in self.spools:
                drop(path)
            for name in self.up:
                self.manager.fleet.watch(name).touch("images")
        await resolve.read_kind_again(self.manager, "images", self.up)  # a launch goes by the inventory

    async def _run(self) -> None:
        body = self.source.body if isinstance(self.source, Upload) else None
        if isinstance(self.source, Pull):
            body = await self._pull(self.source)
        before = dict(zip(self.up, await all_or_first(self._look(name) for name in self.up), strict=True))
        missing = [name for name in self.up if not before[name][0]]
        if isinstance(self.source, Copy) and (missing or self.down):
            body = await self._export(self.source)
        if body is not None:
            limit = asyncio.Semaphore(int(await self.manager.store.get_setting(AT_ONCE) or 4))
            await all_or_first(self._send(name, body, limit) for name in missing)
        await all_or_first(self._verify(name) for name in self.up)
        await all_or_first(self._aliases(name, before[name][1]) for name in self.up)
        later = {"fingerprint": self.fingerprint, **self.wanted.to_dict()}
        await self.journal.commit([(PENDING, name, later) for name in self.down])

    async def _look(self, name: str) -> tuple[bool, dict[str, Alias | None]]:
        """Whether the host has the image already, and where the aliases point there."""
        with self._blame(name):
            host = self._host(name)
            there = await read_image(host, self.wanted.project, self.fingerprint) is not None
            aliases = {alias: await read_alias(host, self.wanted.project, alias) for alias in self.wanted.aliases}
        for alias, at in aliases.items():
            if at is not None and at["target"] != self.fingerprint and not self.wanted.reuse:
                self.task.update(host=name, status="failed", error=f'Alias "{alias}" already exists')
                raise ActionError(f'{name}: Alias "{alias}" already exists, for image {at["target"][:12]}', 409)
        if there:
            self.task.update(host=name, status="there already", progress=100)
        return there, aliases

    async def _pull(self, pull: Pull) -> ImageBody:
        """Have one host fetch it, into a project of its own, and take it from there."""
        failed: list[ApiError] = []
        for name in self._pullers(once=bool(pull.source.get("secret"))):
            host, project = self._host(name), f"lxdpm-{self.task.id[:8]}"
            self.task.update(host=name, status="pulling", error="")
            await self.journal.intend(name, "image.unstage", {"project": project})
            try:
                with self._blame(name):
                    image = await stage(host, project, pull.source, self._shown(name, "pulling"))
            except ApiError as error:
                failed.append(error)
                await unstage(host, project)
                continue
            self.claim(image["fingerprint"])
            self._take_over(image)
            body = await self._export(Copy(name, image["fingerprint"], project))
            with self._blame(name):
                await unstage(host, project)
            self.task.update(host=name, status="waiting")
            return body
        raise ActionError("; ".join(str(error) for error in failed), failed[0].code if failed else 503)

    def _pullers(self, once: bool) -> list[str]:
        """Hosts to try: the first of each kind first, for some servers serve only one kind."""
        kinds: dict[str, list[str]] = {}
        for name in self.up:
            kinds.setdefault(self._host(name).dialect.kind, []).append(name)
        firsts = [names[0] for names in kinds.values()]
        return [*firsts, *(name for name in self.up if name not in firsts)][: 1 if once else PULL_TRIES]

    def _take_over(self, image: Mapping[str, Any]) -> None:
        """What the source says of the image goes with it, unless the caller said otherwise."""
        properties = {**(image.get("properties") or {}), **self.wanted.properties}
        filename = self.wanted.filename or str(image.get("filename") or "")
        self.wanted = replace(self.wanted, properties=properties, filename=filename)

    async def _export(self, copy: Copy) -> ImageBody:
        host = self._host(copy.host)
        with self._blame(copy.host):
            image = await read_image(host, copy.project, copy.fingerprint)
            if image is None:
                raise ApiError(copy.host, 404, "Image not found")
            self._take_over(image)
            path = await asyncio.to_thread(new_spool_file, self.manager.paths.state_dir)
            self.spools.append(path)
            size = max(int(image.get("size") or 0), 1)
            shown = self._shown(copy.host, "exporting") if copy.host in self.up else lambda _: None
            content_type = await export(
                host, copy.project, copy.fingerprint, path, lambda got: shown(min(99, 99 * got // size))
            )
            body = await from_spool(path, content_type)
            if body.fingerprint != copy.fingerprint:
                raise ApiError(copy.host, 500, f"it exported image {body.fingerprint} as {copy.fingerprint}")
        return body

    async def _send(self, name: str, body: ImageBody, limit: asyncio.Semaphore) -> None:
        async with limit:
            args = {"project": self.wanted.project, "fingerprint": self.fingerprint}
            step = await self.journal.intend(name, "image.absent", args)
            with self._blame(name):
                try:
                    await upload(self._host(name), body, self.wanted, self._shown(name, "uploading"))
                except ApiError as error:
                    if "already exists" not in error.text:
                        raise
                    # Somebody brought it there since we looked: it is not ours to take away.
                    await self.journal.settle(step)
            self.task.update(host=name, status="has it")

    async def _verify(self, name: str) -> None:
        with self._blame(name):
            image = await read_image(self._host(name), self.wanted.project, self.fingerprint)
            if image is None:
                raise ApiError(name, 500, "the image is not there although it was taken in")
            size = str(image["size"])
            if self.task.metadata.setdefault("size", size) != size:
                raise ApiError(name, 500, f"the image has {size} bytes, elsewhere {self.task.metadata['size']}")

    async def _aliases(self, name: str, before: Mapping[str, Alias | None]) -> None:
        with self._blame(name):
            for alias, description in self.wanted.aliases.items():
                was = before[alias]
                if was and was["target"] == self.fingerprint and description in ("", was["description"]):
                    continue
                after = {"target": self.fingerprint, "description": description}
                args = {"project": self.wanted.project, "name": alias, "before": was, "after": after}
                await self.journal.intend(name, "image.alias", args)
                await set_alias(self._host(name), self.wanted.project, alias, after)
        self.task.update(host=name, status="done", progress=100)

    # -- small things

    def _host(self, name: str) -> Host:
        return self.manager.fleet.hosts[name]

    def _shown(self, name: str, status: str) -> _Shown:
        return _Shown(self.task, name, status)

    def _blame(self, name: str) -> _Blame:
        return _Blame(self.task, name)


class _Shown:
    """Passes progress on, once a percent."""

    def __init__(self, task: Task, host: str, status: str) -> None:
        self._task, self._host, self._status, self._last = task, host, status, -1

    def __call__(self, percent: int) -> None:
        if percent != self._last:
            self._last = percent
            self._task.update(host=self._host, status=self._status, progress=percent)


class _Blame:
    """Writes an error that leaves the block into the host's part of the task."""

    def __init__(self, task: Task, host: str) -> None:
        self._task, self._host = task, host

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, ApiError | HostError | ActionError):
            self._task.update(host=self._host, status="failed", error=str(error))


async def all_or_first(work: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Results of all, run side by side; at the first failure the others are cancelled and it is raised."""
    tasks = [asyncio.ensure_future(one) for one in work]
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        broken = [task for task in tasks if task.done() and not task.cancelled() and task.exception()]
        if broken:
            broken[0].result()
        return [task.result() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
