"""Short requests on kept connections, against servers that do one exact thing. More of them: test_client.py."""

from __future__ import annotations

import asyncio

import pytest

from lxdpm_tui.hosts import exchange
from lxdpm_tui.hosts.transport import ConnectionLost
from tests.hosts.daemons import answer, daemon, read_head

OK = b'{"type":"sync","status":"Success","status_code":200,"metadata":{"a":null}}'

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


class Connections:
    """How many were made and have ended; each answers everything with OK."""

    def __init__(self) -> None:
        self.made = 0
        self.ended = asyncio.Semaphore(0)

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        self.made += 1
        while await read_head(reader):
            writer.write(answer(OK))
        self.ended.release()


async def test_a_connection_is_used_again_and_as_many_are_made_as_are_needed_at_once() -> None:
    seen = Connections()
    async with daemon(seen) as host:
        for _ in range(3):
            await host.get("/1.0")
        assert seen.made == 1
        await asyncio.gather(*(host.get("/1.0") for _ in range(3)))
        await asyncio.gather(*(host.get("/1.0") for _ in range(3)))
        assert seen.made == 3
        await host.request("PUT", "/1.0", json={})
        assert seen.made == 3


async def test_what_nobody_uses_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "KEEP_ALIVE", 0.1)
    seen = Connections()
    async with daemon(seen) as host:
        await asyncio.gather(*(host.get("/1.0") for _ in range(2)))
        async with asyncio.timeout(60):
            await seen.ended.acquire()
            await seen.ended.acquire()
        await host.get("/1.0")
        assert seen.made == 3


async def test_dead_connections_however_many_cost_a_reader_one_more_try() -> None:
    """A daemon that was restarted left several behind, and the first that is tried does not stand for the others."""
    made = 0

    async def serve(reader: Reader, writer: Writer) -> None:
        nonlocal made
        made += 1
        while await read_head(reader):
            if made <= 3 and "again" in asked:
                break  # the old ones
            writer.write(answer(OK))
        writer.close()

    asked: list[str] = []
    async with daemon(serve) as host:
        await asyncio.gather(*(host.get("/1.0") for _ in range(3)))
        asked.append("again")
        assert await host.get("/1.0") == {"a": None}
    assert made == 4


async def test_a_body_that_was_not_read_to_its_end_costs_the_connection() -> None:
    seen = Connections()

    async def serve(reader: Reader, writer: Writer) -> None:
        if seen.made:
            return await seen(reader, writer)
        seen.made += 1
        await read_head(reader)
        writer.write(answer(OK, length=1 << 20))
        assert await reader.read() == b""
        return None

    async with daemon(serve) as host:
        async with host.stream("GET", "/1.0") as response:
            await response.content.readany()
        assert await host.get("/1.0") == {"a": None}
    assert seen.made == 2


async def test_an_answer_that_is_released_again_leaves_the_next_request_alone() -> None:
    """Its connection is another request's by then; given back once more, two would share it."""
    seen = Connections()
    async with daemon(seen) as host:
        first = await host._send("GET", "/1.0", {}, None, None)
        await first.read()
        first.release()
        second = await host._send("GET", "/1.0", {}, None, None)
        first.release()
        assert await host.get("/1.0") == {"a": None}
        assert await second.read() == OK
        second.release()
        assert seen.made == 2


async def test_a_head_without_a_body_and_heads_before_the_last() -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        while head := await read_head(reader):
            if head.startswith("HEAD"):
                writer.write(answer(b"", length=1000))
            else:
                writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(OK))

    async with daemon(serve) as host:
        for _ in range(2):
            assert (await host.request("HEAD", "/1.0")).headers["Content-Length"] == "1000"
            assert await host.get("/1.0") == {"a": None}


async def test_the_length_of_a_body_is_said_once() -> None:
    heads: list[str] = []

    async def serve(reader: Reader, writer: Writer) -> None:
        while head := await read_head(reader):
            heads.append(head.lower())
            await reader.readexactly(3 if head.startswith("POST") else 0)
            writer.write(answer(OK))

    async with daemon(serve) as host:
        await host.request("POST", "/1.0", data=b"abc", headers={"content-length": "3"})
        await host.request("DELETE", "/1.0")
        await host.request("GET", "/1.0")
    lengths = [[line for line in head.splitlines() if line.startswith("content-length")] for head in heads]
    assert lengths == [["content-length: 3"], ["content-length: 0"], []]


async def test_closing_ends_a_body_that_is_being_read() -> None:
    async def serve(reader: Reader, writer: Writer) -> None:
        await read_head(reader)
        writer.write(answer(OK, length=1 << 20))

    async with daemon(serve) as host:

        async def read() -> None:
            async with host.stream("GET", "/1.0") as response:
                await response.content.readany()
                await host.close()
                await response.read()

        with pytest.raises(ConnectionLost):
            await asyncio.wait_for(read(), 60)


@pytest.mark.parametrize(("target", "value"), [("/1.0\r\nX: y", "z"), ("/1.0", "y\r\nX: z"), ("/1.0", "y\nz")])
async def test_a_line_that_would_be_two_is_not_sent(target: str, value: str) -> None:
    seen = Connections()
    async with daemon(seen) as host:
        with pytest.raises(ValueError, match="line break"):
            await host.request("GET", target, headers={"X-a": value})
    assert seen.made == 0


async def test_the_quickest_answer_says_how_far_it_is() -> None:
    seconds = 0.3

    async def serve(reader: Reader, writer: Writer) -> None:
        while await read_head(reader):
            await asyncio.sleep(seconds)
            writer.write(answer(OK))

    async with daemon(serve) as host:
        assert host.round_trip == 0
        await host.get("/1.0")
        far = host.round_trip
        assert far >= seconds
        seconds = 0
        for _ in range(100):  # until one was quick: the machine may stall
            await host.get("/1.0")
            if (near := host.round_trip) < 0.3:
                break
        assert near < 0.3
        seconds = 0.3
        await host.get("/1.0")
        assert host.round_trip == near
