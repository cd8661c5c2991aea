"""When an address is asked for, and CPU shares out of counters."""

from __future__ import annotations

from itertools import pairwise

from lxdpm_tui.fleet.inventory import Key
from lxdpm_tui.fleet.live import AT_ONCE, FIRST, LONGEST, AddressHunt, CpuShares

C1, C2 = Key("h1", "default", "c1"), Key("h1", "default", "c2")


def test_ever_more_seldom() -> None:
    hunt = AddressHunt()
    now, asked = 0.0, []
    assert hunt.due([C1], now) == []
    while len(asked) < 20:
        pause = hunt.pause(now)
        assert pause is not None
        now += pause
        assert hunt.due([C1], now) == [C1]
        asked.append(now)
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert asked[0] == FIRST
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST
    assert sum(when < 10 for when in asked) == 5


def test_one_that_got_its_address_is_forgotten() -> None:
    hunt = AddressHunt()
    hunt.due([C1, C2], 0)
    assert hunt.due([C1, C2], FIRST) == [C1, C2]
    assert hunt.due([C2], FIRST) == []
    assert hunt.due([], FIRST) == []
    assert hunt.pause(FIRST) is None
    hunt.due([C1], 100)
    assert hunt.pause(100) == FIRST, "a new start begins anew"


def test_not_too_many_at_once() -> None:
    hunt = AddressHunt()
    many = [Key("h1", "default", f"c{n}") for n in range(AT_ONCE + 5)]
    hunt.due(many, 0)
    assert hunt.due(many, FIRST) == many[:AT_ONCE]
    assert hunt.pause(FIRST) == 0
    assert hunt.due(many, FIRST) == many[AT_ONCE:]


def test_cpu_shares() -> None:
    shares = CpuShares()
    assert shares.take({C1: 10.0}, 100.0) == {C1: -1.0}
    assert shares.take({C1: 15.0, C2: 1.0}, 110.0) == {C1: 50.0, C2: -1.0}
    assert shares.take({C1: 15.0, C2: 21.0}, 120.0) == {C1: 0.0, C2: 200.0}
    assert shares.take({C1: 2.0}, 130.0) == {C1: -1.0}, "it was restarted"
    assert shares.take({C1: 3.0, C2: 50.0}, 130.0) == {C1: -1.0, C2: -1.0}, "no time has passed"
