"""A session of an instance on the person's terminal, until it ends, the person leaves, or the host is lost."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

from lxdpm_tui.console.inside.escape import Escape, Leftovers
from lxdpm_tui.console.inside.tty import AHEAD, RawTerminal
from lxdpm_tui.hosts.exec import Session
from lxdpm_tui.hosts.transport import ApiError, HostError

LEAVE = "~. at the beginning of a line"


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended. code: of the command, None when it is not known.  left: the person went with `~.`, or the terminal
    is gone.  error: what broke, "" when nothing did."""

    code: int | None = None
    left: bool = False
    error: str = ""


async def relay(session: Session, terminal: RawTerminal) -> Ending:
    """Pass bytes both ways, each at the pace of who takes them. The terminal's modes are as before at the end."""
    escape, leftovers = Escape(), Leftovers()
    outgoing, some, room = bytearray(), asyncio.Event(), asyncio.Event()

    async def type() -> None:
        while typed := await terminal.read():
            passed, leave = escape.feed(typed)
            outgoing.extend(passed)
            some.set()
            if leave:
                return
            while len(outgoing) > AHEAD:  # a long paste into a host that does not take it
                room.clear()
                await room.wait()

    async def send() -> None:
        while True:
            await some.wait()
            some.clear()
            data = bytes(outgoing)
            outgoing.clear()
            room.set()
            if data:
                await session.send(data)

    async def show() -> None:
        while data := await session.receive():
            leftovers.feed(data)
            await terminal.write(data)

    async def tell_size() -> None:
        while True:
            await terminal.resized.wait()
            terminal.resized.clear()
            await session.resize(*terminal.size)

    typing, showing = asyncio.create_task(type()), asyncio.create_task(show())
    helping = [asyncio.create_task(send()), asyncio.create_task(tell_size())]
    works = [typing, showing, *helping]
    try:
        # What cannot be sent is no end: the output tells it, with the last words of the command before.
        await asyncio.wait({typing, showing}, return_when=asyncio.FIRST_COMPLETED)
        if not showing.done():
            return Ending(left=True)
        await asyncio.shield(session.drop())
        return Ending(code=await _code(showing, session))
    except (ApiError, HostError) as error:
        return Ending(error=str(error))
    finally:
        cut = not showing.done() or showing.cancelled() or showing.exception() is not None
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        terminal.write_now(leftovers.undo(cut=cut))


async def _code(showing: asyncio.Task[None], session: Session) -> int:
    showing.result()
    return await session.ended()


def environment() -> dict[str, str]:
    """What a terminal session is told of the terminal here."""
    kept = {name: os.environ[name] for name in ("TERM", "COLORTERM") if os.environ.get(name)}
    return {"TERM": "xterm-256color", **kept}


def banner(what: str, name: str, host: str, project: str) -> bytes:
    """What is said when the terminal is handed over."""
    return f"{what} of {host}:{name} (project {project}). Leave with {LEAVE}.\r\n".encode()
