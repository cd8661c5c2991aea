"""Objects that hosts have under one name, networks, pools, projects, ACLs, zones: changed on all of them or on none.

The copies differ from host to host (subnets, sources of pools), so an edit never overwrites: it is a delta between what
the editor had read and what it wants, applied to each host's own copy, conditional on that host's ETag.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lxdpm_tui.actions import resolve
from lxdpm_tui.actions.profiles import apply_delta, copies_at, on_hosts, target_hosts
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.fleet.inventory import HostRecord
from lxdpm_tui.hosts.transport import ApiError
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.hosts.host import Reply
    from lxdpm_tui.manager import Manager
    from lxdpm_tui.tasks.journal import Journal

Body = Mapping[str, Any]


def _may_have(record: HostRecord, project: str, name: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Kind:
    """What is to be known of one kind of object.

    noun: tasks are called noun-create and so on.  title: as LXD's errors say it.  collection: "/1.0/networks".
    scoped: whether it belongs to a project.  lists: writable parts that are lists, beside description and config.
    fixed: what a create body has that cannot be changed later.  own: keys of config that differ between hosts by
    nature.  local: those that a cluster has of each member; it makes such an object in two phases, each member first.
    ignored: users (a pattern over used_by) that do not keep it from being deleted.
    reads: what of the inventory is to be read again.  may_have: whether a host that cannot be asked may have it.
    """

    noun: str
    title: str
    collection: str
    scoped: bool = True
    lists: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    own: re.Pattern[str] = re.compile(r"volatile\..*")
    local: frozenset[str] = frozenset()
    ignored: re.Pattern[str] = re.compile(r"(?!)")
    reads: tuple[str, ...] = ()
    may_have: Callable[[HostRecord, str, str], bool] = _may_have

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of what can be changed."""
        return ("description", "config", *self.lists)

    def path(self, name: str) -> str:
        return f"{self.collection}/{quote(name, safe='')}"

    def content(self, copy: Body) -> dict[str, Any]:
        """The writable parts of a copy, each there."""
        empty: dict[str, Any] = {"description": "", "config": {}, **{part: [] for part in self.lists}}
        return {part: copy.get(part) or empty[part] for part in self.parts}

    def common(self, copy: Body) -> dict[str, Any]:
        """What ought to be the same on all hosts: the content without the keys that differ by nature."""
        found = {**self.content(copy), **{part: copy.get(part) for part in self.fixed}}
        found["config"] = {key: value for key, value in found["config"].items() if not self.own.fullmatch(key)}
        return found


# -- asking


async def having(manager: Manager, kind: Kind, name: str, project: str, hosts: Sequence[str]) -> dict[str, Reply]:
    """Of these hosts, those that have it, with their copies. Raises ActionError when one cannot say."""
    return await copies_at(manager, kind.path(name), project, hosts)


async def holders(manager: Manager, kind: Kind, name: str, project: str, hosts: Sequence[str] = ()) -> dict[str, Reply]:
    """The copies as the hosts have them now (all hosts, or those named), each with its ETag.

    Raises ActionError: 404 when there is none, 503 naming hosts that may have one and cannot be asked, else the host's
    own refusal.
    """
    asked, unasked = [], []
    for host in hosts:
        if host not in manager.inventory.hosts:
            raise ActionError(f"there is no host {host!r}", 404)
    for host in manager.fleet.distinct(hosts or manager.inventory.hosts):
        record = manager.inventory.hosts[host]
        if record.usable:
            asked.append(host)
        elif not record.scanned or kind.may_have(record, project, name):
            unasked.append(host)
    target_hosts(manager, [*asked, *unasked] or list(hosts))
    found = await having(manager, kind, name, project, asked)
    # An interface of the host's own may happen to have the name of a network.
    found = {host: reply for host, reply in found.items() if reply.metadata.get("managed") is not False}
    if not found:
        raise resolve.unknown(manager, kind.title)
    return found


# -- changing


async def create(manager: Manager, kind: Kind, bodies: Mapping[str, Body], project: str = "default") -> Task:
    """POST to each host its body (all of one name). Raises ActionError: 409 when one has it, 503 silent hosts."""
    names = [body.get("name") for body in bodies.values()]
    name = names[0] if names else None
    if not isinstance(name, str) or not name or any(other != name for other in names):
        raise ActionError("No name provided")
    resolve.check_name(kind.title, name)
    targets = target_hosts(manager, list(bodies))
    there = list(await having(manager, kind, name, project, targets))
    if there:
        where = "" if len(there) == len(targets) else f" on {', '.join(there)}"
        raise ActionError(f'The {kind.noun} "{name}" already exists{where}', 409)

    async def work(host: str, journal: Journal) -> None:
        args = {"host": host, "project": project, "collection": kind.collection, "name": name}
        step = await journal.intend(host, "shared.absent", args)
        try:
            await _make(manager, kind, host, bodies, project)
        except ApiError as error:
            await journal.settle(step)  # it made none: what is there under that name is somebody else's
            if "already exists" in error.text:
                raise ApiError(host, 409, error.text) from error
            raise

    return await _on_hosts(manager, kind, "create", targets, project, work)


async def _make(manager: Manager, kind: Kind, host: str, bodies: Mapping[str, Body], project: str) -> None:
    """Raises the HostError family, and ApiError; a cluster's first phase is taken back then."""
    body = dict(bodies[host])
    members = manager.fleet.phases(host) if kind.local else []
    try:
        for member in members:
            config = (bodies.get(member) or body).get("config") or {}
            own = {key: value for key, value in config.items() if key in kind.local}
            params = {"project": project, "target": manager.fleet.member(member)}
            await manager.fleet.operate(host, "POST", kind.collection, params=params, json={**body, "config": own})
        if members:
            body["config"] = {key: value for key, value in (body.get("config") or {}).items() if key not in kind.local}
        await manager.fleet.operate(host, "POST", kind.collection, params={"project": project}, json=body)
    except ApiError:
        if members:
            with contextlib.suppress(ApiError):
                await manager.fleet.operate(host, "DELETE", kind.path(body["name"]), params={"project": project})
        raise


