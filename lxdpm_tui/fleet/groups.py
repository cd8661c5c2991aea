"""One record for what several hosts hold alike: an image by its fingerprint, a profile by its name. No I/O, no UI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from lxdpm_tui.fleet.inventory import Inventory, Key


class Copies:
    """The copies of one thing over the hosts. What is asked of it is answered by the copy that stands for all.

    copies: by host, in the inventory's order; never empty.  The one that stands for all is on a host that can be asked,
    if there is such a one, so that `host` is stale only when every copy is.
    """

    __slots__ = ("copies", "first")

    def __init__(self, copies: Mapping[str, Any], inventory: Inventory) -> None:
        self.copies = copies
        self.first = next((row for host, row in copies.items() if not inventory.is_stale(host)), None) or next(
            iter(copies.values())
        )

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(self.copies)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.first, name)


class GroupSource:
    """Images or profiles of an inventory, one record for all hosts. Keys have host "".

    table: other records than the inventory's, by host and then by key (lookup.py).
    """

    costly = True  # every host is looked at for one record

    def __init__(
        self,
        inventory: Inventory,
        kind: Literal["images", "profiles"] | None,
        table: Mapping[str, Mapping[Key, Any]] | None = None,
    ) -> None:
        self.inventory = inventory
        self.kind = kind
        self._own = table

    @property
    def _table(self) -> Mapping[str, Mapping[Key, Any]]:
        if self._own is not None or self.kind is None:
            return self._own or {}
        found: Mapping[str, Mapping[Key, Any]] = getattr(self.inventory, self.kind)
        return found

    @staticmethod
    def key_of(key: Key) -> Key:
        """The key of the group that a host's copy belongs to."""
        return Key("", key.project, key.name)

    def get(self, key: Key) -> Copies | None:
        table = self._table
        copies = {host: row for host, rows in table.items() if (row := rows.get(Key(host, key.project, key.name)))}
        return Copies(copies, self.inventory) if copies else None

    def items(self) -> Iterable[tuple[Key, Copies]]:
        found: dict[Key, dict[str, Any]] = {}
        for host, rows in list(self._table.items()):
            for key, row in rows.items():
                found.setdefault(self.key_of(key), {})[host] = row
        for key, copies in found.items():
            yield key, Copies(copies, self.inventory)
