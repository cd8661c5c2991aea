"""A daemon's log has addresses of websockets with their secrets: neither guests nor readers get it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from lxdpm_tui.gateway import events as events_module
from lxdpm_tui.gateway.server import Gateway
from tests.gateway.restricted.https import WEBSOCKET, HttpsClient


async def test_only_admins_get_logs(
    gateway: Gateway,
    guest: HttpsClient,
    admin: HttpsClient,
    make: Callable[[str], HttpsClient],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events_module, "UNASKED", 0.0)
    reader = make("reader")
    await gateway.trust.add(reader.certificate, "reader", read_only=True)
    for client, query in ((guest, "&project=theirs"), (reader, "")):
        for kind in ("logging", "network-acl", "ovn", "operation,logging"):
            answer = await client.ask("GET", f"/1.0/events?type={kind}{query}", headers=WEBSOCKET)
            assert (answer.status, answer.error) == (403, "Forbidden"), (query, kind)
    async with guest.events("?project=theirs") as of_guest, reader.events("?all-projects=true") as of_reader:
        assert gateway.hub.on_demand.hosts == frozenset()
        async with admin.events("?type=logging") as of_admin:
            await of_admin.until(lambda event: event["type"] == "logging", 60)
            await guest.done("POST", "/1.0/instances?project=theirs", {"name": "own", "source": {"type": "none"}})
            await asyncio.gather(
                *(events.until(lambda event: event["type"] == "lifecycle", 60) for events in (of_guest, of_reader))
            )
    assert {event["type"] for event in (*of_guest.seen, *of_reader.seen)} <= {"operation", "lifecycle"}
