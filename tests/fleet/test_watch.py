"""A watcher against a daemon that plays a script: every turn of events, at the moment that matters."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from aiohttp import web

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.fleet import watch
from lxdpm_tui.fleet.inventory import HostStatus
from lxdpm_tui.hosts.transport import Deadlines
from tests.fleet.fleets import (
    API,
    SERVER,
    Script,
    changes,
    error,
    host_of,
    instance,
    script,
    turns,
    until,
    watched,
)

C1 = {"name": "c1", "status": "Stopped", "project": "default"}
BORROWING = {"features.images": "false", "features.profiles": "false"}


def gets(daemon: Script, path: str) -> list[str]:
    return [line for line in daemon.asked if line.startswith(f"GET {path}")]


# -- a session


async def test_what_is_learned_of_a_host() -> None:
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        record = fleet.inventory.hosts["s1"]
        await until(fleet, lambda: record.status == HostStatus.ONLINE)  # it may begin slow, when the machine stalls
        assert record.reason == ""
        assert (record.kind, record.version, record.server_name) == ("lxd", "5.0.2", "script")
        assert (record.cpus, record.memory_total, record.memory_used) == (2, 1 << 30, 1 << 20)
        assert record.instance_types == ("container",)
        assert record.load == -1.0
        assert record.event_stream
        assert record.reached > 0
        assert record.since > 0
        assert record.retry_at == 0
        assert await fleet.until_known() == []


@pytest.mark.parametrize(
    ("event", "asked"),
    [
        (("instance-started", f"{API}/instances/c1"), f"{API}/instances/c1?project=default"),
        (("instance-started", f"{API}/instances/c1?project=p"), f"{API}/instances/c1?project=p"),
        (("container-started", f"{API}/containers/c1?project=p"), f"{API}/instances/c1?project=p"),
        (("virtual-machine-started", f"{API}/virtual-machines/c1"), f"{API}/instances/c1?project=default"),
        (("instance-snapshot-created", f"{API}/instances/c1/snapshots/s0"), f"{API}/instances/c1?project=default"),
        (("instance-created", f"{API}/instances/c%201"), f"{API}/instances/c%201?project=default"),
        (("instance-renamed", f"{API}/instances/new", "old_name", "c1"), f"{API}/instances/c1?project=default"),
        (("container-renamed", f"{API}/containers/c1", "new_name", "new"), f"{API}/instances/new?project=default"),
        (("image-created", f"{API}/images/abc"), f"{API}/images?"),
        (("image-alias-created", f"{API}/images/aliases/a"), f"{API}/images?"),
        (("profile-updated", f"{API}/profiles/default"), f"{API}/profiles?"),
        (("profile-updated", f"{API}/profiles/default"), f"{API}/instances?"),
        (("project-created", f"{API}/projects/p"), f"{API}/projects"),
        (("project-created", f"{API}/projects/p"), f"{API}/profiles?"),
        (("project-updated", f"{API}/projects/p"), f"{API}/images?"),
        (("network-created", f"{API}/networks/n"), f"{API}/networks"),
        (("storage-pool-created", f"{API}/storage-pools/p"), f"{API}/storage-pools"),
    ],
)
async def test_an_event_has_read_again_what_it_names(event: tuple[str, ...], asked: str) -> None:
    async with script() as daemon:
        come = asyncio.Event()
        async with watched([host_of(daemon)]) as fleet:
            daemon.asked.clear()
            fleet.subscribe_events(lambda *_: come.set())
            action, source, *context = event
            await daemon.lifecycle(action, source, **dict([context] if context else []))  # type: ignore[arg-type]
            await asyncio.wait_for(come.wait(), 60)
            await turns(lambda: fleet.watch("s1").settled and gets(daemon, asked))
            assert fleet.inventory.hosts["s1"].usable


async def test_images_are_read_again_when_work_on_them_ends() -> None:
    """Incus tells of a deletion first and deletes then."""
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        daemon.asked.clear()
        images = {"images": [f"{API}/images/abc"]}
        for status, resources in ((103, images), (200, {"instances": [f"{API}/instances/c1"]}), (200, None)):
            await daemon.send({"type": "operation", "metadata": {"status_code": status, "resources": resources}})
        await daemon.lifecycle("network-created", f"{API}/networks/n")
        await turns(lambda: gets(daemon, f"{API}/networks"))
        assert not gets(daemon, f"{API}/images?")
        await daemon.send({"type": "operation", "metadata": {"status_code": 200, "resources": images}})
        await turns(lambda: gets(daemon, f"{API}/images?"))
        assert fleet.inventory.hosts["s1"].usable


async def test_many_events_are_read_once() -> None:
    async with script() as daemon:
        daemon.answers[f"{API}/instances/c1"] = C1
        async with watched([host_of(daemon)]) as fleet:
            daemon.asked.clear()
            for _ in range(50):
                await daemon.lifecycle("instance-updated", f"{API}/instances/c1")
            await until(fleet, lambda: instance(fleet, "s1", "c1"))
            assert 1 <= len(gets(daemon, f"{API}/instances/c1")) <= 5


async def test_an_instance_of_which_an_event_tells_may_be_gone() -> None:
    async with script() as daemon:
        daemon.answers[f"{API}/instances"] = [C1]
        async with watched([host_of(daemon)]) as fleet:
            assert instance(fleet, "s1", "c1")
            await daemon.lifecycle("instance-deleted", f"{API}/instances/c1")
            await until(fleet, lambda: not instance(fleet, "s1", "c1"))
            assert fleet.inventory.hosts["s1"].instances == 0


async def test_other_events_are_passed_on_and_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for polled in ("HEARTBEAT", "RESOURCES_EVERY"):  # what is asked for is asked for by an event
        monkeypatch.setattr(watch, polled, 1000.0)
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        daemon.asked.clear()
        heard: asyncio.Queue[tuple[str, bytes, str]] = asyncio.Queue()
        undo = fleet.subscribe_events(lambda name, message, event: heard.put_nowait((name, message, event.type)))
        for number in range(3):
            await daemon.send({"type": "operation", "metadata": {"id": str(number)}})
        got = [await asyncio.wait_for(heard.get(), 60) for _ in range(3)]
        assert [kind for _, _, kind in got] == ["operation"] * 3
        assert [b'"id": "%d"' % number in message for number, (_, message, _) in enumerate(got)] == [True] * 3
        undo()
        await daemon.lifecycle("instance-exec", f"{API}/instances/none")
        await turns(lambda: gets(daemon, f"{API}/instances/none"))
        assert heard.empty()
        assert all("/instances/none" in line for line in daemon.asked)


# -- states


async def test_slow_while_the_answer_is_overdue_and_online_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ASK", Deadlines(first_byte=120.0))  # it is not given up, however the machine stalls
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        record = fleet.inventory.hosts["s1"]
        await until(fleet, lambda: record.status == HostStatus.ONLINE)
        answer = asyncio.Event()

        async def late(_: web.Request) -> Any:
            await answer.wait()
            return SERVER

        daemon.answers[API] = late
        since = record.since
        fleet.watch("s1").retry_now()
        await until(fleet, lambda: record.status == HostStatus.SLOW)
        assert record.reason == "no answer for 1 s"
        assert record.usable
        assert record.since > since
        answer.set()
        await until(fleet, lambda: record.reason.startswith("answers in "))
        assert record.status == HostStatus.SLOW
        await until(fleet, lambda: record.status == HostStatus.ONLINE)
        assert record.reason == ""


async def test_a_host_in_maintenance_shows_it_but_never_hides_a_fault() -> None:
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        record = fleet.inventory.hosts["s1"]
        fleet.inventory.update_host("s1", maintenance=True)
        assert (record.shown_status, record.usable) == ("maintenance", True)
        daemon.answers[API] = error_answer(500, "broken")
        fleet.watch("s1").retry_now()
        await until(fleet, lambda: record.status == HostStatus.UNREACHABLE)
        assert (record.shown_status, record.reason) == ("unreachable", "broken")


def error_answer(code: int, text: str) -> Any:
    async def answer(_: web.Request) -> web.StreamResponse:
        return error(code, text)

    return answer


async def test_untrusted() -> None:
    async with script() as daemon:
        daemon.answers[API] = {"auth": "untrusted", "api_extensions": []}
        async with watched([host_of(daemon)], down=["s1"]) as fleet:
            record = fleet.inventory.hosts["s1"]
            await until(fleet, lambda: record.status == HostStatus.UNTRUSTED and record.retry_at > 0)
            assert "lxdpm-tui host add" in record.reason
            assert not record.usable


async def test_no_daemon_there() -> None:
    async with watched([HostConfig("s1", UnixAddress("/nowhere/unix.socket"))], down=["s1"]) as fleet:
        record = fleet.inventory.hosts["s1"]
        assert record.status == HostStatus.UNREACHABLE
        assert "/nowhere/unix.socket" in record.reason
        assert fleet.silent() == ["s1"]


@pytest.mark.parametrize(
    "answer", ["<html>", '{"type": "sync", "metadata": [1, 2]}', '{"metadata": {"auth": "trusted", "environment": 1}}']
)
async def test_an_answer_that_is_not_lxds_is_shown_like_any_fault(
    answer: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with script() as daemon:

        async def nonsense(_: web.Request) -> web.StreamResponse:
            return web.Response(text=answer, content_type="application/json")

        daemon.answers[API] = nonsense
        async with watched([host_of(daemon)], down=["s1"]) as fleet:
            record = fleet.inventory.hosts["s1"]
            assert record.status == HostStatus.UNREACHABLE
            assert record.reason
            assert "\n" not in record.reason
            daemon.answers[API] = SERVER
            await until(fleet, lambda: record.status == HostStatus.ONLINE)


async def test_one_instance_that_cannot_be_read_takes_the_session_down_and_it_comes_back() -> None:
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        record = fleet.inventory.hosts["s1"]
        daemon.answers[f"{API}/instances/c1"] = error_answer(500, "database is locked")
        await daemon.lifecycle("instance-updated", f"{API}/instances/c1")
        await until(fleet, lambda: record.reason == "database is locked")
        scanned = record.scanned
        daemon.answers[f"{API}/instances"] = [C1]
        await until(fleet, lambda: record.scanned > scanned and record.status == HostStatus.ONLINE)
        assert instance(fleet, "s1", "c1")


async def test_retry_now_cuts_the_pause_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "backoff", lambda: itertools.repeat(60.0))
    async with script() as daemon:
        daemon.answers[API] = error_answer(500, "broken")
        async with watched([host_of(daemon)], down=["s1"]) as fleet:
            record = fleet.inventory.hosts["s1"]
            await until(fleet, lambda: record.retry_at)
            daemon.answers[API] = SERVER
            with changes(fleet) as seen:
                fleet.watch("s1").retry_now()
                await until(fleet, lambda: record.status == HostStatus.ONLINE, 30)
            assert seen
            assert record.retry_at == 0


async def test_rows_stay_and_are_marked_when_the_host_is_gone() -> None:
    async with script() as daemon:
        daemon.answers[f"{API}/instances"] = [{**C1, "status": "Running"}]
        daemon.answers[f"{API}/instances/c1/state"] = {"status": "Running"}
        async with watched([host_of(daemon)]) as fleet:
            assert not fleet.inventory.is_stale("s1")
            daemon.answers[API] = error_answer(500, "broken")
            fleet.watch("s1").retry_now()
            await until(fleet, lambda: fleet.inventory.is_stale("s1"))
            row = instance(fleet, "s1", "c1")
            assert row is not None
            assert row.status == "Running"
            assert not fleet.inventory.hosts["s1"].event_stream
            assert not fleet.watch("s1").settled


async def test_closing_while_a_session_ends_is_not_lost() -> None:
    """The end of a session takes a moment when the daemon is silent; a cancel that comes then must not be swallowed."""
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        daemon.answers[API] = never
        daemon.silent = True
        fleet.watch("s1").retry_now()
        await until(fleet, lambda: fleet.inventory.hosts["s1"].status == HostStatus.UNREACHABLE)
        daemon.answers[API] = SERVER
        assert fleet.inventory.hosts["s1"].retry_at == 0, "the session has ended already"
        await asyncio.wait_for(fleet.close(), 60)


async def never(_: web.Request) -> Any:
    await asyncio.Event().wait()
