"""Asking several hosts, following changes to their end, waiting for hosts: on scripted and on real daemons."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.fleet.fleet import LOST_AFTER, Fleet, operation_id
from lxdpm_tui.fleet.inventory import HostStatus
from lxdpm_tui.fleet.watch import DEAD_AFTER, HEARTBEAT
from lxdpm_tui.hosts.transport import ApiError, ConnectionLost, HostError, TimedOut, Unreachable
from tests.fleet.fleets import API, SERVER, error, host_of, on_lab, script, until, watched
from tests.lab.lab import Lab

NOWHERE = HostConfig("gone", UnixAddress("/nowhere/unix.socket"))
FOUND_LOST = 1.2 * HEARTBEAT + DEAD_AFTER + LOST_AFTER + 30  # seconds; the commands go on for longer than that


@pytest.fixture
async def fleet(clean_lab: Lab) -> AsyncIterator[Fleet]:
    async with on_lab(clean_lab) as fleet:
        yield fleet


async def never(_: web.Request) -> Any:
    await asyncio.Event().wait()


# -- asking several


async def test_fan_out_gives_errors_as_values_and_keeps_to_its_budget() -> None:
    async with script() as good, script() as refuses, script() as silent:
        refuses.answers[f"{API}/x"] = _refuse
        silent.answers[f"{API}/x"] = never
        good.answers[f"{API}/x"] = 7
        hosts = [host_of(good, "good"), host_of(refuses, "refuses"), host_of(silent, "silent"), NOWHERE]
        async with watched(hosts, down=["gone"]) as fleet:
            began = time.monotonic()
            found = await fleet.fan_out(lambda host: host.get(f"{API}/x"), fleet.hosts, budget=10)
            assert time.monotonic() - began < 25  # seconds; without a budget the silent one would have 30
            assert found["good"] == 7
            assert isinstance(found["refuses"], ApiError)
            assert (found["refuses"].host, found["refuses"].code) == ("refuses", 403)
            assert isinstance(found["silent"], TimedOut)
            assert str(found["silent"]) == "silent: no answer within 10 s"
            assert isinstance(found["gone"], Unreachable)
            assert list(await fleet.fan_out(lambda host: host.get(API))) == ["good", "refuses", "silent"]
            with pytest.raises(ZeroDivisionError):
                await fleet.fan_out(_mistake, ["good"])


async def _refuse(_: web.Request) -> Any:
    return error(403, "no")


async def _mistake(_: object) -> float:
    return 1 / 0


async def test_fan_out_asks_all_at_once(fleet: Fleet, clean_lab: Lab) -> None:
    with clean_lab.hosts["h2"].hung():
        began = time.monotonic()
        found = await fleet.fan_out(lambda host: host.server(), budget=10.0)  # the others may stall, but not so long
        took = time.monotonic() - began
    assert {name for name, answer in found.items() if isinstance(answer, HostError)} == {"h2"}
    assert 10.0 <= took < 25


# -- following a change


async def test_a_synchronous_change() -> None:
    async with script() as daemon:
        daemon.answers[f"{API}/x"] = {"made": True}
        async with watched([host_of(daemon)]) as fleet:
            assert await fleet.operate("s1", "POST", f"{API}/x") == {"made": True}
            daemon.answers[f"{API}/x"] = None
            assert await fleet.operate("s1", "PUT", f"{API}/x") == {}
            with pytest.raises(KeyError):
                await fleet.operate("nobody", "PUT", f"{API}/x")


async def test_a_host_that_falls_silent_before_it_answers_is_lost() -> None:
    """The change may have been made: nobody can tell, and nobody waits for the long deadline of the request."""
    async with script() as daemon:
        daemon.answers[f"{API}/x"] = never
        async with watched([host_of(daemon)]) as fleet:
            change = asyncio.create_task(fleet.operate("s1", "POST", f"{API}/x"))
            daemon.answers[API] = never
            fleet.watch("s1").retry_now()
            with pytest.raises(ConnectionLost, match=r"s1: it was lost in the middle of it: .*hung"):
                await asyncio.wait_for(change, DEAD_AFTER + LOST_AFTER + 15)


async def test_a_session_that_begins_anew_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lxdpm_tui.fleet.fleet.LOST_AFTER", 60.0)  # the machine may stall meanwhile
    async with script() as daemon:
        answer = asyncio.Event()

        async def late(_: web.Request) -> Any:
            await answer.wait()
            return {"made": True}

        daemon.answers[f"{API}/x"] = late
        async with watched([host_of(daemon)]) as fleet:
            record = fleet.inventory.hosts["s1"]
            change = asyncio.create_task(fleet.operate("s1", "POST", f"{API}/x"))
            daemon.answers[f"{API}/profiles"] = _refuse
            await daemon.lifecycle("profile-updated", f"{API}/profiles/x")
            await until(fleet, lambda: record.status == HostStatus.UNREACHABLE)
            daemon.answers[f"{API}/profiles"] = []
            await until(fleet, lambda: record.status == HostStatus.ONLINE)
            answer.set()
            assert await asyncio.wait_for(change, 60) == {"made": True}


async def test_progress_that_is_told_before_the_answer_is_not_lost() -> None:
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        heard = asyncio.Event()
        fleet.subscribe_events(lambda host, message, event: heard.set() if event.type == "operation" else None)

        async def answered(_: web.Request) -> Any:
            for id, progress in (("other", "9%"), ("ours", "7%")):
                operation = {"id": id, "status_code": 103, "metadata": {"progress": progress}}
                heard.clear()
                await daemon.send({"type": "operation", "metadata": operation})
                await asyncio.wait_for(heard.wait(), 60)
            return web.json_response({"type": "async", "operation": f"{API}/operations/ours"}, status=202)

        daemon.answers[f"{API}/x"] = answered
        daemon.answers[f"{API}/operations/ours/wait"] = {"id": "ours", "status_code": 200, "metadata": {"made": "c1"}}
        told: list[dict[str, Any]] = []
        assert await fleet.operate("s1", "POST", f"{API}/x", on_progress=told.append) == {"made": "c1"}
        assert told == [{"progress": "7%"}]


async def test_what_can_be_asked_again_is_not_waited_for_once_the_host_is_down() -> None:
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        asking = asyncio.Event()

        async def asked() -> None:
            async with fleet.while_usable("s1"):
                asking.set()
                await asyncio.Event().wait()

        waiting = asyncio.create_task(asked())
        await asyncio.wait_for(asking.wait(), 60)
        fleet.inventory.update_host("s1", reason="a reason of its own")
        daemon.answers[API] = {**SERVER, "auth": "untrusted"}
        fleet.watch("s1").retry_now()
        with pytest.raises(Unreachable, match=r"^s1: it does not trust"):
            await asyncio.wait_for(waiting, 60)
        async with fleet.while_usable("s1"):  # that it was down before is no reason
            await asyncio.sleep(0)


async def test_a_host_that_was_down_already_is_tried_all_the_same() -> None:
    async with script() as daemon:
        daemon.answers[API] = {**SERVER, "auth": "untrusted"}
        daemon.answers[f"{API}/x"] = {"made": True}
        async with watched([host_of(daemon), NOWHERE], down=["s1", "gone"]) as fleet:
            assert await fleet.operate("s1", "POST", f"{API}/x") == {"made": True}
            with pytest.raises(Unreachable, match="gone: "):
                await fleet.operate("gone", "POST", f"{API}/x")


@pytest.mark.parametrize("name", ["h1", "h3", "i1"])
async def test_operations_on_real_daemons(fleet: Fleet, name: str) -> None:
    body = {"name": "c1", "source": {"type": "image", "alias": "busybox"}}
    told: list[dict[str, Any]] = []
    await fleet.operate(name, "POST", f"{API}/instances", json=body, on_progress=told.append)
    await fleet.operate(name, "PUT", f"{API}/instances/c1/state", json={"action": "start"})
    ran = {"command": ["sh", "-c", "exit 3"], "record-output": True}
    done = await fleet.operate(name, "POST", f"{API}/instances/c1/exec", json=ran)
    assert done["return"] == 3
    with pytest.raises(ApiError) as caught:
        await fleet.operate(name, "PUT", f"{API}/instances/c1/state", json={"action": "start"})
    assert caught.value.host == name
    assert "already running" in caught.value.text
    with pytest.raises(ApiError) as caught:
        await fleet.operate(name, "DELETE", f"{API}/instances/none")
    assert caught.value.code == 404
    assert not fleet.inventory._listeners[1:]


async def test_progress_is_told(clean_lab: Lab, fleet: Fleet) -> None:
    """Of its own operation only, while it runs."""
    path = clean_lab.make_image("progress", b"p" * (4 << 20))
    host = clean_lab.hosts["h1"]
    headers = {"X-LXD-fingerprint": "", "Content-Type": "application/octet-stream"}
    image = await asyncio.to_thread(host.api, "POST", f"{API}/images", path.read_bytes(), headers)
    fingerprint = image["metadata"]["fingerprint"]
    told: list[dict[str, Any]] = []
    body = {"name": "c1", "source": {"type": "image", "fingerprint": fingerprint}}
    await fleet.operate("h1", "POST", f"{API}/instances", json=body, on_progress=told.append)
    assert any("create_instance_from_image_unpack_progress" in metadata for metadata in told)


async def test_hosts_lost_in_the_middle_of_an_operation(fleet: Fleet, clean_lab: Lab) -> None:
    faults = {"h1": "hung", "h2": "cut_off", "h3": "frozen", "i1": "hung"}
    running = await asyncio.gather(*(_long_operation(fleet, name) for name in faults))
    with contextlib.ExitStack() as stack:
        for name, fault in faults.items():
            stack.enter_context(getattr(clean_lab.hosts[name], fault)())
        for name in faults:
            fleet.watch(name).retry_now()
        results = await asyncio.wait_for(asyncio.gather(*running, return_exceptions=True), FOUND_LOST)
    for name, result in zip(faults, results, strict=True):
        assert isinstance(result, HostError), (name, result)
        assert str(result).startswith(f"{name}: ")


async def test_a_daemon_killed_in_the_middle_of_an_operation(fleet: Fleet, clean_lab: Lab) -> None:
    began = await asyncio.gather(*(_long_operation(fleet, name) for name in clean_lab.hosts))
    for host in clean_lab.hosts.values():
        host.kill()
    results = await asyncio.wait_for(asyncio.gather(*began, return_exceptions=True), 30)
    assert all(isinstance(result, HostError) for result in results), results


async def _long_operation(fleet: Fleet, name: str) -> asyncio.Task[dict[str, Any]]:
    """A running `sleep 60` in a container, followed."""
    body = {"name": "c1", "source": {"type": "image", "alias": "busybox"}}
    await fleet.operate(name, "POST", f"{API}/instances", json=body)
    await fleet.operate(name, "PUT", f"{API}/instances/c1/state", json={"action": "start"})
    running = asyncio.Event()
    undo = fleet.subscribe_events(
        lambda host, message, _: running.set() if host == name and b"sleep" in message else None
    )
    sleep = {"command": ["sleep", "60"], "environment": {"sleep": "x"}}
    task = asyncio.create_task(fleet.operate(name, "POST", f"{API}/instances/c1/exec", json=sleep))
    await asyncio.wait_for(running.wait(), 60)
    undo()
    return task


def test_ids_of_operations() -> None:
    for url in ("/1.0/operations/abc", "/1.0/operations/abc?project=p", "/1.0/operations/abc/"):
        assert operation_id(url) == "abc"


# -- waiting for hosts


async def test_until_known_names_those_of_which_nothing_is_known() -> None:
    async with script() as daemon, script() as silent:
        silent.answers[f"{API}/instances"] = never
        async with watched([host_of(daemon), host_of(silent, "s2"), NOWHERE], read=False) as fleet:
            hosts = fleet.inventory.hosts
            await until(fleet, lambda: hosts["s1"].scanned and hosts["s1"].memory_total and hosts["s2"].memory_total)
            await until(fleet, lambda: hosts["gone"].reason)
            began = time.monotonic()
            assert await fleet.until_known(3) == ["s2"]
            assert time.monotonic() - began < 20
            assert fleet.usable() == ["s1", "s2"]
            assert fleet.silent() == ["gone"]


async def test_until_usable() -> None:
    async with script() as daemon, watched([host_of(daemon), NOWHERE], read=False) as fleet:
        await fleet.until_usable("s1", 60)
        await fleet.until_usable("s1", 0)
        await until(fleet, lambda: fleet.inventory.hosts["gone"].reason)
        with pytest.raises(Unreachable, match=r"gone: .*/nowhere/unix.socket"):
            await fleet.until_usable("gone", 0.1)
        with pytest.raises(Unreachable, match="nobody: not in this fleet"):
            await fleet.until_usable("nobody", 0.1)


async def test_maintenance_is_known_from_the_start() -> None:
    fleet = Fleet([NOWHERE], None, frozenset({"gone", "other"}))
    try:
        assert fleet.inventory.hosts["gone"].maintenance
        assert fleet.inventory.hosts["gone"].shown_status == "connecting"
        assert fleet.inventory.hosts["gone"].address == "unix:///nowhere/unix.socket"
    finally:
        await fleet.close()


async def test_closing_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()
    async with script() as daemon:
        async with watched([host_of(daemon), NOWHERE], down=["gone"]):
            assert len(asyncio.all_tasks() - before) > 3
        left = [task for task in asyncio.all_tasks() - before if "watch" in task.get_name() or "Watcher" in repr(task)]
        assert left == []
