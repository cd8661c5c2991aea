"""What may be typed where: names out of the inventory, each with a word about it. No widgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lxdpm_tui.console import text
from lxdpm_tui.fleet.inventory import Inventory
from lxdpm_tui.fleet.query import Schema


class Candidate(NamedTuple):
    """A value that fits, and what is said beside it."""

    value: str
    note: str = ""


Completer = Callable[[str], Sequence[Candidate]]


def images(inventory: Inventory, project: str = "default") -> list[Candidate]:
    """Aliases, then fingerprints without one, with the hosts that hold them."""
    holders: dict[str, set[str]] = {}
    facts: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for image in inventory.all_images():
        if image.project not in (project, "default"):
            continue
        for name in image.aliases or (image.fingerprint[:12],):
            holders.setdefault(name, set()).add(image.host)
            facts[name] = image.description
            sizes[name] = image.size
    total = len(inventory.hosts)
    found = []
    for name in sorted(holders):
        on = holders[name]
        where = "on all hosts" if len(on) == total else f"on {text.names(sorted(on), 2)}"
        words = (where, text.long_size(sizes[name]) if sizes[name] else "", facts[name])
        found.append(Candidate(name, ", ".join(filter(None, words))))
    return found


def profiles(inventory: Inventory, project: str = "default") -> list[Candidate]:
    """Profile names with how many hosts have them."""
    holders: dict[str, set[str]] = {}
    for profile in inventory.all_profiles():
        if profile.project == project:
            holders.setdefault(profile.name, set()).add(profile.host)
    total = len(inventory.hosts)
    return [
        Candidate(name, "on all hosts" if len(on) == total else f"on {text.names(sorted(on), 2)}")
        for name, on in sorted(holders.items())
    ]


def hosts(inventory: Inventory) -> list[Candidate]:
    found = []
    for name, host in sorted(inventory.hosts.items()):
        free = f"{text.long_size(host.memory_total - host.memory_used)} free" if host.memory_total else ""
        words = (host.shown_status, text.count(host.instances, "instance"), free)
        found.append(Candidate(name, ", ".join(filter(None, words))))
    return found


def projects(inventory: Inventory) -> list[Candidate]:
    return [Candidate(name) for name in sorted({p for host in inventory.hosts.values() for p in host.projects})]


def instances(inventory: Inventory, project: str = "default") -> list[Candidate]:
    """Names; HOST:NAME for twins."""
    where: dict[str, list[str]] = {}
    states: dict[str, str] = {}
    for row in inventory.all_instances():
        if row.project == project:
            where.setdefault(row.name, []).append(row.host)
            states[row.name] = row.status
    found = []
    for name, on in sorted(where.items()):
        if len(on) == 1:
            found.append(Candidate(name, f"{states[name]} on {on[0]}"))
        else:
            found += [Candidate(f"{host}:{name}", "one of twins") for host in sorted(on)]
    return found


def values(kind: str | None, inventory: Inventory, project: str = "default") -> list[Candidate]:
    """What a parameter that is a name of `kind` may be; nothing for kinds that are not known here."""
    if kind == "pool":
        return [Candidate(name) for name in sorted({pool for host in inventory.hosts.values() for pool in host.pools})]
    if kind == "network":
        return [Candidate(name) for name in sorted({net for host in inventory.hosts.values() for net in host.networks})]
    if kind == "host":
        return hosts(inventory)
    if kind == "project":
        return projects(inventory)
    if kind == "image":
        return images(inventory, project)
    if kind == "profile":
        return profiles(inventory, project)
    if kind == "instance":
        return instances(inventory, project)
    return []


STATES = {
    "instances": ("running", "stopped", "frozen", "error"),
    "hosts": ("online", "slow", "unreachable", "maintenance", "connecting", "untrusted"),
    "tasks": ("running", "success", "failure", "cancelled"),
}


def filter_lines(line: str, place: str, schema: Schema, inventory: Inventory) -> list[str]:
    """Whole lines that `instances web @h` may become: fields, hosts after `@`, and values after `field:`."""
    head, _, last = line.rpartition(" ")
    sign = "!" if last.startswith("!") else ""
    word = last.removeprefix("!")
    field, colon, typed = word.partition(":")
    if word.startswith("@"):
        found = [f"@{name}" for name in sorted(inventory.hosts)]
    elif colon and field in schema.fields:
        start = typed[: typed.rfind(",") + 1]
        names = STATES.get(place, ()) if field == "status" else [c.value for c in _names(field, inventory)]
        found = [f"{field}:{start}{name}" for name in names]
    elif word:
        found = [f"{name}:" if each.kind == "text" else f"{name}>" for name, each in schema.fields.items()]
    else:
        found = []
    return [f"{head} {sign}{each}" for each in found if each.startswith(word)]


def _names(field: str, inventory: Inventory) -> list[Candidate]:
    kinds = {"host": "host", "project": "project", "profile": "profile", "pool": "pool", "network": "network"}
    return values(kinds.get(field), inventory)


def whole(candidates: Callable[[], Sequence[Candidate]]) -> Completer:
    """Completes a field of one name: those that begin with what is typed, then those that contain it."""

    def complete(typed: str) -> Sequence[Candidate]:
        low = typed.strip().lower()
        found = [c for c in candidates() if low in c.value.lower()]
        return sorted(found, key=lambda c: not c.value.lower().startswith(low))

    return complete


def last_word(candidates: Callable[[], Sequence[Candidate]]) -> Completer:
    """Completes the last of several names separated by spaces or commas."""

    def complete(typed: str) -> Sequence[Candidate]:
        head = typed[: max(typed.rfind(" "), typed.rfind(",")) + 1]
        word = typed[len(head) :].lower()
        given = set(head.replace(",", " ").split())
        found = [c for c in candidates() if word in c.value.lower() and c.value not in given]
        found.sort(key=lambda c: not c.value.lower().startswith(word))
        return [Candidate(head + c.value, c.note) for c in found]

    return complete
