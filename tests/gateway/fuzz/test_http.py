"""HTTP that is none: bad request lines, headers, lengths and encodings; paths that climb; JSON without end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from random import Random

import pytest

from tests.gateway.fuzz.target import PATIENCE, Target, read_answer, simulated

DOORS = ("unix", "https")
_HEAD = b"Host: x\r\n"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with Target(tmp_path_factory.mktemp("fuzz")).running(simulated) as target:
        yield target


REFUSED: dict[str, bytes] = {
    "no request line": b"\r\n\r\n\r\n",
    "garbage": bytes(range(256)) * 4 + b"\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 200 + b"\r\n\r\n",
    "one word": b"GET\r\n\r\n",
    "two words": b"GET /1.0\r\n\r\n",
    "no such version": b"GET /1.0 HTTP/9.9\r\n" + _HEAD + b"\r\n",
    "half a version": b"GET /1.0 HTTP/\r\n" + _HEAD + b"\r\n",
    "a method that is none": b"G\x00T /1.0 HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "a NUL in the path": b"GET /1.0/\x00 HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "bytes in the path": b"GET /1.0/\xff\xfe HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "an absolute target": b"GET http://[::1/1.0 HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "a port that is none": b"GET http://x:99999999/1.0 HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "CONNECT": b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "the asterisk": b"PUT * HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "a header without colon": b"GET /1.0/x HTTP/1.1\r\n" + _HEAD + b"nothing\r\n\r\n",
    "a header without name": b"GET /1.0/x HTTP/1.1\r\n" + _HEAD + b": a\r\n\r\n",
    "a NUL in a header": b"GET /1.0/x HTTP/1.1\r\n" + _HEAD + b"X: a\0b\r\n\r\n",
    "a folded header": b"GET /1.0/x HTTP/1.1\r\n" + _HEAD + b"X: a\r\n\tb\r\n\r\n",
    "a line too long": b"GET /" + b"a" * (3 << 20) + b" HTTP/1.1\r\n" + _HEAD + b"\r\n",
    "a header too long": b"GET /1.0/x HTTP/1.1\r\nX: " + b"a" * (3 << 20) + b"\r\n\r\n",
    "too many headers": b"GET /1.0/x HTTP/1.1\r\n" + b"".join(b"X%d: a\r\n" % n for n in range(100_000)) + b"\r\n",
    "a negative length": b"POST /1.0/profiles HTTP/1.1\r\n" + _HEAD + b"Content-Length: -1\r\n\r\n{}",
    "a length that is none": b"POST /1.0/profiles HTTP/1.1\r\n" + _HEAD + b"Content-Length: 0x10\r\n\r\n{}",
    "an endless length": b"POST /1.0/profiles HTTP/1.1\r\n" + _HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
    "two lengths": b"POST /1.0/profiles HTTP/1.1\r\n" + _HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length and chunks": b"POST /1.0/profiles HTTP/1.1\r\n" + _HEAD
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks of no size": b"POST /1.0/profiles HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a chunk too large": b"POST /1.0/profiles HTTP/1.1\r\n" + _HEAD
    + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n",
    "a coding that is none": b"POST /1.0/profiles HTTP/1.1\r\n" + _HEAD + b"Transfer-Encoding: x\r\n\r\n{}",
    "packed that is not": b"POST /1.0/profiles HTTP/1.1\r\n" + _HEAD
    + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "a range that is none": b"GET /1.0/images/x/export HTTP/1.1\r\n" + _HEAD + b"Range: bytes=-\r\n\r\n",
    "a form that is none": b"POST /1.0/images HTTP/1.1\r\n" + _HEAD
    + b"Content-Type: multipart/form-data\r\nContent-Length: 3\r\n\r\nabc",
    "a boundary without end": b"POST /1.0/images HTTP/1.1\r\n" + _HEAD
    + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9\r\n\r\n--x\r\nabcd",
    "an image that is none": b"POST /1.0/images HTTP/1.1\r\n" + _HEAD
    + b"Content-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nabc",
    "a backup that is none": b"POST /1.0/instances HTTP/1.1\r\n" + _HEAD
    + b"Content-Type: application/octet-stream\r\nContent-Length: 600\r\n\r\n" + b"BZh9" * 150,
    "an origin that is none": b"POST /1.0/profiles HTTP/1.1\r\n" + _HEAD
    + b"Origin: http://[x\r\nContent-Length: 0\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_order(target: Target, what: str, door: str) -> None:
    """An answer of 4xx, 501 or none at all, and others are served as before."""
    said = target.raw(REFUSED[what], door)
    status = said.partition(b" ")[2][:3]
    served = what == "two words"  # HTTP/0.9
    assert not said or status[:1] == b"4" or status in (b"501", b"503", b"202") or served, said[:300]
    assert b"Traceback" not in said
    target.check()


PATHS = (
    "/1.0/../1.0", "/1.0/instances/../../etc/passwd", "/1.0/instances/%2e%2e/state", "/1.0/instances/..%2f..%2fx",
    "/1.0/instances/%2E%2E%2F", "/1.0/storage-pools/default/volumes/custom/v/../../../../../certificates",
    "/1.0/storage-pools/default/volumes/custom/v/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/certificates", "/1.0/images/%00",
    "/1.0/images/aliases/%2e%2e%2f%2e%2e%2f", "/1.0/instances/x%00y/files?path=/etc/passwd", "/ui/../../../etc/passwd",
    "/ui/%2e%2e/%2e%2e/etc/passwd", "/internal/cluster/accept", "/1.0/instances/.", "/1.0/instances/./state", "/os",
    "/1.0/instances/%zz", "/1.0/instances/%", "/1.0/instances/%ff%fe", "/1.0/instances/%F0%9F%92%A9", "//etc/passwd",
    "/1.0/instances/" + "a" * 100_000, "/1.0/profiles/" + "%2f" * 5000, "/1.0/instances?" + "a=b&" * 20_000,
    "/1.0/instances?recursion=" + "9" * 5000, "/1.0/instances?recursion=\u0663".replace("\u0663", "%D9%A3"),
    "/1.0/instances?recursion=%C2%B2", "/1.0/instances?filter=" + "name+eq+(a%2B)%2B%24+and+" * 200 + "name+eq+x",
    "/1.0/instances?filter=%5C", "/1.0/instances?filter=name+eq+%28%28%28", "/1.0/instances?project=%00",
    "/1.0/instances?project=..%2F..", "/1.0/instances?target=%40", "/1.0/instances?target=%00", "/1.0/events?type=x",
    "/1.0/operations/x/wait?timeout=nan", "/1.0/operations/00000000-0000-0000-0000-000000000000/wait?timeout=1e999",
    "/1.0/images/" + "0" * 63 + "g", "/1.0/cluster/members/%0d%0aX: y".replace(" ", "%20"), "/1.0/certificates/%25",
    "/1.0/cluster/groups/%E2%80%AE", "/1.0/profiles/x%0d%0aLocation:%20y", "/1.0/warnings/x", "/1.0?target=",
)  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_paths(target: Target, method: str) -> None:
    wrong = []
    for path in PATHS:
        said = target.ask(method, path, None if method == "GET" else b"{}")
        if found := said.complaints(method):
            wrong.append((found, path[:200], said.text))
        assert b"root:" not in said.body
        assert b"BEGIN CERTIFICATE" not in said.body or path.startswith("/1.0?"), path
    assert wrong == []
    target.check()


BODIES: dict[str, bytes] = {
    "deep lists": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep config": b'{"name":"x","config":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
    "not UTF-8": b'{"name":"\xff\xfe"}',
    "half a surrogate": b'{"name":"\\ud800"}',
    "a NUL": b'{"name":"a\\u0000b"}',
    "a long name": json.dumps({"name": "n" * 1_000_000}).encode(),
    "a huge number": b'{"name":' + b"9" * 100_000 + b"}",
    "a tiny number": b'{"name":1e-999999999}',
    "not a number": b'{"name":NaN}',
    "cut off": b'{"name":"x',
    "two of them": b'{"name":"../x"}{"name":"y"}',
    "the same key twice": b'{"name":"..","name":"."}',
    "a byte order mark": b'\xef\xbb\xbf{"name":"."}',
    "only space": b" " * 100_000,
    "nothing": b"",
    "null": b"null",
    "a text": b'"x"',
    "UTF-16": '{"name":"x"}'.encode("utf-16"),
    "too much": b'{"name":"' + b"x" * (9 << 20) + b'"}',
}


@pytest.mark.parametrize("what", BODIES)
def test_bodies(target: Target, what: str) -> None:
    wrong = []
    for route in target.gateway.router.routes if target.gateway else ():
        if route.method not in ("POST", "PUT", "PATCH") or "{" in route.pattern or len(BODIES[what]) > 1 << 20:
            continue
        said = target.ask(route.method, route.pattern, BODIES[what], {"Content-Type": "application/json"})
        if found := said.complaints(route.method):
            wrong.append((found, route.method, route.pattern, said.text))
    said = target.ask("POST", "/1.0/profiles", BODIES[what], {"Content-Type": "application/json"}, "https")
    assert said.status in (400, 409, 413), said.text
    assert wrong == []
    target.check()


def test_noise(target: Target) -> None:
    """Good requests with some bytes changed, left out or put in."""
    random = Random(11)
    good = (
        b"POST /1.0/profiles?project=default HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b'Content-Length: 36\r\n\r\n{"name":"noise","config":{"a":"b"} }'
    )
    for _ in range(150):
        data = bytearray(good)
        for _ in range(random.randint(1, 6)):
            at = random.randrange(len(data))
            change = random.randrange(3)
            if change == 0:
                data[at] = random.randrange(256)
            elif change == 1:
                del data[at : at + random.randint(1, 8)]
            else:
                data[at:at] = random.randbytes(random.randint(1, 8))
        said = target.raw(bytes(data), half_close=True)
        assert b" 500 " not in said[:20], (bytes(data), said[:300])
    target.check()


def test_requests_that_never_end(target: Target) -> None:
    """Half a head, half a body, nothing at all: they stop nobody else."""
    begun = [
        b"",
        b"G",
        b"GET /1.0 HTTP/1.1\r\nHost: x\r\n",
        b"POST /1.0/profiles HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
    ]
    waiting = [target.connect(door) for door in DOORS for _ in range(25)]
    for number, connection in enumerate(waiting):
        connection.sendall(begun[number % len(begun)])
    target.check()
    for connection in waiting:
        connection.close()
    target.check()


def test_requests_sent_at_once(target: Target) -> None:
    """Pipelined ones are all answered, and the first bad one ends the connection."""
    good = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with target.connect("unix") as connection:
        connection.sendall(good * 20)
        assert read_answer(connection, patience=PATIENCE, answers=20).count(b"HTTP/1.1 200 OK") == 20
        connection.sendall(b"nonsense\r\n\r\n" + good)
        said = read_answer(connection, patience=PATIENCE)
    assert (said[9:12], said.count(b"HTTP/1.")) == (b"400", 1)
    target.check()


def test_many_strangers_at_once(target: Target) -> None:
    """TLS that breaks off at every stage."""

    def spoil(number: int) -> None:
        import socket

        assert target.gateway is not None
        host, _, port = target.gateway.addresses[0].rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE) as plain:
            plain.sendall((b"\x16\x03\x01" + Random(number).randbytes(number * 7))[: number * 8])
            plain.settimeout(0.2)
            read_answer(plain)

    threads = [threading.Thread(target=spoil, args=(number,)) for number in range(1, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    target.check()
