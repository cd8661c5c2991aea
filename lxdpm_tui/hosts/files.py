"""Files of one instance by its daemon's API: streamed, never held in memory."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from lxdpm_tui.hosts.client import Body
from lxdpm_tui.hosts.exec import instance_path
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError

CHUNK = 1 << 18
DIRECTORY, FILE, SYMLINK = "directory", "file", "symlink"


@dataclass(frozen=True, slots=True)
class Entry:
    """What the headers tell of a path. kind: DIRECTORY, FILE or SYMLINK.  mode: permission bits.  size: bytes, -1 when
    it is not said."""

    kind: str
    mode: int
    uid: int
    gid: int
    size: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A path being read. names: of a directory, sorted.  target: of a symlink.  chunks: of a file, to be read once."""

    entry: Entry
    names: tuple[str, ...]
    target: str
    chunks: AsyncIterator[bytes]


class Files:
    """The files of an instance. Every call raises ApiError (404: no such path) and the HostError family."""

    def __init__(self, host: Host, instance: str, project: str = "default") -> None:
        self._host, self._instance, self._project = host, instance, project

    def _target(self, path: str) -> str:
        query = urlencode({"path": path, "project": self._project})
        return f"{instance_path(self._instance, 'files')}?{query}"

    @contextlib.asynccontextmanager
    async def open(self, path: str) -> AsyncIterator[Opened]:
        """Begin to read a path, whatever it is. Leaving the block before the end of a file drops the connection."""
        async with self._host.stream("GET", self._target(path)) as response:
            if response.status >= 400:
                raise _refusal(self._host.name, response.status, await response.read())
            entry = self._entry(response.headers)
            names: tuple[str, ...] = ()
            target = ""
            if entry.kind == DIRECTORY:
                found = msgspec.json.decode(await response.read())["metadata"] or []
                names = tuple(sorted(name for name in dict.fromkeys(found) if _plain(name)))
            elif entry.kind == SYMLINK:
                target = (await response.read()).decode(errors="surrogateescape").rstrip("\n")
            yield Opened(entry, names, target, response.content.iter_chunked(CHUNK))

    async def look(self, path: str) -> Entry:
        """What a path is; nothing of a file is read."""
        async with self.open(path) as opened:
            return opened.entry

    async def names(self, path: str) -> tuple[str, ...]:
        """The names in a directory. Raises NotADirectoryError too."""
        async with self.open(path) as opened:
            if opened.entry.kind != DIRECTORY:
                raise NotADirectoryError(path)
            return opened.names

    async def write(
        self, path: str, data: Body, *, kind: str = FILE, mode: int | None = None, uid: int = 0, gid: int = 0
    ) -> None:
        """Make or replace a file, symlink (data: its target) or directory (which may be there). mode: permissions."""
        prefix = self._host.dialect.header_prefix
        headers = {
            "Content-Type": "application/octet-stream",
            f"{prefix}type": kind,
            f"{prefix}uid": str(uid),
            f"{prefix}gid": str(gid),
        }
        if kind == FILE:
            headers[f"{prefix}write"] = "overwrite"
        if mode is not None:
            headers[f"{prefix}mode"] = f"0{mode & 0o777:o}"  # octal by its zero; daemons keep no setuid bit
        await self._host.request("POST", self._target(path), data=data, headers=headers)

    async def delete(self, path: str) -> None:
        """A file, symlink or empty directory."""
        await self._host.request("DELETE", self._target(path))

    async def delete_tree(self, path: str) -> None:
        """A path with all that is below it; nothing when it is not there."""
        try:
            entry = await self.look(path)
            if entry.kind == DIRECTORY:
                for name in await self.names(path):
                    await self.delete_tree(f"{path.rstrip('/')}/{name}")
            await self.delete(path)
        except ApiError as error:
            if error.code != 404 and not gone(error):
                raise

    def _entry(self, headers: Mapping[str, str]) -> Entry:
        prefix = self._host.dialect.header_prefix

        def number(name: str, base: int = 10) -> int:
            with contextlib.suppress(ValueError):
                return int(headers.get(prefix + name) or "0", base)
            return 0

        kind = headers.get(f"{prefix}type") or FILE
        length = headers.get("Content-Length", "")
        size = int(length) if kind == FILE and length.isdigit() else -1
        return Entry(kind, number("mode", 8) & 0o7777, number("uid"), number("gid"), size)


def gone(error: ApiError) -> bool:
    """Whether the daemon says that a path is not there: older ones answer 404, or 500 with the system's own words."""
    return error.code == 404 or "no such file" in error.text.lower() or "file does not exist" in error.text.lower()


def _plain(name: Any) -> bool:
    """Whether it may be a name in a directory: an instance must not lead us out of the one we write to."""
    return isinstance(name, str) and name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _refusal(host: str, status: int, body: bytes) -> ApiError:
    try:
        text = msgspec.json.decode(body).get("error") or ""
    except (msgspec.DecodeError, AttributeError):
        text = body[:200].decode(errors="replace").strip()
    return ApiError(host, status, text or f"HTTP status {status}")
