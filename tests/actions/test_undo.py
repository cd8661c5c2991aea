"""Each undo handler on real daemons: takes back what is ours, leaves the rest, and may be called again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.actions.undo import Handler, undo_handlers
from lxdpm_tui.hosts.host import Host
from lxdpm_tui.hosts.transport import HostError, Unreachable
from tests.lab.lab import Lab
from tests.lab.rest import RestError


@pytest.fixture
async def undo(clean_lab: Lab) -> AsyncIterator[dict[str, Handler]]:
    hosts = {config.name: Host(config) for config in clean_lab.hosts_config({"h1": "unix", "i1": "unix"})}
    manager: Any = SimpleNamespace(fleet=SimpleNamespace(hosts=hosts, may_come=lambda name: name == "prod/h1"))
    yield undo_handlers(manager)
    await asyncio.gather(*(host.close() for host in hosts.values()))


def there(lab: Lab, host: str, path: str) -> Any:
    """What the host says of it; None when it says that there is no such thing."""
    try:
        return lab.hosts[host].api("GET", path)
    except RestError as error:
        if error.code != 404:
            raise
        return None


@pytest.mark.parametrize("host", ["h1", "i1"])
async def test_profiles(undo: dict[str, Handler], clean_lab: Lab, host: str) -> None:
    api = clean_lab.hosts[host].api
    args = {"host": host, "project": "default", "task": "t"}
    body = {"name": "p", "description": "d", "config": {"limits.cpu": "1"}, "devices": {}}
    before, after = {key: body[key] for key in ("description", "config", "devices")}, {
        "description": "d", "config": {"limits.cpu": "2"}, "devices": {},
    }  # fmt: skip
    for _ in range(2):
        await undo["profile.present"]({**args, "body": body})
    assert there(clean_lab, host, "/1.0/profiles/p")["config"] == body["config"]

    api("PUT", "/1.0/profiles/p", after)
    for _ in range(2):
        await undo["profile.restore"]({**args, "name": "p", "before": before, "after": after})
    assert there(clean_lab, host, "/1.0/profiles/p")["config"] == {"limits.cpu": "1"}
    api("PUT", "/1.0/profiles/p", {**after, "config": {"limits.cpu": "3"}})  # somebody else's change
    await undo["profile.restore"]({**args, "name": "p", "before": before, "after": after})
    assert there(clean_lab, host, "/1.0/profiles/p")["config"] == {"limits.cpu": "3"}

    api("POST", "/1.0/profiles/p", {"name": "q"})
    for _ in range(2):
        await undo["profile.renamed-back"]({**args, "name": "q", "old_name": "p"})
    assert there(clean_lab, host, "/1.0/profiles/q") is None
    assert there(clean_lab, host, "/1.0/profiles/p")

    for _ in range(2):
        await undo["profile.absent"]({**args, "name": "p"})
    assert there(clean_lab, host, "/1.0/profiles/p") is None


@pytest.mark.parametrize("host", ["h1", "i1"])
async def test_an_instance_that_is_ours_goes_even_when_it_runs(
    undo: dict[str, Handler], clean_lab: Lab, host: str
) -> None:
    api = clean_lab.hosts[host].api
    ours, theirs = str(uuid.uuid4()), str(uuid.uuid4())
    source = {"type": "image", "alias": "busybox"}
    api("POST", "/1.0/instances", {"name": "c1", "source": source, "config": {"volatile.uuid": ours}})
    api("PUT", "/1.0/instances/c1/state", {"action": "start", "timeout": 30})
    args = {"host": host, "project": "default", "name": "c1", "task": "t"}
    await undo["instance.absent"]({**args, "uuid": theirs})
    assert there(clean_lab, host, "/1.0/instances/c1")["config"]["volatile.uuid"] == ours
    for _ in range(2):
        await undo["instance.absent"]({**args, "uuid": ours})
    assert there(clean_lab, host, "/1.0/instances/c1") is None


async def test_an_instance_that_is_still_being_made_is_waited_for(undo: dict[str, Handler], clean_lab: Lab) -> None:
    ours = str(uuid.uuid4())
    body = {
        "name": "c1", "source": {"type": "image", "alias": "busybox"}, "config": {"volatile.uuid": ours},
    }  # fmt: skip
    host = Host(clean_lab.hosts_config({"h1": "unix"})[0])
    await host.request("POST", "/1.0/instances", json=body)  # answered before it is there
    await undo["instance.absent"]({"host": "h1", "project": "default", "name": "c1", "uuid": ours, "task": "t"})
    assert await host.get("/1.0/instances") == []
    await host.close()


async def test_aliases_that_somebody_else_changed_stay(undo: dict[str, Handler], clean_lab: Lab) -> None:
    api = clean_lab.hosts["h1"].api
    busybox = clean_lab.image_fingerprint
    alias = {"target": busybox, "description": "ours"}
    args = {"host": "h1", "project": "default", "name": "a", "task": "t", "before": None, "after": alias}
    await undo["image.alias"](args)
    api("POST", "/1.0/images/aliases", {"name": "a", **alias, "description": "theirs"})
    await undo["image.alias"](args)
    assert there(clean_lab, "h1", "/1.0/images/aliases/a")
    api("PUT", "/1.0/images/aliases/a", alias)
    for _ in range(2):
        await undo["image.alias"](args)
    assert there(clean_lab, "h1", "/1.0/images/aliases/a") is None


async def test_hosts_that_cannot_be_asked(undo: dict[str, Handler], clean_lab: Lab) -> None:
    args = {"project": "default", "fingerprint": "f" * 64, "task": "t"}
    with pytest.raises(Unreachable, match="its cluster was not reached yet"):
        await undo["profile.absent"]({"host": "prod/h1", "project": "default", "name": "p", "task": "t"})
    with pytest.raises(ActionError, match="h9 is no longer in the fleet"):
        await undo["image.absent"]({**args, "host": "h9"})
    with clean_lab.hosts["h1"].killed(), pytest.raises(HostError) as error:
        await undo["image.absent"]({**args, "host": "h1"})
    assert error.value.host == "h1"
