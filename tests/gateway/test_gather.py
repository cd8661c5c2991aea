"""Lists of several hosts, some of which say nothing, on real Hosts over unix sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lxdpm_tui.demo.fleet import DemoFleet
from lxdpm_tui.fleet.fleet import Fleet
from lxdpm_tui.gateway.gather import BUDGET, GRACE, PROBE_AFTER, gather
from lxdpm_tui.hosts.host import Host
from tests.fleet.fleets import Script, error, host_of, script, turns, until, watched

NAMES = ("s1", "s2", "s3")
LISTED = "/1.0/instances"


@pytest.fixture
async def scripts() -> AsyncIterator[dict[str, Script]]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(script()) for name in NAMES}


@pytest.fixture
async def fleet(scripts: dict[str, Script]) -> AsyncIterator[Fleet]:
    async with watched([host_of(daemon, name) for name, daemon in scripts.items()]) as fleet:
        for name, daemon in scripts.items():
            daemon.answers["/1.0/list"] = [name]
            daemon.answers["/"] = ["/1.0"]
        yield fleet


async def ask(host: Host) -> Any:
    return (await host.request("GET", "/1.0/list")).metadata


def silence(*daemons: Script, path: str = "/1.0/list") -> Callable[[], None]:
    """These never answer that path, until what is returned is called."""
    end = asyncio.Event()

    async def silent(_: web.Request) -> Any:
        await end.wait()
        return []

    for daemon in daemons:
        daemon.answers[path] = silent
    return end.set


def after(seconds: float, answer: Any) -> Callable[[web.Request], Awaitable[Any]]:
    async def late(_: web.Request) -> Any:
        await asyncio.sleep(seconds)
        return answer

    return late


async def test_all_answer(fleet: Fleet) -> None:
    found = await gather(fleet, ask)
    assert found.live == {name: [name] for name in NAMES}
    assert (found.cached, found.errors) == ({}, {})


async def test_quick_answers_cost_no_second_question(
    fleet: Fleet, scripts: dict[str, Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lxdpm_tui.gateway.gather.PROBE_AFTER", 5.0)  # the machine may stall: these are quick
    for daemon in scripts.values():
        daemon.asked.clear()
    await gather(fleet, ask)
    for daemon in scripts.values():  # heartbeats may come between
        assert [line for line in daemon.asked if line in ("GET /1.0/list", "GET /")] == ["GET /1.0/list"]


async def test_some_hosts_only(fleet: Fleet) -> None:
    found = await gather(fleet, ask, ["s2"])
    assert found.live == {"s2": ["s2"]}
    assert found.cached == {}


async def test_a_silent_host_costs_its_own_rows_only(fleet: Fleet, scripts: dict[str, Script]) -> None:
    silence(scripts["s2"])
    end = silence(scripts["s2"], path="/")
    started = time.monotonic()
    found = await gather(fleet, ask)
    took = time.monotonic() - started
    end()
    assert found.live == {"s1": ["s1"], "s3": ["s3"]}
    assert found.cached == {"s2": False}  # not known to be down
    assert GRACE <= took < BUDGET * 0.8


async def test_a_silent_host_that_alone_has_its_part_is_waited_for(fleet: Fleet, scripts: dict[str, Script]) -> None:
    scripts["s1"].answers["/1.0/list"] = error(404, "Network not found")
    scripts["s2"].answers["/1.0/list"] = after(10 * GRACE, ["s2"])
    end = silence(scripts["s2"], path="/")
    found = await gather(fleet, ask, needed=True)
    end()
    assert (found.live, found.cached, set(found.errors)) == ({"s2": ["s2"], "s3": ["s3"]}, {}, {"s1"})


async def test_several_silent_hosts_cost_no_more(fleet: Fleet, scripts: dict[str, Script]) -> None:
    silence(scripts["s1"], scripts["s2"])
    silence(scripts["s1"], scripts["s2"], path="/")
    started = time.monotonic()
    found = await gather(fleet, ask)
    assert time.monotonic() - started < BUDGET * 0.8
    assert (found.live, found.cached) == ({"s3": ["s3"]}, {"s1": False, "s2": False})


async def test_longer_patience_is_had_once_for_each_silence(fleet: Fleet, scripts: dict[str, Script]) -> None:
    patience = 2.0

    async def seconds() -> float:
        started = time.monotonic()
        await gather(fleet, ask, grace=patience)
        return time.monotonic() - started

    for _ in range(2):
        end = silence(scripts["s2"])
        end_probes = silence(scripts["s2"], path="/")
        assert await seconds() >= patience
        assert min([await seconds() for _ in range(3)]) < patience
        end(), end_probes()
        scripts["s2"].answers.update({"/1.0/list": ["s2"], "/": ["/1.0"]})
        assert set((await gather(fleet, ask)).live) == set(NAMES)


async def test_a_silence_of_our_own_is_not_the_hosts(fleet: Fleet, scripts: dict[str, Script]) -> None:
    """It answered in time, while this process did something else for longer than a host may be silent."""
    scripts["s2"].answers.update({path: after(PROBE_AFTER + GRACE / 2, [path]) for path in ("/1.0/list", "/")})
    asyncio.get_running_loop().call_later(PROBE_AFTER + GRACE / 4, time.sleep, 0.5)
    found = await gather(fleet, ask)
    assert found.live == {"s1": ["s1"], "s2": ["/1.0/list"], "s3": ["s3"]}
    assert found.cached == {}


async def test_a_slow_answer_of_a_host_that_lives_is_waited_for(fleet: Fleet, scripts: dict[str, Script]) -> None:
    """It answers the cheap question, so it is only busy."""
    scripts["s2"].answers["/1.0/list"] = after(0.5, ["late"])
    found = await gather(fleet, ask)
    assert found.live == {"s1": ["s1"], "s2": ["late"], "s3": ["s3"]}


async def test_a_host_that_is_far_away_is_given_its_time(tmp_path: Path) -> None:
    """Its every answer, to the cheap question too, takes longer than a host that is near may be silent."""
    async with DemoFleet(2, activity=False, directory=tmp_path) as demo:
        near, far = demo.daemons.values()
        far.delay(4 * GRACE)
        async with watched(demo.hosts) as fleet:
            assert fleet.hosts[far.name].round_trip >= 4 * GRACE
            found = await gather(fleet, lambda host: host.get(LISTED))
    assert found.live.keys() == {near.name, far.name}
    assert all(found.live.values())
    assert found.cached == {}


async def test_lists_at_the_same_time_share_the_cheap_question_and_its_connection(
    fleet: Fleet, scripts: dict[str, Script]
) -> None:
    """It goes on when the list is there: given up, it would cost its connection."""
    asked = asyncio.Event()
    end = asyncio.Event()
    answered: list[str] = []

    async def late(_: web.Request) -> Any:
        await asked.wait()
        return ["late"]

    async def cheap(_: web.Request) -> Any:
        asked.set()
        await end.wait()
        answered.append("/")
        return ["/1.0"]

    scripts["s2"].answers.update({"/1.0/list": late, "/": cheap})
    scripts["s2"].asked.clear()
    await asyncio.gather(*(gather(fleet, ask, needed=True) for _ in range(5)))
    assert scripts["s2"].asked.count("GET /") == 1
    end.set()
    await turns(lambda: answered)


async def test_a_silent_host_of_which_an_event_was_not_read_yet_is_waited_for(
    fleet: Fleet, scripts: dict[str, Script]
) -> None:
    """Its rows may be wrong by now: better late than wrong."""
    silent = scripts["s2"]
    end = silence(silent, path="/1.0/instances")
    silence(silent, path="/")
    silent.answers["/1.0/list"] = after(0.5, ["late"])
    fleet.watch("s2").touch("instances")
    found = await gather(fleet, ask)
    end()
    assert found.live["s2"] == ["late"]


async def test_hosts_that_are_down_are_not_asked(fleet: Fleet, scripts: dict[str, Script]) -> None:
    scripts["s3"].answers["/1.0"] = error(403, "no")
    fleet.watch("s3").retry_now()
    await until(fleet, lambda: not fleet.inventory.hosts["s3"].usable)
    scripts["s3"].asked.clear()
    found = await gather(fleet, ask)
    assert (found.live.keys(), found.cached) == ({"s1", "s2"}, {"s3": True})
    assert "GET /1.0/list" not in scripts["s3"].asked


async def test_a_host_that_is_found_to_be_down_meanwhile(fleet: Fleet, scripts: dict[str, Script]) -> None:
    """Its session is over, so its rows are not kept true any more, and nobody waits for it either."""
    silence(scripts["s2"])
    silence(scripts["s2"], path="/")
    end = silence(scripts["s2"], path="/1.0/instances")
    fleet.watch("s2").touch("instances")
    started = time.monotonic()
    gathering = asyncio.create_task(gather(fleet, ask))
    scripts["s2"].answers["/1.0"] = error(403, "no")
    fleet.watch("s2").retry_now()
    found = await gathering
    end()
    assert (found.live.keys(), found.cached) == ({"s1", "s3"}, {"s2": True})
    assert time.monotonic() - started < BUDGET * 0.8


async def test_an_error_is_an_answer(fleet: Fleet, scripts: dict[str, Script]) -> None:
    scripts["s1"].answers["/1.0/list"] = after(0, error(404, "Project not found"))
    found = await gather(fleet, ask)
    assert found.live.keys() == {"s2", "s3"}
    assert (found.errors["s1"].code, found.errors["s1"].text) == (404, "Project not found")
    assert found.cached == {}


async def test_a_host_that_breaks_off(fleet: Fleet, scripts: dict[str, Script]) -> None:
    async def broken(request: web.Request) -> Any:
        assert request.transport is not None
        request.transport.abort()
        return []

    scripts["s2"].answers["/1.0/list"] = broken
    found = await gather(fleet, ask)
    assert (found.live.keys(), found.cached) == ({"s1", "s3"}, {"s2": True})
