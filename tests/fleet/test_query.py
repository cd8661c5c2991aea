from __future__ import annotations

import pytest

from lxdpm_tui.fleet.fields import HOSTS, IMAGES, INSTANCES, PROFILES, epoch, instance_config
from lxdpm_tui.fleet.inventory import HostRecord, HostStatus, Image, Instance, Profile
from lxdpm_tui.fleet.query import EVERYTHING, QueryError, parse

NOW = 1_790_000_000.0


def row(**fields: object) -> Instance:
    base: dict[str, object] = {
        "host": "lyon-1",
        "project": "default",
        "name": "web-1",
        "status": "Running",
        "image": "Debian bookworm",
        "profiles": ("default", "web"),
        "addresses": ("10.1.2.3", "fd42::17"),
        "memory": 3 << 30,
        "cpu": 85.0,
        "memory_limit": 4 << 30,
        "created_at": "2026-09-21T13:00:00.123456789Z",
        "raw": b'{"config": {}, "expanded_config": {"user.tag": "Shop", "limits.cpu": "2"}}',
    }
    return Instance(**{**base, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "passes"),
    [
        ("", True),
        ("web", True),
        ("WEB lyon", True),
        ("web paris", False),
        ("!paris", True),
        ("!web", False),
        ("~^web-[0-9]", True),
        ("~^eb", False),
        ("!~^eb", True),
        ("web-*", True),
        ("we?-1", True),
        ("*eb", False),
        ("status:run", True),
        ("status:error,run", True),
        ("status:=run", False),
        ("status:=running", True),
        ("status=Running", True),
        ("status!=Running", False),
        ("!status:stopped", True),
        ("status:~^(run|err)", True),
        ("@lyon", True),
        ("@lyon-*", True),
        ("!@lyon", False),
        ("host:=lyon-1", True),
        ("profile:web", True),
        ("profile:=eb", False),
        ("ip:10.1.", True),
        ("cpu>80", True),
        ("cpu>85", False),
        ("cpu>=85", True),
        ("cpu<80%", False),
        ("mem>2G", True),
        ("mem>3GiB", False),
        ("mem>=3GiB mem<4G", True),
        ("mem>512M", True),
        ("limit=4G", True),
        ("user.tag:shop", True),
        ("user.tag:other", False),
        ("user.none:x", False),
        ("!user.none:x", True),
        ("limits.cpu:2", True),
        ('"Debian book"', True),
        ('"book Debian"', False),
        ('!"no such thing"', True),
        ("10.1.2.3", True),
        ("fd42::17", True),
        ("status:", True),
        ("cpu>", True),
        ("~", True),
        ("!", True),
    ],
)
def test_words_fields_and_numbers(source: str, passes: bool) -> None:
    assert parse(source, INSTANCES)(row()) is passes


def test_age_is_of_the_clock() -> None:
    young = parse("age<2h", INSTANCES, clock=lambda: epoch("2026-09-21T14:59:00Z"))
    old = parse("age<2h", INSTANCES, clock=lambda: epoch("2026-09-21T15:01:00Z"))
    assert young(row())
    assert not old(row())
    assert young.timed
    assert not parse("age<2h", INSTANCES)(row(created_at=""))


def test_unknown_figures_never_match() -> None:
    assert not parse("cpu<50", INSTANCES)(row(cpu=-1.0))
    assert not parse("mem<50G", INSTANCES)(row(memory=-1))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("colour:red", "there is no field colour"),
        ("cpu:80", "cpu>10"),
        ("name>3", "name is text"),
        ("mem>much", "'much' is no value for mem"),
        ("age<2parsecs", "30s, 2h, 7d"),
        ("~[", "no regular expression"),
    ],
)
def test_mistakes_are_told(source: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        parse(source, INSTANCES)


def test_narrows_when_a_word_is_typed_on() -> None:
    def q(source: str):  # type: ignore[no-untyped-def]
        return parse(source, INSTANCES)

    assert q("we").narrows(EVERYTHING)
    assert q("web").narrows(q("we"))
    assert q("web status:run").narrows(q("web"))
    assert not q("we").narrows(q("web"))
    assert not q("!web").narrows(q("!we"))
    assert not q("mem<40G").narrows(q("mem<4G"))
    assert not q("age<2h x").narrows(q("age<2h"))


def test_other_kinds_have_their_fields() -> None:
    host = HostRecord(name="h1", status=HostStatus.UNREACHABLE, labels={"site": "lyon", "ssd": ""}, memory_total=100)
    assert parse("status:unreach label:site=lyon label:ssd @h1", HOSTS)(host)
    assert parse("free>50", HOSTS)(host)
    image = Image(host="h1", project="default", fingerprint="abc123", aliases=("debian/12",), size=100 << 20)
    assert parse("alias:debian size>99M debian/*", IMAGES)(image)
    profile = Profile(host="h1", project="default", name="small", config={"limits.memory": "1GiB"})
    assert parse("small limits.memory:1g", PROFILES)(profile)


def test_epoch_reads_every_form() -> None:
    assert epoch("1970-01-02T00:00:00Z") == 86400
    assert epoch("2026-09-21T13:00:00.123456789Z") == pytest.approx(epoch("2026-09-21T13:00:00Z") + 0.123456)
    assert epoch("2026-09-21T15:00:00.5+02:00") == pytest.approx(epoch("2026-09-21T13:00:00Z") + 0.5)
    assert epoch("0001-01-01T00:00:00Z") == 0
    assert epoch("") == 0
    assert epoch("yesterday") == 0


def test_config_of_broken_json_is_empty() -> None:
    assert instance_config(row(raw=b"{")) == {}
    assert instance_config(row(raw=b"")) == {}
