"""What a table of each kind of thing shows: columns and details as data, one kind a file. No widgets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from lxdpm_tui.console.columns import Column, Look
from lxdpm_tui.console.keymap import Place
from lxdpm_tui.console.resources import (
    events,
    hosts,
    images,
    instances,
    networks,
    profiles,
    projects,
    storage,
    tasks,
    warnings,
)
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.fleet.fields import HOSTS, IMAGES, INSTANCES, PROFILES
from lxdpm_tui.fleet.groups import GroupSource
from lxdpm_tui.fleet.lookup import LookupKind
from lxdpm_tui.fleet.query import Schema
from lxdpm_tui.fleet.view import InventorySource, MappingSource, Source, by_name

if TYPE_CHECKING:
    from lxdpm_tui.console.session import Session


@dataclass(frozen=True, slots=True)
class Resource:
    """One table.

    order: id of the column it is sorted by at first.  empty: said when there is no row.  users: the filter on instances
    that gives those which use a row ("" = none can), for the jump.  host: of a row, where each is on one.
    """

    columns: Sequence[Column]
    detail: Callable[[Any, Look], Iterable[Line]]
    schema: Schema
    source: Callable[[], Source[Any]]
    identity: Callable[[Any], Any]
    order: str
    empty: str
    users: Callable[[Any], str] = lambda row: ""
    host: Callable[[Any], str] | None = None


class LookupSource:
    """What was asked of the hosts, a row for each host's own."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def get(self, key: Any) -> Any | None:
        return self._table.get(key.host, {}).get(key)

    def items(self) -> Iterable[tuple[Any, Any]]:
        for rows in list(self._table.values()):
            yield from list(rows.items())


def resources(session: Session) -> dict[Place, Resource]:
    """The tables over what a session looks at."""
    watching = session.watching

    def rows(kind: Any) -> Callable[[], Source[Any]]:
        return lambda: InventorySource(session.inventory, kind)

    def groups(kind: Any) -> Callable[[], Source[Any]]:
        return lambda: GroupSource(session.inventory, kind)

    def asked(kind: LookupKind) -> Callable[[], Source[Any]]:
        return lambda: GroupSource(session.inventory, None, watching.lookups[kind].rows)

    return {
        "hosts": Resource(hosts.COLUMNS, hosts.detail, HOSTS, rows("hosts"), by_name, "name", "No hosts.",
                          lambda row: f"host:={row.name}"),
        "instances": Resource(instances.COLUMNS, instances.detail, INSTANCES, rows("instances"), by_name, "name",
                              "No instances. n makes one.", host=attrgetter("host")),
        "images": Resource(images.COLUMNS, images.detail, IMAGES, groups("images"), by_name, "alias",
                           "No images. i imports one.", lambda row: f"fingerprint:={row.fingerprint}"),
        "profiles": Resource(profiles.COLUMNS, profiles.detail, PROFILES, groups("profiles"), by_name, "name",
                             "No profiles. a makes one.",
                             lambda row: f"profile:={row.name} project:={row.project}"),
        "tasks": Resource(tasks.COLUMNS, tasks.detail, tasks.SCHEMA, lambda: MappingSource(session.tasks), str,
                          "started", "No tasks in the last minutes."),
        "networks": Resource(networks.COLUMNS, networks.detail, networks.SCHEMA, asked("networks"), by_name, "name",
                             "No networks.", lambda row: f"network:={row.name}"),
        "storage": Resource(storage.COLUMNS, storage.detail, storage.SCHEMA,
                            lambda: LookupSource(watching.lookups["storage"].rows), by_name, "name",
                            "No storage pools.",
                            lambda row: f"pool:={row.text('pool')} host:={row.host}", attrgetter("host")),
        "projects": Resource(projects.COLUMNS, projects.detail, projects.SCHEMA, asked("projects"), by_name, "name",
                             "No projects.", lambda row: f"project:={row.name}"),
        "warnings": Resource(warnings.COLUMNS, warnings.detail, warnings.SCHEMA,
                             lambda: warnings.WarningSource(watching.lookups["warnings"].rows, watching.problems),
                             by_name, "severity", "No warnings: all is well.", host=warnings.where),
        "events": Resource(events.COLUMNS, events.detail, events.SCHEMA,
                           lambda: MappingSource(watching.happenings.rows), lambda number: -number, "when",
                           "Nothing happened yet since the console was opened."),
    }  # fmt: skip
