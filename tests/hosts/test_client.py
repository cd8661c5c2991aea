"""HTTP behaviour that needs a server which misbehaves on purpose. Real daemons: test_transports.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from lxdpm_tui.hosts.transport import ApiError, ConnectionLost, Deadlines, TimedOut
from tests.hosts.daemons import answer, daemon, memory_peak, open_files, read_head, settled

OK = b'{"type":"sync","status":"Success","status_code":200,"metadata":{"a":null}}'
QUICK = Deadlines(connect=30.0, first_byte=0.3, idle=0.3)
SILENT = Deadlines(connect=30.0, first_byte=30.0, idle=0.3)
TRIES = 5  # of what has to be in time, when the machine may stall

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


async def drip(count: int, size: int = 65536) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(size)


async def test_an_answer_that_never_starts() -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_head(reader)

    async with daemon(serve) as host:
        with pytest.raises(TimedOut, match=r"^d1: connected, but no answer within 0\.3 s$"):
            await host.request("GET", "/1.0", deadlines=QUICK)


async def test_an_answer_that_stops_in_the_middle() -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_head(reader)
        writer.write(answer(b"x" * 10, length=1000))

    async with daemon(serve) as host:
        with pytest.raises(TimedOut, match="d1: it stayed silent for too long"):
            await host.request("GET", "/1.0", deadlines=SILENT)


async def test_a_slow_answer_that_keeps_coming_is_no_timeout() -> None:
    gates: list[asyncio.Semaphore] = []  # one a try; which forgets no tick when the loop is late

    async def serve(reader: Reader, writer: Writer) -> None:
        await read_head(reader)
        go = gates[-1]
        writer.write(answer(OK)[:-20])
        for byte in OK[-20:]:
            await go.acquire()
            writer.write(bytes([byte]))

    async with daemon(serve) as host:
        ticker = asyncio.get_running_loop()
        limits = Deadlines(connect=30.0, first_byte=30.0, idle=1.5)
        for last in reversed(range(TRIES)):
            started = ticker.time()
            gates.append(asyncio.Semaphore(0))
            for turn in range(20):
                ticker.call_later(0.1 * (turn + 1), gates[-1].release)
            try:
                reply = await host.request("GET", "/1.0", deadlines=limits)
            except TimedOut:
                if not last:
                    raise
            else:
                assert reply.metadata == {"a": None}
                assert ticker.time() - started > 1.5
                break


async def test_an_upload_that_is_not_taken() -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_head(reader)
        writer.transport.pause_reading()  # type: ignore[attr-defined]

    async with daemon(serve) as host:
        before = open_files()
        whole = Deadlines(connect=0.3, first_byte=0.3, idle=0.3)
        with pytest.raises(TimedOut):
            await host.request("POST", "/1.0/images", data=drip(1000), deadlines=QUICK)
        with pytest.raises(TimedOut):  # given whole: one limit for everything
            await host.request("POST", "/1.0/images", data=bytes(1 << 24), deadlines=whole)
        await settled()
        assert open_files() <= before + 2  # the server's ends, which it keeps


async def test_the_callers_own_slowness_in_an_upload_is_no_timeout_and_the_head_goes_out_at_once() -> None:
    go = asyncio.Event()
    short = Deadlines(connect=0.3, first_byte=0.3, idle=0.3)

    async def serve(reader: Reader, writer: Writer) -> None:
        await read_head(reader)
        asyncio.get_running_loop().call_later(1.2, go.set)  # longer than all limits together
        assert await reader.readuntil(b"0\r\n\r\n") == b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"
        writer.write(answer(OK))

    async def slow() -> AsyncIterator[bytes]:
        await go.wait()
        yield b"a"
        yield b"b"

    async with daemon(serve) as host:
        for last in reversed(range(TRIES)):
            go.clear()
            try:
                answered = await host.request("POST", "/1.0/images", data=slow(), deadlines=short)
            except TimedOut:
                if not last:
                    raise
            else:
                assert answered.status == 200
                break


async def test_the_callers_own_failure_in_an_upload_is_not_the_hosts() -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await reader.read()

    async def failing() -> AsyncIterator[bytes]:
        yield b"a"
        raise LookupError("mine")

    async with daemon(serve) as host:
        with pytest.raises(LookupError, match="mine"):
            await host.request("POST", "/1.0/images", data=failing())


async def test_the_callers_own_failure_while_reading_is_not_the_hosts() -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_head(reader)
        writer.write(answer(b"x" * 10, length=1000))

    async with daemon(serve) as host:
        with pytest.raises(BrokenPipeError, match="my own client"):
            async with host.stream("GET", "/1.0"):
                raise BrokenPipeError("my own client went away")


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", answer(b"x", length=100), b"SSH-2.0-x\r\n\r\n"]
)
async def test_connections_that_break(sent: bytes) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_head(reader)
        writer.write(sent)
        writer.close()

    async with daemon(serve) as host:
        with pytest.raises(ConnectionLost, match=r"^d1: "):
            await host.request("GET", "/1.0")


@pytest.mark.parametrize(("method", "sent"), [("GET", 2), ("HEAD", 2), ("PUT", 1), ("POST", 1), ("DELETE", 1)])
async def test_only_reading_is_tried_again_on_a_dead_connection(method: str, sent: int) -> None:
    seen: list[str] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        while head := await read_head(reader):
            seen.append(head.split()[0])
            if len(seen) == 2:  # the second request on the kept-alive connection: it breaks
                break
            writer.write(answer(b"" if head.startswith("HEAD") else OK, length=0 if head.startswith("HEAD") else None))
        writer.close()

    async with daemon(serve) as host:
        await host.request("GET", "/1.0")
        if sent == 2:
            await host.request(method, "/1.0")
        else:
            with pytest.raises(ConnectionLost):
                await host.request(method, "/1.0")
    assert seen[1:] == [method] * sent


async def test_cancelling_leaves_nothing_open() -> None:
    arrived = asyncio.Semaphore(0)

    async def serve(reader: Reader, writer: Writer) -> None:
        await read_head(reader)
        arrived.release()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with daemon(serve) as host:
        before, tasks = open_files(), len(asyncio.all_tasks())
        calls = [asyncio.ensure_future(host.request("GET", "/1.0")) for _ in range(10)]
        calls += [asyncio.ensure_future(host.request("POST", "/1.0/images", data=drip(1000))) for _ in range(10)]
        for _ in calls:
            await arrived.acquire()
        assert open_files() >= before + 40
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await settled()
        assert open_files() <= before + 20  # the server's own ends
        assert len(asyncio.all_tasks()) <= tasks + 20  # the server's own


async def test_bodies_stream_both_ways_in_flat_memory() -> None:
    size = 1 << 28

    async def serve(reader: Reader, writer: Writer) -> None:
        await read_head(reader)
        left = size
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        while left:
            chunk = await reader.readexactly(min(left, 1 << 18))
            left -= len(chunk)
            writer.write(chunk)
            await writer.drain()

    async with daemon(serve) as host:
        got = 0
        with memory_peak() as peak:
            headers = {"Content-Length": str(size)}
            async with host.stream("POST", "/x", headers=headers, data=drip(size >> 16)) as response:
                async for chunk in response.content.iter_any():
                    got += len(chunk)
        assert got == size
        assert peak() < 40 << 20


async def test_a_reader_that_does_not_read_stops_the_daemon() -> None:
    for last in reversed(range(TRIES)):
        try:
            await stopped_by_who_does_not_read()
        except TimedOut:
            if not last:
                raise
        else:
            break


async def stopped_by_who_does_not_read() -> None:
    written = 0
    stuck = asyncio.Event()
    limits = Deadlines(connect=30.0, first_byte=30.0, idle=1.0)

    async def serve(reader: Reader, writer: Writer) -> None:
        nonlocal written
        await read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(bytes(1 << 16))
            written += 1 << 16
            timer = asyncio.get_running_loop().call_later(1.5, stuck.set)
            await writer.drain()
            timer.cancel()

    async with daemon(serve) as host, host.stream("GET", "/x", deadlines=limits) as response:
        async with asyncio.timeout(60):
            await stuck.wait()  # and no timeout of ours: it is not the daemon that is silent
        assert written < 4 << 20
        assert await response.content.readexactly(1 << 20)


async def test_what_is_sent_is_what_was_said() -> None:
    heads: list[str] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        while head := await read_head(reader):
            heads.append(head)
            writer.write(answer(OK, "Set-Cookie: a=b"))

    async with daemon(serve) as host:
        await host.get("/1.0/instances", recursion=1, project=None, **{"all-projects": True}, filter="name eq a&b")
        async with host.stream("GET", "/1.0/images/aliases/a%2Fb?x=%20+&&y", headers={"X-LXD-name": "é"}) as response:
            await response.read()
    assert heads[0].splitlines()[0] == "GET /1.0/instances?recursion=1&all-projects=true&filter=name+eq+a%26b HTTP/1.1"
    assert heads[1].splitlines()[0] == "GET /1.0/images/aliases/a%2Fb?x=%20+&&y HTTP/1.1"
    names = {line.split(":")[0] for line in heads[1].splitlines()[1:] if line}
    assert names == {"Host", "User-Agent", "X-LXD-name"}  # no cookie, no Accept-Encoding (metrics would come gzipped)


async def test_long_lines_pass() -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        head = await read_head(reader)
        assert len(head) > 200_000
        writer.write(answer(OK, f"X-LXD-properties: {'p' * 200_000}"))

    async with daemon(serve) as host:
        reply = await host.request("GET", "/1.0", params={"path": "x" * 100_000}, headers={"X-LXD-y": "y" * 100_000})
        assert len(reply.headers["X-LXD-properties"]) == 200_000


@pytest.mark.parametrize(
    ("status", "body", "code", "text"),
    [
        (
            "404 Not Found",
            {"type": "error", "error": "Instance not found", "error_code": 404},
            404,
            "Instance not found",
        ),
        ("200 OK", {"type": "error", "error": "it failed", "error_code": 400, "metadata": None}, 400, "it failed"),
        ("200 OK", {"type": "error", "error": "it failed", "error_code": 0}, 500, "it failed"),
        ("503 Service Unavailable", "LXD daemon setup in progress", 503, "LXD daemon setup in progress"),
        ("502 Bad Gateway", "", 502, "HTTP status 502"),
    ],
)
async def test_errors_of_every_shape(status: str, body: object, code: int, text: str) -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_head(reader)
        writer.write(answer((body if isinstance(body, str) else json.dumps(body)).encode(), status=status))

    async with daemon(serve) as host:
        with pytest.raises(ApiError) as caught:
            await host.request("GET", "/1.0")
        assert (caught.value.host, caught.value.code, caught.value.text) == ("d1", code, text)


async def test_closing_ends_what_is_under_way_and_the_host_can_be_used_again() -> None:
    arrived = asyncio.Event()

    async def serve(reader: Reader, writer: Writer) -> None:
        while head := await read_head(reader):
            if "/slow" in head:
                arrived.set()
            else:
                writer.write(answer(OK))

    async with daemon(serve) as host:
        slow = asyncio.ensure_future(host.request("GET", "/slow"))
        await arrived.wait()
        await host.close()
        with pytest.raises(ConnectionLost):
            await slow
        assert (await host.request("GET", "/1.0")).status == 200
