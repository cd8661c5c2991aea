"""The same behaviour over unix sockets, HTTPS and SSH, against real LXD and Incus daemons."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.ssh import SshTransport
from lxdpm_tui.hosts.transport import ApiError, ConnectionLost, Deadlines, HostError, TimedOut, Unreachable
from tests.hosts.daemons import memory_peak, open_files, settled
from tests.lab.lab import Lab

TRANSPORTS = ("unix", "https", "ssh")
QUICK = Deadlines(connect=1.0, first_byte=1.0, idle=1.0)
GIVEN_UP = 60  # seconds until a test that waits for a fault's end is a failure

MakeHost = Callable[[str, str], Host]


@pytest.fixture
async def make_host(lab: Lab) -> AsyncIterator[MakeHost]:
    """Host by name and transport, given time to connect in: the machine may stall. All closed at the end."""
    made: list[Host] = []

    def make(name: str, transport: str) -> Host:
        (config,) = lab.hosts_config({name: transport})
        host = Host(config, lab.client_identity)
        host.deadlines = Deadlines(connect=GIVEN_UP)
        if isinstance(host.transport, SshTransport):
            host.transport._connect_timeout = GIVEN_UP
        made.append(host)
        return host

    yield make
    for host in made:
        await host.close()
    await settled()


@pytest.fixture(params=TRANSPORTS)
def h1(make_host: MakeHost, request: pytest.FixtureRequest) -> Host:
    """An LXD host, over each transport in turn."""
    return make_host("h1", request.param)


@pytest.fixture(params=[(name, transport) for name in ("h1", "i1") for transport in TRANSPORTS], ids="-".join)
def host(make_host: MakeHost, request: pytest.FixtureRequest) -> Host:
    """An LXD and an Incus host, over each transport in turn."""
    return make_host(*request.param)


async def stopped_instance(host: Host, name: str = "f1") -> str:
    source = {"type": "image", "alias": "busybox"}
    reply = await host.request("POST", "/1.0/instances", json={"name": name, "source": source})
    await host.wait(reply.operation)
    return f"/1.0/instances/{name}"


async def back(call: Callable[[], Awaitable[Any]]) -> Any:
    """What the call gives once the host answers again."""
    async with asyncio.timeout(GIVEN_UP):
        while True:
            with contextlib.suppress(HostError):
                return await call()
            await asyncio.sleep(0.05)


# -- asking


async def test_requests(host: Host) -> None:
    server = await host.server()
    assert host.dialect.kind == server["environment"]["server"] == ("lxd" if host.name == "h1" else "incus")
    reply = await host.request("GET", "/1.0/profiles/default")
    assert reply.status == 200
    assert reply.etag
    assert reply.metadata["name"] == reply.json()["metadata"]["name"] == "default"
    names = [profile["name"] for profile in await host.get("/1.0/profiles", recursion=1, project="default")]
    assert names == ["default"]
    with pytest.raises(ApiError) as caught:
        await host.get("/1.0/profiles/absent")
    assert (caught.value.host, caught.value.code) == (host.name, 404)
    assert caught.value.text == "Fetch profile: Profile not found"
    with pytest.raises(ApiError) as caught:
        await host.request("PUT", "/1.0/profiles/default", json={"description": "x"}, headers={"If-Match": "0" * 64})
    assert caught.value.code == 412


async def test_many_at_once(host: Host) -> None:
    replies = await asyncio.gather(*(host.get("/1.0") for _ in range(60)))
    assert all(reply["auth"] == "trusted" for reply in replies)


async def test_files_stream_both_ways_in_flat_memory(host: Host, clean_lab: Lab) -> None:
    size = 64 << 20
    target = f"{await stopped_instance(host)}/files?path=/root/big"

    async def body() -> AsyncIterator[bytes]:
        for _ in range(size >> 18):
            yield bytes(1 << 18)

    await host.get("/1.0")  # what is loaded once only
    with memory_peak() as peak:
        async with host.stream(
            "POST", target, headers={f"{host.dialect.header_prefix}type": "file"}, data=body()
        ) as sent:
            assert sent.status == 200, await sent.text()
        got = 0
        async with host.stream("GET", target) as answer:
            assert answer.status == 200
            async for chunk in answer.content.iter_any():
                got += len(chunk)
        assert peak() < 24 << 20
    assert got == size


async def test_events(host: Host, clean_lab: Lab) -> None:
    await host.server()
    await host.request("POST", "/1.0/projects", json={"name": "p1", "config": {}})

    async def created(events: AsyncIterator[bytes]) -> Any:
        async for text in events:
            event = json.loads(text)
            assert event["type"] == "lifecycle"
            if event["metadata"]["action"] == "profile-created":
                return event
        raise AssertionError("the events ended")

    async with host.events(("lifecycle", "no-such-type")) as events, asyncio.timeout(GIVEN_UP):
        hearing = asyncio.ensure_future(created(events))
        for number in itertools.count():  # LXD answers a little before it listens for us
            await host.request("POST", "/1.0/profiles", params={"project": "p1"}, json={"name": f"e{number}"})
            if (await asyncio.wait({hearing}, timeout=0.5))[0]:
                break
        event = hearing.result()
    assert event["project"] == "p1"
    assert event["metadata"]["source"].startswith("/1.0/profiles/e")


class Tunnel(asyncio.Protocol):
    """Raw bytes of one connection."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.more = asyncio.Event()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.got += data
        self.more.set()

    def eof_received(self) -> bool:
        self.ended.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()

    async def until(self, found: Callable[[bytes], bool]) -> bytes:
        async with asyncio.timeout(GIVEN_UP):
            while not found(bytes(self.got)):
                self.more.clear()
                await self.more.wait()
        return bytes(self.got)


