"""What the fleet says of itself: resources, metrics, warnings, members, groups, and its own configuration."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path

import pytest

from lxdpm_tui.gateway.server import Gateway
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


# -- resources, metrics, members


async def test_resources_are_summed_and_lists_joined(client: Client, clean_lab: Lab) -> None:
    each = [await direct.ask(clean_lab, host, "GET", "/1.0/resources") for host in ALL]
    found = await client.get("/1.0/resources")
    assert found["cpu"]["total"] == sum(one["cpu"]["total"] for one in each)
    assert found["memory"]["total"] == sum(one["memory"]["total"] for one in each)
    assert found["memory"]["hugepages_size"] == each[0]["memory"]["hugepages_size"]
    assert len(found["storage"]["disks"]) == sum(len(one["storage"]["disks"]) for one in each)
    assert found["cpu"]["architecture"] == "x86_64"
    assert (await client.get("/1.0/resources?target=h2"))["cpu"]["total"] == each[1]["cpu"]["total"]
    assert (await client.ask("GET", "/1.0/resources?target=nobody")).status == 404


async def test_metrics_of_all_hosts_in_one_text(client: Client) -> None:
    """Of a project of its own: daemons keep the figures of each project for 8 s."""
    project = f"m-{os.urandom(3).hex()}"
    config = {"features.images": "false", "features.profiles": "false"}
    await client.done("POST", "/1.0/projects", {"name": project, "config": config})
    for host in ("h1", "i1"):
        body = {"name": f"m-{host}", "source": {"type": "image", "alias": "busybox"}}
        await client.done("POST", f"/1.0/instances?project={project}&target={host}", body)
        await client.done("PUT", f"/1.0/instances/m-{host}/state?project={project}", {"action": "start"})
    text = (await client.ask("GET", "/1.0/metrics")).body.decode()
    names = set(re.findall(r'^(?:lxd|incus)_\w+\{location="(\w+)",.*name="(m-\w+)"', text, re.M))
    assert names == {("h1", "m-h1"), ("i1", "m-i1")}
    types = re.findall(r"^# TYPE (\S+)", text, re.M)
    assert len(types) == len(set(types))
    assert {'lxdpm_host_up{location="h2"} 1', "# EOF"} <= set(text.splitlines())
    one = (await client.ask("GET", "/1.0/metrics?target=h1")).body.decode()
    assert ("m-h1" in one, "m-i1" in one) == (True, False)


async def test_members_tell_their_state(client: Client, clean_lab: Lab) -> None:
    found = await client.get("/1.0/cluster/members/h2/state")
    assert found["sysinfo"]["total_ram"] > found["sysinfo"]["free_ram"] > 0
    assert len(found["sysinfo"]["load_averages"]) == 3
    assert set(found["storage_pools"]) == {"default", "fast"}
    assert found["storage_pools"]["fast"]["space"]["total"] > 0
    assert (await client.ask("GET", "/1.0/cluster/members/nobody/state")).status == 404


async def test_a_member_is_evacuated_and_restored(client: Client, clean_lab: Lab) -> None:
    """Out of placement and back in; what runs there is neither moved nor stopped in passing."""
    path = "/1.0/cluster/members/h2"
    await client.create("c1", "h2", start=True)
    answer = await client.ask("POST", f"{path}/state", {"action": "evacuate"})
    assert answer.status == 400
    assert "1 instances run on h2 (c1)" in answer.error
    await client.done("PUT", "/1.0/instances/c1/state", {"action": "stop", "force": True})
    done = await client.done("POST", f"{path}/state", {"action": "evacuate"})
    assert done["description"] == "Evacuating cluster member"
    assert (await client.get(path))["status"] == "Evacuated"
    answer = await client.ask("POST", f"{path}/state", {"action": "evacuate"})
    assert (answer.status, answer.error) == (400, "Cluster member is already evacuated")
    await client.done("POST", f"{path}/state", {"action": "restore"})
    assert (await client.get(path))["status"] == "Online"
    assert (await client.ask("POST", f"{path}/state", {"action": "explode"})).status == 400
    assert (await client.ask("POST", "/1.0/cluster/members/nobody/state", {"action": "restore"})).status == 404


async def test_groups_are_the_labels(client: Client) -> None:
    rows = {row["name"]: row["members"] for row in await client.get("/1.0/cluster/groups?recursion=1")}
    assert rows["default"] == list(ALL)
    assert rows["kind=lxd"] == ["h1", "h2", "h3"]
    assert "/1.0/cluster/groups/kind%3Dincus" in await client.get("/1.0/cluster/groups")
    assert (await client.get("/1.0/cluster/groups/kind%3Dincus"))["members"] == ["i1"]
    assert "kind=incus" in (await client.get("/1.0/cluster/members/i1"))["groups"]
    assert (await client.ask("GET", "/1.0/cluster/groups/none")).status == 404


async def test_a_launch_may_name_a_group(client: Client) -> None:
    await client.create("one", "@kind=incus")
    assert (await client.get("/1.0/instances/one"))["location"] == "i1"
    body = {"name": "two", "source": {"type": "none"}}
    answer = await client.ask("POST", "/1.0/instances?target=@nobody", body)
    assert (answer.status, answer.error) == (400, 'Cluster group "nobody" doesn\'t exist')


async def test_the_keys_that_hosts_know(client: Client) -> None:
    found = await client.get("/1.0/metadata/configuration")
    assert "instance" in found["configs"]
    assert "metadata_configuration" in (await client.get("/1.0"))["api_extensions"]


async def test_what_no_fleet_has_is_refused_in_words(client: Client) -> None:
    for method, path, code in (
        ("PUT", "/1.0/cluster", 400),
        ("POST", "/1.0/cluster/members", 501),
        ("GET", "/1.0/auth/identities/current", 501),
        ("GET", "/1.0/placement-groups", 501),
        ("POST", "/1.0/replicators", 501),
        ("GET", "/1.0/network-integrations", 501),
        ("GET", "/internal/ready", 404),
        ("GET", "/1.0/nothing", 404),
    ):
        answer = await client.ask(method, path, {} if method != "GET" else None)
        assert answer.status == code, (method, path, answer.body)


# -- warnings


async def test_warnings_of_all_hosts_with_where_they_are(client: Client, clean_lab: Lab) -> None:
    rows = await client.get("/1.0/warnings?recursion=1")
    assert {row["location"] for row in rows} >= set(ALL)
    one = next(row for row in rows if row["location"] == "h3")
    path = f"/1.0/warnings/{one['uuid']}"
    assert (await client.get(path))["location"] == "h3"
    await client.done("PUT", path, {"status": "acknowledged"})
    assert (await direct.ask(clean_lab, "h3", "GET", path))["status"] == "acknowledged"
    await client.done("PUT", path, {"status": "new"})
    assert (await client.ask("GET", "/1.0/warnings/45363c51-e544-4a2b-a128-000000000000")).status == 404


async def test_the_fleet_warns_of_drift_twins_and_silent_hosts(
    client: Client, gateway: Gateway, clean_lab: Lab
) -> None:
    manager = gateway.manager
    for host in ("h1", "h2"):
        body = {"name": "twin", "source": {"type": "none"}}
        await direct.ask(clean_lab, host, "POST", "/1.0/instances", body)
    await until(manager, lambda: len(manager.inventory.find_instances("default", "twin")) == 2)
    await asyncio.to_thread(clean_lab.hosts["h3"].kill)
    await until(manager, lambda: not manager.inventory.hosts["h3"].usable)
    rows = {row["type"]: row for row in await client.get("/1.0/warnings?recursion=1") if row["location"] not in ALL}
    assert rows["Instances of one name"]["entity_url"] == "/1.0/instances/twin?project=default"
    assert "h1, h2" in rows["Instances of one name"]["last_message"]
    assert "i1" in rows["Profile differs between hosts"]["last_message"]
    down = [r for r in await client.get("/1.0/warnings?recursion=1") if r["type"] == "Host cannot be asked"]
    assert [(row["location"], row["severity"], row["status"]) for row in down] == [("h3", "high", "new")]


async def test_own_warnings_are_acknowledged_and_deleted_until_they_change(
    client: Client, gateway: Gateway, clean_lab: Lab
) -> None:
    async def drift() -> list[tuple[str, str]]:
        rows = await client.get("/1.0/warnings?recursion=1")
        return [(r["uuid"], r["status"]) for r in rows if r["type"] == "Profile differs between hosts"]

    [(uuid, status)] = await drift()
    assert status == "new"
    wrong = await client.ask("PUT", f"/1.0/warnings/{uuid}", {"status": "gone"})
    assert wrong.status == 400
    await client.done("PATCH", f"/1.0/warnings/{uuid}", {"status": "acknowledged"})
    assert (await client.get(f"/1.0/warnings/{uuid}"))["status"] == "acknowledged"
    await client.done("DELETE", f"/1.0/warnings/{uuid}")
    assert await drift() == []
    profile = await direct.ask(clean_lab, "h2", "GET", "/1.0/profiles/default")
    await direct.ask(clean_lab, "h2", "PUT", "/1.0/profiles/default", {**profile, "config": {"user.a": "b"}})
    manager = gateway.manager
    await until(manager, lambda: any(row.config for row in manager.inventory.profiles["h2"].values()))
    assert await drift() == [(uuid, "new")]


# -- the gateway's own configuration


async def test_user_keys_are_the_gateways_own(client: Client, gateway: Gateway, clean_lab: Lab) -> None:
    of_hosts = (await client.get("/1.0"))["config"]
    assert of_hosts == {"images.auto_update_interval": "0"}
    await client.done("PATCH", "/1.0", {"config": {"user.motd": "hello"}})
    read = await client.ask("GET", "/1.0")
    assert read.metadata["config"] == {**of_hosts, "user.motd": "hello"}
    tag = {"If-Match": read.headers["ETag"]}
    await client.done("PUT", "/1.0", {"config": {**of_hosts, "user.motd": "hello", "user.b": "c"}}, tag)
    assert (await client.ask("PUT", "/1.0", {"config": of_hosts}, tag)).status == 412
    for key in ("core.https_address", "cluster.https_address", "storage.images_volume"):
        answer = await client.ask("PATCH", "/1.0", {"config": {key: "x"}})
        assert (answer.status, answer.error) == (400, f"{key} is host-local, use --target")
    for host in ALL:
        assert "user.motd" not in (await direct.ask(clean_lab, host, "GET", "/1.0"))["config"]
    await client.done("PUT", "/1.0", {"config": of_hosts})
    assert json.loads(await gateway.manager.store.get_setting("gateway.config") or "") == {}


async def test_a_hosts_own_keys_by_target(client: Client, clean_lab: Lab) -> None:
    await direct.ask(clean_lab, "h2", "PATCH", "/1.0", {"config": {"core.trust_password": "secret"}})
    read = await client.ask("GET", "/1.0?target=h2")
    assert read.metadata["config"]["core.trust_password"] == "true"
    config = {**read.metadata["config"], "user.rack": "7"}
    tag = {"If-Match": read.headers["ETag"]}
    await client.done("PUT", "/1.0?target=h2", {"config": config}, tag)
    have = (await direct.ask(clean_lab, "h2", "GET", "/1.0"))["config"]
    assert (have["user.rack"], have["core.trust_password"]) == ("7", True)
    assert (await client.ask("PUT", "/1.0?target=h2", {"config": config}, tag)).status == 412
    assert "user.rack" not in (await direct.ask(clean_lab, "h1", "GET", "/1.0"))["config"]


# -- the stock clients


async def test_lxc_asks_for_it(lxc: Stock, clean_lab: Lab) -> None:
    assert "CPU" in await lxc("info", "--resources")
    assert "CPU" in await lxc("info", "--resources", "--target", "h2")
    listed = await lxc("warning", "list")
    assert "Profile differs between hosts" in listed
    rows = json.loads(await lxc("warning", "list", "--format", "json"))
    own = next(row for row in rows if row["type"] == "Profile differs between hosts")
    assert own["uuid"] in await lxc("warning", "show", own["uuid"])
    await lxc("warning", "acknowledge", own["uuid"])
    assert own["uuid"] not in await lxc("warning", "list")
    await lxc("config", "set", "user.owner", "me")
    assert (await lxc("config", "get", "user.owner")).strip() == "me"
    await lxc("config", "unset", "user.owner")
    done = await lxc.run("config", "set", "core.https_address", ":8443")
    assert (done.code, "use --target" in done.err) == (1, True)
    await lxc("config", "set", "--target", "h3", "user.here", "yes")
    assert (await lxc("config", "get", "--target", "h3", "user.here")).strip() == "yes"
    assert "kind=incus" in await lxc("cluster", "group", "list")
    assert "i1" in await lxc("cluster", "group", "show", "kind=incus")
    await lxc("launch", "busybox", "grouped", "--target", "@kind=incus")
    assert "i1" in await lxc("list", "grouped", "--columns", "nL", "--format", "csv")


async def test_incus_asks_for_it(incus: Stock) -> None:
    assert "CPU" in await incus("info", "--resources", "--target", "i1")
    assert "Profile differs" in await incus("warning", "list")
    assert "site" in await incus("cluster", "group", "list")
    assert "total_ram" in await incus("cluster", "info", "i1")
