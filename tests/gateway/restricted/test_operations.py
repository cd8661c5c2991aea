"""Operations and events of others are out of the reach of guests; readers get no secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lxdpm_tui.gateway.server import Gateway
from tests.gateway.client import SHELL
from tests.gateway.restricted.https import MARK, WEBSOCKET, HttpsClient
from tests.lab import rest
from tests.lab.lab import Lab


async def test_readers_see_no_secrets(
    gateway: Gateway, admin: HttpsClient, make: Callable[[str], HttpsClient], clean_lab: Lab
) -> None:
    """By those of an exec that an admin has begun they could work its shell, as strangers even."""
    reader = make("reader")
    await gateway.trust.add(reader.certificate, "reader", read_only=True)
    await admin.create("c1", "h1", start=True)
    async with reader.events("?type=operation") as events:
        body = {**SHELL, "command": ["cat"], "interactive": True}
        begun = await admin.ask("POST", "/1.0/instances/c1/exec", body)
        url, fds = begun.json["operation"], begun.metadata["metadata"]["fds"]
        # LXD would end it after 5 s with nobody there.
        shell = [await admin.session.ws_connect(admin.url(f"{url}/websocket?secret={fds[fd]}")) for fd in sorted(fds)]
        event = await events.until(lambda event: event["metadata"]["id"] == begun.metadata["id"])
        assert "fds" not in (event["metadata"]["metadata"] or {})
        assert "fds" not in ((await reader.get(url))["metadata"] or {})
        listed = (await reader.get("/1.0/operations?recursion=1"))["running"]
        assert [("fds" in (row["metadata"] or {})) for row in listed if row["id"] == begun.metadata["id"]] == [False]
        assert (await admin.get(url))["metadata"]["fds"] == fds
        other = make("other")
        await gateway.trust.add(other.certificate, "other")
        for client, text in ((other, "Operation requestor mismatch"), (make("stranger2"), "Operation requestor")):
            answer = await client.ask("GET", f"{url}/websocket?secret={fds['0']}", headers=WEBSOCKET)
            assert answer.status == 403
            assert answer.error.startswith(text)
        await asyncio.gather(*(socket.close() for socket in shell))


async def test_guests_see_no_events_of_others(
    gateway: Gateway, guest: HttpsClient, admin: HttpsClient, hidden: dict[str, str]
) -> None:
    """Nor those of the server, which belong to no project."""
    assert (await guest.ask("GET", "/1.0/events?project=theirs&type=logging", headers=WEBSOCKET)).status == 403
    for query in ("", "?all-projects=true", "?project=default", "?project=%2A"):
        assert (await guest.ask("GET", f"/1.0/events{query}", headers=WEBSOCKET)).status == 403, query
    async with guest.events("?project=theirs") as events, admin.events("?all-projects=true") as all_events:
        await admin.done("PATCH", f"/1.0/instances/{hidden['name']}", {"config": {"user.more": MARK}})
        await admin.done("PATCH", "/1.0?target=h1", {"config": {"user.other": MARK}})
        body = {"name": "own", "source": {"type": "image", "alias": "busybox"}}
        await guest.done("POST", "/1.0/instances?project=theirs&target=h1", body)
        await events.until(lambda event: event["type"] == "lifecycle" and "own" in event["metadata"]["source"])
        await all_events.until(lambda event: event["type"] == "lifecycle" and "own" in event["metadata"]["source"])
    assert MARK in str(all_events.seen)
    assert MARK not in str(events.seen)
    assert {event["project"] for event in events.seen} == {"theirs"}


async def test_guests_do_not_reach_operations_of_others(
    gateway: Gateway, guest: HttpsClient, admin: HttpsClient, make: Callable[[str], HttpsClient], clean_lab: Lab
) -> None:
    """Not those that nobody told the gateway of either: LXD 5.0 says in no operation of which project it is."""
    body = {"name": "own", "source": {"type": "image", "alias": "busybox"}}
    await guest.done("POST", "/1.0/instances?project=theirs&target=h1", body)
    await guest.done("PUT", "/1.0/instances/own/state?project=theirs", {"action": "start"})
    await admin.create("c1", "h1", start=True)
    home = make("home")
    await gateway.trust.add(home.certificate, "home", restricted=True, projects=["default"])
    for name, project, owner, other in (("own", "theirs", guest, home), ("c1", "default", home, guest)):
        exec_body = {**SHELL, "command": ["sleep", "30"], "wait-for-websocket": False}  # it goes on with nobody there
        path = f"/1.0/instances/{name}/exec?project={project}"
        answer = await asyncio.to_thread(rest.envelope, clean_lab.hosts["h1"].socket, "POST", path, exec_body)
        url = answer["operation"].partition("?")[0]
        gateway.hub.operations._table.clear()  # as after a restart of the gateway: nothing is known of it
        for method, part in (("GET", ""), ("DELETE", ""), ("GET", "/wait?timeout=1")):
            refused = await other.ask(method, f"{url}{part}")
            assert (refused.status, refused.error) == (404, "Operation not found"), (name, method, part, refused.body)
        assert url not in str(await other.get("/1.0/operations?all-projects=true"))
        assert url in str(await owner.get("/1.0/operations?all-projects=true"))
        gateway.hub.operations._table.clear()
        assert (await owner.get(url))["id"] in url
        await admin.ask("DELETE", url)