async def test_raw_tunnels_carry_an_upgraded_protocol(host: Host, clean_lab: Lab) -> None:
    target = f"{await stopped_instance(host)}/sftp"
    before = open_files()
    transport, tunnel = await host.open(Tunnel)
    transport.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: sftp\r\n\r\n".encode())
    head = await tunnel.until(lambda got: b"\r\n\r\n" in got)
    assert head.startswith(b"HTTP/1.1 101 ")
    tunnel.got.clear()
    transport.write(bytes([0, 0, 0, 5, 1, 0, 0, 0, 3]))  # SSH_FXP_INIT, version 3
    version = await tunnel.until(lambda got: len(got) >= 9)
    assert version[4] == 2  # SSH_FXP_VERSION
    if transport.can_write_eof():  # TLS has no half-close
        transport.write_eof()
        async with asyncio.timeout(GIVEN_UP):
            await tunnel.ended.wait()
    transport.close()
    async with asyncio.timeout(GIVEN_UP):
        await tunnel.ended.wait()
    await settled()
    assert open_files() <= before + 1  # the connection of the ssh transport at most


# -- operations


async def test_operations_are_followed_to_their_end(host: Host, clean_lab: Lab) -> None:
    path = await stopped_instance(host)
    reply = await host.request("PUT", f"{path}/state", json={"action": "start"})
    done = await host.wait(reply.operation)
    assert (done["status"], done["err"]) == ("Success", "")
    reply = await host.request("PUT", f"{path}/state", json={"action": "start"})
    with pytest.raises(ApiError) as caught:
        await host.wait(reply.operation.rsplit("/", 1)[1])  # the id alone will do
    assert caught.value.text == "The instance is already running"
    assert caught.value.code == 400


@pytest.mark.parametrize("name", ["h1", "i1"])
async def test_an_operation_that_takes_longer_than_allowed(make_host: MakeHost, name: str, clean_lab: Lab) -> None:
    host = make_host(name, "unix")
    path = await stopped_instance(host)
    await host.wait((await host.request("PUT", f"{path}/state", json={"action": "start"})).operation)
    command = {"command": ["sleep", "60"], "wait-for-websocket": False, "interactive": False}
    reply = await host.request("POST", f"{path}/exec", json=command)
    with pytest.raises(TimedOut, match=r"goes on after 0\.3 s"):
        await host.wait(reply.operation, timeout=0.3)


