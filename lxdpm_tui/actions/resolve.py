"""From what people write ("web-1", "h2:web-1", "debian/12", "592ac3") to keys of the inventory."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import Image, Instance, Key
from lxdpm_tui.hosts.limit import limit
from lxdpm_tui.hosts.transport import ApiError, HostError

if TYPE_CHECKING:
    from lxdpm_tui.manager import Manager

LOOK = 10.0  # seconds

_INSTANCE_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,62}(?<!-)")
_FIRST = """
able amber bold brave brisk calm clear cool crisp deft eager early fair fine fleet fond free fresh glad gold grand green
happy keen kind late light lucky mild neat noble plain proud quick quiet rapid ready sharp
""".split()
_LAST = """
ant bass bat bear bee bird bison boar bug bull calf cat clam cod colt crab crane crow cub deer dog dove duck elk emu
fawn finch fish fly fox frog goat gull hare hawk hen ibex jay kid kite koi lark lynx mink mole moth mule newt orca owl
ox pika pug puma quail ram rat raven rook seal shad slug snail stag swan teal toad wasp wren
""".split()


def unknown(manager: Manager, what: str, known_down: bool = True) -> ActionError:
    """What to say when no host has it: 404 when all could say so, 503 naming those that could not."""
    never = [name for name, record in manager.inventory.hosts.items() if not record.scanned]
    silent = sorted({*never, *(manager.fleet.silent() if known_down else ())})
    if silent:
        return ActionError(f"{what} not found on the hosts that answer; could not ask {', '.join(silent)}", 503)
    return ActionError(f"{what} not found", 404)


def instance(manager: Manager, ref: str, project: str = "default") -> Instance:
    """The one instance called "NAME" or "HOST:NAME".

    Raises ActionError: 404 not there, 503 a host that may have it cannot be asked, 409 twins on several hosts.
    """
    host, colon, name = ref.rpartition(":")
    if colon:
        if host not in manager.inventory.hosts:
            raise ActionError(f"there is no host {host!r}", 404)
        row = manager.inventory.instances.get(host, {}).get(Key(host, project, name))
        if row is None:
            raise ActionError(f"Instance not found: {ref}", 404 if manager.inventory.hosts[host].usable else 503)
        return row
    rows = manager.inventory.find_instances(project, name)
    if not rows:
        raise unknown(manager, f"Instance {name!r} of project {project}")
    if len(rows) > 1:
        where = " and ".join(sorted(f"{row.host}:{name}" for row in rows))
        raise ActionError(f"Instance found on more than one host. Say which: {where}", 409)
    return rows[0]


async def read_again(manager: Manager, *keys: Key) -> None:
    """Have the inventory hold what the hosts say of these instances now, of which no event may have told yet.

    A host that is found to be down, or does not answer within LOOK seconds, keeps its last-known row; one that left the
    fleet has none.
    """
    await asyncio.gather(*(_read_now(manager, key.host, "instances", key) for key in keys))


async def read_kind_again(manager: Manager, kind: str, hosts: Iterable[str]) -> None:
    """As read_again, of all of a kind on these hosts."""
    await asyncio.gather(*(_read_now(manager, host, kind) for host in manager.fleet.distinct(hosts)))


async def _read_now(manager: Manager, host: str, kind: str, key: Key | None = None) -> None:
    record = manager.inventory.hosts.get(host)
    if record is None or not record.usable:
        return
    with contextlib.suppress(HostError, ApiError, TimeoutError):
        async with limit(LOOK), manager.fleet.while_usable(host):
            await manager.fleet.watch(host).read_now(kind, key)


async def forget_gone(manager: Manager, project: str, name: str) -> None:
    """Forget an instance of that name that is gone. From then on it is up to find_instances and the claims."""
    await read_again(manager, *(row.key for row in manager.inventory.find_instances(project, name)))


def image(manager: Manager, ref: str, project: str = "default") -> tuple[str, list[Image]]:
    """(fingerprint, its copies) of an alias, a fingerprint or the beginning of one.

    An alias that names different images on different hosts means the one most hosts agree on, then the newest.
    Raises ActionError: 404, 503 (see `unknown`), 400 for the beginning of several fingerprints.
    """
    rows = [row for row in manager.inventory.all_images() if row.project == project]
    by_alias = [row for row in rows if ref in row.aliases]
    if by_alias:
        held = Counter(row.fingerprint for row in by_alias)
        best = max(by_alias, key=lambda row: (held[row.fingerprint], row.uploaded_at))
        return best.fingerprint, [row for row in rows if row.fingerprint == best.fingerprint]
    found = {row.fingerprint for row in rows if len(ref) >= 2 and row.fingerprint.startswith(ref)}
    if not found:
        raise unknown(manager, f"Image {ref!r}")
    if len(found) > 1:
        raise ActionError(f"Image {ref!r} is the beginning of {len(found)} fingerprints; give more of it", 400)
    fingerprint = found.pop()
    return fingerprint, [row for row in rows if row.fingerprint == fingerprint]


def check_name(what: str, name: str) -> None:
    """Of profiles, projects, networks and the like. Raises ActionError.

    LXD itself takes a name with a null byte, and then finds the thing under no name any more.
    """
    if not name:
        raise ActionError(f"{what} names may not be empty")
    if "/" in name or name in (".", ".."):
        raise ActionError(f"{what} names may not contain slashes")
    if has_controls(name):
        raise ActionError(f"{what} names may not contain control characters")


def has_controls(name: str) -> bool:
    return any(ord(letter) < 32 or ord(letter) == 127 for letter in name)


def check_instance_name(name: str) -> None:
    """LXD's rule. Raises ActionError."""
    if not _INSTANCE_NAME.fullmatch(name):
        raise ActionError(
            f"Invalid instance name {name!r}: 1 to 63 letters, digits and dashes, beginning with a letter,"
            " not ending with a dash"
        )


def free_name(manager: Manager, project: str) -> str:
    """A name that no instance of the fleet has and no launch has claimed."""
    while True:
        name = f"{secrets.choice(_FIRST)}-{secrets.choice(_LAST)}"
        if not manager.inventory.find_instances(project, name) and (project, name) not in manager.claims:
            return name
        name = f"{name}-{secrets.randbelow(1000)}"
        if not manager.inventory.find_instances(project, name) and (project, name) not in manager.claims:
            return name
