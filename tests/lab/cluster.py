"""A real cluster out of hosts of a lab that were independent until then: LXD's or Incus' own, joined by tokens.

It cannot be undone: a lab with a cluster has a number of its own, and its hosts go with it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from tests.lab import clients, rest, setup
from tests.lab.host import LabHost
from tests.lab.lab import Lab
from tests.lab.layout import INCUS, LXD, NUMBERS, LabError
from tests.lab.rest import RestError
from tests.lab.run import until

APART = 28  # what is added to the number of a lab for the lab of its cluster
FIRST = ("h1", "i1")  # who is asked for each of the two clusters


def lab_of_cluster(number: int) -> Lab:
    """The lab that holds the cluster of the test runs of lab `number`."""
    return Lab((number + APART) % len(NUMBERS))


def up(lab: Lab) -> None:
    """A lab of two clusters: h1 and h2 of LXD, i1 and i2 of Incus. Setting up again what is one would break it."""
    if not lab.is_up:
        lab.up(lxd=2, incus=2)
    lab.undo_faults()
    make_cluster(lab, ("h1", "h2"))
    make_cluster(lab, ("i1", "i2"))


def make_cluster(lab: Lab, names: Sequence[str]) -> None:
    """Make the hosts one cluster whose first member is the first of them; does nothing when they are one already."""
    first, *others = (lab.hosts[name] for name in names)
    if first.api("GET", "/1.0")["environment"]["server_clustered"]:
        return
    first.api("PUT", "/1.0/cluster", {"server_name": first.name, "enabled": True})
    first.api("PATCH", "/1.0", {"config": {"cluster.offline_threshold": "11"}})  # seconds; 11 is the least
    for host in others:
        _empty(host)
        _join(host, first)
    until(
        lambda: [m["status"] for m in first.api("GET", "/1.0/cluster/members?recursion=1")] == ["Online"] * len(names),
        60,
        "members online",
    )
    clients.write_configurations(lab.layout, lab.hosts)  # a cluster has one certificate, another than its members had


def until_online(lab: Lab) -> None:
    """Wait until both clusters say that each of their members is online: one that was killed, or that the machine has
    kept from working, is offline for some time after it answers again."""
    for name in FIRST:
        until(partial(_all_online, lab.hosts[name]), 90, f"members online, says {name}")


def _all_online(first: LabHost) -> bool:
    try:
        members = first.api("GET", "/1.0/cluster/members?recursion=1")
    except RestError:  # nobody leads the cluster at this moment
        return False
    return all(member["status"] == "Online" for member in members)


def clean(lab: Lab) -> None:
    """Remove what tests made in the clusters; every member must run."""
    until_online(lab)
    for name in FIRST:
        _clean(lab, lab.hosts[name])


def _clean(lab: Lab, first: LabHost) -> None:
    setup.delete_instances(first)
    for profile in first.api("GET", "/1.0/profiles?recursion=1"):
        if profile["name"] != "default":
            first.api("DELETE", f"/1.0/profiles/{quote(profile['name'])}")
    for image in first.api("GET", "/1.0/images?recursion=1") or []:
        if image["fingerprint"] != lab.image_fingerprint:
            first.api("DELETE", f"/1.0/images/{image['fingerprint']}")
    for member in first.api("GET", "/1.0/cluster/members?recursion=1"):
        if member["config"]:
            path = f"/1.0/cluster/members/{quote(member['server_name'])}"
            kept = {key: member[key] for key in ("roles", "failure_domain", "description", "groups") if key in member}
            first.api("PUT", path, {**kept, "config": {}})


def _empty(host: LabHost) -> None:
    """A member joins with nothing of its own."""
    for image in host.api("GET", "/1.0/images?recursion=1") or []:
        host.api("DELETE", f"/1.0/images/{image['fingerprint']}")
    host.api("PUT", "/1.0/profiles/default", {"description": "", "config": {}, "devices": {}})
    host.api("DELETE", f"/1.0/networks/{host.kind.bridge}")
    for pool in host.api("GET", "/1.0/storage-pools?recursion=1") or []:
        host.api("DELETE", f"/1.0/storage-pools/{pool['name']}")


def _join(host: LabHost, first: LabHost) -> None:
    pools = {pool["name"]: pool["driver"] for pool in first.api("GET", "/1.0/storage-pools?recursion=1")}
    keys: list[dict[str, str]] = []
    for name, driver in pools.items():
        keys.append({"entity": "storage-pool", "name": name, "key": "source", "value": ""})
        if driver == "btrfs":
            keys.append({"entity": "storage-pool", "name": name, "key": "size", "value": "1GiB"})
    body: dict[str, Any] = {
        "server_name": host.name,
        "enabled": True,
        "cluster_address": f"{first.address}:8443",
        "cluster_certificate": first.api("GET", "/1.0")["environment"]["certificate"],
        "server_address": f"{host.address}:8443",
        "member_config": keys,
        {LXD.name: "cluster_password", INCUS.name: "cluster_token"}[host.kind.name]: _token(first, host.name),
    }
    try:
        host.api("PUT", "/1.0/cluster", body)
    except RestError as error:
        raise LabError(f"{host.name} cannot join {first.name}: {error}") from error


def _token(first: LabHost, name: str) -> str:
    """What `lxc cluster add` prints."""
    made = rest.envelope(first.socket, "POST", "/1.0/cluster/members", {"server_name": name})
    parts = made["metadata"]["metadata"]  # the operation goes on until the token is used
    token = {
        "server_name": parts["serverName"],
        "fingerprint": parts["fingerprint"],
        "addresses": parts["addresses"],
        "secret": parts["secret"],
        "expires_at": parts["expiresAt"],
    }
    return base64.b64encode(json.dumps(token).encode()).decode()
