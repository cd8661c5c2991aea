"""What users do with profiles, networks, storage, projects and the server. Each case runs on the fleet once.

A case makes what it needs, and removes it.
"""

from __future__ import annotations

import yaml

from tests.clients.commands import Commands, fingerprint

ADDRESS = ("ipv4.address=10.199.1.1/24", "ipv6.address=none")


# -- remotes and trust


def add_a_remote_by_token(c: Commands) -> None:
    token = c.token("laptop")
    other = c.stranger()
    other("remote", "add", "fleet", token, has="certificate")
    other("remote", "list", "-f", "csv", has="fleet,https://")
    other("list", "fleet:")
    other("remote", "set-default", "fleet")
    other("image", "list", "-f", "csv", has="busybox")
    late = c.stranger()
    late("remote", "add", "fleet", token, code=1)  # it was for one client
    rows = c.json("config", "trust", "list")
    (row,) = (row for row in rows if row["name"] == "laptop")
    c("config", "trust", "show", row["fingerprint"][:12], has="laptop")
    c("config", "trust", "remove", row["fingerprint"])
    other("list", code=1, has="not authorized")


def trust(c: Commands) -> None:
    c.token("phone")
    c("config", "trust", "list-tokens", has="phone")
    c("config", "trust", "revoke-token", "phone")
    c.check("phone" not in c("config", "trust", "list-tokens"))
    before = c("config", "trust", "list", "-f", "csv")
    other = c.stranger()
    other("remote", "add", "x", c.server.address, "--accept-certificate", code=1)  # makes a certificate, has no secret
    path = str(other.folder / "client.crt")
    c("config", "trust", "add" if c.program == "lxc" else "add-certificate", path, "--name", "tablet")
    (row,) = (row for row in c.json("config", "trust", "list") if row["name"] == "tablet")
    other("remote", "add", "x", c.server.address, "--accept-certificate")
    shown = c("config", "trust", "show", row["fingerprint"])
    c("config", "trust", "edit", row["fingerprint"], stdin=shown.replace("name: tablet", "name: slate"))
    c("config", "trust", "list", "-f", "csv", has="slate")
    c("config", "trust", "remove", row["fingerprint"])
    c.check(c("config", "trust", "list", "-f", "csv") == before)


def add_a_remote_by_password(c: Commands) -> None:
    """LXD's way; Incus has no trust password."""
    c("config", "set", "core.trust_password", "open sesame")
    c("config", "get", "core.trust_password", has="true")
    other = c.stranger()
    other(
        "remote", "add", "fleet", c.server.address, "--accept-certificate", "--password", "open sesame", has="trusted"
    )
    other("list", "fleet:")
    late = c.stranger()
    late("remote", "add", "fleet", c.server.address, "--accept-certificate", "--password", "wrong", code=1)
    c("config", "unset", "core.trust_password")
    own = fingerprint((c.folder / "client.crt").read_text())
    for row in c.json("config", "trust", "list"):
        if row["fingerprint"] != own:
            c("config", "trust", "remove", row["fingerprint"])


# -- the server


def server(c: Commands) -> None:
    c("version", has="Server version:")
    c("info", has='api_version: "1.0"')
    c("info", "--resources", has="CPU")
    c("config", "set", "user.a=b")
    c.check(c("config", "get", "user.a") == "b\n")
    c("config", "show", has="user.a: b")
    c("config", "edit", stdin=c("config", "show").replace("user.a: b", "user.a: c"))
    c.check(c("config", "get", "user.a") == "c\n")
    c("config", "unset", "user.a")
    c("config", "set", "no.such.key", "1", code=1)
    c("warning", "list")
    c("warning", "list", "--all", "-f", "json")
    c("operation", "list")
    c("list")
    c("remote", "list")


def launch_without_a_word(c: Commands) -> None:
    """Neither host nor name: both are chosen."""
    text = c("launch", "busybox")
    (row,) = c.json("list")
    c.check(row["name"] in text, text)
    c("delete", "-f", row["name"])
    text = c("init", "busybox")
    (row,) = c.json("list")
    c.check(row["name"] in text, text)
    c("delete", row["name"])
    c("init", "--empty", "empty")
    c("delete", "empty")


