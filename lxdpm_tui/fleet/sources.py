"""Where the records of a view live, and the order by name. No I/O, no UI."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeVar

from lxdpm_tui.fleet.inventory import Inventory, Key, Kind

K = TypeVar("K", bound=Hashable)

_DIGITS = re.compile(r"\d+")


class Source(Protocol[K]):
    """Where the records of a view live."""

    def get(self, key: K) -> Any | None:
        """The record, or None when it is gone."""
        ...

    def items(self) -> Iterable[tuple[K, Any]]:
        """All records, in any order."""
        ...


class InventorySource:
    """One kind of records of an inventory, all hosts."""

    def __init__(self, inventory: Inventory, kind: Kind) -> None:
        self.inventory = inventory
        self.kind: Kind = kind

    def get(self, key: Key) -> Any | None:
        if self.kind == "hosts":
            return self.inventory.hosts.get(key.host)
        table: Mapping[str, Mapping[Key, Any]] = getattr(self.inventory, self.kind)
        return table.get(key.host, {}).get(key)

    def items(self) -> Iterable[tuple[Key, Any]]:
        if self.kind == "hosts":
            for name, record in list(self.inventory.hosts.items()):
                yield Key(name, "", ""), record
            return
        table: Mapping[str, Mapping[Key, Any]] = getattr(self.inventory, self.kind)
        for rows in list(table.values()):
            yield from list(rows.items())


class MappingSource(Generic[K]):
    """Records in one mapping, such as the tasks by id."""

    def __init__(self, rows: Mapping[K, Any]) -> None:
        self.rows = rows

    def get(self, key: K) -> Any | None:
        return self.rows.get(key)

    def items(self) -> Iterable[tuple[K, Any]]:
        return list(self.rows.items())


@lru_cache(1 << 18)
def natural(name: str) -> str:
    """A name for sorting as people count: web-2 before web-10."""
    return _DIGITS.sub(lambda digits: digits[0].zfill(9), name)


def by_name(key: Key) -> tuple[str, str, str]:
    """The order of inventory rows that sort alike."""
    return (natural(key.name), key.project, natural(key.host))


def record_name(record: Any) -> str:
    """The sort of a column of names: for views by_name it is the order that they have anyway."""
    return natural(record.name)
