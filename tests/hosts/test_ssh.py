"""What is special about SSH, against real sshds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest

from lxdpm_tui.config import HostConfig, SshAddress
from lxdpm_tui.hosts.host import Host, make_transport
from lxdpm_tui.hosts.ssh import SshTransport
from lxdpm_tui.hosts.transport import ConnectionLost, HostError, IdentityChanged, TimedOut, Unreachable, Untrusted
from tests.hosts.daemons import Serve, listening
from tests.lab.lab import Lab


@pytest.fixture
def config(lab: Lab) -> HostConfig:
    return lab.hosts_config({"h1": "ssh"})[0]


@contextlib.asynccontextmanager
async def opened(config: HostConfig) -> AsyncIterator[SshTransport]:
    """Given time to connect in: the machine may stall."""
    transport = make_transport(config, None)
    assert isinstance(transport, SshTransport)
    transport._connect_timeout = 60
    try:
        yield transport
    finally:
        await transport.close()


def at(config: HostConfig, **changes: object) -> HostConfig:
    assert isinstance(config.address, SshAddress)
    return replace(config, address=replace(config.address, **changes))  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def served_beside_the_daemon(lab: Lab, serve: Serve) -> AsyncIterator[str]:
    """A socket of ours, seen on h1 at the path given."""
    async with listening(lab.hosts["h1"].socket.with_name("test.socket"), serve):
        yield "/var/lib/lxd/test.socket"


class Collector(asyncio.Protocol):
    """Sets `full` each time that `size` bytes more have come."""

    def __init__(self, size: int = 1) -> None:
        self.size = size
        self.count = 0
        self.full = asyncio.Event()
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.count += len(data)
        if self.count >= self.size:
            self.count -= self.size
            self.full.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def test_one_connection_serves_all_and_is_dialled_again_when_lost(lab: Lab, config: HostConfig) -> None:
    async with opened(config) as transport:
        dialled = await asyncio.gather(*(transport.dial(Collector) for _ in range(20)))
        connection = await transport.connect()
        assert all(channel.get_extra_info("connection") is connection for channel, _ in dialled)
        connection.abort()
        async with asyncio.timeout(60):
            for _, protocol in dialled:
                await protocol.lost.wait()
        channel, _ = await transport.dial(Collector)
        assert channel.get_extra_info("connection") is not connection
        channel.close()


async def test_the_usual_places_are_tried_and_the_right_one_is_remembered(lab: Lab) -> None:
    for name in ("h1", "i1"):
        host = Host(lab.hosts_config({name: "ssh"})[0])
        assert isinstance(host.config.address, SshAddress)
        assert host.config.address.socket is None
        await host.server()
        assert host.dialect.kind == ("lxd" if name == "h1" else "incus")
        await host.close()


async def test_no_socket_there(config: HostConfig) -> None:
    async with opened(at(config, socket="/var/lib/none/unix.socket")) as transport:
        with pytest.raises(Unreachable, match=r"nothing answers at /var/lib/none/unix\.socket"):
            await transport.dial(Collector)
    unusual = SshTransport(
        config.address,  # type: ignore[arg-type]
        identity_file=config.identity_file,
        known_hosts=config.known_hosts,
        places=["/run/a", "/run/b"],
        connect_timeout=60,
    )
    with pytest.raises(Unreachable, match="nothing answers at /run/a, /run/b"):
        await unusual.dial(Collector)
    await unusual.close()


async def test_a_changed_host_key_is_an_alarm(config: HostConfig, lab: Lab, tmp_path: Path) -> None:
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256"):
        other = asyncssh.generate_private_key(kind).export_public_key().decode()
        known = tmp_path / f"known_{kind}"
        known.write_text(f"{lab.hosts['h1'].address} {other}")
        async with opened(replace(config, known_hosts=str(known))) as transport:
            with pytest.raises(
                IdentityChanged, match=r"its ssh host key is now ssh-ed25519 SHA256:\S+, not the one in"
            ):
                await transport.dial(Collector)


async def test_an_unknown_host_key_says_what_to_do(config: HostConfig, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text("")
    async with opened(replace(config, known_hosts=str(known))) as transport:
        with pytest.raises(Untrusted, match=r"ssh-ed25519 SHA256:\S+ is unknown: check it by `ssh root@10\.123\."):
            await transport.dial(Collector)
    async with opened(replace(config, known_hosts=str(tmp_path / "absent"))) as transport:
        with pytest.raises(Untrusted, match="absent: No such file"):
            await transport.dial(Collector)


async def test_keys_that_do_not_open(config: HostConfig, tmp_path: Path) -> None:
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(tmp_path / "other")
    async with opened(replace(config, identity_file=str(tmp_path / "other"))) as transport:
        with pytest.raises(Untrusted, match="sshd accepts none of our keys"):
            await transport.dial(Collector)
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(tmp_path / "locked", "pkcs8-pem", "x")
    async with opened(replace(config, identity_file=str(tmp_path / "locked"))) as transport:
        with pytest.raises(Untrusted, match="locked"):
            await transport.dial(Collector)
    async with opened(replace(config, identity_file=str(tmp_path / "absent"))) as transport:
        with pytest.raises(Untrusted, match="absent: No such file"):
            await transport.dial(Collector)


async def test_the_users_ssh_config_is_read(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / ".ssh"
    home.mkdir()
    (home / "config").write_text((lab.base / "ssh" / "config").read_text())
    monkeypatch.setenv("HOME", str(tmp_path))
    host = Host(HostConfig("h1", SshAddress("h1")))  # name, user, key and known_hosts all come from there
    assert (await host.server())["environment"]["server_name"] == "h1"
    await host.close()
    (home / "config").write_text("Host h1\n  UserKnownHostsFile none\n")
    host = Host(HostConfig("h1", SshAddress("h1")))
    with pytest.raises(Untrusted, match="turns the check of its host key off"):
        await host.server()
    await host.close()


async def test_after_a_failure_dials_fail_at_once_until_retry(clean_lab: Lab, config: HostConfig) -> None:
    async with opened(config) as transport:
        with clean_lab.hosts["h1"].cut_off():
            transport._connect_timeout = 0.5
            with pytest.raises(TimedOut, match=r"no ssh connection within 0\.5 s"):
                await transport.dial(Collector)
            took = []
            for _ in range(5):
                started = time.monotonic()
                with pytest.raises(TimedOut, match=r"no ssh connection within 0\.5 s"):
                    await transport.dial(Collector)
                took.append(time.monotonic() - started)
            assert min(took) < 0.2, took  # one that dials takes all of its time
        transport._connect_timeout = 60
        transport.retry()
        channel, _ = await transport.dial(Collector)
        channel.close()


async def test_cancelling_one_caller_does_not_end_the_connect_of_the_others(config: HostConfig) -> None:
    async with opened(config) as transport:
        impatient = asyncio.ensure_future(transport.dial(Collector))
        patient = asyncio.ensure_future(transport.dial(Collector))
        await asyncio.sleep(0)
        impatient.cancel()
        channel, _ = await patient
        channel.close()


async def test_closing_in_the_middle_of_a_connect_fails_it_and_leaves_one_later_attempt_alone() -> None:
    accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    count = 0

    def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        accepted.put_nowait(writer)

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        transport = SshTransport(SshAddress("127.0.0.1", port=server.sockets[0].getsockname()[1]))
        first = asyncio.create_task(transport.dial(Collector))
        writers = [await accepted.get()]
        closing = asyncio.create_task(transport.close())
        await asyncio.sleep(0)
        later = [asyncio.create_task(transport.dial(Collector))]
        with pytest.raises(ConnectionLost):  # and nobody who was not cancelled is
            await first
        await closing
        later.append(asyncio.create_task(transport.dial(Collector)))
        writers.append(await accepted.get())
        for writer in writers:
            writer.close()
        for each in later:
            with pytest.raises(HostError):
                await each
        assert count == 2
        await transport.close()


async def test_a_channel_whose_opening_was_cancelled_is_closed(clean_lab: Lab, config: HostConfig) -> None:
    ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.set_result(await reader.read())
        writer.close()

    async with served_beside_the_daemon(clean_lab, serve) as path, opened(at(config, socket=path)) as transport:
        await transport.connect()
        with clean_lab.hosts["h1"].frozen():
            dialling = asyncio.ensure_future(transport.dial(Collector))
            done, _ = await asyncio.wait([dialling], timeout=0.2)
            assert not done
            dialling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await dialling
        async with asyncio.timeout(60):
            assert await ended == b""


async def test_small_packets_are_not_held_back(lab: Lab, config: HostConfig) -> None:
    """An answer in two small pieces: with Nagle's algorithm on one side and delayed acknowledgements on the other
    each took 44 ms."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            for _ in range(2):
                writer.write(bytes(300))
                await writer.drain()
                await asyncio.sleep(0.001)  # so that sshd makes two packets of it
        writer.close()

    async with served_beside_the_daemon(lab, serve) as path, opened(at(config, socket=path)) as transport:
        channel, collector = await transport.dial(lambda: Collector(600))
        times = []
        for _ in range(120):
            started = time.perf_counter()
            channel.write(b"x")
            await collector.full.wait()
            collector.full.clear()
            times.append(time.perf_counter() - started)
        channel.close()
        await collector.lost.wait()
    assert sorted(times[20:])[4] < 0.025  # held back is every one, by which time the kernel has seen how they talk


