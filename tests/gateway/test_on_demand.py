"""The hosts' logs: followed while somebody asks for them, and not a moment longer than that."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lxdpm_tui.fleet.inventory import HostStatus
from lxdpm_tui.gateway import events as events_module
from lxdpm_tui.gateway import on_demand
from lxdpm_tui.gateway.on_demand import OnDemand
from lxdpm_tui.gateway.server import Gateway
from tests.fleet.fleets import host_of, script, turns, watched
from tests.gateway import direct
from tests.gateway.client import Client, until
from tests.gateway.direct import ALL
from tests.gateway.restricted.https import WEBSOCKET
from tests.gateway.test_lxc_client import Stock
from tests.lab.lab import Lab


async def asked_of(lab: Lab, host: str, done: asyncio.Event) -> None:
    """Something that its log tells of, again and again: a stream may not be open yet."""
    while not done.is_set():
        await direct.ask(lab, host, "GET", "/1.0/profiles/default")
        await asyncio.sleep(0.1)


async def test_logs_of_all_hosts_while_somebody_asks(
    client: Client, gateway: Gateway, clean_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_demand, "LINGER", 0.05)
    assert gateway.hub.on_demand.hosts == frozenset()
    done = asyncio.Event()
    async with client.events("?type=logging") as events:
        asking = [asyncio.create_task(asked_of(clean_lab, host, done)) for host in ALL]
        for host in ALL:
            told = await events.until(lambda event: event["location"] == host, 60)  # noqa: B023
            assert told["type"] == "logging"
            assert told["metadata"]["message"]
        assert gateway.hub.on_demand.hosts == set(ALL)
        done.set()
        await asyncio.gather(*asking)
        following = list(gateway.hub.on_demand._following.values())
    async with client.events("?type=operation,lifecycle"):
        _, going_on = await asyncio.wait(following, timeout=30)
        assert not going_on
        assert gateway.hub.on_demand.hosts == frozenset()


async def test_who_names_no_type_gets_them_after_a_while(
    client: Client, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lxc opens such a stream for each command, and `lxc monitor --type=logging` cannot be told from those."""
    monkeypatch.setattr(events_module, "UNASKED", 3600.0)
    async with client.events():
        assert gateway.hub.on_demand.hosts == frozenset()
    monkeypatch.setattr(events_module, "UNASKED", 0.05)
    async with client.events() as events:
        await events.until(lambda event: event["type"] == "logging", 60)
        assert gateway.hub.on_demand.hosts == set(ALL)


async def test_a_host_that_comes_back_is_followed_again(client: Client, gateway: Gateway, clean_lab: Lab) -> None:
    manager = gateway.manager
    async with client.events("?type=logging") as events:
        await events.until(lambda event: event["location"] == "h3", 60)
        await asyncio.to_thread(clean_lab.hosts["h3"].kill)
        await until(manager, lambda: not manager.inventory.hosts["h3"].usable, 60)
        assert "h3" not in gateway.hub.on_demand.hosts
        await asyncio.to_thread(clean_lab.hosts["h3"].start)
        manager.fleet.watch("h3").retry_now()
        await until(manager, lambda: manager.inventory.hosts["h3"].usable, 60)
        assert "h3" in gateway.hub.on_demand.hosts
        events.seen.clear()
        await events.until(lambda event: event["location"] == "h3", 60)


async def test_lxc_monitors_the_log(gateway: Gateway, tmp_path: Path, clean_lab: Lab) -> None:
    lxc = Stock("lxc", tmp_path / "lxc", tmp_path / "fleet.socket")
    done = asyncio.Event()
    async with lxc.reading("monitor", "--type=logging", "--format", "json") as output, asyncio.timeout(60):
        asking = asyncio.create_task(asked_of(clean_lab, "i1", done))
        while b'"location":"i1"' not in (line := await output.readline()):
            assert line
        assert b'"type":"logging"' in line
        done.set()
        await asking


async def test_a_log_is_for_those_who_may_see_the_whole_server(gateway: Gateway, client: Client) -> None:
    answer = await client.ask("GET", "/1.0/events?type=nonsense", headers=WEBSOCKET)
    assert (answer.status, answer.error) == (400, '"nonsense" isn\'t a supported event type')


async def test_heartbeats_cost_nothing_and_who_leaves_is_followed_no_more() -> None:
    """Of a thousand hosts there are hundreds a second, and to look at all hosts each time is a tenth of a processor."""
    looked = 0

    class Counting(OnDemand):
        def _follow_all(self) -> None:
            nonlocal looked
            looked += 1
            super()._follow_all()

    async with script() as one, script() as two, watched([host_of(one, "s1"), host_of(two, "s2")]) as fleet:
        streams = Counting(fleet, lambda host, message, event: None)
        streams.hold()
        assert (streams.hosts, looked) == ({"s1", "s2"}, 1)
        for age in range(10):
            fleet.inventory.update_host("s1", reached=float(age))
        assert looked == 1
        fleet.inventory.update_host("s1", status=HostStatus.UNREACHABLE)
        assert (streams.hosts, looked) == ({"s2"}, 2)
        fleet.inventory.update_host("s1", status=HostStatus.ONLINE)
        assert streams.hosts == {"s1", "s2"}
        await fleet.remove("s2")
        assert streams.hosts == {"s1"}
        streams.close()


async def test_a_host_that_sends_nonsense_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_demand, "RETRY", 0.01)
    told = asyncio.Event()
    async with script() as daemon, watched([host_of(daemon)]) as fleet:
        before = len(daemon._sockets)
        streams = OnDemand(fleet, lambda host, message, event: told.set())
        streams.hold()
        await turns(lambda: len(daemon._sockets) == before + 1)
        await daemon._sockets[-1].send_str("nonsense")
        await turns(lambda: len(daemon._sockets) == before + 2)
        await daemon._sockets[-1].send_json({"type": "logging", "metadata": {}})
        await asyncio.wait_for(told.wait(), 60)
        streams.close()
