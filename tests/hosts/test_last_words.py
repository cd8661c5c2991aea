"""What a daemon says right before it closes is read, also by who has just failed to answer it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import socket
from pathlib import Path

import aiohttp

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.hosts.host import Host

PING = b"\x89\x04keep"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def switched(listening: socket.socket) -> socket.socket:
    """A websocket's other end, which has sent a ping along with its handshake."""
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(listening)
    connection.setblocking(False)
    head = b""
    while b"\r\n\r\n" not in head:
        head += await loop.sock_recv(connection, 1 << 16)
    found = re.search(rb"Sec-WebSocket-Key: (\S+)", head, re.IGNORECASE)
    assert found
    accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    connection.sendall(answer + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + PING)
    return connection


async def test_the_last_output_is_read_though_the_answer_to_a_ping_comes_too_late(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.setblocking(False)
        listening.bind(str(path))
        listening.listen()
        host = Host(HostConfig("s", UnixAddress(str(path))))
        accepting = asyncio.create_task(switched(listening))
        async with host.websocket("/1.0/operations/x/websocket?secret=y") as client:
            daemon = await accepting
            daemon.sendall(b"\x82\x06output" + b"\x81\x00")  # and nobody turns the loop before the answer is tried
            daemon.close()
            first = await asyncio.wait_for(client.receive(), 60)
            last = await asyncio.wait_for(client.receive(), 60)
        await host.close()
    assert (first.type, first.data) == (aiohttp.WSMsgType.BINARY, b"output")
    assert (last.type, last.data) == (aiohttp.WSMsgType.TEXT, b"")