async def test_an_operation_that_nobody_knows(host: Host) -> None:
    with pytest.raises(ApiError, match="is gone: it ended more than 5 s ago, or the daemon was restarted") as caught:
        await host.wait("00000000-0000-4000-8000-000000000000")
    assert caught.value.code == 404


# -- faults


async def test_a_hung_daemon_is_timed_out_and_comes_back(h1: Host, clean_lab: Lab) -> None:
    await h1.server()
    with clean_lab.hosts["h1"].hung():
        for _ in range(2):  # on the kept-alive connection, then on a fresh one
            with pytest.raises(TimedOut):
                await h1.request("GET", "/1.0", deadlines=QUICK)
    await back(h1.server)


async def test_cancelled_calls_on_a_hung_daemon_leave_nothing(h1: Host, clean_lab: Lab) -> None:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 16)

    await h1.server()
    before, tasks = open_files(), len(asyncio.all_tasks())
    with clean_lab.hosts["h1"].hung():
        calls = [asyncio.ensure_future(h1.request("GET", "/1.0")) for _ in range(10)]
        calls += [asyncio.ensure_future(h1.request("POST", "/1.0/images", data=body())) for _ in range(10)]
        done, _ = await asyncio.wait(calls, timeout=0.5)
        assert not done
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await settled()
        assert open_files() <= before
    async with asyncio.timeout(GIVEN_UP):  # channels that were being opened end when sshd has answered
        while len(asyncio.all_tasks()) > tasks:
            await back(h1.server)
    # The lab is cleaned without this loop running: nothing may be left in it for sshd. A connection that says nothing
    # would block LXD's socket for all.
    await h1.close()


async def test_an_event_stream_of_a_hung_daemon_ends(h1: Host, clean_lab: Lab) -> None:
    await h1.server()
    assert h1.dialect.heartbeat
    assert h1.dialect.heartbeat * 1.5 < 16  # seconds until it is noticed; sooner here
    h1.dialect = replace(h1.dialect, heartbeat=0.4)
    loop = asyncio.get_running_loop()
    took = []
    while not took or (took[-1] > 2 and len(took) < 4):  # the machine may stall, but not every time
        async with h1.events() as events:
            with clean_lab.hosts["h1"].hung():
                started = loop.time()
                with pytest.raises(TimedOut, match="h1: the event stream fell silent"):
                    await anext(events)
                took.append(loop.time() - started)
        await back(h1.server)
    assert took[-1] < 2, took


async def test_a_killed_daemon(h1: Host, clean_lab: Lab) -> None:
    await h1.server()
    lost: list[HostError] = []

    async def read(events: AsyncIterator[bytes]) -> None:
        try:
            async for _ in events:
                pass
        except HostError as error:
            lost.append(error)

    async with h1.events() as events:
        reading = asyncio.ensure_future(read(events))
        with clean_lab.hosts["h1"].killed():
            async with asyncio.timeout(GIVEN_UP):
                await reading
            assert isinstance(lost[0], ConnectionLost)
            assert lost[0].host == "h1"
            with pytest.raises(Unreachable, match=r"^h1: nobody listens|^h1: nothing answers"):
                await h1.server()
    await back(h1.server)


@pytest.mark.parametrize("transport", ["https", "ssh"])
async def test_a_host_that_is_cut_off(make_host: MakeHost, transport: str, clean_lab: Lab) -> None:
    host = make_host("h1", transport)
    await host.server()
    with clean_lab.hosts["h1"].cut_off():
        with pytest.raises((TimedOut, Unreachable)):
            await host.request("GET", "/1.0", deadlines=QUICK)
        fresh = make_host("h1", transport)
        with pytest.raises((TimedOut, Unreachable)):
            await fresh.request("GET", "/1.0", deadlines=QUICK)
    for each in (host, fresh):
        each.retry()
        await back(each.server)


@pytest.mark.parametrize("transport", ["https", "ssh"])
async def test_a_host_that_is_frozen(make_host: MakeHost, transport: str, clean_lab: Lab) -> None:
    fresh = make_host("h1", transport)
    with clean_lab.hosts["h1"].frozen(), pytest.raises(TimedOut):
        await fresh.request("GET", "/1.0", deadlines=QUICK)
    fresh.retry()
    await back(fresh.server)
