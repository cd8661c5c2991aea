"""The rarer calls on instances and images: bulk state, import of backups, rebuild, changes of images, secrets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lxdpm_tui.gateway.server import Gateway
from lxdpm_tui.manager import Manager
from tests.actions.images import new_image
from tests.gateway import direct
from tests.gateway.client import Client, until
from tests.gateway.direct import ALL
from tests.gateway.test_lxc_client import Stock
from tests.lab.lab import Lab


@pytest.fixture
def lxc(gateway: Gateway, tmp_path: Path) -> Stock:
    return Stock("lxc", tmp_path / "lxc", tmp_path / "fleet.socket")


@pytest.fixture
def incus(gateway: Gateway, tmp_path: Path) -> Stock:
    return Stock("incus", tmp_path / "incus", tmp_path / "fleet.socket")


async def statuses(client: Client) -> dict[str, str]:
    return {row["name"]: row["status"] for row in await client.get("/1.0/instances?recursion=1")}


# -- the state of all instances


async def test_all_instances_of_all_hosts_change_their_state(client: Client) -> None:
    for host in ALL:
        await client.create(f"c-{host}", host, start=host != "h2")
    operation = await client.done("PUT", "/1.0/instances?", {"state": {"action": "stop", "force": True, "timeout": 30}})
    assert len(operation["resources"]["instances"]) == 4
    assert set((await statuses(client)).values()) == {"Stopped"}
    await client.done("PUT", "/1.0/containers", {"state": {"action": "start", "timeout": 30}})
    assert set((await statuses(client)).values()) == {"Running"}
    answer = await client.ask("PUT", "/1.0/instances", {"state": {"action": "jump"}})
    assert answer.status == 400


async def test_what_does_not_change_is_named(client: Client, gateway: Gateway, clean_lab: Lab) -> None:
    for host in ("h1", "h2"):
        await client.create(f"c-{host}", host, start=True)
    await asyncio.to_thread(clean_lab.hosts["h2"].kill)
    await until(gateway.manager, lambda: not gateway.manager.inventory.hosts["h2"].usable)
    answer = await client.ask("PUT", "/1.0/instances", {"state": {"action": "stop", "force": True}})
    assert answer.status == 202
    ended = (await client.wait(answer)).json
    assert ended["error"].startswith("The following instances failed to update state:\n - Instance: c-h2: h2: ")
    assert (await direct.ask(clean_lab, "h1", "GET", "/1.0/instances/c-h1"))["status"] == "Stopped"


async def test_stop_all(lxc: Stock, incus: Stock, client: Client) -> None:
    for host in ALL:
        await client.create(f"c-{host}", host, start=True)
    await lxc("stop", "--all", "--force")
    assert set((await statuses(client)).values()) == {"Stopped"}
    await incus("start", "--all")
    assert set((await statuses(client)).values()) == {"Running"}


# -- backups


async def exported(client: Client, name: str) -> bytes:
    await client.done("POST", f"/1.0/instances/{name}/backups", {"name": "b0"})
    answer = await client.ask("GET", f"/1.0/instances/{name}/backups/b0/export")
    assert answer.status == 200
    await client.done("DELETE", f"/1.0/instances/{name}/backups/b0")
    return answer.body


async def test_a_backup_comes_back_by_its_name_or_another(client: Client, clean_lab: Lab) -> None:
    await client.create("orig", "h1")
    backup = await exported(client, "orig")
    taken = await client.ask("POST", "/1.0/instances", backup)
    assert (taken.status, taken.error) == (409, 'Instance "orig" already exists')

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(backup), 1000):
            yield backup[at : at + 1000]

    await client.done("POST", "/1.0/instances?target=h2", chunks(), {"X-LXD-name": "named"})
    assert (await client.get("/1.0/instances/named"))["location"] == "h2"
    await client.done("DELETE", "/1.0/instances/orig")
    await client.done("POST", "/1.0/instances?target=@kind=lxd", chunks())
    assert (await client.get("/1.0/instances/orig"))["name"] == "orig"
    wrong = await client.ask("POST", "/1.0/instances", b"no backup" * 1000)
    assert (wrong.status, "X-LXD-name" in wrong.error) == (400, True)
    pool = await client.ask("POST", "/1.0/instances", chunks(), {"X-LXD-name": "third", "X-LXD-pool": "nowhere"})
    assert (pool.status, "nowhere" in pool.error) == (503, True)


async def test_one_name_is_imported_once(client: Client) -> None:
    await client.create("orig", "h1")
    backup = await exported(client, "orig")
    headers = {"X-LXD-name": "same"}
    given = await asyncio.gather(*(client.ask("POST", "/1.0/instances", backup, headers) for _ in range(6)))
    assert sorted(answer.status for answer in given) == [202, *[409] * 5]
    started = next(answer for answer in given if answer.status == 202)
    assert (await client.wait(started)).json["type"] == "sync"
    assert list(await statuses(client)).count("same") == 1


async def test_an_incus_backup_goes_to_incus_only(client: Client) -> None:
    await client.create("orig", "i1")
    backup = await exported(client, "orig")
    for number in range(3):
        await client.done("POST", "/1.0/instances", backup, {"X-Incus-name": f"copy{number}"})
        assert (await client.get(f"/1.0/instances/copy{number}"))["location"] == "i1"


async def test_export_and_import_by_the_stock_clients(lxc: Stock, incus: Stock, client: Client) -> None:
    await client.create("one", "h3")
    await lxc("export", "one", "one.tar.gz")
    await lxc("delete", "one")
    await lxc("import", "one.tar.gz")
    await lxc("import", "one.tar.gz", "two")
    await client.create("in", "i1")
    await incus("export", "in", "in.tar.gz")
    await incus("import", "in.tar.gz", "again")
    assert set(await statuses(client)) == {"one", "two", "in", "again"}


# -- rebuild and what only some hosts have


async def test_rebuild_from_an_image_of_another_host(client: Client, manager: Manager, clean_lab: Lab) -> None:
    await client.create("old", "i1")
    image, fingerprint = await asyncio.to_thread(new_image, clean_lab, "rebuild")
    await direct.ask(clean_lab, "h1", "POST", "/1.0/images", image.read_bytes())
    image.unlink()
    await until(manager, lambda: any(row.fingerprint == fingerprint for row in manager.inventory.all_images()))
    body = {"source": {"type": "image", "fingerprint": fingerprint}}
    await client.done("POST", "/1.0/instances/old/rebuild", body)
    assert (await client.get("/1.0/instances/old"))["config"]["volatile.base_image"] == fingerprint


async def test_a_host_says_itself_what_it_does_not_know(client: Client) -> None:
    await client.create("c-h1", "h1")
    await client.create("c-i1", "i1")
    assert (await client.ask("GET", "/1.0/instances/c-h1/uefi-vars")).status >= 400
    assert (await client.ask("GET", "/1.0/instances/c-h1/access")).status == 404
    assert (await client.ask("GET", "/1.0/instances/c-i1/access")).status == 200
    unrecorded = await client.ask("GET", "/1.0/instances/c-i1/logs/exec-output")
    assert (unrecorded.status, "exec-output" in unrecorded.error) == (404, True)
    assert (await client.ask("GET", "/1.0/instances/nobody/nvram")).status == 404


# -- images


async def test_an_image_is_changed_on_all_hosts(client: Client, clean_lab: Lab) -> None:
    fingerprint = clean_lab.image_fingerprint
    path = f"/1.0/images/{fingerprint}"
    read = await client.ask("GET", path)
    own = await direct.ask(clean_lab, "h2", "GET", path)
    await direct.ask(clean_lab, "h2", "PATCH", path, {"properties": {**own["properties"], "rack": "two"}})
    properties = {**read.metadata["properties"], "owner": "me"}
    body = {**read.metadata, "properties": properties}
    tag = {"If-Match": read.headers["ETag"]}
    try:
        await client.done("PUT", path, body, tag)
        for host in ALL:
            found = (await direct.ask(clean_lab, host, "GET", path))["properties"]
            assert (found["owner"], found.get("rack")) == ("me", "two" if host == "h2" else None)
        assert (await client.ask("PUT", path, body, tag)).status == 412
        await client.done("PATCH", path, {"public": False})
        for host in ALL:
            found = await direct.ask(clean_lab, host, "GET", path)
            assert (found["public"], found["properties"]["owner"]) == (False, "me")
    finally:
        for host in ALL:
            await direct.ask(clean_lab, host, "PUT", path, {**own, "public": True})
    assert (await client.ask("PATCH", "/1.0/images/ffffffffffff", {"public": True})).status == 404


async def test_a_refresh_asks_every_holder(client: Client, clean_lab: Lab) -> None:
    """An image that was uploaded has no source to ask: each host says so, as it would alone."""
    answer = await client.ask("POST", f"/1.0/images/{clean_lab.image_fingerprint}/refresh")
    assert answer.status == 202
    ended = (await client.wait(answer)).json
    assert ended["type"] == "error"
    for host in ALL:
        assert f"{host}: Failed to update image" in ended["error"]


async def test_image_verbs_of_lxc(lxc: Stock, clean_lab: Lab) -> None:
    shown = await lxc("image", "show", "busybox")
    assert "properties" in shown
    try:
        await lxc("image", "set-property", "busybox", "owner", "me")
        assert (await lxc("image", "get-property", "busybox", "owner")).strip() == "me"
        edited = (await lxc("image", "show", "busybox")).replace("owner: me", "owner: you")
        await lxc("image", "edit", "busybox", stdin=edited.encode())
        for host in ALL:
            found = await direct.ask(clean_lab, host, "GET", f"/1.0/images/{clean_lab.image_fingerprint}")
            assert found["properties"]["owner"] == "you"
    finally:
        await lxc("image", "unset-property", "busybox", "owner")


async def test_publish_with_an_alias_that_is_taken(client: Client) -> None:
    await client.create("c", "h1")
    body = {"source": {"type": "instance", "name": "c"}, "aliases": [{"name": "busybox"}]}
    answer = await client.ask("POST", "/1.0/images", body)
    assert (answer.status, answer.error) == (409, 'Alias "busybox" already exists')


async def test_publish_by_lxc(lxc: Stock, client: Client) -> None:
    await client.create("c", "h2")
    await lxc("publish", "c", "--alias", "published", "owner=me")
    listed = json.loads(await lxc("image", "list", "published", "--format", "json"))
    assert [alias["name"] for alias in listed[0]["aliases"]] == ["published"]
    await lxc("launch", "published", "second", "--target", "i1")
    await lxc("delete", "-f", "second")
    await lxc("image", "delete", "published")


async def test_a_secret_is_a_token_operation(client: Client, clean_lab: Lab) -> None:
    answer = await client.ask("POST", f"/1.0/images/{clean_lab.image_fingerprint}/secret")
    assert (answer.status, answer.metadata["class"]) == (202, "token")
    assert answer.metadata["metadata"]["secret"]
    await client.ask("DELETE", answer.json["operation"])
