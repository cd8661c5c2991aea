"""`lxdpm-tui host ...`: on files, and against real daemons over all transports."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.config import HttpsAddress, load_hosts
from tests.cli.cli import Cli
from tests.lab.lab import Lab

COMMENTED = """\
# our hosts

[[hosts]]  # the first one
name = "old"
address = "unix:///nowhere/unix.socket"
labels = ["ssd"]  # fast

# the end
"""


# -- files


def test_bad_files_are_told_whole_with_their_lines(cli: Cli) -> None:
    cli.hosts.write_text(
        '[[hosts]]\nname = "a b"\naddress = "http://x"\n\n[[hosts]]\nname = "h2"\nadress = "unix:///x"\n\nlabel = 1\n'
    )
    for command in (
        ["host", "list"],
        ["host", "add", "x", "unix:///x"],
        ["launch", "busybox"],
        ["planner"],
        ["--serve"],
    ):
        done = cli(*command)
        assert done.code == 2, command
        assert done.out == ""
        lines = done.err.splitlines()
        assert all(line.startswith(f"{cli.hosts}:") for line in lines)
        assert {tuple(line.removeprefix(f"{cli.hosts}:").split(": ")[:2]) for line in lines} == {
            ("2", "name"),
            ("3", "address"),
            ("5", "address"),
            ("7", "adress"),
            ("9", "label"),
        }
        assert "did you mean address?" in done.err
        assert "Traceback" not in done.err


def test_a_file_that_is_not_there(cli: Cli) -> None:
    for command in (["host", "list"], ["host", "check"], ["launch", "busybox"]):
        done = cli(*command)
        assert done.code == 2
        assert done.err.strip() == f"{cli.hosts}: there is no such file"


def test_list(cli: Cli) -> None:
    cli.hosts.write_text(COMMENTED)
    done = cli.ok("host", "list")
    assert done.out == "old  unix:///nowhere/unix.socket  ssd\n"
    assert done.err == f"from {cli.hosts}\n"
    shown = {"name": "old", "address": "unix:///nowhere/unix.socket", "labels": {"ssd": ""}, "fingerprint": None}
    assert cli.ok("host", "list", "--json").json == [shown]


def test_an_empty_list(cli: Cli) -> None:
    cli.hosts.write_text("")
    assert cli.ok("host", "list", "--json").json == []
    assert cli.ok("host", "list").out == ""
    done = cli("host", "check")
    assert (done.code, done.err.strip()) == (1, "there are no hosts")


def test_remove_keeps_comments_and_asks(cli: Cli) -> None:
    cli.hosts.write_text(COMMENTED + '\n[[hosts]]\nname = "more"\naddress = "unix:///more"\n')
    done = cli.process("host", "remove", "more")
    assert done.code == 1
    assert "give --yes" in done.err
    assert "more" in cli.hosts.read_text()
    cli.ok("host", "remove", "more", "--yes")
    assert "# the end" in cli.hosts.read_text()
    assert [host.name for host in load_hosts(cli.hosts)] == ["old"]
    done = cli("host", "remove", "more", "--yes")
    assert done.code == 1
    assert "there is no host 'more'" in done.err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["x", "http://x"], 2, "address: "),
        (["x", "nonsense"], 2, "address: "),
        (["old", "unix:///x"], 1, "there is a host 'old' already"),
        (["x", "unix:///x", "--token", "t"], 2, "are for https addresses"),
        (["x", "https://x", "--token", "t", "--password", "p"], 2, "not allowed with"),
        (["x", "unix:///nowhere/x"], 1, "x: there is no socket /nowhere/x"),
        (["a b", "https://x", "--token", "t"], 2, "name: "),
        (["x", "unix:///x", "--identity-file", "/key"], 2, "identity_file: is for ssh:// addresses only"),
        (["x", "unix:///x", "--label", "a b=c"], 2, "labels: expected letters"),
    ],
)
def test_what_cannot_be_added(cli: Cli, words: list[str], code: int, text: str) -> None:
    cli.hosts.write_text(COMMENTED)
    done = cli("host", "add", *words)
    assert (done.code, done.out) == (code, "")
    assert text in done.err
    assert cli.hosts.read_text() == COMMENTED


# -- real daemons


def ssh_words(lab: Lab, name: str) -> list[str]:
    ssh = lab.base / "ssh"
    address = f"ssh://root@{lab.hosts[name].address}"
    return [name, address, "--identity-file", str(ssh / "id_ed25519"), "--known-hosts", str(ssh / "known_hosts")]


def test_add_over_all_transports_and_check(cli: Cli, clean_lab: Lab) -> None:
    """h1 by its socket, h2 by a token, h3 by ssh, i1 (Incus) by a token; the comments stay."""
    cli.hosts.write_text(COMMENTED)
    hosts = clean_lab.hosts
    done = cli.ok("host", "add", "h1", f"unix://{hosts['h1'].socket}", "--label", "site=a", "--label", "ssd")
    assert done.out == f"h1 added: lxd 5.0.2 at unix://{hosts['h1'].socket}\n"
    done = cli.ok("host", "add", "h2", f"https://{hosts['h2'].address}", "--token", hosts["h2"].token(), "--json")
    assert done.json["fingerprint"] == hosts["h2"].fingerprint
    assert (done.json["kind"], done.json["server_name"]) == ("lxd", "h2")
    cli.ok("host", "add", *ssh_words(clean_lab, "h3"))
    done = cli.process(
        "host", "add", "i1", f"https://{hosts['i1'].address}:8443", "--token", "-", stdin=hosts["i1"].token()
    )
    assert done.code == 0, done
    assert done.out.startswith("i1 added: incus 6.0")
    text = cli.hosts.read_text()
    assert text.startswith(COMMENTED)
    assert [(host.name, dict(host.labels)) for host in load_hosts(cli.hosts)][:2] == [
        ("old", {"ssd": ""}),
        ("h1", {"site": "a", "ssd": ""}),
    ]

    done = cli("host", "check", "h1", "h2", "h3", "i1", "--json")
    assert done.code == 0
    assert [(host["name"], host["kind"]) for host in done.json] == [
        ("h1", "lxd"),
        ("h2", "lxd"),
        ("h3", "lxd"),
        ("i1", "incus"),
    ]
    assert all(0 < host["round_trip"] < 10 for host in done.json)  # seconds
    done = cli("host", "check")
    assert done.code == 1
    rows = {line.split()[0]: line for line in done.out.splitlines()}
    assert "FAILED" in rows["old"]
    assert "/nowhere/unix.socket" in rows["old"]
    assert all(" ok " in rows[name] and " ms" in rows[name] for name in hosts)
    done = cli("host", "check", "h9")
    assert (done.code, done.err.strip()) == (2, "there is no host h9")


def test_files_named_on_the_command_line_are_meant_from_there(
    cli: Cli, clean_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hosts.toml is elsewhere."""
    monkeypatch.chdir(clean_lab.base / "ssh")
    words = ["h3", f"ssh://root@{clean_lab.hosts['h3'].address}"]
    cli.ok("host", "add", *words, "--identity-file", "id_ed25519", "--known-hosts", "known_hosts")
    cli.ok("host", "check")


