"""Every call that the seed's users were promised, one test each, on real daemons (bodies are LXD's own)."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.manager import Manager
from tests.actions.images import held, holders, new_image, targets
from tests.gateway import direct
from tests.gateway.client import SHELL, Client
from tests.lab.lab import Lab

ALL = {"h1", "h2", "h3", "i1"}
C1 = "/1.0/containers/c1"


@pytest.fixture
async def c1(client: Client) -> str:
    """A stopped container on a host that the planner chose; the host's name."""
    operation = await client.create("c1")
    return str(operation["metadata"]["placement"][0]["chosen"])


@pytest.fixture
async def running(client: Client, c1: str) -> str:
    await client.done("PUT", f"{C1}/state", {"action": "start"})
    return c1


@pytest.fixture
async def profile(client: Client) -> str:
    """A profile on all hosts."""
    await client.done("POST", "/1.0/profiles", {"name": "p", "config": {"limits.memory": "2GB"}})
    return "p"


# -- containers


async def test_all_containers_of_all_hosts(client: Client) -> None:
    for host in sorted(ALL):
        await client.create(f"on-{host}", host)
    assert await client.get("/1.0/containers") == [f"/1.0/containers/on-{host}" for host in sorted(ALL)]
    rows = await client.get("/1.0/containers?recursion=1")
    assert {row["name"]: row["location"] for row in rows} == {f"on-{host}": host for host in ALL}


async def test_create_where_the_planner_says(client: Client, clean_lab: Lab) -> None:
    body = {"name": "c1", "source": {"type": "image", "alias": "busybox"}}
    answer = await client.ask("POST", "/1.0/containers", body)
    assert (answer.status, answer.json["type"]) == (202, "async")
    assert answer.json["operation"] == answer.headers["Location"] == f"/1.0/operations/{answer.metadata['id']}"
    assert answer.metadata["resources"]["containers"] == [C1]
    host = answer.headers["X-LXDPM-Host"]
    assert host in ALL
    assert (await client.wait(answer)).metadata["status"] == "Success"
    assert (await direct.ask(clean_lab, host, "GET", "/1.0/instances/c1"))["status"] == "Stopped"
    again = await client.ask("POST", "/1.0/containers", body)
    assert (again.status, again.error) == (409, 'Instance "c1" already exists')


async def test_configuration(client: Client, c1: str) -> None:
    answer = await client.ask("GET", C1)
    assert (answer.status, answer.json["type"], answer.headers["X-LXDPM-Host"]) == (200, "sync", c1)
    found = answer.metadata
    assert (found["name"], found["type"], found["location"]) == ("c1", "container", c1)
    assert found["profiles"] == ["default"]


async def test_rename(client: Client, c1: str) -> None:
    await client.done("POST", C1, {"name": "c2"})
    assert await client.get("/1.0/containers") == ["/1.0/containers/c2"]
    assert (await client.ask("GET", C1)).status == 404
    assert (await client.get("/1.0/containers/c2"))["location"] == c1


async def test_change_configuration(client: Client, c1: str) -> None:
    found = await client.get(C1)
    found["config"]["limits.cpu"] = "3"
    answer = await client.ask("PUT", C1, found)
    assert (answer.status, answer.headers["X-LXDPM-Host"]) == (202, c1)
    assert (await client.wait(answer)).json["type"] == "sync"
    assert (await client.get(C1))["config"]["limits.cpu"] == "3"


async def test_delete(client: Client, c1: str, clean_lab: Lab) -> None:
    await client.done("DELETE", C1)
    assert await client.get("/1.0/containers") == []
    assert await direct.ask(clean_lab, c1, "GET", "/1.0/instances") == []


async def test_live_state(client: Client, running: str) -> None:
    state = await client.get(f"{C1}/state")
    assert state["status"] == "Running"
    assert state["pid"] > 0
    assert state["memory"]["usage"] > 0
    loopback = state["network"]["lo"]
    assert loopback["addresses"][0]["address"] == "127.0.0.1"
    assert loopback["counters"].keys() >= {"bytes_received", "bytes_sent"}


