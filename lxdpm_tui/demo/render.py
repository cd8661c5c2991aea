"""A daemon's state as LXD's JSON objects."""

from __future__ import annotations

import time
from typing import Any

from lxdpm_tui.demo.events import NEVER, timestamp
from lxdpm_tui.demo.load import MIB
from lxdpm_tui.demo.state import GIB, Image, Instance, Project, Snapshot, State
from lxdpm_tui.demo.variants import JSON

STATUS_CODES = {"Stopped": 102, "Running": 103, "Frozen": 110}
_NO_COUNTERS = dict.fromkeys(
    "bytes_received bytes_sent packets_received packets_sent errors_received errors_sent "
    "packets_dropped_outbound packets_dropped_inbound".split(),
    0,
)


def instance(state: State, found: Instance) -> JSON:
    """As in recursion=1."""
    config, devices = state.expanded(found)
    return {
        "architecture": "x86_64",
        "config": dict(sorted(found.config.items())),
        "devices": found.devices,
        "ephemeral": found.ephemeral,
        "profiles": found.profiles,
        "stateful": False,
        "description": found.description,
        "created_at": found.created_at,
        "expanded_config": config,
        "expanded_devices": devices,
        "name": found.name,
        "status": found.status,
        "status_code": STATUS_CODES[found.status],
        "last_used_at": found.last_used_at,
        "location": state.variant.location,
        "type": found.type,
        "project": found.project,
    }


def instance_full(state: State, found: Instance) -> JSON:
    """As in recursion=2."""
    snapshots = [snapshot(found, one) for one in found.snapshots.values()]
    more = {"backups": None, "state": instance_state(state, found), "snapshots": snapshots or None}
    return instance(state, found) | more


def instance_state(state: State, found: Instance) -> JSON:
    now = time.time()
    limit = state.memory_limit(found)
    memory = dict.fromkeys(("usage", "usage_peak", "swap_usage", "swap_usage_peak"), 0)
    if found.running:
        load = state.load(found)
        memory |= {"usage": load.memory_at(now), "usage_peak": int(load.memory * 1.28)}
    rendered: JSON = {
        "status": found.status,
        "status_code": STATUS_CODES[found.status],
        "disk": {},
        "memory": memory,
        "network": _network(state, found, now) if found.running else None,
        "pid": found.pid,
        "processes": found.processes,
        "cpu": {"usage": int(state.cpu_seconds(found, now) * 1e9)},
    }
    if state.variant.instance_state_total:
        memory["total"] = limit if found.running else 0
    if state.variant.incus:
        rendered["cpu"]["allocated_time"] = state.cpus * 10**9 if found.running else 0
        rendered["started_at"] = timestamp(found.started)
        rendered["os_info"] = None
    return rendered