def test_check_says_of_each_host_what_is_wrong(cli: Cli, clean_lab: Lab) -> None:
    cli.on(clean_lab)
    clean_lab.hosts["h1"].kill()
    clean_lab.hosts["h3"].kill()
    with clean_lab.hosts["i1"].hung():
        done = cli("host", "check", "--json")
    assert done.code == 1
    errors = {host["name"]: host.get("error") for host in done.json}
    assert errors["h2"] is None
    assert "the daemon is not running" in errors["h1"]
    assert "daemon down" in errors["h3"]
    assert "no answer" in errors["i1"] or "within" in errors["i1"]


def test_a_stranger_has_to_be_confirmed(cli: Cli, clean_lab: Lab) -> None:
    """Without a token the fingerprint is shown; nobody can be asked here, and --yes means that it was agreed to."""
    host = clean_lab.hosts["h2"]
    done = cli.process("host", "add", "h2", f"https://{host.address}")
    assert done.code == 1
    assert host.fingerprint in done.err
    assert "give --yes" in done.err
    assert not cli.hosts.exists()
    done = cli("host", "add", "h2", f"https://{host.address}", "--yes")
    assert done.code == 1, "it does not trust us yet"
    assert "lxc config trust add" in done.err
    assert "nothing was added" in done.err
    assert not cli.hosts.exists()
    certificate = (cli.state / "client.crt").read_text()
    host.api("POST", "/1.0/certificates", {"type": "client", "name": "us", "certificate": _body(certificate)})
    cli.ok("host", "add", "h2", f"https://{host.address}", "--yes")
    [added] = load_hosts(cli.hosts)
    assert (added.address, added.fingerprint) == (HttpsAddress(host.address), host.fingerprint)
    assert cli.hosts.stat().st_mode & 0o777 == 0o644 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _body(pem: str) -> str:
    return "".join(line for line in pem.splitlines() if not line.startswith("-----"))


