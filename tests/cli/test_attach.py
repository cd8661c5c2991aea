"""--connect: without hosts.toml and without the lock; over HTTPS after pairing once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lxdpm_tui.cli import build_parser
from lxdpm_tui.cli.inside import find, hosts_of
from lxdpm_tui.cli.run import Failure
from tests.cli.cli import Cli, Done
from tests.fleet.test_cluster import create
from tests.lab.lab import Lab


@pytest.fixture
def guest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Somebody else's command line: no hosts, and a state directory of its own."""
    folder = tmp_path / "guest"
    folder.mkdir()
    return Cli(folder, capsys)


def connected(guest: Cli, address: str, *words: str, before: tuple[str, ...] = ()) -> Done:
    command = ["--state", str(guest.state), "--connect", address, *before, *words]
    return guest.plain(*command)


def test_actions_on_a_gateway(cli: Cli, guest: Cli, clean_lab: Lab) -> None:
    cli.on(clean_lab, "h1", "h2")
    with cli.serving():
        address = f"unix://{cli.state}/unix.socket"
        done = connected(guest, address, "launch", "busybox", "web", "--no-start", "--strategy", "scatter")
        assert (done.code, done.out.startswith("web on h")) == (0, True), done
        host = done.out.split()[-1]
        assert clean_lab.hosts[host].api("GET", "/1.0/instances/web")["name"] == "web"
        assert connected(guest, address, "planner", "gather").out == "gather\n"
        assert cli.ok("planner").out == "gather\n", "it is the server's"
        done = connected(guest, address, "start", "nobody")
        assert (done.code, "'nobody'" in done.err) == (1, True), done
        assert connected(guest, address, "delete", "web", "--yes").code == 0
        assert not (guest.state / "lock").exists()


def test_https_is_paired_with_once(cli: Cli, guest: Cli, clean_lab: Lab) -> None:
    cli.on(clean_lab, "h1")
    port = 19400 + clean_lab.layout.number
    with cli.serving("--listen", f"127.0.0.1:{port}"):
        address = f"https://127.0.0.1:{port}"
        done = connected(guest, address, "planner")
        assert done.code == 1
        assert "shows the certificate" in done.err
        token = cli.ok("trust", "add", "guest").out.strip()
        assert connected(guest, address, "planner", before=("--token", token)).out == "random\n"
        assert connected(guest, address, "planner").out == "random\n", "it is known from now on"
        launched = connected(guest, address, "launch", "busybox", "web", "--no-start")
        assert launched.out == "web on h1\n"
        image = clean_lab.make_image("sent")
        sent = connected(guest, address, "image-import", str(image), "--alias", "sent")
        assert (sent.code, len(sent.out.strip())) == (0, 64), sent


def test_on_a_cluster(guest: Cli, clean_cluster: Lab) -> None:
    address = f"unix://{clean_cluster.hosts['h2'].socket}"
    done = connected(guest, address, "launch", "busybox", "web", "--no-start", "--target", "h1")
    assert done.out == "web on h1\n"
    done = connected(guest, address, "plan", "busybox")
    assert "a member of the cluster's choice (by the cluster's own)" in done.out


async def test_where_a_command_for_an_instance_of_a_member_goes(guest: Cli, clean_cluster: Lab) -> None:
    await asyncio.to_thread(create, clean_cluster, "web", "h2")
    words = ["--state", str(guest.state), "--connect", f"unix://{clean_cluster.hosts['h1'].socket}", "shell", "web"]
    async with hosts_of(build_parser().parse_args(words)) as hosts:
        for ref in ("web", "h2:web", "local/h2:web"):
            host, name = await find(hosts, ref, "default")
            assert (host.name, name) == ("local", "web")
        with pytest.raises(Failure, match="there is no instance web"):
            await find(hosts, "h1:web", "default")
        with pytest.raises(Failure, match="there is no host other/h2"):
            await find(hosts, "other/h2:web", "default")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--connect", "nowhere", "planner"), "--connect: expected unix:///"),
        (("--connect", "unix:///nowhere/s", "--token", "t", "planner"), "--token is for https"),
        (("--connect", "unix:///nowhere/s", "--serve"), "--connect works on a server that is there"),
        (("--token", "t", "planner"), "--token goes with --connect"),
    ],
)
def test_what_does_not_go_together(guest: Cli, words: tuple[str, ...], text: str) -> None:
    done = guest.plain("--state", str(guest.state), *words)
    assert done.code == 2
    assert text in done.err


def test_nobody_there(guest: Cli) -> None:
    done = connected(guest, "unix:///nowhere/unix.socket", "planner", "scatter")
    assert (done.code, "there is no socket /nowhere/unix.socket" in done.err) == (1, True), done