def merge(kind: Kind, old: Body, new: Body, own: Body) -> dict[str, Any]:
    """What a host's own copy becomes when the editor turned `old` into `new`, key by key.

    Of a list the entries that were taken out go, and those that are new are added.
    """
    merged = apply_delta(old, new, own)
    del merged["devices"]
    for part in kind.lists:
        was, wanted, has = old.get(part) or [], new.get(part) or [], own.get(part) or []
        gone = [entry for entry in was if entry not in wanted]
        kept = [entry for entry in has if entry not in gone]
        merged[part] = [*kept, *(entry for entry in wanted if entry not in was and entry not in kept)]
    return merged


def changes(description: str | None, config: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(old, new) for `edit` out of what a person gives: None and what is not named stay, "" takes a key away.

    Raises ActionError when that changes nothing.
    """
    if description is None and not config:
        raise ActionError("nothing to change: give a description or config")
    old = {"description": "\0", "config": {key: "\0" for key, value in config.items() if value == ""}}
    new = {
        "description": "\0" if description is None else description,
        "config": {key: value for key, value in config.items() if value != ""},
    }
    return old, new


async def edit(
    manager: Manager, kind: Kind, name: str, old: Body, new: Body, hosts: Sequence[str], project: str = "default"
) -> Task:
    """Apply the change from `old` to `new` to every holder's own copy. Raises ActionError."""
    copies = await holders(manager, kind, name, project, hosts)

    async def work(host: str, journal: Journal) -> None:
        reply = copies[host]
        before = kind.content(reply.metadata)
        wanted = merge(kind, old, new, before)
        if wanted == before:
            return
        args = {"host": host, "project": project, "path": kind.path(name), "before": before, "after": wanted}
        await journal.intend(host, "shared.restore", args)
        headers = {"If-Match": reply.etag} if reply.etag else None
        await manager.fleet.operate(
            host, "PUT", kind.path(name), params={"project": project}, json=wanted, headers=headers
        )

    return await _on_hosts(manager, kind, "edit", list(copies), project, work)


async def rename(
    manager: Manager, kind: Kind, name: str, new_name: str, hosts: Sequence[str] = (), project: str = "default"
) -> Task:
    """Rename on every holder. Raises ActionError, 409 when a host has the new name already."""
    resolve.check_name(kind.title, new_name)
    targets = list(await holders(manager, kind, name, project, hosts))
    if await having(manager, kind, new_name, project, targets):
        raise ActionError(f'Name "{new_name}" already in use', 409)

    async def work(host: str, journal: Journal) -> None:
        args = {"host": host, "project": project, "collection": kind.collection, "name": new_name, "old_name": name}
        step = await journal.intend(host, "shared.renamed-back", args)
        try:
            await manager.fleet.operate(
                host, "POST", kind.path(name), params={"project": project}, json={"name": new_name}
            )
        except ApiError:
            await journal.settle(step)  # it renamed nothing: the other name, if it is there, is somebody else's
            raise

    return await _on_hosts(manager, kind, "rename", targets, project, work)


async def delete(
    manager: Manager,
    kind: Kind,
    name: str,
    hosts: Sequence[str] = (),
    project: str = "default",
    first: Callable[[str, Journal], Awaitable[None]] | None = None,
) -> Task:
    """Delete on every holder; refused before anything is changed when something uses it. Raises ActionError.

    first: enters what else an undo has to bring back on a host.
    """
    bodies: dict[str, dict[str, Any]] = {}
    for host, reply in (await holders(manager, kind, name, project, hosts)).items():
        own = reply.metadata
        users = [url for url in own.get("used_by") or () if not kind.ignored.match(url)]
        if users:
            raise ActionError(f"The {kind.noun} is currently in use on {host}: {', '.join(users[:5])}")
        bodies[host] = recreate_body(kind, name, own)

    async def work(host: str, journal: Journal) -> None:
        if first is not None:
            await first(host, journal)
        args = {"host": host, "project": project, "collection": kind.collection, "name": name, "body": bodies[host]}
        await journal.intend(host, "shared.present", args)
        await manager.fleet.operate(host, "DELETE", kind.path(name), params={"project": project})

    return await _on_hosts(manager, kind, "delete", list(bodies), project, work)


def recreate_body(kind: Kind, name: str, own: Body) -> dict[str, Any]:
    """What makes a deleted object anew: without what the host fills in, and without files that it had made itself."""
    config = {
        key: value
        for key, value in (own.get("config") or {}).items()
        if not key.startswith("volatile.") and not (key == "source" and _OWN_FILES.match(value))
    }
    fixed = {part: own[part] for part in kind.fixed if part in own}
    return {"name": name, **fixed, **kind.content(own), "config": config}


_OWN_FILES = re.compile(r"/var/(?:lib|snap)/")


async def _on_hosts(
    manager: Manager,
    kind: Kind,
    verb: str,
    hosts: Sequence[str],
    project: str,
    work: Callable[[str, Journal], Awaitable[object]],
) -> Task:
    words = {"create": "Creating", "edit": "Updating", "rename": "Renaming", "delete": "Deleting"}
    description = f"{words[verb]} {kind.noun}"
    return await on_hosts(manager, f"{kind.noun}-{verb}", description, hosts, project, work, kind.reads)
