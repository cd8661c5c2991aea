"""Actions that change the settings of one instance: config keys and devices of its own. And how it is published."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lxdpm_tui.actions.image_distribute import Copy, distribute
from lxdpm_tui.actions.image_host import Wanted
from lxdpm_tui.actions.instances import enter, rows_of
from lxdpm_tui.actions.plan import Call, Item
from lxdpm_tui.actions.plan_run import VIA
from lxdpm_tui.actions.registry import ActionError, Param
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.tasks.task import Status

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

_PROJECT = Param("project", "the project", default="default", complete="project")
_INSTANCE = Param(
    "instance", "NAME, or HOST:NAME for one of twins", positional=True, required=True, complete="instance"
)


def pairs(words: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE words. Raises ActionError."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise ActionError(f"expected KEY=VALUE, not {word!r}")
        found[key] = value
    return found


def _device(arguments: Mapping[str, Any]) -> dict[str, Any]:
    settings = pairs(arguments["settings"])
    if not settings.get("type"):
        raise ActionError(f"device {arguments['name']}: expected type=..., as in type=disk source=/srv path=/srv")
    return {"devices": {arguments["name"]: settings}}


enter(
    "config-set",
    "Set config keys of an instance",
    _INSTANCE,
    Param("settings", "KEY=VALUE, one or more", positional=True, required=True, many=True),
    _PROJECT,
    act="configure",
    options=lambda arguments: {"config": pairs(arguments["settings"])},
)
enter(
    "config-unset",
    "Take config keys away from an instance; those of its profiles hold then",
    _INSTANCE,
    Param("keys", "the keys, one or more", positional=True, required=True, many=True),
    _PROJECT,
    act="configure",
    options=lambda arguments: {"config": dict.fromkeys(arguments["keys"])},
)
enter(
    "device-add",
    "Give an instance a device, or change one of its own",
    _INSTANCE,
    Param("name", "name of the device", positional=True, required=True),
    Param("settings", "type=... and KEY=VALUE, one or more", positional=True, required=True, many=True),
    _PROJECT,
    act="configure",
    options=_device,
)


async def _own(manager: Manager, rows: Sequence[Instance], arguments: Mapping[str, Any]) -> None:
    """Those of its profiles cannot be taken from it."""
    for row in rows_of(manager, arguments):
        devices = msgspec.json.decode(row.raw).get("devices") or {} if row.raw else {}
        strange = [name for name in arguments["names"] if name not in devices]
        if strange:
            own = f"; it has {', '.join(sorted(devices))}" if devices else ""
            raise ActionError(f"{row.name} has no device {strange[0]!r} of its own{own}", 404)


enter(
    "device-remove",
    "Take devices of its own away from an instance",
    _INSTANCE,
    Param("names", "the devices, one or more", positional=True, required=True, many=True),
    _PROJECT,
    act="configure",
    options=lambda arguments: {"devices": dict.fromkeys(arguments["names"])},
    before=_own,
)


async def _distribute(manager: Manager, item: Item, call: Call) -> dict[str, Any] | None:
    """The image that the item's instance became, to its other hosts, with its aliases, or to none."""
    fingerprint, wanted = (item.result or {})["fingerprint"], call.body or {}
    hosts = [item.host, *wanted["hosts"]] if wanted["hosts"] else list(manager.inventory.hosts)
    what = Wanted(
        project=item.project,
        public=bool(wanted["public"]),
        aliases=dict.fromkeys(wanted["aliases"], ""),
        reuse=bool(wanted["reuse"]),
    )
    task = await distribute(manager, Copy(item.host, fingerprint, item.project), what, hosts, kind="image-copy")
    try:
        status = await task.wait()
    except asyncio.CancelledError:
        task.cancel()
        raise
    if status is not Status.SUCCESS:
        raise ActionError(task.error or status.text, task.error_code or 500)
    return {"fingerprint": fingerprint}


VIA["distribute"] = _distribute
