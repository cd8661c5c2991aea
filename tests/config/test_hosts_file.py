from __future__ import annotations

import os
from pathlib import Path

import pytest

from lxdpm_tui.config import (
    ConfigError,
    HostConfig,
    HttpsAddress,
    SshAddress,
    UnixAddress,
    add_host,
    load_hosts,
    remove_host,
    rename_host,
)

EXAMPLE = Path(__file__).parents[2] / "hosts.toml.example"
PIN = "ab" * 32


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hosts.toml"


def test_everything_that_an_entry_can_say(file: Path) -> None:
    file.write_text(
        f"""
        [[hosts]]
        name = "a"
        address = "unix:///s"
        labels = ["ssd", "lab"]

        [[hosts]]
        name = "b.example"
        address = "https://b"
        fingerprint = "{":".join(["AB"] * 32)}"

        [[hosts]]
        name = "c-1"
        address = "ssh://root@c"
        identity_file = "keys/id"
        known_hosts = "/etc/known"
        [hosts.labels]
        site = "x"
        """
    )
    assert load_hosts(file) == [
        HostConfig("a", UnixAddress("/s"), {"ssd": "", "lab": ""}),
        HostConfig("b.example", HttpsAddress("b"), fingerprint=PIN),
        HostConfig(
            "c-1",
            SshAddress("c", "root"),
            {"site": "x"},
            identity_file=str(file.parent / "keys/id"),
            known_hosts="/etc/known",
        ),
    ]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "hosts = []\n"])
def test_no_hosts_is_no_mistake(file: Path, text: str) -> None:
    file.write_text(text)
    assert load_hosts(file) == []


def test_the_example_in_the_repository_is_right() -> None:
    assert {host.address.scheme for host in load_hosts(EXAMPLE)} == {"unix", "https", "ssh"}


