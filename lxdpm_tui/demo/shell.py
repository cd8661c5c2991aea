"""A tiny fake shell: enough of sh, ls, cat, echo and friends to be believed, on a simulated instance's files."""

from __future__ import annotations

import asyncio
import posixpath
import re
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from lxdpm_tui.demo.state import Instance
from lxdpm_tui.demo.tree import Node, normal
from lxdpm_tui.demo.variants import Problem

Write = Callable[[int, bytes], Awaitable[None]]  # (1 or 2, bytes)

_SPLIT = re.compile(r"(\s*(?:;|&&|\|\||\n)\s*)(?=(?:[^'\"]*['\"][^'\"]*['\"])*[^'\"]*$)")
_REDIRECT = re.compile(r"^([12]?)(>>?)(&[12]|.*)$")
PROMPT = b"~ # "


class CommandNotFoundError(Exception):
    """There is no such program."""


@dataclass(slots=True)
class Process:
    """Where a command runs. stdin: chunks, None = end of it. columns, rows: of its terminal."""

    instance: Instance
    write: Write
    environment: dict[str, str] = field(default_factory=dict)
    directory: str = "/root"
    user: int = 0
    stdin: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    columns: int = 80
    rows: int = 24
    status: int = 0
    exited: bool = False

    # -- running

    async def run(self, command: list[str]) -> int:
        """Run one program; its exit status. Raises CommandNotFoundError."""
        if not command:
            return 0
        name = posixpath.basename(command[0])
        program = PROGRAMS.get(name)
        if program is None:
            raise CommandNotFoundError(name)
        return await program(self, command[1:])

    async def script(self, text: str) -> int:
        """Run shell lines: ; && || newline, quotes, $VAR, $?, and redirections to files and descriptors."""
        parts = _SPLIT.split(text.strip())
        joint = ";"
        for index in range(0, len(parts), 2):
            if index:
                joint = parts[index - 1].strip() or ";"
            skip = (joint == "&&" and self.status) or (joint == "||" and not self.status)
            if parts[index].strip() and not skip and not self.exited:
                self.status = await self._statement(parts[index])
        return self.status

    async def _statement(self, text: str) -> int:
        try:
            words = shlex.split(self._expand(text), comments=True)
        except ValueError:
            await self.write(2, b"sh: syntax error: unterminated quoted string\n")
            return 2
        places = {1: "", 2: ""}
        append = False
        command: list[str] = []
        waiting = 0
        for word in words:
            found = _REDIRECT.match(word)
            if waiting:
                places[waiting], waiting = word, 0
            elif found:
                number = int(found[1] or 1)
                append = found[2] == ">>"
                places[number] = found[3]
                waiting = 0 if found[3] else number
            else:
                command.append(word)
        if not command:
            return 0
        if command[0] == "exit":
            self.exited = True
            return int(command[1]) & 255 if len(command) > 1 and command[1].isdigit() else self.status
        captured: dict[int, bytearray] = {}

        async def write(number: int, data: bytes) -> None:
            place = places[number]
            if place.startswith("&"):
                await self.write(int(place[1:]), data)
            elif place:
                captured.setdefault(number, bytearray()).extend(data)
            else:
                await self.write(number, data)

        inner = replace(self, write=write, exited=False)
        try:
            status = await inner.run(command)
        except CommandNotFoundError as missing:
            await write(2, f"sh: {missing}: not found\n".encode())
            status = 127
        self.directory = inner.directory
        for number, place in places.items():
            if place and not place.startswith("&") and place != "/dev/null":
                status = await self._save(place, bytes(captured.get(number, b"")), append) or status
        return status

    def _expand(self, text: str) -> str:
        variables = self.environment | {"?": str(self.status), "PWD": self.directory}

        def value(found: re.Match[str]) -> str:
            return variables.get(found[1] or found[2], "")

        pieces = re.split(r"('[^']*')", text)
        for index, piece in enumerate(pieces):
            if not piece.startswith("'"):
                pieces[index] = re.sub(r"\$(?:\{(\w+|\?)\}|(\w+|\?))", value, piece)
        return "".join(pieces)

    async def _save(self, place: str, data: bytes, append: bool) -> int:
        path = self.path(place)
        old = self.instance.files.find(path)
        try:
            start = (old.data if old is not None else b"") if append else b""
            self.instance.files.put(path, replace(old or Node(), data=start + data))
        except Problem:
            await self.write(2, f"sh: can't create {place}: nonexistent directory\n".encode())
            return 1
        return 0

    def path(self, text: str) -> str:
        return normal(posixpath.join(self.directory, text))


async def _sh(process: Process, words: list[str]) -> int:
    if words[:1] == ["-c"]:
        return await process.script(words[1] if len(words) > 1 else "")
    pending = b""
    while not process.exited:
        chunk = await process.stdin.get()
        pending += chunk or b""
        *lines, pending = pending.split(b"\n")
        for line in [*lines, pending] if chunk is None else lines:
            if not process.exited:
                await process.script(line.decode(errors="replace"))
        if chunk is None:
            break
    return process.status


