"""The table and the detail of hosts."""

from __future__ import annotations

from collections.abc import Iterable

from lxdpm_tui.console import text
from lxdpm_tui.console.columns import Column, Look, Style
from lxdpm_tui.console.resources.base import Line, heading, when
from lxdpm_tui.fleet.inventory import HostRecord, HostStatus
from lxdpm_tui.fleet.view import natural

KINDS = {"lxd": "LXD", "incus": "Incus"}


def version(host: HostRecord) -> str:
    return f"{KINDS.get(host.kind, host.kind)} {host.version}".strip()


def state(host: HostRecord) -> str:
    return "new identity" if host.status is HostStatus.IDENTITY_CHANGED else host.shown_status


def state_style(host: HostRecord, look: Look) -> Style:
    if host.status in (HostStatus.UNTRUSTED, HostStatus.IDENTITY_CHANGED, HostStatus.UNREACHABLE):
        return "bad"
    if host.maintenance:
        return "cold"
    return "good" if host.status is HostStatus.ONLINE else "warn"


def share(host: HostRecord) -> float:
    return host.memory_used / host.memory_total if host.memory_total else -1.0


def memory(host: HostRecord, look: Look) -> str:
    if not host.memory_total:
        return ""
    return f"{text.meter(share(host), 6)} {text.percent(share(host)):>4}"


def memory_style(host: HostRecord, look: Look) -> Style:
    return "bad" if share(host) > 0.95 else "warn" if share(host) > 0.85 else ""


def note(host: HostRecord, look: Look) -> str:
    """What is wrong and when it is tried again; what it is labelled when nothing is wrong."""
    if host.usable and host.status is HostStatus.ONLINE:
        words = ["read only"] if host.read_only else []
        words += [f"{key}={value}" if value else key for key, value in sorted(host.labels.items())]
        return " ".join(words)
    words = [host.reason] if host.reason else []
    if host.since and not host.usable:
        words.append(f"for {text.span(look.now - host.since)}")
    if host.retry_at:
        words.append(f"next try in {text.span(host.retry_at - look.now)}" if host.retry_at > look.now else "trying now")
    return ", ".join(words)


COLUMNS = (
    Column("name", "NAME", lambda h, _: h.name, 14, grow=2, most=30, sort=lambda h: natural(h.name)),
    Column("state", "STATE", lambda h, _: state(h), 12, style=state_style, sort=lambda h: h.shown_status),
    Column("version", "VERSION", lambda h, _: version(h), 11, grow=1, most=14, drop=4, sort=version),
    Column(
        "instances",
        "RUN/ALL",
        lambda h, _: f"{h.running}/{h.instances}" if h.scanned else "",
        7,
        right=True,
        drop=1,
        sort=lambda h: h.instances if h.scanned else None,
        downwards=True,
    ),
    Column("memory", "MEMORY", memory, 11, drop=3, style=memory_style, sort=lambda h: share(h), downwards=True),
    Column(
        "total",
        "OF",
        lambda h, _: text.size(h.memory_total) if h.memory_total else "",
        4,
        right=True,
        drop=5,
        style=lambda h, _: "dim",
        sort=lambda h: h.memory_total or None,
        downwards=True,
    ),
    Column(
        "load",
        "LOAD",
        lambda h, _: f"{h.load:.2f}" if h.load >= 0 else "",
        5,
        right=True,
        drop=6,
        sort=lambda h: h.load if h.load >= 0 else None,
        downwards=True,
    ),
    Column(
        "cpus",
        "CPUS",
        lambda h, _: str(h.cpus or ""),
        4,
        right=True,
        drop=8,
        sort=lambda h: h.cpus or None,
        downwards=True,
    ),
    Column(
        "ping",
        "PING",
        lambda h, _: f"{1000 * h.round_trip:.0f} ms" if h.usable and h.round_trip else "",
        7,
        right=True,
        drop=7,
        sort=lambda h: h.round_trip or None,
        downwards=True,
    ),
    Column("note", "NOTE", note, 26, grow=5, most=90, style=lambda h, _: "dim" if h.usable else "warn"),
    Column("address", "ADDRESS", lambda h, _: h.address, 24, grow=1, most=44, drop=9, style=lambda h, _: "dim"),
)


def detail(host: HostRecord, look: Look) -> Iterable[Line]:
    """Everything known of one host."""
    yield heading(host.name)
    yield Line("state", state(host), state_style(host, look))
    if host.maintenance:
        yield Line("", "in maintenance: nothing is placed here", "cold")
    if host.read_only:
        yield Line("", "only looked at: every change is refused", "cold")
    if host.reason:
        yield Line("reason", host.reason, "warn")
    yield Line("since", when(host.since, look.now))
    if host.retry_at:
        yield Line("next try", when(host.retry_at, look.now))
    yield Line("last answer", when(host.reached, look.now))
    yield Line("full scan", when(host.scanned, look.now))
    yield Line("events", "arrive" if host.event_stream else "do not arrive", "" if host.event_stream else "warn")
    yield Line("round trip", f"{1000 * host.round_trip:.1f} ms" if host.round_trip else "")
    yield Line()
    yield Line("address", host.address)
    yield Line("daemon", version(host))
    yield Line("server", host.server_name)
    yield Line("system", " ".join(filter(None, (host.os, host.kernel))))
    yield Line("runs", ", ".join((*host.architectures[:1], *host.instance_types)))
    yield Line("cpus", f"{host.cpus}, load {host.load:.2f}" if host.load >= 0 else str(host.cpus or ""))
    if host.memory_total:
        used, total = text.long_size(host.memory_used), text.long_size(host.memory_total)
        yield Line("memory", f"{used} of {total} ({text.percent(share(host))})")
    yield Line("instances", f"{host.running} running of {host.instances}")
    if host.labels:
        yield Line("labels", ", ".join(f"{k}={v}" if v else k for k, v in sorted(host.labels.items())))
    yield Line("projects", ", ".join(host.projects))
    yield Line("networks", ", ".join(sorted(host.networks)))
    yield Line()
    yield heading("storage pools")
    for pool in sorted(host.pools.values(), key=lambda pool: pool.name):
        room = f"  {text.long_size(pool.used)} of {text.long_size(pool.total)}" if pool.total else ""
        yield Line(pool.name, f"{pool.driver}{room}")
