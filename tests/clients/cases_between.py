"""Instances copied and moved between this server and another, an LXD. Each case runs on the fleet once."""

from __future__ import annotations

from tests.clients.commands import Commands

OUTSIDE = ("-c", "features.images=false", "-c", "features.profiles=false")


def snapshots_of(c: Commands, name: str) -> list[str]:
    (row,) = c.rows(name)
    return [snapshot["name"] for snapshot in row["snapshots"] or ()]


def copies_between_servers(c: Commands) -> None:
    """There and back in each of the three ways; the other server dials this one, is dialled, or neither."""
    c("project", "create", "other:outside", *OUTSIDE)
    c("init", "busybox", "c1", "-c", "user.a=b", *c.at("h1"))
    c("snapshot", "c1", "s0")
    for mode in ("pull", "push", "relay"):
        c("copy", "c1", "other:c2", "--mode", mode)
        c("config", "get", "other:c2", "user.a", has="b")
        c("copy", "other:c2", "c3", "--mode", mode)
        c.check(snapshots_of(c, "c3") == ["s0"])
        c("config", "get", "c3", "user.a", has="b")
        c("copy", "other:c2", "c3", "--mode", mode, code=1, has="already exists")
        c("start", "c3")
        c("delete", "--force", "c3")
        c("delete", "other:c2")
    c("delete", "c1")
    c("project", "delete", "other:outside")


def refreshes_and_moves_between_servers(c: Commands) -> None:
    c("project", "create", "other:outside", *OUTSIDE)
    c("init", "busybox", "c1", *c.at("h3"))
    c("copy", "c1", "other:c2")
    c("snapshot", "other:c2", "later")
    c("copy", "other:c2", "c1", "--refresh")
    c.check(snapshots_of(c, "c1") == ["later"])
    c("move", "c1", "other:c1")
    c("info", "c1", code=1, has="not found")
    c("move", "other:c1", "c9", "--mode", "relay")
    c.check(snapshots_of(c, "c9") == ["later"])
    c("delete", "c9", "other:c2")
    c("project", "delete", "other:outside")


def volumes_between_servers(c: Commands) -> None:
    c("project", "create", "other:outside", *OUTSIDE)
    c("storage", "volume", "create", "default", "v1", "user.a=b", *c.at("h2"))
    c("storage", "volume", "snapshot", "default", "v1", "s0")
    for mode in ("pull", "push", "relay"):
        c("storage", "volume", "copy", "default/v1", "other:default/v2", "--mode", mode)
        c("storage", "volume", "copy", "other:default/v2", "default/v3", "--mode", mode)
        c("storage", "volume", "get", "default", "v3", "user.a", has="b")
        c("storage", "volume", "delete", "default", "v3")
        c("storage", "volume", "delete", "other:default", "v2")
    c("storage", "volume", "copy", "default/v1", "default/v4")
    c("storage", "volume", "snapshot", "default", "v1", "s1")
    c("storage", "volume", "copy", "default/v1", "default/v4", "--refresh")
    names = [row["name"] for row in c.json("storage", "volume", "list", "default")]
    c.check("v4/s1" in names, names)
    c("storage", "volume", "delete", "default", "v4")
    c("storage", "volume", "delete", "default", "v1")
    c("project", "delete", "other:outside")


ONLY_LXC = (copies_between_servers, refreshes_and_moves_between_servers, volumes_between_servers)
