"""Websockets that are none, wrong secrets, bad frames, connections that break off: nobody else notices."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from random import Random

import pytest

from lxdpm_tui.demo import exec as demo_exec
from tests.gateway.fuzz.target import PATIENCE, Target, read_answer, simulated

DOORS = ("unix", "https")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch, Target(folder).running(simulated) as target:
        patch.setattr(demo_exec, "PATIENCE", 600.0)  # a shell is there for as long as a machine may stall
        yield target


def handshake(path: str, **headers: str) -> bytes:
    sent = {
        "Host": "x",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items() if value), "", ""]
    return "\r\n".join(lines).encode()


def begin_exec(target: Target) -> tuple[str, dict[str, str]]:
    """The operation's URL and its secrets, of a shell in the first running instance."""
    running = [row for row in target.get("/1.0/instances?recursion=1") if row["status"] == "Running"]
    body = {"command": ["sh"], "wait-for-websocket": True, "interactive": True, "environment": {}}
    said = target.ask("POST", f"/1.0/instances/{running[0]['name']}/exec", json.dumps(body).encode())
    envelope = json.loads(said.body)
    return envelope["operation"], envelope["metadata"]["metadata"]["fds"]


FRAMES: dict[str, bytes] = {
    "nothing": b"",
    "noise": Random(5).randbytes(4096),
    "reserved bits": b"\xf1\x80\0\0\0\0",
    "no such kind": b"\x83\x80\0\0\0\0",
    "not masked": b"\x81\x03abc",
    "a length without end": b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
    "more than it takes": b"\x82\xff\0\0\0\0\x00\x80\x00\x00\0\0\0\0" + b"a" * 100_000,
    "a long ping": b"\x89\xfe\x10\x00\0\0\0\0" + b"a" * 4096,
    "a ping in pieces": b"\x09\x80\0\0\0\0",
    "a piece of nothing": b"\x80\x83\0\0\0\0abc",
    "text that is none": b"\x81\x82\0\0\0\0\xff\xfe",
    "a close without reason": b"\x88\x81\0\0\0\0a",
    "a close with nonsense": b"\x88\x82\0\0\0\0\xff\xff",
    "half a frame": b"\x82\xfe\xff\xff\0\0\0\0abc",
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("what", FRAMES)
def test_bad_frames(target: Target, what: str, door: str) -> None:
    """To the events, which the gateway reads itself, and to a shell, to which it passes bytes."""
    operation, fds = begin_exec(target)
    connections = []
    for path in (f"{operation}/websocket?secret={fds['0']}", "/1.0/events"):
        connection = target.connect(door if path == "/1.0/events" else "unix")
        connection.sendall(handshake(path))
        said = read_answer(connection, patience=PATIENCE)
        assert said.startswith(b"HTTP/1.1 101 "), said
        connection.settimeout(PATIENCE)
        connection.sendall(FRAMES[what])
        connections.append(connection)
    target.check()
    for connection in connections:
        read_answer(connection, patience=0.3)  # most frames have no answer
        connection.close()
    target.ask("DELETE", operation)
    target.check()


def test_wrong_secrets_and_ids(target: Target) -> None:
    operation, fds = begin_exec(target)
    nobody = "/1.0/operations/00000000-0000-0000-0000-000000000000/websocket"
    for path in (f"{operation}/websocket", nobody, "/1.0/operations/..%2f/websocket", "/1.0/operations/x/websocket"):
        for query in (
            "",
            "?secret=",
            "?secret=wrong",
            f"?secret={fds['0'][:-1]}",
            "?secret=%00",
            "?secret=" + "a" * 9999,
        ):
            said = target.raw(handshake(path + query), patience=PATIENCE)
            # A host says with 500 that a secret is wrong, LXD too.
            refused = said[9:12] in (b"403", b"404", b"400") or b"permission denied" in said
            assert refused, (path, query[:40], said[:400])
    target.ask("DELETE", operation)
    target.check()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_WebSocket_Key": ""},
        {"Sec_WebSocket_Key": "short"},
        {"Sec_WebSocket_Version": "99"},
        {"Sec_WebSocket_Version": "\x7f"},
        {"Upgrade": "sftp"},
        {"Upgrade": "h2c"},
        {"Upgrade": "\x01"},
        {"Connection": "close"},
        {"Sec_WebSocket_Extensions": "permessage-deflate; server_max_window_bits=0"},
        {"Sec_WebSocket_Protocol": ", ,,"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_bad_handshakes(target: Target, headers: dict[str, str]) -> None:
    operation, fds = begin_exec(target)
    name = target.get("/1.0/instances")[0].rpartition("/")[2]
    for path in ("/1.0/events", f"{operation}/websocket?secret={fds['0']}", f"/1.0/instances/{name}/sftp"):
        for door in DOORS:
            said = target.raw(handshake(path, **headers), door)
            assert said[9:12] != b"500", (path, said[:300])
            assert b"Traceback" not in said
    target.ask("DELETE", operation)
    target.check()


def test_clients_that_just_leave(target: Target) -> None:
    """In the middle of the handshake, of a frame, of what they are told."""
    operation, fds = begin_exec(target)
    for path in (
        "/1.0/events",
        f"{operation}/websocket?secret={fds['0']}",
        f"{operation}/websocket?secret={fds['control']}",
    ):
        for door in DOORS:
            for data in (handshake(path)[:40], handshake(path), handshake(path) + b"\x82\xfe"):
                connection = target.connect(door)
                connection.sendall(data)
                connection.close()
    name = target.get("/1.0/instances")[0].rpartition("/")[2]
    for _ in range(5):
        target.ask("PATCH", f"/1.0/instances/{name}", b'{"config":{"user.a":"b"}}')
    target.ask("DELETE", operation)
    target.check()
