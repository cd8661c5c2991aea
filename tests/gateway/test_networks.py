"""Networks, ACLs and zones: one object each, a copy on every host."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lxdpm_tui.gateway.server import Gateway
from tests.gateway import direct
from tests.gateway.client import Client, until
from tests.gateway.direct import ALL
from tests.gateway.test_lxc_client import Stock
from tests.lab.lab import Lab

BRIDGE = {"ipv4.address": "10.199.1.1/24", "ipv4.nat": "true", "ipv6.address": "none"}
ADDRESS = ("ipv4.address=10.199.1.1/24", "ipv6.address=none")


@pytest.fixture
def lxc(gateway: Gateway, tmp_path: Path) -> Stock:
    return Stock("lxc", tmp_path / "lxc", tmp_path / "fleet.socket")


@pytest.fixture
def incus(gateway: Gateway, tmp_path: Path) -> Stock:
    return Stock("incus", tmp_path / "incus", tmp_path / "fleet.socket")


async def having(lab: Lab, name: str) -> list[str]:
    return await direct.having(lab, f"/1.0/networks/{name}")


async def config(lab: Lab, host: str, name: str) -> dict[str, str]:
    found: dict[str, str] = (await direct.ask(lab, host, "GET", f"/1.0/networks/{name}"))["config"]
    return found


async def create(client: Client, name: str = "fleetbr", **more: str) -> None:
    answer = await client.ask("POST", "/1.0/networks", {"name": name, "config": {**BRIDGE, **more}})
    assert (answer.status, answer.headers["Location"]) == (201, f"/1.0/networks/{name}"), answer.body


async def test_lists_show_each_network_once_with_where_it_is(client: Client, clean_lab: Lab) -> None:
    rows = {row["name"]: row for row in await client.get("/1.0/networks?recursion=1")}
    assert rows["lxdbr0"]["locations"] == ["h1", "h2", "h3"]
    assert rows["incusbr0"]["locations"] == ["i1"]
    assert rows["lo"]["managed"] is False
    assert await client.get("/1.0/networks?recursion=1&filter=name+eq+incusbr0") == [rows["incusbr0"]]
    urls = await client.get("/1.0/networks")
    assert sorted(urls) == urls
    assert urls.count("/1.0/networks/lo") == 1


async def test_a_network_is_made_on_all_hosts_and_deleted_from_all(client: Client, clean_lab: Lab) -> None:
    await create(client)
    assert await having(clean_lab, "fleetbr") == list(ALL)
    found = await client.get("/1.0/networks/fleetbr")
    assert (found["locations"], found["status"], found["type"]) == (list(ALL), "Created", "bridge")
    again = await client.ask("POST", "/1.0/networks", {"name": "fleetbr", "config": BRIDGE})
    assert (again.status, again.error) == (409, 'The network "fleetbr" already exists')
    assert (await client.ask("DELETE", "/1.0/networks/fleetbr")).status == 200
    assert await having(clean_lab, "fleetbr") == []
    assert (await client.ask("GET", "/1.0/networks/fleetbr")).status == 404


async def test_a_refusal_of_one_host_leaves_it_on_none(client: Client, clean_lab: Lab) -> None:
    only_h2 = {"name": "taken", "config": {**BRIDGE, "ipv4.address": "10.199.2.1/24"}}
    await direct.ask(clean_lab, "h2", "POST", "/1.0/networks", only_h2)
    answer = await client.ask(
        "POST", "/1.0/networks", {"name": "other", "config": {**BRIDGE, "ipv4.address": "10.199.2.1/24"}}
    )
    assert answer.status >= 400, answer.body  # h2 has that subnet already
    assert "h2" in answer.error
    assert await having(clean_lab, "other") == []


async def test_members_may_get_their_own_keys_first(client: Client, clean_lab: Lab) -> None:
    for host, octet in (("h1", 11), ("i1", 12)):
        body = {"name": "own", "config": {"ipv4.address": f"10.199.{octet}.1/24"}}
        assert (await client.ask("POST", f"/1.0/networks?target={host}", body)).status == 201
    assert await having(clean_lab, "own") == []
    row = (await client.get("/1.0/networks?recursion=1&filter=name+eq+own"))[0]
    assert (row["status"], row["locations"]) == ("Pending", ["h1", "i1"])
    twice = await client.ask("POST", "/1.0/networks?target=h1", {"name": "own", "config": {}})
    assert twice.status == 409
    answer = await client.ask("POST", "/1.0/networks", {"name": "own", "config": {"ipv6.address": "none"}})
    assert answer.status == 201, answer.body
    assert await having(clean_lab, "own") == ["h1", "i1"]
    assert (await config(clean_lab, "h1", "own"))["ipv4.address"] == "10.199.11.1/24"
    assert (await config(clean_lab, "i1", "own"))["ipv4.address"] == "10.199.12.1/24"
    at_i1 = await client.get("/1.0/networks/own?target=i1")
    assert (at_i1["config"]["ipv4.address"], at_i1["locations"]) == ("10.199.12.1/24", ["i1"])


async def test_a_pending_network_can_be_given_up(client: Client, clean_lab: Lab) -> None:
    await client.ask("POST", "/1.0/networks?target=h1", {"name": "never", "config": {}})
    assert (await client.ask("DELETE", "/1.0/networks/never")).status == 200
    assert "/1.0/networks/never" not in await client.get("/1.0/networks")


async def test_an_edit_is_applied_to_each_hosts_own_copy(client: Client, clean_lab: Lab) -> None:
    """lxdbr0 has another subnet on each host: it keeps it."""
    before = {host: (await config(clean_lab, host, "lxdbr0")) for host in ("h1", "h2", "h3")}
    read = await client.ask("GET", "/1.0/networks/lxdbr0")
    body = {"description": "ours", "config": {**read.metadata["config"], "user.rack": "7"}}
    headers = {"If-Match": read.headers["ETag"]}
    assert (await client.ask("PUT", "/1.0/networks/lxdbr0", body, headers)).status == 200
    for host, was in before.items():
        assert (await config(clean_lab, host, "lxdbr0")) == {**was, "user.rack": "7"}
    stale = await client.ask("PUT", "/1.0/networks/lxdbr0", body, headers)
    assert stale.status == 412
    # the subnets differ by nature, so that a client which sends no If-Match can still be understood
    answer = await client.ask("PATCH", "/1.0/networks/lxdbr0", {"config": {"user.rack": "8"}})
    assert answer.status == 200, answer.body
    assert (await config(clean_lab, "h3", "lxdbr0"))["user.rack"] == "8"
    assert (await client.ask("PUT", "/1.0/networks/lxdbr0", read.metadata)).status == 200
    assert {host: (await config(clean_lab, host, "lxdbr0")) for host in before} == before


async def test_a_drifted_network_is_changed_only_by_those_who_read_it(client: Client, clean_lab: Lab) -> None:
    await create(client)
    await direct.ask(clean_lab, "h3", "PATCH", "/1.0/networks/fleetbr", {"config": {"dns.domain": "three"}})
    read = await client.ask("GET", "/1.0/networks/fleetbr")
    assert read.headers["X-LXDPM-Drift"] == "h3"
    body = {"description": "x", "config": read.metadata["config"]}
    blind = await client.ask("PUT", "/1.0/networks/fleetbr", body)
    assert blind.status == 409
    assert "h3" in blind.error
    answer = await client.ask("PUT", "/1.0/networks/fleetbr", body, {"If-Match": read.headers["ETag"]})
    assert answer.status == 200, answer.body
    assert (await config(clean_lab, "h3", "fleetbr"))["dns.domain"] == "three"


async def test_a_host_that_is_silent_stops_every_write(client: Client, gateway: Gateway, clean_lab: Lab) -> None:
    await create(client)
    await asyncio.to_thread(clean_lab.hosts["h2"].kill)
    await until(gateway.manager, lambda: not gateway.manager.inventory.hosts["h2"].usable)
    for method, path, body in (
        ("POST", "/1.0/networks", {"name": "another", "config": BRIDGE}),
        ("PATCH", "/1.0/networks/fleetbr", {"config": {"user.x": "1"}}),
        ("POST", "/1.0/networks/fleetbr", {"name": "renamed"}),
        ("DELETE", "/1.0/networks/fleetbr", None),
    ):
        answer = await client.ask(method, path, body)
        assert (answer.status, "h2" in answer.error) == (503, True), (method, path, answer.body)
    assert "user.x" not in (await config(clean_lab, "h1", "fleetbr"))
    gone = await client.ask("GET", "/1.0/networks/nowhere")
    assert gone.status == 503  # nobody can tell whether h2 has it


async def test_a_network_in_use_stays_everywhere(client: Client, clean_lab: Lab) -> None:
    await create(client)
    devices = {"n": {"type": "nic", "network": "fleetbr"}}
    await direct.ask(clean_lab, "h2", "POST", "/1.0/profiles", {"name": "user", "devices": devices})
    answer = await client.ask("DELETE", "/1.0/networks/fleetbr")
    assert (answer.status, "h2" in answer.error) == (400, True)
    assert await having(clean_lab, "fleetbr") == list(ALL)


async def test_renamed_everywhere(client: Client, clean_lab: Lab) -> None:
    await create(client)
    assert (await client.ask("POST", "/1.0/networks/fleetbr", {"name": "newbr"})).status == 201
    assert (await having(clean_lab, "newbr"), await having(clean_lab, "fleetbr")) == (list(ALL), [])


async def test_state_and_leases_are_those_of_all_hosts(client: Client, clean_lab: Lab) -> None:
    state = await client.get("/1.0/networks/lxdbr0/state")
    subnets = {
        clean_lab.hosts[host].layout.container_gateway(clean_lab.hosts[host].octet) for host in ("h1", "h2", "h3")
    }
    assert subnets == {f"{a['address']}/{a['netmask']}" for a in state["addresses"] if a["family"] == "inet"}
    at_h2 = await client.get("/1.0/networks/lxdbr0/state?target=h2")
    assert len([a for a in at_h2["addresses"] if a["family"] == "inet"]) == 1
    leases = await client.get("/1.0/networks/lxdbr0/leases")
    assert {lease["location"] for lease in leases} == {"h1", "h2", "h3"}
    assert (await client.ask("GET", "/1.0/networks/nothing/state")).status == 404


async def test_forwards_belong_to_one_host(client: Client, clean_lab: Lab) -> None:
    listening = {"listen_address": "10.199.9.9", "config": {}, "ports": []}
    path = "/1.0/networks/lxdbr0/forwards"
    unsure = await client.ask("POST", path, listening)
    assert unsure.status == 409
    for host in ("h1", "h2"):
        await client.done("POST", f"{path}?target={host}", listening)
    rows = await client.get(f"{path}?recursion=1")
    assert sorted((row["listen_address"], row["location"]) for row in rows) == [
        ("10.199.9.9", "h1"),
        ("10.199.9.9", "h2"),
    ]
    one = await client.ask("GET", f"{path}/10.199.9.9")
    text = "Network forward found on more than one cluster member. Please target a specific member"
    assert (one.status, one.error) == (409, text)
    assert (await client.get(f"{path}/10.199.9.9?target=h2"))["location"] == "h2"
    await client.done("DELETE", f"{path}/10.199.9.9?target=h2")
    assert (await client.get(f"{path}/10.199.9.9"))["location"] == "h1"
    await client.done("PATCH", f"{path}/10.199.9.9", {"description": "ours"})
    await client.done("DELETE", f"{path}/10.199.9.9")
    assert await client.get(path) == []
    assert (await client.ask("GET", f"{path}/10.199.9.9")).status == 404


async def test_acls_are_one_on_all_hosts(client: Client, clean_lab: Lab) -> None:
    rule = {"action": "allow", "protocol": "tcp", "destination_port": "80", "state": "enabled"}
    await client.done("POST", "/1.0/network-acls", {"name": "web", "ingress": [rule], "egress": [], "config": {}})
    try:
        own = {"action": "drop", "protocol": "udp", "destination_port": "53", "state": "enabled"}
        at_h2 = await direct.ask(clean_lab, "h2", "GET", "/1.0/network-acls/web")
        await direct.ask(
            clean_lab, "h2", "PUT", "/1.0/network-acls/web", {**at_h2, "ingress": [*at_h2["ingress"], own]}
        )
        read = await client.ask("GET", "/1.0/network-acls/web")
        assert read.headers["X-LXDPM-Drift"] == "h2"
        more = {**rule, "destination_port": "443"}
        body = {**read.metadata, "ingress": [*read.metadata["ingress"], more]}
        answer = await client.ask("PUT", "/1.0/network-acls/web", body, {"If-Match": read.headers["ETag"]})
        assert answer.status == 200, answer.body
        ports = [
            rule["destination_port"]
            for rule in (await direct.ask(clean_lab, "h2", "GET", "/1.0/network-acls/web"))["ingress"]
        ]
        assert sorted(ports) == ["443", "53", "80"]
        ports = [
            rule["destination_port"]
            for rule in (await direct.ask(clean_lab, "i1", "GET", "/1.0/network-acls/web"))["ingress"]
        ]
        assert sorted(ports) == ["443", "80"]
        await client.done("POST", "/1.0/network-acls/web", {"name": "web2"})
        assert await client.get("/1.0/network-acls") == ["/1.0/network-acls/web2"]
    finally:
        for name in ("web", "web2"):
            await client.ask("DELETE", f"/1.0/network-acls/{name}")
    assert await client.get("/1.0/network-acls") == []


async def test_zones_and_their_records(client: Client, clean_lab: Lab) -> None:
    await client.done("POST", "/1.0/network-zones", {"name": "lab.example", "config": {}})
    try:
        entry = {"type": "A", "value": "10.199.1.9"}
        path = "/1.0/network-zones/lab.example/records"
        await client.done("POST", path, {"name": "www", "entries": [entry], "config": {}})
        assert await client.get(path) == [f"{path}/www"]
        for host in ALL:
            assert (await direct.ask(clean_lab, host, "GET", f"{path}/www"))["entries"][0]["value"] == "10.199.1.9"
        await client.done("PATCH", f"{path}/www", {"description": "the site"})
        assert (await client.get(f"{path}/www"))["description"] == "the site"
        await client.done("DELETE", f"{path}/www")
    finally:
        await client.ask("DELETE", "/1.0/network-zones/lab.example")
    assert await client.get("/1.0/network-zones") == []


async def test_allocations_of_hosts_that_can_tell(client: Client) -> None:
    rows = await client.get("/1.0/network-allocations")
    assert [row["used_by"] for row in rows] == ["/1.0/networks/incusbr0"]


async def test_the_stock_client_does_all_of_it(lxc: Stock, clean_lab: Lab) -> None:
    assert "created" in await lxc("network", "create", "clibr", *ADDRESS)
    assert await having(clean_lab, "clibr") == list(ALL)
    assert "clibr" in await lxc("network", "list")
    await lxc("network", "set", "clibr", "user.owner=me")
    assert (await lxc("network", "get", "clibr", "user.owner")).strip() == "me"
    shown = await lxc("network", "show", "clibr")
    assert all(f"- {host}" in shown for host in ALL)
    edited = shown.replace('description: ""', "description: edited")
    await lxc("network", "edit", "clibr", stdin=edited.encode())
    assert (await direct.ask(clean_lab, "i1", "GET", "/1.0/networks/clibr"))["description"] == "edited"
    assert "10.199.1.1" in await lxc("network", "info", "clibr", "--target", "h2")
    await lxc("network", "list-leases", "clibr")
    await lxc("network", "rename", "clibr", "clibr2")
    await lxc("network", "delete", "clibr2")
    assert await having(clean_lab, "clibr2") == []
    for host in ("h1", "h3"):
        assert "pending" in await lxc("network", "create", "some", "--target", host)
    await lxc("network", "create", "some", *ADDRESS)
    assert await having(clean_lab, "some") == ["h1", "h3"]


async def test_incus_too(incus: Stock, clean_lab: Lab) -> None:
    await incus("network", "create", "inbr", *ADDRESS)
    assert await having(clean_lab, "inbr") == list(ALL)
    assert "inbr" in await incus("network", "list")
    await incus("network", "delete", "inbr")
    assert await having(clean_lab, "inbr") == []


async def test_from_the_command_line(gateway: Gateway, clean_lab: Lab) -> None:
    manager = gateway.manager
    task = await manager.run("network-create", name="actbr", config=BRIDGE, hosts=["h1", "i1"])
    assert (await task.wait()).text == "Success", task.error
    task = await manager.run("network-edit", name="actbr", config={"ipv4.nat": "", "user.a": "b"})
    assert (await task.wait()).text == "Success", task.error
    for host in ("h1", "i1"):
        assert (await config(clean_lab, host, "actbr"))["user.a"] == "b"
        assert "ipv4.nat" not in (await config(clean_lab, host, "actbr"))
    task = await manager.run("network-delete", name="actbr")
    assert (await task.wait()).text == "Success", task.error
    assert await having(clean_lab, "actbr") == []


async def test_lxc_on_what_hangs_on_networks(lxc: Stock, clean_lab: Lab) -> None:
    try:
        await lxc("network", "acl", "create", "web")
        rule = ("action=allow", "protocol=tcp", "destination_port=80")
        await lxc("network", "acl", "rule", "add", "web", "ingress", *rule)
        await lxc("network", "acl", "set", "web", "user.a=b")
        assert "destination_port" in await lxc("network", "acl", "show", "web")
        at_i1 = await direct.ask(clean_lab, "i1", "GET", "/1.0/network-acls/web")
        assert (at_i1["config"], len(at_i1["ingress"])) == ({"user.a": "b"}, 1)
        await lxc("network", "acl", "rule", "remove", "web", "ingress", "action=allow")
        assert "web" in await lxc("network", "acl", "list")
        await lxc("network", "acl", "delete", "web")
        await lxc("network", "zone", "create", "cli.example")
        await lxc("network", "zone", "record", "create", "cli.example", "www")
        await lxc("network", "zone", "record", "entry", "add", "cli.example", "www", "A", "10.199.1.9")
        assert "10.199.1.9" in await lxc("network", "zone", "record", "show", "cli.example", "www")
        await lxc("network", "zone", "record", "delete", "cli.example", "www")
        await lxc("network", "zone", "delete", "cli.example")
        await lxc("network", "forward", "create", "lxdbr0", "10.199.9.8", "--target", "h2")
        assert "h2" in await lxc("network", "forward", "list", "lxdbr0")
        await lxc("network", "forward", "set", "lxdbr0", "10.199.9.8", "user.a=b", "--target", "h2")
        assert "user.a" in await lxc("network", "forward", "show", "lxdbr0", "10.199.9.8")
        await lxc("network", "forward", "delete", "lxdbr0", "10.199.9.8", "--target", "h2")
    finally:
        for kind, name in (("network-acls", "web"), ("network-zones", "cli.example")):
            for host in await direct.having(clean_lab, f"/1.0/{kind}/{name}"):
                await direct.ask(clean_lab, host, "DELETE", f"/1.0/{kind}/{name}")
