"""What people have said of the hosts as members of a cluster: groups, and each host's description and configuration.

Kept in the store, by the names of the hosts; what labels say is added by who shows it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol, TypeVar

T = TypeVar("T")

SETTING = "cluster.members"
PLACEMENT = "scheduler.instance"
ALL, MANUAL, GROUP = "all", "manual", "group"


class Settings(Protocol):
    """Where it outlives the process."""

    async def get_setting(self, key: str, /) -> str | None: ...

    async def set_setting(self, key: str, value: str, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Word:
    """On one host. "" for a description or failure domain: nothing was said.  groups: without those of its labels."""

    description: str = ""
    failure_domain: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    description: str = ""
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    hosts: Mapping[str, Word] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)


class Membership:
    """`await load()` first. Changes are kept before they count; they may raise what the store raises.

    changing: to be held by who changes a part of what it has read here, so that none of two such changes is lost.
    """

    def __init__(self, store: Settings) -> None:
        self._store = store
        self._said = Said()
        self._turn = asyncio.Lock()
        self.changing = asyncio.Lock()

    async def load(self) -> None:
        kept = json.loads(await self._store.get_setting(SETTING) or "{}")
        self._said = Said(
            {name: Word(**{**row, "groups": tuple(row["groups"])}) for name, row in kept.get("hosts", {}).items()},
            {name: Group(**row) for name, row in kept.get("groups", {}).items()},
        )

    @property
    def groups(self) -> Mapping[str, Group]:
        """Those that were made, or described."""
        return self._said.groups

    def of(self, host: str) -> Word:
        return self._said.hosts.get(host, Word())

    def placement(self, host: str) -> str:
        """Who may have instances placed there: everybody, who names it (manual), who names a group of its (group)."""
        return self.of(host).config.get(PLACEMENT, ALL)

    async def set_host(self, host: str, word: Word) -> None:
        await self._change(lambda said: replace(said, hosts=_with(said.hosts, host, None if word == Word() else word)))

    async def rename_host(self, old: str, new: str) -> None:
        def change(said: Said) -> Said:
            return replace(said, hosts=_with(_with(said.hosts, new, said.hosts.get(old)), old, None))

        await self._change(change)

    async def set_group(self, name: str, group: Group, hosts: Iterable[str]) -> None:
        """Make it, or change it. hosts: all that are in it from now on."""
        wanted = set(hosts)

        def change(said: Said) -> Said:
            words = dict(said.hosts)
            for host in {*words, *wanted}:
                word = words.get(host, Word())
                rest = tuple(other for other in word.groups if other != name)
                words[host] = replace(word, groups=(*rest, name) if host in wanted else rest)
            return Said({h: word for h, word in words.items() if word != Word()}, {**said.groups, name: group})

        await self._change(change)

    async def rename_group(self, old: str, new: str) -> None:
        def change(said: Said) -> Said:
            words = {
                host: replace(word, groups=tuple(new if each == old else each for each in word.groups))
                for host, word in said.hosts.items()
            }
            return Said(words, {new if name == old else name: group for name, group in said.groups.items()})

        await self._change(change)

    async def delete_group(self, name: str) -> None:
        await self._change(lambda said: replace(said, groups=_with(said.groups, name, None)))

    async def _change(self, change: Callable[[Said], Said]) -> None:
        async with self._turn:
            wanted = change(self._said)
            await self._store.set_setting(SETTING, json.dumps(asdict(wanted)))
            self._said = wanted


def _with(table: Mapping[str, T], name: str, value: T | None) -> dict[str, T]:
    """The table with that entry changed; None takes it out."""
    rest = {key: each for key, each in table.items() if key != name}
    return rest if value is None else {**rest, name: value}