async def test_a_reader_that_stalls_holds_up_nobody_else(lab: Lab, config: HostConfig) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(bytes(1 << 16))
            await writer.drain()

    class Stalled(asyncio.Protocol):
        count = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.count += len(data)
            self.transport.pause_reading()  # type: ignore[attr-defined]

    async with served_beside_the_daemon(lab, serve) as path, opened(config) as transport:
        connection = await transport.connect()
        beside = at(config, socket=path)
        async with opened(beside) as other:
            other._connection = connection  # the same ssh connection for both
            stalled, protocol = await other.dial(Stalled)
            for _ in range(30):
                channel, collector = await transport.dial(Collector)
                channel.write(b"GET /1.0 HTTP/1.1\r\nHost: x\r\n\r\n")
                async with asyncio.timeout(60):
                    await collector.full.wait()
                channel.close()
            assert protocol.count <= 1 << 16
            stalled.abort()
            other._connection = None


async def test_sshd_that_is_gone_fails_what_is_under_way(clean_lab: Lab, config: HostConfig) -> None:
    host = Host(config)
    await host.server()
    async with host.events() as events:
        with clean_lab.hosts["h1"].powered_off(), pytest.raises(HostError):
            async with asyncio.timeout(60):
                await anext(events)
    async with asyncio.timeout(60):
        while True:
            host.retry()
            with contextlib.suppress(HostError):
                assert (await host.server())["auth"] == "trusted"
                break
            await asyncio.sleep(0.05)
    await host.close()
