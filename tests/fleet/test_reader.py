"""What is asked of a host, in which order, and what the inventory makes of the answers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import pytest
from aiohttp import web

from lxdpm_tui.fleet import watch
from lxdpm_tui.fleet.inventory import Key
from tests.fleet.fleets import (
    API,
    OWNING,
    SERVER,
    Script,
    host_of,
    instance,
    script,
    until,
    watched,
)

C1 = {"name": "c1", "status": "Stopped", "project": "default"}
BORROWING = {"features.images": "false", "features.profiles": "false"}


def gets(daemon: Script, path: str) -> list[str]:
    return [line for line in daemon.asked if line.startswith(f"GET {path}")]


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
            await until(fleet, lambda: (row := instance(fleet, "s1", "c1")) and row.status == "Running")
            assert fleet.inventory.hosts["s1"].running == 1


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
            await until(fleet, lambda: fleet.inventory.hosts["s1"].reached > reached)
            assert not gets(daemon, f"{API}/metrics")
            fleet.want_figures(True)
            row = await until(fleet, lambda: (r := instance(fleet, "s1", "c1")) and r.cpu > 0 and r)
            assert row.memory == 600
            fleet.want_figures(False)
            daemon.asked.clear()
            fleet.watch("s1").retry_now()
            reached = fleet.inventory.hosts["s1"].reached
            await until(fleet, lambda: fleet.inventory.hosts["s1"].reached > reached)
            assert len(gets(daemon, f"{API}/metrics")) <= 1  # one may have been under way


async def test_figures_come_at_once_when_somebody_begins_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FIGURES_EVERY", 1000.0)  # so that it is no later round that brings them
    async with script() as daemon:
        daemon.answers[f"{API}/instances"] = [{**C1, "status": "Running"}]
        daemon.answers[f"{API}/instances/c1/state"] = {"status": "Running"}

        async def answer(_: web.Request) -> web.StreamResponse:
            return web.Response(text=metrics(1), content_type="text/plain")

        daemon.answers[f"{API}/metrics"] = answer
        async with watched([host_of(daemon)]) as fleet:
            fleet.want_figures(True)
            await until(fleet, lambda: (r := instance(fleet, "s1", "c1")) and r.memory == 600)


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
            row = await until(fleet, lambda: (r := instance(fleet, "s1", "c1")) and r.addresses and r)
            assert row.addresses == ("10.0.0.2",)
            asked = len(gets(daemon, f"{API}/instances/c1/state"))
            assert asked == 4
