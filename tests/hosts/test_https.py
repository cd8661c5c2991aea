"""The pin, against a TLS server of our own that counts what reaches it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lxdpm_tui.config import HostConfig, HttpsAddress
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.https import HttpsTransport
from lxdpm_tui.hosts.identity import ClientIdentity, ensure_identity
from lxdpm_tui.hosts.pairing import probe_fingerprint
from lxdpm_tui.hosts.transport import IdentityChanged, Unreachable, Untrusted
from tests.hosts.daemons import open_files, settled


class Listener:
    """identity: the server's.  address: where it listens.  got: every byte that came through TLS."""

    def __init__(self, identity: ClientIdentity, port: int) -> None:
        self.identity = identity
        self.address = HttpsAddress("127.0.0.1", port)
        self.got = bytearray()
        self.ended = asyncio.Semaphore(0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                self.got += data
        writer.transport.abort()
        self.ended.release()


@pytest.fixture
def server_tls() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@pytest.fixture
async def listener(tmp_path: Path, server_tls: ssl.SSLContext) -> AsyncIterator[Listener]:
    identity = ensure_identity(tmp_path / "server")
    server_tls.load_cert_chain(identity.cert_path, identity.key_path)
    made = Listener(identity, 0)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=server_tls)
    made.address = HttpsAddress("127.0.0.1", server.sockets[0].getsockname()[1])
    yield made
    server.close()
    await settled()


@pytest.fixture
def identity(tmp_path: Path) -> ClientIdentity:
    return ensure_identity(tmp_path / "client")


async def test_another_certificate_than_the_pinned_is_an_alarm_and_nothing_is_sent(
    listener: Listener, identity: ClientIdentity
) -> None:
    host = Host(HostConfig("x", listener.address, fingerprint="ab" * 32), identity)
    shown = listener.identity.fingerprint()
    with pytest.raises(IdentityChanged, match=f"x: it shows the certificate {shown}, but {'ab' * 32} is pinned"):
        await host.request("POST", "/1.0/instances", json={"secret": 1})
    with pytest.raises(IdentityChanged):
        await host.open(asyncio.Protocol)
    async with asyncio.timeout(60):
        for _ in range(2):
            await listener.ended.acquire()
    assert not listener.got
    await host.close()


async def test_without_a_pin_nothing_is_even_dialled(listener: Listener, identity: ClientIdentity) -> None:
    host = Host(HostConfig("x", listener.address), identity)
    before = open_files()
    with pytest.raises(Untrusted, match="x: no certificate fingerprint is pinned"):
        await host.server()
    assert open_files() <= before
    await host.close()


async def test_the_pinned_one_is_taken_whatever_names_it_has(listener: Listener, identity: ClientIdentity) -> None:
    transport = HttpsTransport(listener.address, identity, listener.identity.fingerprint())
    connection, _ = await transport.dial(asyncio.Protocol)
    connection.write(b"hello")
    connection.close()
    async with asyncio.timeout(60):
        await listener.ended.acquire()
    assert listener.got == b"hello"


async def test_the_certificate_is_shown_to_a_person_before_it_is_trusted(listener: Listener) -> None:
    shown = await probe_fingerprint(listener.address)
    assert shown.fingerprint == listener.identity.fingerprint()
    assert "CN=lxdpm-tui@" in shown.subject
    assert shown.pem == ssl.DER_cert_to_PEM_cert(listener.identity.der())
    assert not listener.got
    async with asyncio.timeout(60):
        await listener.ended.acquire()


async def test_what_cannot_be_reached_says_why(identity: ClientIdentity, tmp_path: Path) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unreachable, match=f"TLS with 127.0.0.1:{port} failed"):
        await HttpsTransport(HttpsAddress("127.0.0.1", port), identity, "0" * 64).dial(asyncio.Protocol)
    server.close()
    await settled()
    with pytest.raises(Unreachable, match=f"nobody listens on 127.0.0.1:{port}"):
        await HttpsTransport(HttpsAddress("127.0.0.1", port), identity, "0" * 64).dial(asyncio.Protocol)


async def test_a_tls_session_is_taken_up_again(listener: Listener, identity: ClientIdentity) -> None:
    """Also after a server's restart, which knows no session any more; and the pin holds for resumed ones too."""

    async def reused(transport: HttpsTransport) -> bool:
        connection, protocol = await transport.dial(_Reads)
        connection.write(b"hello")
        await asyncio.wait_for(protocol.got.wait(), 60)
        found: bool = connection.get_extra_info("ssl_object").session_reused
        connection.abort()
        return found

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(await reader.read(5))
            await reader.read()
        writer.transport.abort()

    async def serve(port: int) -> asyncio.Server:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(listener.identity.cert_path, listener.identity.key_path)
        return await asyncio.start_server(greet, "127.0.0.1", port, ssl=tls)

    server = await serve(0)
    port = server.sockets[0].getsockname()[1]
    transport = HttpsTransport(HttpsAddress("127.0.0.1", port), identity, listener.identity.fingerprint())
    assert [await reused(transport) for _ in range(4)] == [False, True, True, True]
    server.close()
    server = await serve(port)
    assert [await reused(transport) for _ in range(3)] == [False, True, True]
    transport._fingerprint = "0" * 64
    with pytest.raises(IdentityChanged):
        await reused(transport)
    server.close()
    await settled()


