"""What a table of each kind of thing shows: columns and details as data, one kind a file. No widgets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lxdpm_tui.console.columns import Column, Look
from lxdpm_tui.console.keymap import Place
from lxdpm_tui.console.resources import hosts, images, instances, profiles, tasks
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.fleet.fields import HOSTS, IMAGES, INSTANCES, PROFILES
from lxdpm_tui.fleet.groups import GroupSource
from lxdpm_tui.fleet.query import Schema
from lxdpm_tui.fleet.view import InventorySource, MappingSource, Source, by_name

if TYPE_CHECKING:
    from lxdpm_tui.console.session import Session


@dataclass(frozen=True, slots=True)
class Resource:
    """One table. order: id of the column it is sorted by at first.  empty: said when there is no row."""

    columns: Sequence[Column]
    detail: Callable[[Any, Look], Iterable[Line]]
    schema: Schema
    source: Callable[[], Source[Any]]
    identity: Callable[[Any], Any]
    order: str
    empty: str


def resources(session: Session) -> dict[Place, Resource]:
    """The tables over what a session looks at."""

    def rows(kind: Any) -> Callable[[], Source[Any]]:
        return lambda: InventorySource(session.inventory, kind)

    def groups(kind: Any) -> Callable[[], Source[Any]]:
        return lambda: GroupSource(session.inventory, kind)

    return {
        "hosts": Resource(hosts.COLUMNS, hosts.detail, HOSTS, rows("hosts"), by_name, "name", "No hosts."),
        "instances": Resource(
            instances.COLUMNS,
            instances.detail,
            INSTANCES,
            rows("instances"),
            by_name,
            "name",
            "No instances. n makes one.",
        ),
        "images": Resource(
            images.COLUMNS, images.detail, IMAGES, groups("images"), by_name, "alias", "No images. i imports one."
        ),
        "profiles": Resource(
            profiles.COLUMNS,
            profiles.detail,
            PROFILES,
            groups("profiles"),
            by_name,
            "name",
            "No profiles. a makes one.",
        ),
        "tasks": Resource(
            tasks.COLUMNS,
            tasks.detail,
            tasks.SCHEMA,
            lambda: MappingSource(session.tasks),
            str,
            "started",
            "No tasks in the last minutes.",
        ),
    }
