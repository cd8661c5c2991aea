from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lxdpm_tui.scheduler.membership import PLACEMENT, Group, Membership, Word
from lxdpm_tui.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store.db")
    await store.open()
    return store


async def test_what_was_said_outlives_the_manager(store: Store) -> None:
    membership = Membership(store)
    await membership.load()
    assert membership.of("h1") == Word()
    assert membership.placement("h1") == "all"
    await membership.set_group("ssd", Group("quick ones"), ["h2"])
    await membership.set_host("h1", Word("rack 7", "east", {PLACEMENT: "manual"}, ("ssd",)))
    again = Membership(store)
    await again.load()
    assert again.of("h1") == Word("rack 7", "east", {PLACEMENT: "manual"}, ("ssd",))
    assert again.placement("h1") == "manual"
    assert again.of("h2").groups == ("ssd",)
    assert again.groups == {"ssd": Group("quick ones")}
    await store.close()


async def test_groups_are_renamed_and_deleted_with_who_is_in_them(store: Store) -> None:
    membership = Membership(store)
    await membership.load()
    await membership.set_group("a", Group(), ["h1", "h2"])
    await membership.set_group("a", Group("said"), ["h2"])
    assert (membership.of("h1"), membership.of("h2").groups) == (Word(), ("a",))
    await membership.rename_group("a", "b")
    assert (membership.of("h2").groups, membership.groups) == (("b",), {"b": Group("said")})
    await membership.rename_host("h2", "h9")
    assert (membership.of("h2"), membership.of("h9").groups) == (Word(), ("b",))
    await membership.set_group("b", Group(), [])
    await membership.delete_group("b")
    assert membership.groups == {}
    await store.close()


async def test_changes_at_the_same_time_lose_nothing(store: Store) -> None:
    membership = Membership(store)
    await membership.load()
    await asyncio.gather(*(membership.set_host(f"h{n}", Word(description=str(n))) for n in range(20)))
    again = Membership(store)
    await again.load()
    assert [again.of(f"h{n}").description for n in range(20)] == [str(n) for n in range(20)]
    await store.close()