async def test_start_and_stop(client: Client, c1: str) -> None:
    answer = await client.ask("PUT", f"{C1}/state", {"action": "start"})
    assert (answer.status, answer.headers["X-LXDPM-Host"]) == (202, c1)
    await client.wait(answer)
    assert (await client.get(f"{C1}/state"))["status"] == "Running"
    await client.done("PUT", f"{C1}/state", {"action": "stop", "force": True})
    assert (await client.get(f"{C1}/state"))["status"] == "Stopped"


# -- files


async def test_write_read_and_delete_a_file(client: Client, running: str) -> None:
    path = f"{C1}/files?path=/root/file"
    content = bytes(range(256)) * 100
    written = await client.ask("POST", path, content, {"Content-Type": "application/octet-stream"})
    assert (written.status, written.headers["X-LXDPM-Host"]) == (200, running)
    read = await client.ask("GET", path)
    assert read.body == content
    assert read.headers["Content-Type"] == "application/octet-stream"
    assert (read.headers["X-LXD-type"], read.headers["X-Incus-type"]) == ("file", "file")
    listed = await client.ask("GET", f"{C1}/files?path=/root")
    assert (listed.metadata, listed.headers["X-LXD-type"]) == (["file"], "directory")
    assert (await client.ask("DELETE", path)).status == 200
    assert (await client.ask("GET", path)).status == 404


# -- commands


async def test_run_a_command(client: Client, running: str) -> None:
    body = {**SHELL, "command": ["/bin/sh"], "width": 80, "height": 25}
    answer = await client.ask("POST", f"{C1}/exec", body)
    assert (answer.status, answer.metadata["class"], answer.metadata["location"]) == (202, "websocket", running)
    assert answer.metadata["metadata"]["fds"].keys() == {"0", "1", "2", "control"}
    done = await client.execute("c1", "/bin/sh", stdin=b"echo out; echo err >&2; exit 7\n")
    assert (done.code, done.out) == (7, {"1": b"out\n", "2": b"err\n"})


# -- snapshots


async def test_snapshots(client: Client, c1: str) -> None:
    path = f"{C1}/snapshots"
    assert await client.get(path) == []
    await client.done("POST", path, {"name": "s0", "stateful": False})
    assert await client.get(path) == [f"{path}/s0"]
    one = await client.get(f"{path}/s0")
    assert (one["name"], one["stateful"]) == ("s0", False)
    await client.done("POST", f"{path}/s0", {"name": "s1"})
    assert await client.get(path) == [f"{path}/s1"]
    await client.done("DELETE", f"{path}/s1")
    assert await client.get(path) == []


# -- profiles


async def test_profiles_of_all_hosts(client: Client, profile: str) -> None:
    assert await client.get("/1.0/profiles") == ["/1.0/profiles/default", "/1.0/profiles/p"]


async def test_create_a_profile_on_one_host(client: Client, clean_lab: Lab) -> None:
    """The seed's wrapper."""
    body = {
        "name": "p",
        "description": "of one host",
        "config": {"limits.memory": "2GB"},
        "devices": {"kvm": {"type": "unix-char", "path": "/dev/kvm"}},
    }
    answer = await client.ask("POST", "/1.0/profiles", {"hostname": "h1", "profilesPost": body})
    assert (answer.status, answer.headers["Location"]) == (201, "/1.0/profiles/p")
    assert await profiles_of(clean_lab) == {"h1": {"default", "p"}, **{name: {"default"} for name in ALL - {"h1"}}}
    found = await direct.ask(clean_lab, "h1", "GET", "/1.0/profiles/p")
    assert {key: found[key] for key in body} == body


