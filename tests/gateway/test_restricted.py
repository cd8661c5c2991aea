"""Callers over HTTPS who are not trusted, or restricted to some projects: what they get and what they do not."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from lxdpm_tui.gateway.routing import Access
from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.hosts.identity import ensure_identity
from lxdpm_tui.manager import Manager
from tests.actions.images import paths_of
from tests.gateway import direct
from tests.gateway.client import Client
from tests.lab.lab import Lab

OWN = {"features.images": "false", "features.profiles": "false"}


class HttpsClient(Client):
    """The same over HTTPS, with a certificate of its own."""

    def __init__(self, address: str, folder: Path) -> None:
        folder.mkdir()
        identity = ensure_identity(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(identity.cert_path, identity.key_path)
        self.certificate = ssl.PEM_cert_to_DER_cert(identity.cert_path.read_text())
        self.address = address
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0), timeout=aiohttp.ClientTimeout(total=60)
        )

    def url(self, path: str):  # type: ignore[no-untyped-def]
        return (
            super().url(path).with_scheme("https").with_host("127.0.0.1").with_port(int(self.address.rsplit(":")[-1]))
        )


@pytest.fixture
async def gateway(clean_lab: Lab, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with (
        Manager.open(paths_of(clean_lab, tmp_path), clean_lab.hosts_config()) as manager,
        Gateway.serve(manager, tmp_path / "fleet.socket", ("127.0.0.1", 0)) as gateway,
    ):
        assert await manager.fleet.until_known(20) == []
        yield gateway


@pytest.fixture
async def make(gateway: Gateway, tmp_path: Path) -> AsyncIterator[Callable[[str], HttpsClient]]:
    async with AsyncExitStack() as stack:

        def one(name: str) -> HttpsClient:
            client = HttpsClient(gateway.addresses[0], tmp_path / name)
            stack.push_async_callback(client.close)
            return client

        yield one


@pytest.fixture
async def stranger(make: Callable[[str], HttpsClient]) -> HttpsClient:
    """Nobody we know."""
    return make("stranger")


@pytest.fixture
async def admin(gateway: Gateway, make: Callable[[str], HttpsClient]) -> HttpsClient:
    client = make("admin")
    await gateway.trust.add(client.certificate, "admin")
    return client


@pytest.fixture
async def guest(gateway: Gateway, admin: HttpsClient, make: Callable[[str], HttpsClient]) -> HttpsClient:
    """Restricted to the project `theirs`, which is there."""
    client = make("guest")
    await admin.done("POST", "/1.0/projects", {"name": "theirs", "config": OWN})
    await gateway.trust.add(client.certificate, "guest", restricted=True, projects=["theirs"])
    return client


def path_of(pattern: str) -> str:
    return re.sub(r"\{\w+(\.\.\.)?\}", "x", pattern)


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
        if route.access is Access.PROJECT:
            queries = ["", "?project=default", "?project=default&all-projects=true", "?all-projects=false"]
            if not route.lists:
                queries.append("?all-projects=true")
            for query in queries:
                answer = await guest.ask(route.method, path + query)
                assert answer.status == 403, (route.method, route.pattern, query, answer.body)


async def test_guests_see_only_what_is_theirs(guest: HttpsClient, admin: HttpsClient, clean_lab: Lab) -> None:
    await admin.create("secret", "h1", start=True)
    for host in ("h1", "i1"):
        body = {"name": f"own-{host}", "source": {"type": "image", "alias": "busybox"}}
        await guest.done("POST", f"/1.0/instances?project=theirs&target={host}", body)
    await guest.done("PUT", "/1.0/instances/own-h1/state?project=theirs", {"action": "start"})
    for path in ("/1.0/storage-pools/default/volumes/custom?project=theirs&target=h1",):
        await guest.done("POST", path, {"name": "mine"})
    await admin.done("POST", "/1.0/storage-pools/default/volumes/custom?target=h2", {"name": "hidden"})
    assert await guest.get("/1.0/projects") == ["/1.0/projects/theirs"]
    assert (await guest.ask("GET", "/1.0/projects/default")).status == 404
    assert (await guest.ask("GET", "/1.0/projects/default/state")).status == 404
    assert (await guest.get("/1.0/projects/theirs/state"))["resources"]["instances"]["Usage"] == 2
    rows = await guest.get("/1.0/instances?recursion=1&all-projects=true")
    assert sorted(row["name"] for row in rows) == ["own-h1", "own-i1"]
    rows = await guest.get("/1.0/storage-volumes?recursion=1&all-projects=true")
    assert {row["project"] for row in rows} == {"theirs"}
    assert "mine" in {row["name"] for row in rows}
    for kind in ("storage-pools", "networks?all-projects=true", "networks?project=theirs"):
        text = (await guest.ask("GET", f"/1.0/{kind}{'&' if '?' in kind else '?'}recursion=1")).body.decode()
        assert "secret" not in text, kind
        assert '/1.0/profiles/default"' not in text, kind
    metrics = (await guest.ask("GET", "/1.0/metrics")).body.decode()
    assert ('name="own-h1"' in metrics, "secret" in metrics, "lxdpm_host_up" in metrics) == (True, False, False)
    assert (await guest.get("/1.0"))["config"] == {}
    assert (await guest.ask("GET", "/1.0/warnings")).status == 403


async def test_guests_cannot_reach_through_a_body(guest: HttpsClient, admin: HttpsClient) -> None:
    await admin.create("secret", "h1")
    await admin.done("POST", "/1.0/storage-pools/default/volumes/custom?target=h1", {"name": "hidden"})
    copy = {"name": "stolen", "source": {"type": "copy", "source": "secret", "project": "default"}}
    assert (await guest.ask("POST", "/1.0/instances?project=theirs", copy)).status == 403
    copy = {"name": "stolen", "source": {"type": "copy", "name": "hidden", "pool": "default", "project": "default"}}
    path = "/1.0/storage-pools/default/volumes/custom?project=theirs"
    assert (await guest.ask("POST", path, copy)).status == 403
    await guest.done("POST", path, {"name": "mine"})
    out = await guest.ask(
        "POST", "/1.0/storage-pools/default/volumes/custom/mine?project=theirs", {"name": "mine", "project": "default"}
    )
    assert out.status == 403


async def test_a_secret_lets_a_stranger_fetch_one_private_image_once(
    stranger: HttpsClient, admin: HttpsClient, clean_lab: Lab
) -> None:
    fingerprint = clean_lab.image_fingerprint
    path = f"/1.0/images/{fingerprint}"
    await admin.done("PATCH", path, {"public": False})
    assert (await stranger.ask("GET", path)).status == 404
    assert (await stranger.ask("GET", f"{path}/export")).status == 404
    given = await admin.ask("POST", f"{path}/secret")
    secret = given.metadata["metadata"]["secret"]
    assert (await stranger.ask("GET", f"{path}?secret=wrong{secret}")).status == 404
    assert (await stranger.ask("GET", f"{path}?secret={secret}")).metadata["fingerprint"] == fingerprint
    exported = await stranger.ask("GET", f"{path}/export?secret={secret}")
    assert (exported.status, exported.body) == (200, await asyncio.to_thread(clean_lab.image.read_bytes))
    assert (await direct.ask(clean_lab, "h1", "GET", path))["public"] is False
    answer = await admin.wait(given)
    assert answer.json["type"] == "error"  # it was used, so it has been cancelled