def stop_all(c: Commands) -> None:
    for name in ("a1", "a2", "a3"):
        c("launch", "busybox", name)
    c("stop", "--all", "--force")
    c.check({row["status"] for row in c.json("list")} == {"Stopped"})
    c("start", "--all")
    c("pause", "--all")
    c.check({row["status"] for row in c.json("list")} == {"Frozen"})
    c("start", "--all")  # those that are frozen it leaves alone
    c.check({row["status"] for row in c.json("list")} == {"Frozen"})
    c("restart", "--all", "--force")
    c.check({row["status"] for row in c.json("list")} == {"Running"})
    c("stop", "-f", "a1", "a2")
    c("delete", "--force", "a1", "a2", "a3")


# -- profiles


def profiles(c: Commands) -> None:
    c("profile", "create", "p")
    c("profile", "create", "p", code=1, has="already exists")
    c("profile", "set", "p", "limits.cpu", "1")
    c.check(c("profile", "get", "p", "limits.cpu") == "1\n")
    shown = yaml.safe_load(c("profile", "show", "p"))
    shown["description"] = "edited"
    c("profile", "edit", "p", stdin=yaml.safe_dump(shown))
    c("profile", "show", "p", has="description: edited")
    c("profile", "device", "add", "p", "tmp", "disk", "source=/tmp", "path=/mnt")
    c("profile", "device", "set", "p", "tmp", "readonly", "true")
    c.check(c("profile", "device", "get", "p", "tmp", "readonly") == "true\n")
    c("profile", "device", "show", "p", has='readonly: "true"')
    c("profile", "device", "list", "p", has="tmp")
    c("profile", "device", "remove", "p", "tmp")
    c("profile", "copy", "p", "q")
    c("init", "busybox", "c1", "-p", "default", "-p", "p")
    c("profile", "assign", "c1", "default,q", has="applied")
    c("profile", "add", "c1", "p")
    c("profile", "remove", "c1", "q")
    (row,) = c.json("list", "c1")
    c.check((row["profiles"], row["expanded_config"]["limits.cpu"]) == (["default", "p"], "1"), row)
    c("profile", "delete", "p", code=1, has="in use")
    (row,) = (row for row in c.json("profile", "list") if row["name"] == "p")
    c.check(row["used_by"] == ["/1.0/instances/c1"], row)
    c("profile", "unset", "p", "limits.cpu")
    c("delete", "c1")
    c("profile", "rename", "q", "r")
    c("profile", "list", has="r")
    c("profile", "delete", "p")
    c("profile", "delete", "r")
    c("profile", "show", "r", code=1, has="not found")


# -- networks


def networks(c: Commands) -> None:
    c("network", "create", "tbr0", *ADDRESS)
    c("network", "create", "tbr0", *ADDRESS, code=1, has="already exists")
    c("network", "list", has="tbr0")
    c("network", "set", "tbr0", "ipv4.nat", "true")
    c.check(c("network", "get", "tbr0", "ipv4.nat") == "true\n")
    shown = yaml.safe_load(c("network", "show", "tbr0"))
    shown["description"] = "edited"
    c("network", "edit", "tbr0", stdin=yaml.safe_dump(shown))
    c("network", "show", "tbr0", has="description: edited")
    c("network", "unset", "tbr0", "ipv4.nat")
    c("network", "info", "tbr0", has="MAC address")
    c("init", "busybox", "c1")
    c("network", "attach", "tbr0", "c1", "eth1")
    c("config", "device", "set", "c1", "eth1", "ipv4.address", "10.199.1.20")
    c("start", "c1")
    c("network", "list-leases", "tbr0", has="10.199.1.20")
    c("network", "delete", "tbr0", code=1, has="in use")
    c("network", "detach", "tbr0", "c1", "eth1")
    c("delete", "--force", "c1")
    c("profile", "create", "p")
    c("network", "attach-profile", "tbr0", "p", "eth0")
    c("network", "detach-profile", "tbr0", "p", "eth0")
    c("profile", "delete", "p")
    c("network", "rename", "tbr0", "tbr1")
    c("network", "delete", "tbr1")
    c("network", "show", "tbr1", code=1, has="not found")


def acls_and_zones(c: Commands) -> None:
    c("network", "acl", "create", "web")
    c("network", "acl", "rule", "add", "web", "ingress", "action=allow", "protocol=tcp", "destination_port=80")
    c("network", "acl", "set", "web", "user.a=b")
    c("network", "acl", "show", "web", has='destination_port: "80"')
    c("network", "acl", "list", has="web")
    c("network", "acl", "rule", "remove", "web", "ingress", "destination_port=80")
    c("network", "acl", "rename", "web", "web2")
    c("network", "acl", "delete", "web2")
    c("network", "zone", "create", "lab.example")
    c("network", "zone", "set", "lab.example", "user.a=b")
    c("network", "zone", "list", has="lab.example")
    c("network", "zone", "show", "lab.example", has="user.a: b")
    c("network", "zone", "record", "create", "lab.example", "www")
    c("network", "zone", "record", "entry", "add", "lab.example", "www", "A", "10.199.1.9")
    c("network", "zone", "record", "list", "lab.example", has="www")
    c("network", "zone", "record", "show", "lab.example", "www", has="10.199.1.9")
    c("network", "zone", "record", "delete", "lab.example", "www")
    c("network", "zone", "delete", "lab.example")