async def test_create_a_profile_on_all_hosts(client: Client, profile: str, clean_lab: Lab) -> None:
    assert await profiles_of(clean_lab) == on_all("default", "p")
    again = await client.ask("POST", "/1.0/profiles", {"name": "p"})
    assert (again.status, again.error) == (409, 'The profile "p" already exists')


async def test_read_and_change_a_profile(client: Client, profile: str, clean_lab: Lab) -> None:
    found = await client.get("/1.0/profiles/p")
    assert (found["name"], found["config"]) == ("p", {"limits.memory": "2GB"})
    devices = {"kvm": {"type": "unix-char", "path": "/dev/kvm"}}
    body = {"config": {"limits.memory": "3GB"}, "description": "more", "devices": devices}
    assert (await client.ask("PUT", "/1.0/profiles/p", body)).status == 200
    for host in sorted(ALL):
        found = await direct.ask(clean_lab, host, "GET", "/1.0/profiles/p")
        assert {key: found[key] for key in body} == body


async def test_rename_and_delete_a_profile(client: Client, profile: str, clean_lab: Lab) -> None:
    answer = await client.ask("POST", "/1.0/profiles/p", {"name": "q"})
    assert (answer.status, answer.headers["Location"]) == (201, "/1.0/profiles/q")
    assert await profiles_of(clean_lab) == on_all("default", "q")
    assert (await client.ask("DELETE", "/1.0/profiles/q")).status == 200
    assert await profiles_of(clean_lab) == on_all("default")


def on_all(*names: str) -> dict[str, set[str]]:
    return {host: set(names) for host in ALL}


async def profiles_of(lab: Lab) -> dict[str, set[str]]:
    return {
        name: {url.rsplit("/", 1)[1] for url in await direct.ask(lab, name, "GET", "/1.0/profiles")} for name in ALL
    }


# -- images


async def test_images_each_once(client: Client, clean_lab: Lab) -> None:
    assert await client.get("/1.0/images") == [f"/1.0/images/{clean_lab.image_fingerprint}"]


async def test_upload_an_image_to_all_hosts(client: Client, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "seed")
    headers = {
        "Content-Type": "application/octet-stream",
        "X-LXD-filename": "f",
        "X-LXD-public": "1",
        "X-LXD-properties": "os=Ubuntu&alias=image-alias",
    }
    answer = await client.ask("POST", "/1.0/images", path.read_bytes(), headers)
    assert (answer.status, answer.json["type"], answer.metadata["class"]) == (202, "async", "task")
    found = (await client.wait(answer)).metadata
    assert (found["status"], found["metadata"]["fingerprint"]) == ("Success", fingerprint)
    assert {host: result["status"] for host, result in found["metadata"]["hosts"].items()} == dict.fromkeys(ALL, "done")
    for host in (await held(clean_lab)).values():
        image = host["images"][fingerprint]
        assert (image["filename"], image["public"]) == ("f", True)
        assert image["properties"].items() >= {"os": "Ubuntu", "alias": "image-alias"}.items()


@pytest.fixture
async def image_server(clean_lab: Lab) -> AsyncIterator[tuple[str, str]]:
    """A web server that says by headers where an image is, as LXD's documentation asks; its URL, the fingerprint."""
    path, fingerprint = new_image(clean_lab, "url")
    runner = web.ServerRunner(web.Server(lambda request: serve(request, path.read_bytes(), base)))
    await runner.setup()
    site = web.TCPSite(runner, clean_lab.layout.gateway, 0)
    await site.start()
    base = site.name.rstrip("/") if ":0" not in site.name else ""
    host, port = runner.addresses[0][:2]
    base = f"http://{host}:{port}"
    yield f"{base}/image", fingerprint
    await runner.cleanup()


async def serve(request: web.BaseRequest, image: bytes, base: str) -> web.Response:
    if request.path == "/image":
        digest = hashlib.sha256(image).hexdigest()
        headers = {f"{prefix}{name}": value for prefix in ("LXD-", "Incus-") for name, value in
                   (("Image-Hash", digest), ("Image-URL", f"{base}/file"))}  # fmt: skip
        return web.Response(headers=headers)
    return web.Response(body=image)


