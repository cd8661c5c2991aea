"""Commands in instances over every transport: output, exit codes, and hosts that fall silent meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lxdpm_tui.hosts.exec import HEARTBEAT, Session, attach_console, execute
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import ApiError, HostError, TimedOut
from tests.console.inside.window import make
from tests.lab.lab import Lab

# LXD 5.0 may lose what a command says right before its end: each ends when it is told that it was heard.
RESIZED = (
    "sleep 0.3; stty size; read x; until [ \"$(stty size)\" = '40 100' ]; do sleep 0.1; done; echo resized; read x"
)
HOSTS = ("h1", "h2", "h3", "i1")


@asynccontextmanager
async def reached(lab: Lab, name: str) -> AsyncIterator[Host]:
    [config] = [config for config in lab.hosts_config() if config.name == name]
    host = Host(config, lab.client_identity)
    try:
        await host.server()
        yield host
    finally:
        await host.close()


async def until_heard(session: Session, name: str, words: bytes) -> bytes:
    """What it said until it has said that."""
    found = b""
    while words not in found and (data := await session.receive(name)):
        found += data
    assert words in found, found
    return found


async def heard(session: Session, name: str) -> bytes:
    """What it said until its end."""
    found = b""
    while data := await session.receive(name):
        found += data
    return found


@pytest.mark.parametrize("name", HOSTS)
async def test_streams_and_exit_codes(clean_lab: Lab, name: str) -> None:
    make(clean_lab, name, "c1")
    async with reached(clean_lab, name) as host:
        script = "head -c 5; echo $WORD in $PWD >&2; cat; exit 3"
        async with execute(host, "c1", ["sh", "-c", script], environment={"WORD": "here"}, cwd="/etc") as session:
            await session.send(b"given")
            said = await asyncio.gather(until_heard(session, "1", b"given"), until_heard(session, "2", b"\n"))
            assert said == [b"given", b"here in /etc\n"]
            await session.send_end()
            assert await asyncio.gather(heard(session, "1"), heard(session, "2")) == [b"", b""]
            assert await session.ended(60) == 3
        for _ in range(10):  # over before all streams are there
            async with execute(host, "c1", ["true"]) as session:
                await session.send_end()
                assert await asyncio.gather(heard(session, "1"), heard(session, "2")) == [b"", b""]
                assert await session.ended(60) == 0
        async with execute(host, "c1", ["sh", "-c", RESIZED], size=(77, 22)) as session:
            await until_heard(session, "0", b"22 77")
            await session.resize(100, 40)
            await session.send(b"\r")
            await until_heard(session, "0", b"resized")
            await session.send(b"\r")
            await heard(session, "0")
        async with execute(host, "c1", ["sleep", "100"]) as session:
            await session.signal(15)
            assert await session.ended(60) in (143, -1, 137)
        with pytest.raises(ApiError):
            async with execute(host, "not-there", ["true"]):
                pass
        async with attach_console(host, "c1", size=(80, 24)) as session:
            await session.resize(90, 30)


async def test_a_host_that_hangs_is_noticed(clean_lab: Lab) -> None:
    make(clean_lab, "i1", "c1")
    async with reached(clean_lab, "i1") as host, execute(host, "c1", ["sleep", "100"], size=(80, 24)) as session:
        with clean_lab.hosts["i1"].hung():
            began = time.monotonic()
            with pytest.raises(TimedOut, match="fell silent"):
                await session.receive()
            assert time.monotonic() - began < 2 * HEARTBEAT + 20
            with pytest.raises(HostError):
                await session.ended()


async def test_a_quiet_session_lives_on(clean_lab: Lab) -> None:
    """Pings are answered by a daemon that has nothing to say."""
    make(clean_lab, "h2", "c1")
    quiet = int(1.8 * HEARTBEAT)
    async with (
        reached(clean_lab, "h2") as host,
        execute(host, "c1", ["sh", "-c", f"sleep {quiet}; echo up; cat"]) as session,
    ):
        assert await until_heard(session, "1", b"\n") == b"up\n"
        await session.send_end()
        assert await heard(session, "1") == b""