def _network(state: State, found: Instance, now: float) -> JSON:
    def address(family: str, text: str, netmask: str, scope: str) -> JSON:
        return {"family": family, "address": text, "netmask": netmask, "scope": scope}

    interfaces: JSON = {}
    traffic = int((now - found.started) * (1000 + found.seed % 90000))
    for name, device in state.expanded(found)[1].items():
        if device.get("type") == "nic":
            interfaces[name] = {
                "addresses": [address("inet", found.ipv4, "24", "global")],
                "counters": _NO_COUNTERS | {"bytes_received": traffic, "packets_received": traffic // 700 + 2},
                "hwaddr": found.config.get(f"volatile.{name}.hwaddr", ""),
                "host_name": found.config.get(f"volatile.{name}.host_name", ""),
                "mtu": 1500,
                "state": "up",
                "type": "broadcast",
            }
    interfaces["lo"] = {
        "addresses": [address("inet", "127.0.0.1", "8", "local"), address("inet6", "::1", "128", "local")],
        "counters": _NO_COUNTERS,
        "hwaddr": "",
        "host_name": "",
        "mtu": 65536,
        "state": "up",
        "type": "loopback",
    }
    return interfaces


def snapshot(owner: Instance, one: Snapshot) -> JSON:
    return {
        "expires_at": one.expires_at or NEVER,
        "architecture": "x86_64",
        "config": one.config,
        "created_at": one.created_at,
        "devices": one.devices,
        "ephemeral": one.ephemeral,
        "expanded_config": one.expanded[0],
        "expanded_devices": one.expanded[1],
        "last_used_at": NEVER,
        "name": one.name,
        "profiles": one.profiles,
        "stateful": False,
        "size": -1,
    }


def image(state: State, project: Project, found: Image) -> JSON:
    aliases = [
        {"name": name, "description": alias["description"]}
        for name, alias in project.aliases.items()
        if alias["target"] == found.fingerprint
    ]
    rendered: JSON = {
        "auto_update": found.auto_update,
        "properties": found.properties,
        "public": found.public,
        "expires_at": state.variant.image_never_expires,
        "profiles": found.profiles,
        "aliases": aliases,
        "architecture": found.architecture,
        "cached": found.cached,
        "filename": found.filename,
        "fingerprint": found.fingerprint,
        "size": found.content.size,
        "type": found.type,
        "created_at": found.created_at,
        "last_used_at": found.last_used_at,
        "uploaded_at": found.uploaded_at,
    }
    return rendered | _project(state, project.name)


def _project(state: State, name: str) -> JSON:
    return {"project": name} if state.variant.project_in_objects else {}


def alias(project: Project, name: str) -> JSON:
    found = project.aliases[name]
    kind = project.images[found["target"]].type
    return {"description": found["description"], "target": found["target"], "name": name, "type": kind}


def profile(state: State, project: Project, name: str) -> JSON:
    users = [
        state.url("instances", one.name, project=one.project)
        for one in state.instances()
        if name in one.profiles and state.holder("profiles", state.projects[one.project]) is project
    ]
    return project.profiles[name] | {"name": name, "used_by": users} | _project(state, project.name)


def project(state: State, found: Project) -> JSON:
    def urls(kind: str, names: Any) -> list[str]:
        return [state.url(kind, name, project=found.name) for name in names]

    users = urls("instances", found.instances) + urls("profiles", found.profiles) + urls("images", found.images)
    if found.name == "default":
        users += [state.url("networks", name) for name in state.networks]
    config = dict(sorted(found.config.items()))
    return {"config": config, "description": found.description, "name": found.name, "used_by": users}


def _users(state: State, key: str, name: str) -> list[str] | None:
    """URLs of what has a device with `key` = `name`."""
    users = [
        state.url("instances", one.name, project=one.project)
        for one in state.instances()
        if any(device.get(key) == name for device in state.expanded(one)[1].values())
    ]
    for holder in state.projects.values():
        for profile_name, one in holder.profiles.items():
            if any(device.get(key) == name for device in one["devices"].values()):
                users.append(state.url("profiles", profile_name, project=holder.name))
    if key == "pool":
        for holder in state.projects.values():
            users += [
                state.url("storage-pools", name, "volumes", "custom", volume, project=holder.name)
                for pool, volume in holder.volumes
                if pool == name
            ]
    return users or state.variant.empty_used_by


def network(state: State, name: str) -> JSON:
    """A managed network, or one of the host's own interfaces."""
    found = state.networks.get(name)
    rendered: JSON
    if found is None:
        kind = "loopback" if name == "lo" else "physical"
        rendered = {"config": {}, "description": "", "name": name, "type": kind, "used_by": []}
        rendered |= {"managed": False, "status": "", "locations": None}
    else:
        rendered = found | {"name": name, "used_by": _users(state, "network", name), "managed": True}
        rendered |= {"status": "Created", "locations": [state.variant.location]}
    return rendered | _project(state, "default")


def network_names(state: State) -> list[str]:
    return [*state.networks, "lo", "eth0"]


def network_state(state: State, name: str) -> JSON:
    found = state.networks.get(name)
    addresses = []
    if found is not None and "/" in found["config"].get("ipv4.address", ""):
        text, netmask = found["config"]["ipv4.address"].split("/")
        addresses.append({"family": "inet", "address": text, "netmask": netmask, "scope": "global"})
    bridge = {"id": "8000.00163e000001", "stp": False, "forward_delay": 1500, "vlan_default": 0}
    bridge |= {"vlan_filtering": False, "upper_devices": _ports(state, name)}
    return {
        "addresses": addresses,
        "counters": dict.fromkeys(("bytes_received", "bytes_sent", "packets_received", "packets_sent"), 0),
        "hwaddr": f"{state.variant.mac}:00:00:01",
        "mtu": 1500,
        "state": "up",
        "type": "broadcast",
        "bond": None,
        "bridge": bridge if found is not None else None,
        "vlan": None,
        "ovn": None,
    }


def _ports(state: State, bridge: str) -> list[str]:
    """The host's ends of the network cards plugged into a bridge."""
    return [
        one.config.get(f"volatile.{card}.host_name", "")
        for one in state.instances()
        if one.running
        for card, device in state.expanded(one)[1].items()
        if device.get("network") == bridge
    ]


def leases(state: State, name: str) -> list[JSON]:
    gateway = state.networks[name]["config"].get("ipv4.address", "").split("/")[0]
    rows = [{"hostname": f"{name}.gw", "hwaddr": "", "address": gateway, "type": "gateway", "location": ""}]
    for one in state.instances():
        if one.running and any(device.get("network") == name for device in state.expanded(one)[1].values()):
            mac = one.config.get("volatile.eth0.hwaddr", "")
            row = {"hostname": one.name, "hwaddr": mac, "address": one.ipv4, "type": "dynamic"}
            rows.append(row | {"location": state.variant.location})
    return rows


def pool(state: State, name: str) -> JSON:
    found = state.pools[name]
    rendered = {key: found[key] for key in ("config", "description", "driver")}
    rendered |= {"name": name, "used_by": _users(state, "pool", name)}
    return rendered | {"status": "Created", "locations": [state.variant.location]}


def pool_resources(state: State, name: str) -> JSON:
    total = state.pools[name]["total"]
    used = sum(
        int(state.load(one).memory * 1.5) + GIB // 2
        for one in state.instances()
        if state.expanded(one)[1].get("root", {}).get("pool") == name
    )
    space = {"used": min(used + GIB, total), "total": total}
    return {"space": space, "inodes": {"used": used // 16384 + 1, "total": total // 16384}}


def volumes(state: State, pool_name: str, project_name: str) -> list[JSON]:
    """Those of instances, and the custom ones."""

    def row(name: str, kind: str, used_by: list[str], **more: Any) -> JSON:
        base = {"config": {}, "description": "", "name": name, "type": kind, "used_by": used_by}
        base |= {"location": state.variant.location, "content_type": "filesystem", "project": project_name}
        return base | {"created_at": NEVER} | more

    found = state.project(project_name)
    rows = [
        row(one.name, one.type, [state.url("instances", one.name, project=one.project)])
        for one in found.instances.values()
        if state.expanded(one)[1].get("root", {}).get("pool") == pool_name
    ]
    rows += [row(name, "custom", [], **more) for (pool, name), more in found.volumes.items() if pool == pool_name]
    return rows


def server(state: State, *, project_name: str = "default") -> JSON:
    """GET /1.0."""
    variant = state.variant
    drivers = {"dir": "1", "btrfs": "6.2", "zfs": "2.1.11", "lvm": "2.03.16"}
    used = sorted({one["driver"] for one in state.pools.values()})
    environment: JSON = {
        "addresses": [state.config["core.https_address"]] if state.config.get("core.https_address") else [],
        "architectures": ["x86_64", "i686"],
        "certificate": f"-----BEGIN CERTIFICATE-----\n{state.fingerprint}\n-----END CERTIFICATE-----\n",
        "certificate_fingerprint": state.fingerprint,
        "driver": "lxc | qemu" if variant.has("virtual-machines") else "lxc",
        "driver_version": "5.0.2 | 7.2.9",
        "firewall": "nftables",
        "kernel": "Linux",
        "kernel_architecture": "x86_64",
        "kernel_features": {"idmapped_mounts": "true", "netnsid_getifaddrs": "true", "seccomp_listener": "true"},
        "kernel_version": "6.1.0-26-amd64",
        "lxc_features": {"cgroup2": "true", "pidfd": "true", "seccomp_notify": "true"},
        "os_name": "Debian GNU/Linux",
        "os_version": "12",
        "project": project_name,
        "server": variant.kind,
        "server_clustered": False,
        "server_event_mode": "full-mesh",
        "server_name": state.name,
        "server_pid": 812,
        "server_version": variant.version,
        "storage": " | ".join(used),
        "storage_version": " | ".join(drivers[driver] for driver in used),
        "storage_supported_drivers": [
            {"Name": name, "Version": version, "Remote": False} for name, version in drivers.items()
        ],
    }
    for key, extension in (("server_event_mode", "event_hub"), ("storage_supported_drivers", "event_hub")):
        if not variant.has(extension):
            del environment[key]
    rendered: JSON = {
        "config": state.config,
        "api_extensions": list(variant.extensions),
        "api_status": "stable",
        "api_version": "1.0",
        "auth": "trusted",
        "public": False,
        "auth_methods": ["tls"],
    }
    if variant.has("auth_user"):
        rendered |= {"auth_user_name": "root", "auth_user_method": "unix"}
    return rendered | {"environment": environment}


def resources(state: State) -> JSON:
    """GET /1.0/resources."""
    now = time.time()
    used = state.memory_used(now)
    threads = [{"id": n, "numa_node": 0, "thread": n % 2, "online": True, "isolated": False} for n in range(state.cpus)]
    cores: list[JSON] = [
        {"core": core, "die": 0, "threads": threads[2 * core : 2 * core + 2]} for core in range((state.cpus + 1) // 2)
    ]
    if state.variant.has("resources_cpu_flags"):
        for core in cores:
            core["flags"] = ["fpu", "vme", "sse2", "avx2"]
    socket = {"name": "AMD EPYC", "vendor": "AuthenticAMD", "socket": 0, "cache": [], "cores": cores}
    node = {"numa_node": 0, "hugepages_used": 0, "hugepages_total": 0, "used": used, "total": state.memory}
    memory = {"nodes": [node], "hugepages_total": 0, "hugepages_used": 0, "hugepages_size": 2 * MIB}
    disk = {"id": "sda", "device": "8:0", "type": "sata", "read_only": False, "size": 4096 * GIB, "removable": False}
    disk |= {"numa_node": 0, "block_size": 4096, "rpm": 0, "device_id": "", "partitions": []}
    card = {"driver": "ixgbe", "driver_version": "6.1", "numa_node": 0, "pci_address": "0000:01:00.0"}
    card |= {"vendor_id": "8086", "product_id": "1563"}
    system: JSON = dict.fromkeys(("uuid", "vendor", "product", "family", "version", "sku", "serial"), "")
    rendered: JSON = {
        "cpu": {"architecture": "x86_64", "sockets": [socket], "total": state.cpus},
        "memory": memory | {"used": used, "total": state.memory},
        "gpu": {"cards": [], "total": 0},
        "network": {"cards": [card], "total": 1},
        "storage": {"disks": [disk], "total": 1},
        "usb": {"devices": [], "total": 0},
        "pci": {"devices": [], "total": 0},
        "system": system | {"type": "physical", "firmware": None, "chassis": None, "motherboard": None},
    }
    if state.variant.has("resources_load"):
        load = round(state.load_average(now), 2)
        averages = {"Average1Min": load, "Average5Min": load, "Average10Min": load}
        rendered["load"] = averages | {"Processes": 200 + sum(one.processes for one in state.instances())}
    return rendered
