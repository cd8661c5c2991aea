"""Which image is meant, and who has it: asked of the hosts themselves, not of the inventory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lxdpm_tui.actions.image_host import Alias, read_alias, read_image
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.hosts.transport import ApiError, HostError

if TYPE_CHECKING:
    from lxdpm_tui.hosts.host import Host
    from lxdpm_tui.manager import Manager

BUDGET = 5.0  # seconds a host has to answer


@dataclass(frozen=True, slots=True)
class Found:
    """images: host -> the host's image object.  silent: host -> why it could not be asked."""

    fingerprint: str
    images: dict[str, dict[str, Any]]
    silent: dict[str, str]

    @property
    def silence(self) -> str:
        return "; ".join(f"{name}: {reason}" for name, reason in self.silent.items())


async def locate(manager: Manager, ref: str, project: str = "default", *, aliases: bool = False) -> Found:
    """Ask all hosts for an image by fingerprint or its beginning; with `aliases` also by alias.

    Raises ActionError: 404 nobody has it, 503 nobody who answers has it and some did not, 400 several images fit.
    """

    async def ask(host: Host) -> dict[str, Any] | None:
        alias = await read_alias(host, project, ref) if aliases else None
        if alias is None and not re.fullmatch("[0-9a-f]{1,64}", ref):
            return None
        return await read_image(host, project, alias["target"] if alias else ref)

    images: dict[str, dict[str, Any]] = {}
    silent = silent_hosts(manager)
    asked = manager.fleet.distinct(manager.fleet.usable())
    for name, answer in (await manager.fleet.fan_out(ask, asked, budget=BUDGET)).items():
        if isinstance(answer, HostError):
            silent[name] = answer.reason
        elif isinstance(answer, ApiError):
            if "more than one" not in answer.text.lower():
                raise ActionError(str(answer), answer.code)
            raise ActionError(f"Image {ref!r} is the beginning of several fingerprints on {name}; give more of it")
        elif answer is not None:
            images[name] = answer
    fingerprints = {image["fingerprint"] for image in images.values()}
    if len(fingerprints) > 1:
        which = ", ".join(f"{image['fingerprint'][:12]} on {name}" for name, image in images.items())
        raise ActionError(f"Image {ref!r} is not the same everywhere: {which}; give a fingerprint")
    found = Found(fingerprints.pop() if fingerprints else "", images, silent)
    if not images:
        raise _missing("Image", found.silence)
    return found


async def locate_alias(manager: Manager, name: str, project: str) -> dict[str, Alias]:
    """Host -> the alias there, of the hosts that have it, maybe none.

    Raises ActionError 503 naming hosts that cannot be asked: nobody can tell whether they have it.
    """
    silent = silent_hosts(manager)
    found: dict[str, Alias] = {}
    asked = manager.fleet.distinct(manager.fleet.usable())
    for host, answer in (
        await manager.fleet.fan_out(lambda host: read_alias(host, project, name), asked, budget=BUDGET)
    ).items():
        if isinstance(answer, HostError):
            silent[host] = answer.reason
        elif isinstance(answer, ApiError):
            raise ActionError(str(answer), answer.code)
        elif answer is not None:
            found[host] = answer
    if silent:
        reasons = "; ".join(f"{host}: {reason}" for host, reason in silent.items())
        raise ActionError(f"Nothing was changed: cannot ask {reasons}", 503)
    return found


def silent_hosts(manager: Manager) -> dict[str, str]:
    """Host -> why it cannot be asked now."""
    records = manager.inventory.hosts
    return {name: records[name].reason or str(records[name].status) for name in manager.fleet.silent()}


def _missing(what: str, silence: str) -> ActionError:
    if silence:
        return ActionError(f"{what} not found on the hosts that answer; cannot ask {silence}", 503)
    return ActionError(f"{what} not found", 404)