def test_all_mistakes_are_told_at_once_each_with_its_line(file: Path) -> None:
    file.write_text(
        """\
host = 1

[[hosts]]
name = "a"
adress = "unix:///s"

[[hosts]]
name = "a b"
address = "http://x"

[[hosts]]
name = "c"
address = "https://c"
fingerprint = "123"
identity_file = "k"
labels = 3

[[hosts]]
name = "c"
address = 5
labels = { site = 1 }

[[hosts]]
name = "none"
address = "unix:///s"
[hosts.labels]
"two words" = "x"
"""
    )
    with pytest.raises(ConfigError) as caught:
        load_hosts(file)
    told = [(problem.line, problem.key, problem.message) for problem in caught.value.problems]
    assert [(line, key) for line, key, _ in told] == [
        (1, "host"),
        (3, "address"),
        (5, "adress"),
        (8, "name"),
        (9, "address"),
        (14, "fingerprint"),
        (15, "identity_file"),
        (16, "labels"),
        (19, "name"),
        (20, "address"),
        (21, "labels"),
        (24, "name"),
        (26, "labels"),
    ]
    by_place = {(line, key): message for line, key, message in told}
    assert by_place[1, "host"] == "unknown key; did you mean hosts?"
    assert by_place[3, "address"] == "is missing"
    assert by_place[5, "adress"] == "unknown key; did you mean address?"
    assert by_place[15, "identity_file"] == "is for ssh:// addresses only"
    assert by_place[19, "name"] == "c is the name of the host at line 12 already"
    assert by_place[20, "address"] == "expected a text in quotes"
    assert str(caught.value).splitlines()[0] == f"{file}:1: host: unknown key; did you mean hosts?"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('[[hosts]]\nname = "a\n', 2, "not TOML"),
        ("[[hosts]]\nname\n", 2, "not TOML"),
        ('[[hosts]]\nname = "a"\nname = "b"\n', 3, "not TOML"),
        ('hosts = [{ name = "a" ', 1, "not TOML"),
        ("\n[hosts]\nname = 1\n", 2, "expected [[hosts]] tables"),
    ],
)
def test_what_is_no_list_of_hosts(file: Path, text: str, line: int, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_hosts(file)
    assert [problem.line for problem in caught.value.problems] == [line]
    assert message in str(caught.value)


def test_mistakes_in_inline_tables_are_at_the_line_of_their_list(file: Path) -> None:
    file.write_text('\nhosts = [{ name = "a", address = "x" }]\n')
    with pytest.raises(ConfigError) as caught:
        load_hosts(file)
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [(2, "address")]


def test_files_that_cannot_be_read(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"hosts\.toml: cannot be read: No such file"):
        load_hosts(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="expected UTF-8"):
        load_hosts(file)


COMMENTED = """\
# my fleet

# the first
[[hosts]]
name = "a" # here
address = "unix:///a"

# the second
[[hosts]]
name = "b"
address = "https://b:8443"
[hosts.labels]
site = "x"

# the end
"""


def test_adding_keeps_what_is_there(file: Path) -> None:
    file.write_text(COMMENTED)
    file.chmod(0o640)
    new = HostConfig("c", SshAddress("c"), {"ssd": ""}, identity_file="/k", known_hosts="/h")
    add_host(file, new)
    assert file.read_text().startswith(COMMENTED.rstrip())
    assert [host.name for host in load_hosts(file)] == ["a", "b", "c"]
    assert load_hosts(file)[-1] == new
    assert file.stat().st_mode & 0o7777 == 0o640
    add_host(file, HostConfig("d", HttpsAddress("d"), {"site": "y"}, fingerprint=PIN))
    assert load_hosts(file)[-1] == HostConfig("d", HttpsAddress("d"), {"site": "y"}, fingerprint=PIN)
    assert os.listdir(file.parent) == [file.name]


@pytest.mark.parametrize(
    "text", [None, "", "# mine\n", "hosts = []\n", 'hosts = [{ name = "a", address = "unix:///a" }]\n']
)
def test_adding_to_any_shape_of_file(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "new" / "hosts.toml"
    if text is not None:
        file.parent.mkdir()
        file.write_text(text)
    for name in ("x", "y"):
        add_host(file, HostConfig(name, UnixAddress("/s"), {"site": "a"}))
    assert [host.name for host in load_hosts(file)][-2:] == ["x", "y"]
    assert text is None or "# mine" not in text or "# mine" in file.read_text()


@pytest.mark.parametrize("name", ["a", "b"])
def test_removing_keeps_the_comments_of_the_others(file: Path, name: str) -> None:
    file.write_text(COMMENTED)
    remove_host(file, name)
    left = "b" if name == "a" else "a"
    assert [host.name for host in load_hosts(file)] == [left]
    text = file.read_text()
    for comment in ("# my fleet", "# the first", "# the second", "# the end"):
        assert comment in text
    assert ("# here" in text) == (left == "a")


def test_removing_from_an_inline_list(file: Path) -> None:
    file.write_text(
        'hosts = [\n  { name = "a", address = "unix:///a" }, # one\n  { name = "b", address = "unix:///b" },\n]\n'
    )
    remove_host(file, "a")
    assert [host.name for host in load_hosts(file)] == ["b"]


def test_removing_is_not_fooled_by_a_header_inside_a_text(file: Path) -> None:
    file.write_text('[[hosts]]\nname = "a"\naddress = "unix:///a"\nlabels = { x = """\n[[hosts]]\n""" }\n'
                    '[[hosts]]\nname = "b"\naddress = "unix:///b"\n')  # fmt: skip
    remove_host(file, "b")
    assert [host.name for host in load_hosts(file)] == ["a"]


def test_renaming_keeps_the_rest(file: Path) -> None:
    text = '# mine\n[[hosts]]\nname = "a"  # the first\naddress = "unix:///a"\n\n[[hosts]]\nname = "b"\naddress = "unix:///b"\n'
    file.write_text(text)
    rename_host(file, "a", "west")
    assert file.read_text() == text.replace('"a"', '"west"')
    for old, new, message in (
        ("a", "c", "there is no host a"),
        ("b", "west", "west is the name of"),
        ("b", "x y", "hosts.toml"),
    ):
        with pytest.raises(ConfigError, match=message):
            rename_host(file, old, new)
    assert [host.name for host in load_hosts(file)] == ["west", "b"]


def test_edits_refuse_what_they_cannot_do(file: Path) -> None:
    file.write_text(COMMENTED)
    with pytest.raises(ConfigError, match="there is a host a already"):
        add_host(file, HostConfig("a", UnixAddress("/s")))
    with pytest.raises(ConfigError, match="like a hostname"):
        add_host(file, HostConfig("a:b", UnixAddress("/s")))
    with pytest.raises(ConfigError, match="there is no host bb; did you mean b"):
        remove_host(file, "bb")
    assert file.read_text() == COMMENTED
    file.write_text("[[hosts]]\n")
    with pytest.raises(ConfigError, match="is missing"):
        add_host(file, HostConfig("z", UnixAddress("/s")))


def test_a_symbolic_link_stays_one(file: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text(COMMENTED)
    file.symlink_to(real)
    remove_host(file, "a")
    assert file.is_symlink()
    assert [host.name for host in load_hosts(real)] == ["b"]
