"""Path by path over the whole route table: what strangers, guests and readers get and what they do not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lxdpm_tui.gateway.routing import Access
from lxdpm_tui.gateway.server import Gateway
from tests.gateway.restricted.https import MARK, HttpsClient, fingerprint_of, path_of
from tests.lab.lab import Lab


async def test_strangers_get_nothing_of_the_whole_table(gateway: Gateway, stranger: HttpsClient) -> None:
    for route in gateway.router.routes:
        if route.access is not Access.PUBLIC:
            answer = await stranger.ask(route.method, path_of(route.pattern))
            assert answer.status == 403, (route.method, route.pattern, answer.body)
    assert set(await stranger.get("/1.0")) == {
        "config", "api_extensions", "api_status", "api_version", "auth", "public", "auth_methods", "client_certificate"
    }  # fmt: skip


async def test_guests_are_kept_out_of_the_whole_table(gateway: Gateway, guest: HttpsClient) -> None:
    for route in gateway.router.routes:
        path = path_of(route.pattern)
        if route.access is Access.SERVER:
            for query in ("", "?project=theirs", "?all-projects=true"):
                answer = await guest.ask(route.method, path + query)
                assert answer.status == 403, (route.method, route.pattern, query, answer.body)
        if route.access is Access.PROJECT or (route.method, route.pattern) == ("POST", "/1.0/images"):
            queries = ["", "?project=default", "?project=default&all-projects=true", "?all-projects=false"]
            if not route.lists:
                queries.append("?all-projects=true")
            for query in queries:
                answer = await guest.ask(route.method, path + query)
                assert answer.status == 403, (route.method, route.pattern, query, answer.body)


async def test_readers_change_nothing_of_the_whole_table(
    gateway: Gateway, guest: HttpsClient, make: Callable[[str], HttpsClient]
) -> None:
    """Neither by another method than GET nor by a connection, but for events, wherever they may look."""
    reader, guest_reader = make("reader"), make("guest-reader")
    await gateway.trust.add(reader.certificate, "reader", read_only=True)
    await gateway.trust.add(guest_reader.certificate, "r", restricted=True, projects=["theirs"], read_only=True)
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    for client in (reader, guest_reader):
        for route in gateway.router.routes:
            path = f"{path_of(route.pattern)}?project=theirs"
            if route.method not in ("GET", "HEAD"):
                answer = await client.ask(route.method, path, {})
                assert (answer.status, answer.error) == (403, "not authorized"), (route.method, route.pattern)
            elif route.pattern != "/1.0/events":
                answer = await client.ask(route.method, path, headers=upgrade)
                assert answer.status == 403, (route.method, route.pattern)
    assert (await reader.ask("GET", "/1.0/instances")).status == 200
    assert (await guest_reader.ask("GET", "/1.0/instances")).status == 403
    assert (await guest_reader.ask("GET", "/1.0/instances?project=theirs")).status == 200
    async with reader.events():
        pass


async def test_guests_find_nothing_hidden_in_the_whole_table(
    gateway: Gateway, guest: HttpsClient, hidden: dict[str, str]
) -> None:
    """Every path that can be read, with the names of things that are there, and every query that widens the view."""
    queries = [f"?{scope}{more}" for scope in ("", "project=theirs&", "all-projects=true&", "project=default&")
               for more in ("recursion=0", "recursion=1", "recursion=2", "recursion=1&target=h1")]  # fmt: skip
    queries += ["?project=theirs&project=default&recursion=1", "?project=theirs&all-projects=true&recursion=1"]
    asked = 0
    for route in gateway.router.routes:
        if route.method != "GET" or route.pattern in ("/1.0/events", "/1.0/metadata/configuration"):
            continue
        names = {**hidden, "name": _name_for(route.pattern, hidden)}
        path = re.sub(r"\{(\w+)(\.\.\.)?\}", lambda found: names.get(found[1], "x"), route.pattern)  # noqa: B023
        found = await asyncio.gather(*(guest.ask("GET", path + query) for query in queries))
        for query, answer in zip(queries, found, strict=True):
            said = answer.body.decode("latin-1").replace(path, "")
            assert MARK not in said, (path, query, answer.status, said[max(said.index(MARK) - 200, 0) :][:400])
            if route.pattern.startswith("/1.0/images") and not re.search("project=theirs|all-projects", query):
                assert hidden["fingerprint"] not in said, (path, query)
            assert answer.status != 500 or "internal error" not in said, (path, query)
            asked += 1
    assert asked > 1000


def _name_for(pattern: str, names: dict[str, str]) -> str:
    """What {name} means in it."""
    for part, name in (
        ("projects", names["project"]), ("profiles", "default"), ("networks", "lxdbr0"), ("storage-pools", "default"),
        ("aliases", "busybox"), ("members", "h1"), ("groups", "default"),
    ):  # fmt: skip
        if part in pattern:
            return name
    return names["name"]


async def test_guests_change_nothing_that_they_only_borrow(
    gateway: Gateway, guest: HttpsClient, admin: HttpsClient, clean_lab: Lab
) -> None:
    """Without images and profiles of its own their project shows those of default; LXD lets them change those."""
    fingerprint = clean_lab.image_fingerprint

    async def shared() -> list[Any]:
        images, profiles = [await admin.get(f"/1.0/{kind}?recursion=1") for kind in ("images", "profiles")]
        return [[row["properties"], row["public"], row["aliases"]] for row in images] + profiles

    before = await shared()
    assert (await guest.get("/1.0/profiles/default?project=theirs"))["devices"]
    names = {"name": "default", "fingerprint": fingerprint}
    changed = 0
    for route in gateway.router.routes:
        if route.method == "GET" or not route.pattern.startswith(("/1.0/images", "/1.0/profiles")):
            continue
        if route.pattern.endswith(("/secret", "/export")):
            continue  # they give to others what guests may read anyway
        path = re.sub(r"\{(\w+)(\.\.\.)?\}", lambda found: names[found[1]], route.pattern)
        body = {"name": "new", "description": "theirs now", "target": fingerprint, "properties": {"a": "b"}}
        answer = await guest.ask(route.method, f"{path}?project=theirs", body)
        assert (answer.status, answer.error) == (403, "not authorized"), (route.method, route.pattern)
        changed += 1
    assert changed > 10
    assert await shared() == before
    await admin.done("POST", "/1.0/projects", {"name": "whole", "config": {"features.profiles": "true"}})
    await gateway.trust.update(replace(gateway.trust.find(fingerprint_of(guest)), projects=("theirs", "whole")))
    await guest.done("POST", "/1.0/profiles?project=whole", {"name": "ours"})