async def test_an_image_from_a_url(client: Client, clean_lab: Lab, image_server: tuple[str, str]) -> None:
    url, fingerprint = image_server
    headers = {
        "X-LXD-filename": "f",
        "X-LXD-public": "true",
        "X-LXD-properties": "os=Ubuntu&alias=image-alias",
    }
    body = {
        "filename": "f",
        "public": True,
        "properties": {"os": "Ubuntu"},
        "aliases": [{"name": "a", "description": "from a URL"}],
        "source": {"type": "url", "url": url},
    }
    operation = await client.done("POST", "/1.0/images", body, headers)
    assert operation["metadata"]["fingerprint"] == fingerprint
    assert await holders(clean_lab, fingerprint) == ALL
    assert await targets(clean_lab, "a") == dict.fromkeys(ALL, fingerprint)
    for host in (await held(clean_lab)).values():
        image = host["images"][fingerprint]
        assert (image["public"], image["properties"]["os"]) == (True, "Ubuntu")


async def test_one_image_and_its_export(client: Client, clean_lab: Lab) -> None:
    path = f"/1.0/images/{clean_lab.image_fingerprint}"
    answer = await client.ask("GET", path)
    assert answer.metadata["fingerprint"] == clean_lab.image_fingerprint
    assert [alias["name"] for alias in answer.metadata["aliases"]] == ["busybox"]
    assert set(answer.headers["X-LXDPM-Hosts"].split(", ")) == ALL
    assert (await client.ask("GET", f"{path}/export")).body == clean_lab.image.read_bytes()


async def test_delete_an_image_everywhere(client: Client, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "gone")
    await client.done("POST", "/1.0/images", path.read_bytes())
    assert await holders(clean_lab, fingerprint) == ALL
    await client.done("DELETE", f"/1.0/images/{fingerprint}")
    assert await holders(clean_lab, fingerprint) == set()
    assert (await client.ask("GET", f"/1.0/images/{fingerprint}")).status == 404


# -- operations


async def test_follow_a_background_task(client: Client, clean_lab: Lab) -> None:
    path, fingerprint = new_image(clean_lab, "task")
    answer = await client.ask("POST", "/1.0/images", path.read_bytes())
    url = answer.json["operation"]
    first = await client.get(url)
    assert first["status"] in ("Running", "Success")
    ended = await client.ask("GET", f"{url}/wait")
    assert (ended.json["type"], ended.metadata["status"]) == ("sync", "Success")
    assert await client.get(url) == ended.metadata
    assert ended.metadata["metadata"]["fingerprint"] == fingerprint


# -- the planner


async def test_the_strategy(client: Client, manager: Manager) -> None:
    answer = await client.ask("GET", "/1.0/planner")
    assert (answer.status, answer.json["type"], answer.metadata) == (200, "sync", "random")


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("key", ["state", "State"])
@pytest.mark.parametrize("strategy", ["scatter", "gather", "random"])
async def test_set_the_strategy(client: Client, method: str, key: str, strategy: str) -> None:
    answer = await client.ask(method, "/1.0/planner", {key: strategy})
    assert (answer.status, answer.json["type"], answer.metadata) == (200, "sync", {})
    assert await client.get("/1.0/planner") == strategy


@pytest.mark.parametrize("body", [{"state": "best"}, {"state": 1}, {}, {"state": None}])
async def test_no_strategy(client: Client, gateway: Gateway, body: dict[str, Any]) -> None:
    answer = await client.ask("PUT", "/1.0/planner", body)
    assert (answer.status, answer.json["type"], answer.json["error_code"]) == (400, "error", 400)
    assert "random, scatter, gather" in answer.error
    assert await client.get("/1.0/planner") == "random"
