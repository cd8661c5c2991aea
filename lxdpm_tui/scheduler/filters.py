"""Which hosts may take a request: small pure functions that give None, or the reason why not, one line for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lxdpm_tui.fleet.units import show_size
from lxdpm_tui.scheduler.membership import GROUP, MANUAL, PLACEMENT
from lxdpm_tui.scheduler.model import Held, HostFacts, Needs, Request

Filter = Callable[[HostFacts, Request, Needs, Held], str | None]


def memory_left(host: HostFacts, held: Held) -> int:
    """Bytes that can still be promised there; may be negative.

    The lesser of two bounds, so that a promise given can be kept:

    - total - promised - reserved: the limits of all instances together never exceed what the host has;
    - free - expected of the launches under way: instances without a limit promise nothing, yet use memory, and so
      does the host itself.

    Memory that a limited instance uses is in both "promised" and "used", so the two are compared, never added.
    """
    return min(host.memory_total - host.memory_promised - held.memory, host.memory_free - held.expected)


def targeted(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    if request.targets and host.name not in request.targets:
        return "not among the hosts asked for"
    return None


def not_excluded(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    if request.exclude and host.name in request.exclude:
        return f"tried already: {request.exclude[host.name]}"
    return None


def online(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    if not host.online:
        return f"not online: {host.reason}" if host.reason else "not online"
    return None


def fresh(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    """One whose answer is late is passed over for others; who names it alone has none, and its answer may yet come."""
    alone = len(request.targets) == 1 and not request.by_group
    if not host.fresh or (host.overdue and not alone):
        why = "nothing recent is known of it"
        return f"{why}: {host.reason}" if host.reason else why
    return None


def not_in_maintenance(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    return "in maintenance" if host.maintenance else None


def may_be_chosen(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    """As a cluster does it: whoever names the host gets it."""
    named = request.targets and not request.by_group
    if host.placement == MANUAL and not named:
        return f"takes only what names it ({PLACEMENT}={MANUAL})"
    if host.placement == GROUP and not request.targets:
        return f"takes only what names it or a group of its ({PLACEMENT}={GROUP})"
    return None


def not_read_only(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    return "is only looked at (read_only in hosts.toml)" if host.read_only else None


def project(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    return None if request.project in host.projects else f"has no project {request.project!r}"


def architecture(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    if request.architecture and request.architecture not in host.architectures:
        return f"runs {_listed(host.architectures) or 'no known architecture'}, not {request.architecture}"
    return None


def instance_type(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    return None if request.type in host.instance_types else f"runs no instances of type {request.type}"


def extensions(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    if request.extensions <= host.extensions:
        return None
    return f"lacks the API {_plural('extension', request.extensions - host.extensions)}"


def profiles(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    present = host.profiles.get(request.project, frozenset())
    if present.issuperset(request.profiles):
        return None
    return f"has no {_plural('profile', set(request.profiles) - present)} in project {request.project!r}"


def feasible(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    return needs.problem or None


def pools(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    if needs.pools <= host.pools:
        return None
    return f"has no storage {_plural('pool', needs.pools - host.pools)}"


def networks(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    if needs.networks <= host.networks:
        return None
    return f"has no {_plural('network', needs.networks - host.networks)}"


def memory(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    """A limit must fit what is left; a request without one passes unless nothing at all is free."""
    if host.memory_total <= 0:
        return "its memory is not known yet"
    if needs.memory <= 0:
        if host.memory_free > held.expected:
            return None
        return f"no memory free of {show_size(host.memory_total)} ({_used(host, held)})"
    left = memory_left(host, held)
    if needs.memory <= left:
        return None
    by_promises = host.memory_total - host.memory_promised - held.memory
    why = (
        f"{show_size(host.memory_promised)} promised, {show_size(held.memory)} reserved"
        if left == by_promises
        else _used(host, held)
    )
    asked, rest = show_size(needs.memory), show_size(max(0, left))
    if asked == rest:  # rounding hides the gap
        asked, rest = f"{needs.memory} bytes", str(max(0, left))
    return f"needs {asked}, {rest} left of {show_size(host.memory_total)} ({why})"


FILTERS: tuple[Filter, ...] = (
    targeted,
    not_excluded,
    online,
    fresh,
    not_in_maintenance,
    may_be_chosen,
    not_read_only,
    project,
    architecture,
    instance_type,
    extensions,
    profiles,
    feasible,
    pools,
    networks,
    memory,
)
"""In this order: the first reason found is the one shown, so what explains more comes first."""


def left_out(host: HostFacts, request: Request, needs: Needs, held: Held) -> str | None:
    """The first filter's reason against the host, or None: it is a candidate."""
    for check in FILTERS:
        reason = check(host, request, needs, held)
        if reason is not None:
            return reason
    return None


def _used(host: HostFacts, held: Held) -> str:
    used = show_size(max(0, host.memory_total - host.memory_free))
    return f"{used} in use, {show_size(held.expected)} expected by launches under way"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _plural(noun: str, names: Iterable[str]) -> str:
    ordered = sorted(names)
    return f"{noun}{'s' if len(ordered) > 1 else ''} {_listed(repr(name) for name in ordered)}"
