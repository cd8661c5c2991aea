"""A watcher against a daemon that plays a script: every turn of events, at the moment that matters."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import pytest
from aiohttp import web

from lxdpm_tui.config import HostConfig, UnixAddress
from lxdpm_tui.fleet import watch
from lxdpm_tui.fleet.inventory import HostStatus, Key
from tests.fleet.fleets import (
    API,
    OWNING,
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
        assert (record.status, record.reason) == (HostStatus.ONLINE, "")
        assert (record.kind, record.version, record.server_name) == ("lxd", "5.0.2", "script")
        assert (record.cpus, record.memory_total, record.memory_used) == (2, 1 << 30, 1 << 20)
        assert record.instance_types == ("container",)
        assert record.load == -1.0
        assert record.event_stream
        assert record.reached > 0
        assert record.since > 0
        assert record.retry_at == 0
        assert await fleet.until_known() == []


async def test_a_daemon_of_4_0() -> None:
    """It says neither which project a row belongs to nor that it can list all projects at once."""
    async with script() as daemon:
        environment = {**SERVER["environment"], "server_version": "4.0.10", "driver": "lxc | qemu"}
        daemon.answers[API] = {"api_extensions": ["projects"], "auth": "trusted", "environment": environment}

        daemon.projects = {"default": OWNING, "with space": OWNING}

        async def instances(request: web.Request) -> Any:
            return [{"name": "a" if request.query.get("project", "default") == "default" else "b", "status": "Running"}]

        daemon.answers[f"{API}/instances"] = instances
        async with watched([host_of(daemon)]) as fleet:
            assert set(fleet.inventory.instances["s1"]) == {Key("s1", "default", "a"), Key("s1", "with space", "b")}
            assert fleet.inventory.hosts["s1"].projects == ("default", "with space")
            assert set(fleet.inventory.hosts["s1"].instance_types) == {"container", "virtual-machine"}
            assert any("type=operation,lifecycle&project=*" in line for line in gets(daemon, f"{API}/events"))


async def test_a_list_that_comes_late_does_not_undo_what_was_read_after_it_was_made() -> None:
    async with script() as daemon:
        one_read = asyncio.Event()

        async def listed(request: web.Request) -> Any:
            await daemon.lifecycle("instance-started", f"{API}/instances/c1")
            with contextlib.suppress(TimeoutError):  # that nobody reads it meanwhile is as good
                await asyncio.wait_for(one_read.wait(), 0.3)
            return [C1]

        async def one(request: web.Request) -> Any:
            one_read.set()
            return {**C1, "status": "Running"}

        daemon.answers[f"{API}/instances"] = listed
        daemon.answers[f"{API}/instances/c1"] = one
        async with watched([host_of(daemon)]) as fleet:
            await until(fleet, lambda: (row := instance(fleet, "s1", "c1")) and row.status == "Running", 3)
            assert fleet.inventory.hosts["s1"].running == 1


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
            await asyncio.wait_for(come.wait(), 5)
            await turns(lambda: fleet.watch("s1").settled and gets(daemon, asked))
            assert fleet.inventory.hosts["s1"].status == HostStatus.ONLINE


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


async def test_other_events_are_passed_on_and_nothing_is_read() -> None:
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        daemon.asked.clear()
        heard: asyncio.Queue[tuple[str, bytes, str]] = asyncio.Queue()
        undo = fleet.subscribe_events(lambda name, message, event: heard.put_nowait((name, message, event.type)))
        for number in range(3):
            await daemon.send({"type": "operation", "metadata": {"id": str(number)}})
        got = [await asyncio.wait_for(heard.get(), 5) for _ in range(3)]
        assert [kind for _, _, kind in got] == ["operation"] * 3
        assert [b'"id": "%d"' % number in message for number, (_, message, _) in enumerate(got)] == [True] * 3
        undo()
        await daemon.lifecycle("instance-exec", f"{API}/instances/none")
        await turns(lambda: gets(daemon, f"{API}/instances/none"))
        assert heard.empty()
        assert all("/instances/none" in line for line in daemon.asked)


# -- projects that have no images and profiles of their own


@pytest.mark.parametrize("extensions", [[], ["images_all_projects", "profiles_all_projects", "instance_all_projects"]])
async def test_a_project_shows_what_it_borrows_from_default(extensions: list[str]) -> None:
    """As the hosts list them. With the extensions, one call gives each row under its owner only."""
    async with script() as daemon:
        daemon.answers[API] = {**SERVER, "api_extensions": extensions}
        daemon.projects = {"default": OWNING, "own": OWNING, "borrows": BORROWING, "bare": {}}
        images = {"default": "f1", "own": "f2"}
        profiles = {"default": ["default", "web"], "own": ["default"]}

        def listing(rows: dict[str, list[dict[str, str]]]) -> Any:
            async def answer(request: web.Request) -> Any:
                if request.query.get("all-projects") == "true":
                    assert extensions
                    return [{**row, "project": name} for name, found in rows.items() for row in found]
                project = request.query["project"]
                return rows.get(project if project in rows else "default")

            return answer

        daemon.answers[f"{API}/images"] = listing({p: [{"fingerprint": f}] for p, f in images.items()})
        daemon.answers[f"{API}/profiles"] = listing({p: [{"name": n} for n in names] for p, names in profiles.items()})
        async with watched([host_of(daemon)]) as fleet:
            seen = {project: set() for project in daemon.projects}  # type: dict[str, set[str]]
            for key in (*fleet.inventory.images["s1"], *fleet.inventory.profiles["s1"]):
                seen[key.project].add(key.name)
            assert seen == {
                "default": {"f1", "default", "web"},
                "own": {"f2", "default"},
                "borrows": {"f1", "default", "web"},
                "bare": {"f1", "default", "web"},
            }
            assert all(row.project == key.project for key, row in fleet.inventory.images["s1"].items())


# -- states


async def test_slow_while_the_answer_is_overdue_and_online_again() -> None:
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        record = fleet.inventory.hosts["s1"]
        answer = asyncio.Event()

        async def late(_: web.Request) -> Any:
            await answer.wait()
            return SERVER

        daemon.answers[API] = late
        since = record.since
        fleet.watch("s1").retry_now()
        await until(fleet, lambda: record.status == HostStatus.SLOW, 5)
        assert record.reason == "no answer for 1 s"
        assert record.usable
        assert record.since > since
        answer.set()
        await until(fleet, lambda: record.reason.startswith("answers in "), 5)
        assert record.status == HostStatus.SLOW
        await until(fleet, lambda: record.status == HostStatus.ONLINE, 2)
        assert record.reason == ""


async def test_a_host_in_maintenance_shows_it_but_never_hides_a_fault() -> None:
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        record = fleet.inventory.hosts["s1"]
        fleet.inventory.update_host("s1", maintenance=True)
        assert (record.shown_status, record.usable) == ("maintenance", True)
        daemon.answers[API] = error_answer(500, "broken")
        fleet.watch("s1").retry_now()
        await until(fleet, lambda: record.status == HostStatus.UNREACHABLE, 5)
        assert (record.shown_status, record.reason) == ("unreachable", "broken")


def error_answer(code: int, text: str) -> Any:
    async def answer(_: web.Request) -> web.StreamResponse:
        return error(code, text)

    return answer


async def test_untrusted() -> None:
    async with script() as daemon:
        daemon.answers[API] = {"auth": "untrusted", "api_extensions": []}
        async with watched([host_of(daemon)]) as fleet:
            record = fleet.inventory.hosts["s1"]
            assert record.status == HostStatus.UNTRUSTED
            assert "lxdpm-tui host add" in record.reason
            assert not record.usable
            assert record.retry_at > 0


async def test_no_daemon_there() -> None:
    async with watched([HostConfig("s1", UnixAddress("/nowhere/unix.socket"))]) as fleet:
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
        async with watched([host_of(daemon)]) as fleet:
            record = fleet.inventory.hosts["s1"]
            assert record.status == HostStatus.UNREACHABLE
            assert record.reason
            assert "\n" not in record.reason
            daemon.answers[API] = SERVER
            await until(fleet, lambda: record.status == HostStatus.ONLINE, 5)


async def test_one_instance_that_cannot_be_read_takes_the_session_down_and_it_comes_back() -> None:
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        record = fleet.inventory.hosts["s1"]
        daemon.answers[f"{API}/instances/c1"] = error_answer(500, "database is locked")
        await daemon.lifecycle("instance-updated", f"{API}/instances/c1")
        await until(fleet, lambda: record.reason == "database is locked", 5)
        scanned = record.scanned
        daemon.answers[f"{API}/instances"] = [C1]
        await until(fleet, lambda: record.scanned > scanned and record.status == HostStatus.ONLINE, 5)
        assert instance(fleet, "s1", "c1")


async def test_retry_now_cuts_the_pause_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "backoff", lambda: itertools.repeat(60.0))
    async with script() as daemon:
        daemon.answers[API] = error_answer(500, "broken")
        async with watched([host_of(daemon)]) as fleet:
            record = fleet.inventory.hosts["s1"]
            await until(fleet, lambda: record.retry_at, 5)
            daemon.answers[API] = SERVER
            with changes(fleet) as seen:
                fleet.watch("s1").retry_now()
                await until(fleet, lambda: record.status == HostStatus.ONLINE, 5)
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
            await until(fleet, lambda: fleet.inventory.is_stale("s1"), 5)
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
        await until(fleet, lambda: fleet.inventory.hosts["s1"].status == HostStatus.UNREACHABLE, 8)
        daemon.answers[API] = SERVER
        assert fleet.inventory.hosts["s1"].retry_at == 0, "the session has ended already"
        await asyncio.wait_for(fleet.close(), 5)


async def never(_: web.Request) -> Any:
    await asyncio.Event().wait()


# -- what is polled


def metrics(cpu: float) -> str:
    return "\n".join(
        [
            "# HELP lxd_cpu_seconds_total x",
            f'lxd_cpu_seconds_total{{cpu="0",mode="user",name="c1",project="default",type="container"}} {cpu}',
            'lxd_memory_MemTotal_bytes{name="c1",project="default",type="container"} 1000',
            'lxd_memory_MemAvailable_bytes{name="c1",project="default",type="container"} 400',
        ]
    )


async def test_figures_are_asked_for_only_while_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FIGURES_EVERY", 0.05)
    async with script() as daemon:
        daemon.answers[f"{API}/instances"] = [{**C1, "status": "Running"}]
        daemon.answers[f"{API}/instances/c1/state"] = {"status": "Running"}
        used = itertools.count(1)

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(text=metrics(next(used)), content_type="text/plain")

        daemon.answers[f"{API}/metrics"] = answer
        async with watched([host_of(daemon)]) as fleet:
            fleet.watch("s1").retry_now()
            reached = fleet.inventory.hosts["s1"].reached
            await until(fleet, lambda: fleet.inventory.hosts["s1"].reached > reached, 5)
            assert not gets(daemon, f"{API}/metrics")
            fleet.want_figures(True)
            row = await until(fleet, lambda: (r := instance(fleet, "s1", "c1")) and r.cpu > 0 and r, 5)
            assert row.memory == 600
            fleet.want_figures(False)
            daemon.asked.clear()
            fleet.watch("s1").retry_now()
            reached = fleet.inventory.hosts["s1"].reached
            await until(fleet, lambda: fleet.inventory.hosts["s1"].reached > reached, 5)
            assert len(gets(daemon, f"{API}/metrics")) <= 1  # one may have been under way


async def test_figures_come_at_once_when_somebody_begins_to_look() -> None:
    async with script() as daemon:
        daemon.answers[f"{API}/instances"] = [{**C1, "status": "Running"}]
        daemon.answers[f"{API}/instances/c1/state"] = {"status": "Running"}

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(text=metrics(1), content_type="text/plain")

        daemon.answers[f"{API}/metrics"] = answer
        async with watched([host_of(daemon)]) as fleet:
            fleet.want_figures(True)
            await until(fleet, lambda: (r := instance(fleet, "s1", "c1")) and r.memory == 600, 2)


async def test_an_address_that_comes_after_the_start_is_found_soon() -> None:
    """DHCP has no event: a started instance without an address is asked for it, ever more seldom."""
    async with script() as daemon:
        running = {**C1, "status": "Running"}
        nic = {"addresses": [{"family": "inet", "address": "10.0.0.2", "scope": "global"}]}
        states = iter([{}, {"network": None}, {"network": {"lo": nic}}])

        async def state(_: web.Request) -> Any:
            return next(states, {"network": {"eth0": nic}})

        daemon.answers[f"{API}/instances/c1"] = running
        daemon.answers[f"{API}/instances/c1/state"] = state
        async with watched([host_of(daemon)]) as fleet:
            await daemon.lifecycle("instance-started", f"{API}/instances/c1")
            row = await until(fleet, lambda: (r := instance(fleet, "s1", "c1")) and r.addresses and r, 10)
            assert row.addresses == ("10.0.0.2",)
            asked = len(gets(daemon, f"{API}/instances/c1/state"))
            assert asked == 4