def forwards(c: Commands) -> None:
    c("network", "create", "tbr0", *ADDRESS)
    c("network", "forward", "create", "tbr0", "10.198.0.1", *c.at("h2"))
    c("network", "forward", "port", "add", "tbr0", "10.198.0.1", "tcp", "80", "10.199.1.20")
    c("network", "forward", "list", "tbr0", has="10.198.0.1")
    c("network", "forward", "show", "tbr0", "10.198.0.1", has="10.199.1.20")
    c("network", "forward", "port", "remove", "tbr0", "10.198.0.1", "tcp", "80")
    c("network", "forward", "delete", "tbr0", "10.198.0.1")
    c("network", "delete", "tbr0")


# -- storage


def pools(c: Commands) -> None:
    c("storage", "create", "extra", "dir")
    c("storage", "create", "extra", "dir", code=1, has="already exists")
    c("storage", "list", has="extra")
    c("storage", "set", "extra", "user.a", "b")
    c.check(c("storage", "get", "extra", "user.a") == "b\n")
    shown = yaml.safe_load(c("storage", "show", "extra"))
    shown["description"] = "edited"
    c("storage", "edit", "extra", stdin=yaml.safe_dump(shown))
    c("storage", "show", "extra", has="description: edited")
    c("storage", "info", "extra", has="total space")
    c("storage", "unset", "extra", "user.a")
    c("init", "busybox", "c1", "-s", "extra")
    c("storage", "info", "extra", has="c1")
    c("storage", "delete", "extra", code=1, has="in use")
    c("delete", "c1")
    for row in c.query("/1.0/storage-pools/extra/volumes/image"):
        c("image", "delete", row.rsplit("/", 1)[1])
    c("storage", "delete", "extra")
    c("storage", "show", "extra", code=1, has="not found")


def volumes(c: Commands) -> None:
    c("storage", "volume", "create", "default", "v1", "user.a=b")
    c("storage", "volume", "list", "default", has="v1")
    c("storage", "volume", "list", "default", "-f", "csv", "-c", "n", has="v1")
    c("storage", "volume", "set", "default", "v1", "user.a", "c")
    c.check(c("storage", "volume", "get", "default", "v1", "user.a") == "c\n")
    shown = yaml.safe_load(c("storage", "volume", "show", "default", "v1"))
    shown["description"] = "edited"
    c("storage", "volume", "edit", "default", "v1", stdin=yaml.safe_dump(shown))
    c("storage", "volume", "show", "default", "v1", has="description: edited")
    c("storage", "volume", "unset", "default", "v1", "user.a")
    c.snapshot_volume("default", "v1", "s0")
    c("storage", "volume", "show", "default", "v1/s0", has="name: ")
    c.restore_volume("default", "v1", "s0")
    c("storage", "volume", "copy", "default/v1", "default/v2")
    c("storage", "volume", "copy", "default/v1", "fast/v3")
    c("storage", "volume", "rename", "default", "v2", "v4")
    c("storage", "volume", "export", "default", "v1", str(c.folder / "v1.tar.gz"))
    c("storage", "volume", "import", "default", str(c.folder / "v1.tar.gz"), "v5")
    c("storage", "volume", "show", "default", "v5", has="description: edited")
    c("storage", "volume", "move", "default/v5", "fast/v5")
    c.delete_volume_snapshot("default", "v1", "s0")
    for pool, name in (("default", "v1"), ("default", "v4"), ("fast", "v3"), ("fast", "v5")):
        c("storage", "volume", "delete", pool, name)
    c.check(c.query("/1.0/storage-pools/default/volumes/custom") == [])


def volumes_of_an_instance(c: Commands) -> None:
    c("launch", "busybox", "c1", *c.at("h3"))
    c("storage", "volume", "create", "default", "v1", *c.at("h3"))
    c("storage", "volume", "attach", "default", "v1", "c1", "data", "/mnt")
    c("exec", "c1", "--", "touch", "/mnt/file")
    c("storage", "volume", "delete", "default", "v1", code=1, has="in use")
    c("storage", "volume", "detach", "default", "v1", "c1")
    c("profile", "create", "p")
    c("storage", "volume", "attach-profile", "default", "v1", "p", "data", "/mnt")
    c("storage", "volume", "detach-profile", "default", "v1", "p")
    c("profile", "delete", "p")
    c("storage", "volume", "show", "default", "container/c1", has="name: c1")
    c("delete", "--force", "c1")
    c("storage", "volume", "delete", "default", "v1")