async def test_a_handshake_that_never_ended_does_no_harm_to_the_next(
    listener: Listener, identity: ClientIdentity
) -> None:
    """A frozen host: its kernel takes the connection, nobody answers. OpenSSL cannot write such a session out."""
    silent = True

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(65536)
        if silent:
            asked.set()
            await reader.read()
        else:
            there_reader, there = await asyncio.open_connection("127.0.0.1", listener.address.port)
            there.write(hello)
            await asyncio.gather(pass_on(reader, there), pass_on(there_reader, writer))
            there.transport.abort()
        writer.transport.abort()
        ended.release()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    asked, ended = asyncio.Event(), asyncio.Semaphore(0)
    server = await asyncio.start_server(between, "127.0.0.1", 0)
    address = HttpsAddress("127.0.0.1", server.sockets[0].getsockname()[1])
    transport = HttpsTransport(address, identity, listener.identity.fingerprint())
    dialling = asyncio.ensure_future(transport.dial(asyncio.Protocol))
    await asked.wait()
    dialling.cancel()
    await asyncio.gather(dialling, return_exceptions=True)
    silent = False
    async with asyncio.timeout(60):
        connection, _ = await transport.dial(asyncio.Protocol)
    connection.abort()
    for _ in range(2):
        await asyncio.wait_for(ended.acquire(), 60)
    await asyncio.wait_for(listener.ended.acquire(), 60)
    await transport.close()
    server.close()
    await settled()


async def test_a_loop_that_ends_in_the_middle_of_a_dial_leaves_nothing_open(
    listener: Listener, identity: ClientIdentity
) -> None:
    """At each of its first moments; a socket that is left is a ResourceWarning, which is an error here."""

    async def begin(turns: int) -> bool:
        transport = HttpsTransport(listener.address, identity, listener.identity.fingerprint())
        dialling = asyncio.create_task(transport.dial(asyncio.Protocol))
        for _ in range(turns):
            await asyncio.sleep(0)
        return dialling.done()

    for turns in range(6):
        assert not await asyncio.to_thread(asyncio.run, begin(turns))
        gc.collect()


class _Reads(asyncio.Protocol):
    def __init__(self) -> None:
        self.got = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.got.set()


async def test_a_cancelled_dial_to_a_name_leaves_nothing_open(
    listener: Listener, identity: ClientIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled at every moment of it: a name with two addresses, the second of which answers."""
    loop, port = asyncio.get_running_loop(), listener.address.port

    async def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        assert host == "two.example"
        await asyncio.sleep(0)
        stream = (socket.SOCK_STREAM, 6, "")
        return [(socket.AF_INET, *stream, (place, port)) for place in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    transport = HttpsTransport(HttpsAddress("two.example", port), identity, listener.identity.fingerprint())
    connection, _ = await transport.dial(asyncio.Protocol)
    connection.abort()
    await settled()
    before = open_files()
    turns = 0
    while True:
        dialling = asyncio.create_task(transport.dial(asyncio.Protocol))
        for _ in range(turns):
            await asyncio.sleep(0)
        if dialling.done():
            dialling.result()[0].abort()
            break
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        turns += 1
    await settled()
    async with asyncio.timeout(60):
        while open_files() > before:  # noqa: ASYNC110 - the listener has its ends, and tells nobody
            await asyncio.sleep(0.01)


async def test_a_client_certificate_that_cannot_be_used(listener: Listener, tmp_path: Path) -> None:
    broken = ClientIdentity(tmp_path / "no.crt", tmp_path / "no.key")
    with pytest.raises(Untrusted, match=r"our client certificate .*no\.crt cannot be used"):
        await HttpsTransport(listener.address, broken, "0" * 64).dial(asyncio.Protocol)


async def test_old_tls_is_refused(listener: Listener, server_tls: ssl.SSLContext, identity: ClientIdentity) -> None:
    server_tls.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server_tls.minimum_version = ssl.TLSVersion.TLSv1_1
        server_tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(Unreachable, match="TLS"):
        await HttpsTransport(listener.address, identity, listener.identity.fingerprint()).dial(asyncio.Protocol)
