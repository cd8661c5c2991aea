"""The table and the detail of profiles: a row for each profile on each host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lxdpm_tui.console.columns import Column, Look
from lxdpm_tui.console.resources.base import Line, devices, heading, pairs, seen_column, stale_note
from lxdpm_tui.fleet.inventory import Profile
from lxdpm_tui.fleet.view import natural


def copies(row: Profile, look: Look) -> list[Profile]:
    """The profiles of the same name and project on all hosts."""

    def work() -> Mapping[tuple[str, str], list[Profile]]:
        found: dict[tuple[str, str], list[Profile]] = {}
        for profile in look.inventory.all_profiles():
            found.setdefault((profile.project, profile.name), []).append(profile)
        return found

    result: list[Profile] = look.once("profile copies", work).get((row.project, row.name), [row])
    return result


def same(row: Profile, look: Look) -> str:
    """How it compares over the fleet."""
    found = copies(row, look)
    if any(other.config != row.config or other.devices != row.devices for other in found):
        return "differs"
    missing = len(look.inventory.hosts) - len(found)
    return f"{len(found)} of {len(look.inventory.hosts)}" if missing else "everywhere"


def summary(row: Profile) -> str:
    """Its settings in one line."""
    words = [f"{key}={value}" for key, value in sorted(row.config.items())]
    words += [f"{name}:{settings.get('type', '')}" for name, settings in sorted(row.devices.items())]
    return "  ".join(words).replace("\n", " ")


COLUMNS = (
    Column("name", "PROFILE", lambda r, _: r.name, 16, grow=2, most=30, sort=lambda r: natural(r.name)),
    Column("host", "HOST", lambda r, _: r.host, 10, grow=2, most=22, sort=lambda r: natural(r.host)),
    seen_column(),
    Column("project", "PROJECT", lambda r, _: r.project, 8, drop=4, when=lambda look: look.projects),
    Column(
        "used", "USED BY", lambda r, _: str(r.used_by), 7, right=True, drop=2, sort=lambda r: r.used_by, downwards=True
    ),
    Column(
        "same",
        "ON HOSTS",
        same,
        10,
        drop=1,
        style=lambda r, look: "warn" if same(r, look) == "differs" else "dim",
    ),
    Column("summary", "SETTINGS", lambda r, _: summary(r), 16, grow=5, most=120, drop=5),
    Column("description", "DESCRIPTION", lambda r, _: r.description, 16, grow=2, most=50, drop=6),
)


def detail(row: Profile, look: Look) -> Iterable[Line]:
    """Everything known of one profile."""
    yield from stale_note(row.host, look)
    yield heading(row.name)
    if row.description:
        yield Line("about", row.description)
    yield Line("host", row.host)
    yield Line("project", row.project)
    yield Line("used by", f"{row.used_by} here")
    yield from pairs("config", row.config)
    yield from devices("devices", row.devices)
    yield Line()
    yield heading("on other hosts")
    others = [other for other in copies(row, look) if other.host != row.host]
    for other in sorted(others, key=lambda other: other.host):
        differs = other.config != row.config or other.devices != row.devices
        yield Line(other.host, "differs" if differs else "the same", "warn" if differs else "dim")
    holding = {other.host for other in others} | {row.host}
    for name in sorted(look.inventory.hosts.keys() - holding):
        yield Line(name, "does not have it", "dim")
