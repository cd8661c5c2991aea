"""Files into instances and out of them: directories with all below, links as links, modes kept, streamed.

What is cut off leaves nothing half: the target that was being written is removed, and so is what was made new before.
A push is journalled, so that this holds for one that the manager's own end cut off, too (files_undo.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.files_undo import look
from lxdpm_tui.actions.own_files import own_path
from lxdpm_tui.actions.registry import ActionError, Param, registry
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.hosts.transport import ApiError, HostError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.hosts.files import Entry, Files
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

PER_HOST = 2  # pushes at once on one host
CHUNK = 1 << 18
TELL = 0.25  # seconds between words on the progress

_PROJECT = Param("project", "the project", default="default", complete="project")


class Progress:
    """Bytes done of one transfer, told to its task now and then. total: bytes, 0 when it is not known."""

    def __init__(self, task: Task, label: str, doing: str, total: int = 0) -> None:
        self._task, self._label, self._doing = task, label, doing
        self.total = total
        self.done = 0
        self.files = 0
        self._told = self._began = time.monotonic()

    def add(self, number: int) -> None:
        self.done += number
        now = time.monotonic()
        if now - self._told >= TELL:
            self._told = now
            self.tell(self._doing)

    def tell(self, status: str, error: str = "") -> None:
        seconds = max(0.001, time.monotonic() - self._began)
        fields: dict[str, Any] = {"bytes": self.done, "files": self.files, "rate": round(self.done / seconds)}
        if self.total:
            fields["progress"] = min(100, 100 * self.done // self.total)
        self._task.update(host=self._label, status=status, error=error, **fields)


@registry.action(
    "file-push",
    "Put a file, or a directory with all below it, into instances",
    Param("source", "file or directory on this machine", kind="file", positional=True, required=True),
    Param("instances", "NAME or HOST:NAME, one or more", positional=True, required=True, many=True,
          complete="instance"),
    Param("to", "path in the instance; into a directory when it ends with / or is one", required=True),
    _PROJECT,
    Param("uid", "owner of what is made", kind="integer", default=0),
    Param("gid", "group of what is made", kind="integer", default=0),
    subject="instance",
)  # fmt: skip
async def push(
    manager: Manager, *, source: str, instances: Sequence[str], to: str, project: str, uid: int, gid: int
) -> Task:
    path = own_path(source)
    if not to.startswith("/"):
        raise ActionError(f"the path in the instance begins with /, not {to!r}")
    if not path.is_absolute():
        raise ActionError(f"{source}: give the whole path, from / on")
    try:
        total = await asyncio.to_thread(_size, path)
    except OSError as error:
        raise ActionError(f"{path}: {error.strerror}", 404) from error
    rows = list({row.key: row for row in (resolve.instance(manager, ref, project) for ref in instances)}.values())

    async def one(row: Instance, task: Task, journal: Journal, label: str) -> None:
        from lxdpm_tui.hosts.files import Files

        files = Files(manager.fleet.hosts[row.host], row.name, row.project)
        progress = Progress(task, label, "pushing", total)
        progress.tell("pushing")
        await Push(files, row, journal, progress, uid, gid).run(path, to)
        progress.tell("done")

    return await _start(manager, "file-push", "Pushing files", rows, one)


@registry.action(
    "file-pull",
    "Fetch a file, or a directory with all below it, from an instance",
    Param("instance", "NAME, or HOST:NAME for one of twins", positional=True, required=True, complete="instance"),
    Param("path", "path in the instance", positional=True, required=True),
    Param("to", "file or directory on this machine", kind="file", positional=True, default=""),
    _PROJECT,
    subject="instance",
)
async def pull(manager: Manager, *, instance: str, path: str, to: str, project: str) -> Task:
    row = resolve.instance(manager, instance, project)
    if not path.startswith("/"):
        raise ActionError(f"the path in the instance begins with /, not {path!r}")
    target = own_path(to or ".")
    if not target.is_absolute():
        raise ActionError(f"{to or '.'}: give the whole path, from / on")
    name = PurePosixPath(path).name or row.name
    target = target / name if target.is_dir() else target

    async def one(row: Instance, task: Task, journal: Journal, label: str) -> None:
        from lxdpm_tui.hosts.files import Files

        progress = Progress(task, label, "pulling")
        progress.tell("pulling")
        await Pull(Files(manager.fleet.hosts[row.host], row.name, row.project), progress).run(path, target)
        progress.tell("done")
        task.update(metadata={"path": str(target)})

    return await _start(manager, "file-pull", "Pulling files", [row], one)


async def _start(manager: Manager, kind: str, description: str, rows: Sequence[Instance], work: Any) -> Task:
    label = {row.key: f"{row.host}:{row.name}" for row in rows}
    limits = {row.host: asyncio.Semaphore(PER_HOST) for row in rows}
    task = Task(
        kind=kind,
        description=description,
        project=rows[0].project,
        resources={"instances": [f"/1.0/instances/{quote(row.name, safe='')}" for row in rows]},
        hosts={label[row.key]: {"status": "waiting"} for row in rows},
        owner=manager.caller,
    )
    failed: list[str] = []

    async def one(row: Instance, task: Task, journal: Journal) -> None:
        async with limits[row.host]:
            try:
                await work(row, task, journal, label[row.key])
            except (ApiError, HostError, ActionError, OSError) as error:
                words = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
                task.update(host=label[row.key], status="failed", error=words)
                failed.append(words)

    async def run(task: Task, journal: Journal) -> None:
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(one(row, task, journal))
        if failed:
            several = f"{len(failed)} of {len(rows)} failed: " if len(rows) > 1 else ""
            raise ActionError(several + "; ".join(failed[:5]), 500)

    return await manager.tasks.start(task, run)


class Push:
    """One source into one instance. What it is about to make is in the journal first: cut off, or at the next start
    after the manager was killed, the task takes that back."""

    def __init__(self, files: Files, row: Instance, journal: Journal, progress: Progress, uid: int, gid: int) -> None:
        self._files, self._row, self._journal, self._progress = files, row, journal, progress
        self._uid, self._gid = uid, gid
        self._steps: list[int] = []

    async def run(self, source: Path, to: str) -> None:
        """Raises ApiError, the HostError family, OSError, StoreError; what was begun is left to the journal then."""
        there = await look(self._files, to)
        if to.endswith("/") or (there is not None and there.kind == "directory"):
            to = f"{to.rstrip('/')}/{source.name}"
            there = await look(self._files, to)
        if there is None:
            directory, _, name = to.rpartition("/")
            await self._makes(directory, [name])
        await self._put(source, to, there)
        for step in self._steps:
            await self._journal.settle(step)  # it stays, whatever becomes of the other instances

    async def _makes(self, directory: str, names: Sequence[str]) -> None:
        """Names that are new in a directory, before they are made."""
        if names:
            await self._intend("file.absent", directory=directory, names=list(names))

    async def _intend(self, undo: str, **args: Any) -> int:
        row = self._row
        step = await self._journal.intend(row.host, undo, {"project": row.project, "instance": row.name, **args})
        self._steps.append(step)
        return step

    async def _put(self, source: Path, to: str, there: Entry | None) -> None:
        """there: what is at `to` now."""
        status = await asyncio.to_thread(source.lstat)
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            await self._put_directory(source, to, mode, there)
        elif stat.S_ISLNK(status.st_mode):
            async with self._replacing(to, there, "symlink", -1):
                if there is not None:
                    await self._files.delete(to)
                target = os.fsencode(os.readlink(source))
                await self._files.write(to, target, kind="symlink", uid=self._uid, gid=self._gid)
        elif stat.S_ISREG(status.st_mode):
            # Opened here: a generator that was given up is closed when the garbage is, maybe after its file.
            async with self._replacing(to, there, "file", status.st_size):
                with source.open("rb") as file:
                    await self._files.write(to, self._chunks(file), mode=mode, uid=self._uid, gid=self._gid)
            self._progress.files += 1

    async def _put_directory(self, source: Path, to: str, mode: int, there: Entry | None) -> None:
        new = there is None or there.kind != "directory"
        if new:
            await self._files.write(to, None, kind="directory", mode=mode, uid=self._uid, gid=self._gid)
        names = await asyncio.to_thread(_copied, source)
        known = {} if new else {name: await look(self._files, f"{to}/{name}") for name in names}
        await self._makes(to, [name for name in names if known.get(name) is None])
        for name in names:
            await self._put(source / name, f"{to}/{name}", known.get(name))

    @contextlib.asynccontextmanager
    async def _replacing(self, to: str, there: Entry | None, kind: str, size: int) -> AsyncIterator[None]:
        """While something that was there before is half."""
        if there is None:
            yield
            return
        step = await self._intend("file.replaced", path=to, kind=kind, size=size, before=there.size)
        yield
        await self._journal.settle(step)
        self._steps.remove(step)

    async def _chunks(self, file: BinaryIO) -> AsyncIterator[bytes]:
        while data := await asyncio.to_thread(file.read, CHUNK):
            yield data
            self._progress.add(len(data))


def _strange(mode: int) -> bool:
    return not (stat.S_ISDIR(mode) or stat.S_ISLNK(mode) or stat.S_ISREG(mode))


def _copied(folder: Path) -> list[str]:
    """The names in it, but for sockets, pipes and devices, which are nothing that could be copied."""
    with os.scandir(folder) as found:
        return sorted(e.name for e in found if not _strange(e.stat(follow_symlinks=False).st_mode))


class Pull:
    """One path of an instance to this machine."""

    def __init__(self, files: Files, progress: Progress) -> None:
        self._files, self._progress = files, progress
        self._made: list[Path] = []
        self._top = ""

    async def run(self, path: str, target: Path) -> None:
        """Raises ApiError, the HostError family, OSError; cancelled or not, nothing half is left then."""
        self._top = path.rstrip("/") + "/"
        try:
            await self._get(path, target)
        except BaseException:
            for made in reversed(self._made):
                with contextlib.suppress(OSError):
                    made.rmdir() if made.is_dir() and not made.is_symlink() else made.unlink()
            raise

    async def _get(self, path: str, target: Path) -> None:
        async with self._files.open(path) as opened:
            kind, mode = opened.entry.kind, opened.entry.mode
            if kind == "file":
                self._progress.total += max(0, opened.entry.size)
                await self._get_file(opened.chunks, target, mode)
                return
            names, link = opened.names, opened.target
        if kind == "symlink":
            if target.is_symlink():
                target.unlink()
            if link.startswith(self._top):  # daemons resolve links: what led into the tree leads into the copy
                link = os.path.relpath(link, os.path.dirname(path))
            target.symlink_to(link)
            self._made.append(target)
            return
        if not target.is_dir() or target.is_symlink():
            target.mkdir(mode=0o700)  # raises when a link stands there: nothing is written through it
            self._made.append(target)
        for name in names:
            await self._get(f"{path.rstrip('/')}/{name}", target / name)
        if target in self._made:
            target.chmod(mode & 0o777)

    async def _get_file(self, chunks: AsyncIterator[bytes], target: Path, mode: int) -> None:
        """Beside the target, then in its place: what was there before stays until the new one is whole."""
        half = target.with_name(f".{target.name}.{os.getpid()}.part")
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                async for data in chunks:
                    await asyncio.to_thread(file.write, data)
                    self._progress.add(len(data))
                os.fchmod(file.fileno(), mode & 0o777)
            new = not target.exists()
            half.rename(target)
        except BaseException:
            half.unlink(missing_ok=True)
            raise
        self._progress.files += 1
        if new:
            self._made.append(target)


def _size(path: Path) -> int:
    """Bytes of all regular files at a path and below. Raises OSError when it cannot be read."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        if stat.S_ISREG(status.st_mode):
            path.open("rb").close()
        return status.st_size
    total = 0
    for folder, _, names in os.walk(path, onerror=_raise):
        for name in names:
            entry = os.lstat(os.path.join(folder, name))
            total += entry.st_size if stat.S_ISREG(entry.st_mode) else 0
    return total


def _raise(error: OSError) -> None:
    raise error
