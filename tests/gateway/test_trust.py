"""HTTPS: enrolment by stock lxc and incus, tokens used once, what strangers and restricted clients get."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.actions.trust import join_token
from lxdpm_tui.config import Paths
from lxdpm_tui.demo.fleet import DemoFleet
from lxdpm_tui.fleet.inventory import HostStatus
from lxdpm_tui.gateway.routing import Access
from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.hosts.identity import ensure_identity
from lxdpm_tui.manager import Manager
from tests.fleet.fleets import all_read
from tests.gateway.client import Client as LocalClient
from tests.lab.lab import Lab


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """On two simulated hosts, listening on HTTPS at a port of its own."""
    async with DemoFleet(count=2, seed=3, activity=False) as demo:
        paths = Paths(tmp_path / "hosts.toml", tmp_path / "state")
        async with Manager.open(paths, demo.hosts) as manager:
            await all_read(manager.fleet)
            async with Gateway.serve(manager, tmp_path / "fleet.socket", ("127.0.0.1", 0)) as gateway:
                yield gateway


class Caller:
    """A client with a certificate of its own, or none."""

    def __init__(self, gateway: Gateway, folder: Path | None) -> None:
        context = ssl.create_default_context(cadata=gateway.certificate)
        context.check_hostname = False
        self.fingerprint = ""
        if folder is not None:
            folder.mkdir(exist_ok=True)
            identity = ensure_identity(folder)
            self.fingerprint = identity.fingerprint()
            context.load_cert_chain(identity.cert_path, identity.key_path)
        self.base = f"https://{gateway.addresses[0]}"
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, force_close=True))

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        async with self.session.request(method, self.base + path, json=body, headers=headers) as response:
            found: dict[str, Any] = await response.json()
            return response.status, found


@pytest.fixture
async def stranger(gateway: Gateway, tmp_path: Path) -> AsyncIterator[Caller]:
    caller = Caller(gateway, tmp_path / "stranger")
    yield caller
    await caller.session.close()


async def test_a_token_enrols_one_client_once(gateway: Gateway, stranger: Caller, tmp_path: Path) -> None:
    row, secret = await gateway.trust.make_token("laptop")
    assert (await stranger.ask("GET", "/1.0"))[1]["metadata"]["auth"] == "untrusted"
    assert (await stranger.ask("POST", "/1.0/certificates", {"type": "client", "trust_token": "wrong"}))[0] == 403
    status, _ = await stranger.ask("POST", "/1.0/certificates", {"type": "client", "trust_token": secret})
    assert status == 201
    assert (await stranger.ask("GET", "/1.0"))[1]["metadata"]["auth"] == "trusted"
    assert gateway.trust.find(stranger.fingerprint[:12]).name == row.name == "laptop"
    other = Caller(gateway, tmp_path / "other")
    assert (await other.ask("POST", "/1.0/certificates", {"type": "client", "password": secret}))[0] == 403
    await other.session.close()


async def test_an_expired_token_enrols_nobody(gateway: Gateway, stranger: Caller) -> None:
    _, secret = await gateway.trust.make_token("late", life=-1)
    assert (await stranger.ask("POST", "/1.0/certificates", {"trust_token": secret}))[0] == 403


async def test_a_password_works_only_when_set_and_wrong_ones_are_slowed(
    gateway: Gateway, stranger: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lxdpm_tui.actions.trust.WRONG_PASSWORD_PAUSE", 1000.0)
    ask = {"type": "client", "password": "open sesame"}
    assert (await stranger.ask("POST", "/1.0/certificates", ask))[0] == 403
    await gateway.trust.set_password("open sesame")
    assert (await stranger.ask("POST", "/1.0/certificates", {"password": "wrong"}))[0] == 403
    assert (await stranger.ask("POST", "/1.0/certificates", ask))[0] == 403  # right, but too soon after a wrong one
    gateway.trust._last_wrong = -math.inf
    assert (await stranger.ask("POST", "/1.0/certificates", ask))[0] == 201
    kept = await gateway.manager.store.get_setting("trust.password")
    assert kept is not None
    assert "sesame" not in kept


async def test_a_certificate_is_renewed(gateway: Gateway, stranger: Caller, tmp_path: Path) -> None:
    """By an admin, and by a restricted client its own, of which it may change nothing else."""
    before, after = (ensure_identity(tmp_path / name) for name in ("before", "after"))
    for client in (before, stranger):
        der = before.der() if client is before else (tmp_path / "stranger" / "client.crt").read_text()
        der = ssl.PEM_cert_to_DER_cert(der) if isinstance(der, str) else der
        await gateway.trust.add(der, "laptop", restricted=client is stranger, projects=["p"])
    pem = base64.b64encode(after.der()).decode()
    own = f"/1.0/certificates/{stranger.fingerprint}"
    shown = (await stranger.ask("GET", own))[1]["metadata"]
    for change in ({"restricted": False}, {"projects": ["p", "q"]}, {"name": "boss"}):
        status, answer = await stranger.ask("PUT", own, {**shown, **change, "certificate": pem})
        assert (status, answer["error"]) == (403, "Only the certificate can be changed"), change
    other = f"/1.0/certificates/{before.fingerprint()}"
    assert (await stranger.ask("PUT", other, {"certificate": pem}))[0] == 404
    assert (await stranger.ask("PUT", own, {**shown, "certificate": "nonsense"}))[0] == 400
    taken = base64.b64encode(before.der()).decode()
    assert (await stranger.ask("PUT", own, {**shown, "certificate": taken}))[0] == 409
    assert (await stranger.ask("PUT", own, {**shown, "certificate": pem}))[0] == 200
    row = gateway.trust.find(after.fingerprint())
    assert (row.name, row.restricted, row.projects) == ("laptop", True, ("p",))
    assert (await stranger.ask("GET", "/1.0"))[1]["metadata"]["auth"] == "untrusted"
    admin = LocalClient(tmp_path / "fleet.socket")
    newer = base64.b64encode(ensure_identity(tmp_path / "newer").der()).decode()
    await admin.done("PATCH", f"/1.0/certificates/{after.fingerprint()}", {"certificate": newer, "name": "desk"})
    assert [row.name for row in gateway.trust.all()] == ["laptop", "desk"]
    cut_short = base64.b64encode(after.der()[:-9]).decode()
    for wrong, code in (("nonsense", 400), (cut_short, 400), (newer, 409)):  # then nothing is changed
        refused = await admin.ask(
            "PATCH", f"/1.0/certificates/{before.fingerprint()}", {"certificate": wrong, "name": "x"}
        )
        assert refused.status == code, wrong
    assert [row.name for row in gateway.trust.all()] == ["laptop", "desk"]
    await admin.close()


async def test_the_password_is_a_key_of_the_servers_configuration(gateway: Gateway, stranger: Caller) -> None:
    """Only that it is set is shown, and the mask sent back changes nothing; it is in no log."""
    _, secret = await gateway.trust.make_token("admin")
    await stranger.ask("POST", "/1.0/certificates", {"trust_token": secret})
    assert (await stranger.ask("PATCH", "/1.0", {"config": {"core.trust_password": "open sesame"}}))[0] == 200
    shown = (await stranger.ask("GET", "/1.0"))[1]["metadata"]["config"]
    of_hosts = {"images.auto_update_interval": "0"}
    assert shown == {**of_hosts, "core.trust_password": "true"}
    kept = await gateway.manager.store.get_setting("trust.password")
    assert (await stranger.ask("PUT", "/1.0", {"config": {**shown, "user.a": "b"}}))[0] == 200
    assert await gateway.manager.store.get_setting("trust.password") == kept
    assert (await stranger.ask("PUT", "/1.0", {"config": {**of_hosts, "user.a": "b"}}))[0] == 200
    assert await gateway.manager.store.get_setting("trust.password") == ""
    assert (await stranger.ask("GET", "/1.0"))[1]["metadata"]["config"] == {**of_hosts, "user.a": "b"}
    audit = await gateway.manager.store.list_audit()
    assert any(line.action == "config-set" for line in audit)
    assert "sesame" not in repr(audit)


async def test_a_certificate_may_come_in_lines(gateway: Gateway, stranger: Caller, tmp_path: Path) -> None:
    """As pylxd sends it."""
    _, secret = await gateway.trust.make_token("admin")
    await stranger.ask("POST", "/1.0/certificates", {"trust_token": secret})
    (tmp_path / "new").mkdir()
    new = ensure_identity(tmp_path / "new")
    lines = "\n".join(new.cert_path.read_text().strip().splitlines()[1:-1])
    status, _ = await stranger.ask("POST", "/1.0/certificates", {"type": "client", "name": "n", "certificate": lines})
    assert (status, gateway.trust.find(new.fingerprint()).name) == (201, "n")


async def test_strangers_get_only_what_lxd_gives_them(gateway: Gateway, stranger: Caller) -> None:
    """Path by path over the whole route table."""
    refused = 0
    for route in gateway.router.routes:
        path = route.pattern.replace("...}", "}").replace("{", "x").replace("}", "x")
        if route.method == "HEAD":
            continue
        status, answer = await stranger.ask(route.method, path)
        if route.access is Access.PUBLIC:
            assert status in (200, 400, 403, 404, 503), (route.method, path, status, answer)
            if status == 200:
                text = json.dumps(answer)
                assert "environment" not in text
                assert '"config": {"' not in text
        else:
            assert (status, answer["error"]) == (403, "not authorized"), (route.method, path)
            refused += 1
    assert refused > 50


async def test_what_is_open_to_strangers_is_a_short_list(gateway: Gateway) -> None:
    """A new route is not open by mistake: whoever opens one says so here."""
    found = {f"{route.method} {route.pattern}" for route in gateway.router.routes if route.access is Access.PUBLIC}
    assert found == {
        "GET /",
        "GET /1.0",
        "POST /1.0/certificates",
        "GET /1.0/images",
        "POST /1.0/images",  # with the secret of an upload that is awaited
        "GET /1.0/images/{fingerprint}",
        "GET /1.0/images/{fingerprint}/export",
        "GET /1.0/images/aliases/{name...}",
        "GET /1.0/operations/{id}/wait",
        "GET /1.0/operations/{id}/websocket",
    }


async def test_strangers_learn_of_no_host(gateway: Gateway, stranger: Caller) -> None:
    """Neither of its name, nor that it is silent."""
    gateway.manager.inventory.update_host(next(iter(gateway.manager.inventory.hosts)), status=HostStatus.UNREACHABLE)
    for path in (
        "/1.0",
        "/1.0/images",
        "/1.0/images/0123456789ab",
        "/1.0/images/aliases/nope",
        "/1.0/images/01/export",
    ):
        async with stranger.session.get(stranger.base + path) as response:
            text = f"{dict(response.headers)} {await response.text()}"
        for host in gateway.manager.inventory.hosts:
            assert host not in text, (path, text)


async def test_a_certificate_stays_read_only(gateway: Gateway, stranger: Caller) -> None:
    """Though clients of LXD know nothing of it and do not send it back."""
    _, secret = await gateway.trust.make_token("reader", read_only=True)
    await stranger.ask("POST", "/1.0/certificates", {"trust_token": secret})
    path = f"/1.0/certificates/{stranger.fingerprint}"
    status, shown = await stranger.ask("GET", path)
    assert (status, shown["metadata"]["read_only"]) == (200, True)
    assert (await stranger.ask("PATCH", path, {"read_only": False}))[0] == 403
    assert (await stranger.ask("POST", "/1.0/certificates", {"type": "client", "name": "x", "token": True}))[0] == 403
    client = LocalClient(gateway.manager.paths.state_dir.parent / "fleet.socket")
    body = {"name": "renamed", "type": "client", "restricted": False, "projects": []}
    assert (await client.ask("PUT", path, body)).status == 200
    assert gateway.trust.find(stranger.fingerprint).read_only
    assert (await client.ask("PATCH", path, {"read_only": "no"})).status == 400
    assert (await client.ask("PATCH", path, {"read_only": False})).status == 200
    await client.close()
    assert not gateway.trust.find(stranger.fingerprint).read_only


async def test_strangers_see_public_images_only(gateway: Gateway, stranger: Caller) -> None:
    _, mine = await stranger.ask("GET", "/1.0/images?recursion=1")
    assert all(image["public"] for image in mine["metadata"])
    private = next(row for row in gateway.manager.inventory.all_images() if not row.public)
    status, answer = await stranger.ask("GET", f"/1.0/images/{private.fingerprint}")
    assert (status, answer["error"]) == (404, "Image not found")


async def test_restricted_clients_stay_in_their_projects(gateway: Gateway, stranger: Caller) -> None:
    _, secret = await gateway.trust.make_token("guest", restricted=True, projects=["guests"])
    assert (await stranger.ask("POST", "/1.0/certificates", {"trust_token": secret}))[0] == 201
    assert (await stranger.ask("GET", "/1.0/instances"))[0] == 403
    assert (await stranger.ask("GET", "/1.0/instances?project=default&recursion=1"))[0] == 403
    assert (await stranger.ask("GET", "/1.0/instances?all-projects=true&recursion=1"))[1]["metadata"] == []
    name = next(gateway.manager.inventory.all_instances()).name
    assert (await stranger.ask("GET", f"/1.0/instances/{name}"))[0] == 403
    assert (await stranger.ask("GET", "/1.0/events?all-projects=true", Upgrade="websocket"))[0] == 403
    assert (await stranger.ask("PUT", "/1.0/planner", {"state": "gather"}))[0] == 403
    assert (await stranger.ask("POST", "/1.0/fleet/plan", {"image": "x"}))[0] == 403
    status, own = await stranger.ask("GET", "/1.0/certificates?project=guests")
    assert (status, own["metadata"]) == (200, [f"/1.0/certificates/{stranger.fingerprint}"])
    body = {"type": "client", "name": "more", "token": True}
    assert (await stranger.ask("POST", "/1.0/certificates?project=guests", body))[0] == 403


async def test_files_of_this_machine_are_not_for_callers_from_elsewhere(
    gateway: Gateway, stranger: Caller, tmp_path: Path
) -> None:
    """Not even for who may change all of the fleet; who is on this machine may name them."""
    _, secret = await gateway.trust.make_token("admin")
    await stranger.ask("POST", "/1.0/certificates", {"trust_token": secret})
    secrets, taken = tmp_path / "secrets", tmp_path / "taken"
    secrets.write_text("mine")
    row = next(row for row in gateway.manager.inventory.all_instances() if row.status == "Running")
    name = f"{row.host}:{row.name}"
    calls: dict[str, dict[str, Any]] = {
        "file-push": {"source": str(secrets), "instances": [name], "to": "/root/taken"},
        "file-pull": {"instance": name, "path": "/etc/hostname", "to": str(taken)},
        "image-import": {"source": str(secrets)},
        "run": {"plan": str(secrets)},
        "host-import": {"directory": str(tmp_path)},
    }
    for action, arguments in calls.items():
        status, answer = await stranger.ask("POST", f"/1.0/fleet/actions/{action}", arguments)
        assert (status, "machine that the gateway runs on" in answer["error"]) == (403, True), (action, answer)
    source = {"source": "images:debian/12", "certificate": str(secrets)}
    assert (await stranger.ask("POST", "/1.0/fleet/actions/image-import", source))[0] == 403
    assert (await stranger.ask("POST", "/1.0/fleet/plan/run", {"plan": str(secrets)}))[0] == 403
    local = LocalClient(gateway.manager.paths.state_dir.parent / "fleet.socket")
    found = {
        action: (await local.ask("POST", f"/1.0/fleet/actions/{action}", calls[action])).status for action in calls
    }
    await local.close()
    assert found == {"file-push": 202, "file-pull": 202, "image-import": 202, "run": 400, "host-import": 400}


async def test_a_foreign_page_changes_nothing(gateway: Gateway, stranger: Caller) -> None:
    _, secret = await gateway.trust.make_token("browser")
    await stranger.ask("POST", "/1.0/certificates", {"trust_token": secret})
    evil = {"Origin": "https://evil.example"}
    status, answer = await stranger.ask("PUT", "/1.0/planner", {"state": "gather"}, **evil)
    assert status == 403
    assert "evil.example" in answer["error"]
    assert str(gateway.manager.scheduler.strategy) == "random"
    own = {"Origin": stranger.base}
    assert (await stranger.ask("PUT", "/1.0/planner", {"state": "gather"}, **own))[0] == 200
    await gateway.set_config({"core.https_allowed_origin": "https://ui.example"})
    status, _ = await stranger.ask("PUT", "/1.0/planner", {"state": "random"}, Origin="https://ui.example")
    assert status == 200


async def test_certificates_are_listed_changed_and_removed(gateway: Gateway, stranger: Caller) -> None:
    _, secret = await gateway.trust.make_token("admin")
    await stranger.ask("POST", "/1.0/certificates", {"trust_token": secret})
    path = f"/1.0/certificates/{stranger.fingerprint}"
    assert (await stranger.ask("PATCH", path, {"name": "boss"}, **{"If-Match": '"no"'}))[0] == 412
    assert (await stranger.ask("PATCH", path, {"name": "boss"}))[0] == 200
    assert (await stranger.ask("GET", path))[1]["metadata"]["name"] == "boss"
    _, made = await stranger.ask("POST", "/1.0/certificates", {"type": "client", "name": "t", "token": True})
    token = made["metadata"]
    listed = (await stranger.ask("GET", "/1.0/operations?recursion=1"))[1]["metadata"]["running"]
    assert [(o["id"], o["class"], o["metadata"]["secret"]) for o in listed] == [(token["id"], "token", "")]
    assert (await stranger.ask("DELETE", f"/1.0/operations/{token['id']}"))[0] == 200
    assert await gateway.trust.tokens() == []
    assert (await stranger.ask("DELETE", path))[0] == 200
    assert (await stranger.ask("GET", path))[0] == 403


async def test_the_trust_store_survives_a_restart(gateway: Gateway, stranger: Caller) -> None:
    _, secret = await gateway.trust.make_token("stays")
    await stranger.ask("POST", "/1.0/certificates", {"trust_token": secret})
    again = type(gateway.trust)(gateway.manager.store)
    assert again.get(stranger.fingerprint) is None
    await again.load()
    kept = again.get(stranger.fingerprint)
    assert kept is not None
    assert kept.name == "stays"
    with pytest.raises(ActionError, match="Certificate not found"):
        again.find("00")


async def test_openapi_describes_the_route_table(gateway: Gateway, stranger: Caller) -> None:
    _, secret = await gateway.trust.make_token("reader")
    await stranger.ask("POST", "/1.0/certificates", {"trust_token": secret})
    _, document = await stranger.ask("GET", "/1.0/openapi.json")
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(r.method, r.pattern.replace("...}", "}")) for r in gateway.router.routes}


@pytest.mark.parametrize("program", ["lxc", "incus"])
async def test_stock_clients_enrol_by_a_token(program: str, clean_lab: Lab, tmp_path: Path) -> None:
    """remote add, list, launch, exec over HTTPS on real hosts."""
    paths = Paths(tmp_path / "hosts.toml", clean_lab.state_dir)
    environment = {**os.environ, "LXD_CONF": str(tmp_path), "INCUS_CONF": str(tmp_path), "HOME": str(tmp_path)}

    async def run(*words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            program, *words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async with (
        Manager.open(paths, clean_lab.hosts_config()) as manager,
        Gateway.serve(manager, tmp_path / "s", ("127.0.0.1", 0)) as gateway,
    ):
        await all_read(manager.fleet)
        row, secret = await gateway.trust.make_token(program)
        await run("remote", "add", "fleet", join_token(row, secret, gateway.fingerprint, gateway.addresses))
        await run("launch", "fleet:busybox", "fleet:c1", "--target", "i1")
        assert "c1" in await run("list", "fleet:", "--format", "csv")
        # LXD 5.0 may lose what a command says right before its end.
        assert await run("exec", "fleet:c1", "--", "sh", "-c", "hostname; sleep 0.2") == "c1\n"
        await run("delete", "--force", "fleet:c1")