async def _echo(process: Process, words: list[str]) -> int:
    newline = "" if words[:1] == ["-n"] else "\n"
    text = " ".join(words[1:] if not newline else words)
    await process.write(1, (text + newline).encode())
    return 0


async def _cat(process: Process, words: list[str]) -> int:
    if not words:
        while (chunk := await process.stdin.get()) is not None:
            await process.write(1, chunk)
        return 0
    status = 0
    for word in words:
        data = process.instance.files.read(process.path(word))
        if data is None:
            await process.write(2, f"cat: can't open '{word}': No such file or directory\n".encode())
            status = 1
        else:
            await process.write(1, data)
    return status


async def _ls(process: Process, words: list[str]) -> int:
    files = process.instance.files
    status = 0
    for word in [word for word in words if not word.startswith("-")] or ["."]:
        path = process.path(word)
        node = files.find(path)
        if node is None:
            await process.write(2, f"ls: {word}: No such file or directory\n".encode())
            status = 1
        else:
            names = files.entries(path) if node.type == "directory" else [word]
            await process.write(1, "".join(f"{name}\n" for name in names).encode())
    return status


async def _uname(process: Process, words: list[str]) -> int:
    name = process.instance.name
    everything = f"Linux {name} 6.1.0-26-amd64 #1 SMP x86_64 GNU/Linux"
    answers = {"-n": name, "-a": everything, "-r": "6.1.0-26-amd64", "-m": "x86_64"}
    await process.write(1, (answers.get(words[0] if words else "", "Linux") + "\n").encode())
    return 0


async def _say(process: Process, text: str) -> int:
    await process.write(1, f"{text}\n".encode())
    return 0


async def _cd(process: Process, words: list[str]) -> int:
    path = process.path(words[0] if words else "/root")
    node = process.instance.files.find(path)
    if node is None or node.type != "directory":
        await process.write(2, f"sh: cd: can't cd to {words[0]}: No such file or directory\n".encode())
        return 2
    process.directory = path
    return 0


async def _sleep(process: Process, words: list[str]) -> int:
    await asyncio.sleep(float(words[0]) if words else 0)
    return 0


async def _status(value: int) -> int:
    return value


PROGRAMS: dict[str, Callable[[Process, list[str]], Awaitable[int]]] = {
    "sh": _sh,
    "bash": _sh,
    "ash": _sh,
    "echo": _echo,
    "cat": _cat,
    "ls": _ls,
    "uname": _uname,
    "cd": _cd,
    "sleep": _sleep,
    "hostname": lambda process, words: _say(process, process.instance.name),
    "pwd": lambda process, words: _say(process, process.directory),
    "id": lambda process, words: _say(process, str(process.user) if words == ["-u"] else f"uid={process.user}"),
    "whoami": lambda process, words: _say(process, "root" if process.user == 0 else str(process.user)),
    "env": lambda process, words: _say(process, "\n".join(f"{k}={v}" for k, v in process.environment.items())),
    "stty": lambda process, words: _say(process, f"{process.rows} {process.columns}"),
    "true": lambda process, words: _status(0),
    ":": lambda process, words: _status(0),
    "false": lambda process, words: _status(1),
}


async def terminal(process: Process, command: list[str]) -> int:
    """Run a command on a pseudo terminal: input is echoed, lines end in \\r\\n, ^C and ^D mean something."""
    keys, process.stdin = process.stdin, asyncio.Queue()
    raw = process.write

    async def write(_: int, data: bytes) -> None:
        await raw(1, data.replace(b"\n", b"\r\n"))

    process.write = write
    interactive = posixpath.basename(command[0] if command else "") in ("sh", "bash", "ash") and len(command) == 1

    async def type_in() -> None:
        line = b""
        while (chunk := await keys.get()) is not None:
            for key in (chunk[i : i + 1] for i in range(len(chunk))):
                if key in b"\r\n":
                    await raw(1, b"\r\n")
                    process.stdin.put_nowait(line + b"\n")
                    line = b""
                elif key in b"\x7f\b":
                    line = line[:-1]
                    await raw(1, b"\b \b")
                elif key == b"\x03":
                    line = b""
                    await raw(1, b"^C\r\n" + (PROMPT if interactive else b""))
                elif key == b"\x04":
                    process.stdin.put_nowait(None)
                else:
                    line += key
                    await raw(1, key)
        process.stdin.put_nowait(None)

    typing = asyncio.create_task(type_in())
    try:
        if not interactive:
            return await process.run(command)
        await write(1, PROMPT)
        while not process.exited and (text := await process.stdin.get()) is not None:
            await process.script(text.decode(errors="replace"))
            if not process.exited:
                await write(1, PROMPT)
        return process.status
    finally:
        typing.cancel()