@pytest.mark.parametrize("name", ["h2", "i1"])
def test_a_wrong_token_pairs_with_nobody(cli: Cli, clean_lab: Lab, name: str) -> None:
    """One that was used up, one of another host, and one that is none."""
    hosts = clean_lab.hosts
    address = f"https://{hosts[name].address}"
    used = hosts[name].token()
    cli.ok("host", "add", "first", address, "--token", used)
    cli.ok("host", "remove", "first", "--yes")
    other = Cli(cli.hosts.parent / "other", cli._capture)
    other.hosts.parent.mkdir()
    for token in (used, hosts["h1"].token(), "nonsense"):
        done = other("host", "add", name, address, "--token", token)
        assert done.code == 1, done
        assert "nothing was added" in done.err
        assert "Traceback" not in done.err
        assert not other.hosts.exists()


def test_import_from_a_client(cli: Cli, clean_lab: Lab, tmp_path: Path) -> None:
    """Remotes of `lxc` whose certificate the hosts trust; ours is made trusted with it."""
    directory = clean_lab.base / "client" / "lxc"
    done = cli("host", "import", str(directory), "--yes", "--json")
    assert done.code == 0, done
    added: dict[str, Any] = {host["name"]: host for host in done.json}
    assert {"h1", "h2", "h3", "i1"} <= set(added)
    assert all(added[name]["fingerprint"] == host.fingerprint for name, host in clean_lab.hosts.items())
    done = cli("host", "check", "h1", "h2", "h3", "i1")
    assert done.code == 0, done
    done = cli("host", "import", str(directory), "--yes")
    assert "h1: in" in done.err
    assert "nothing to import" in done.err
    done = cli("host", "import", str(tmp_path / "none"), "--yes")
    assert done.code == 2
    assert "config.yml" in done.err


def test_import_leaves_out_what_is_no_host(cli: Cli, tmp_path: Path) -> None:
    directory = tmp_path / "client"
    directory.mkdir()
    remotes = {
        "images": {"addr": "https://images.example", "protocol": "simplestreams", "public": True},
        "dead": {"addr": "https://127.0.0.1:1", "protocol": "lxd"},
    }
    (directory / "config.yml").write_text(json.dumps({"remotes": remotes}))
    done = cli("host", "import", str(directory), "--yes")
    assert done.code == 1
    assert "images: left out: serves images only (simplestreams)" in done.err
    assert "dead: " in done.err
    assert "not added" in done.err
    assert not cli.hosts.exists()