# -- projects


def projects(c: Commands) -> None:
    c("project", "create", "tp", "-c", "features.images=false", "-c", "features.profiles=false")
    c("project", "create", "tp", code=1, has="tp")  # Incus at times only that a constraint failed
    c("project", "list", has="tp")
    c("project", "set", "tp", "user.a", "b")
    c.check(c("project", "get", "tp", "user.a") == "b\n")
    c("project", "edit", "tp", stdin=c("project", "show", "tp").replace("user.a: b", "user.a: c"))
    c("project", "show", "tp", has="user.a: c")
    c("project", "switch", "tp")
    c("init", "busybox", "c1")
    c("list", "-f", "csv", "-c", "n", has="c1")
    c("project", "delete", "tp", code=1)
    c("project", "info", "tp", has="INSTANCES")
    c("project", "switch", "default")
    c.check(c.json("list") == [])
    (row,) = c.json("list", "--project", "tp")
    c.check(row["project"] == "tp", row)
    (row,) = c.json("list", "--all-projects")
    c.check(row["project"] == "tp", row)
    c("init", "busybox", "c1")  # the same name in another project
    c("delete", "c1")
    c("copy", "c1", "c2", "--project", "tp", "--target-project", "default")
    c("delete", "c2")
    c("delete", "c1", "--project", "tp")
    c("project", "unset", "tp", "user.a")
    c("project", "rename", "tp", "tq")
    c("project", "delete", "tq")
    c("project", "show", "tq", code=1, has="not found")


# -- the cluster view, which one daemon alone does not have


def cluster(c: Commands) -> None:
    rows = c.json("cluster", "list")
    c.check({row["server_name"]: row["status"] for row in rows} == dict.fromkeys(("h1", "h2", "h3", "i1"), "Online"))
    c("cluster", "show", "h2", has="server_name: h2")
    c("cluster", "group", "list", has="default")
    c("cluster", "group", "show", "default", has="h1")
    c("launch", "busybox", "c1", "--target", "h3")
    c("list", "-f", "csv", "-c", "nL", has="c1,h3")
    (row,) = c.json("list", "location=h3")
    c.check(row["name"] == "c1", row)
    c("info", "--target", "h2", has="server_name: h2")
    c("info", "--resources", "--target", "i1", has="CPU")
    c("config", "show", "--target", "h2", has="core.https_address")
    c("storage", "show", "fast", "--target", "h1", has="size: 2GiB")
    c("network", "list", has="lxdbr0")
    c("launch", "busybox", "c2", "--target", "nowhere", code=1, has="not found")
    c("cluster", "group", "create", "gq")
    c("cluster", "group", "assign", "h2", "default,gq")
    c("cluster", "group", "show", "gq", has="- h2")
    c("launch", "busybox", "c3", "--target", "@gq")
    c("list", "-f", "csv", "-c", "nL", has="c3,h2")
    c("cluster", "group", "delete", "gq", code=1, has="Only empty cluster groups can be removed")
    c("cluster", "group", "remove", "h2", "gq")
    c("cluster", "group", "rename", "gq", "gr")
    c("cluster", "group", "delete", "gr")
    c("cluster", "set", "h2", "user.rack", "7")
    c("cluster", "get", "h2", "user.rack", has="7")
    c(
        "cluster",
        "edit",
        "h2",
        stdin=c("cluster", "show", "h2").replace("failure_domain: default", "failure_domain: dq"),
    )
    c("cluster", "list", has="dq")
    c("cluster", "unset", "h2", "user.rack")
    c("config", "set", "images.compression_algorithm", "zstd")
    c("config", "show", "--target", "i1", has="images.compression_algorithm: zstd")
    c("config", "unset", "images.compression_algorithm")
    c("delete", "-f", "c3")
    c("delete", "-f", "c1")


CASES = (
    add_a_remote_by_token, trust, server, launch_without_a_word, stop_all,
    profiles, networks, acls_and_zones,
    forwards, pools, volumes, volumes_of_an_instance, projects,
)  # fmt: skip
ONLY_LXC = (add_a_remote_by_password,)
ONLY_FLEET = (cluster,)
