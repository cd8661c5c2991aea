"""Actions from the command line on real daemons: by a manager of the command's own, and through one that serves."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lxdpm_tui.config import Paths
from lxdpm_tui.manager import take_lock
from tests.cli.cli import Cli
from tests.lab.lab import Lab

GONE = '[[hosts]]\nname = "gone"\naddress = "unix:///nowhere/unix.socket"\n'


def names(lab: Lab, host: str) -> dict[str, str]:
    """What is on a host: name -> status."""
    rows = lab.hosts[host].api("GET", "/1.0/instances?recursion=1") or []
    return {row["name"]: row["status"] for row in rows}


# -- planner


def test_the_planner_is_kept(cli: Cli) -> None:
    cli.hosts.write_text(GONE)
    assert cli.ok("planner").out == "random\n"
    assert cli.ok("planner", "scatter").out == "scatter\n"
    assert cli.process("planner", "--json").json == {"strategy": "scatter"}
    assert cli("planner", "best").code == 2


def test_no_hosts(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.hosts.write_text("")
    done = cli("launch", "busybox")
    assert done.code == 1
    assert "there are no hosts" in done.err
    assert "lxdpm-tui host add NAME ADDRESS" in done.err


# -- a manager of its own


def test_launch_stop_and_delete(cli: Cli, clean_lab: Lab) -> None:
    cli.on(clean_lab)
    done = cli.ok("launch", "busybox", "web", "--target", "h3", "--config", "user.x=1")
    assert done.out == "web on h3\n"
    assert "h3: starting" in done.err
    assert names(clean_lab, "h3") == {"web": "Running"}

    done = cli.process("stop", "web", "--force")
    assert (done.code, done.out) == (2, "")
    assert done.err.strip() == "stop web: not done without --yes"
    done = cli.process("stop", "web", "--force", "--yes", "--json")
    assert done.code == 0
    assert (done.json["status"], done.json["class"], done.json["err"]) == ("Success", "task", "")
    assert done.json["metadata"]["hosts"] == {"h3": {"status": "done", "progress": 100, "error": ""}}

    done = cli("start", "web", "nobody")
    assert (done.code, done.out) == (1, "")
    assert "'nobody'" in done.err
    assert names(clean_lab, "h3") == {"web": "Stopped"}, "nothing is done when one of them is not there"
    cli.ok("start", "h3:web")
    done = cli("start", "web", "--json")
    assert done.code == 1
    assert done.json["status"] == "Failure"
    assert "already running" in done.err

    done = cli("delete", "web", "--yes")
    assert done.code == 1
    assert "h3:web is Running: stop it first, or use force" in done.err
    cli.ok("delete", "web", "--yes", "--force")
    assert names(clean_lab, "h3") == {}


def test_launch_several_and_plan(cli: Cli, clean_lab: Lab) -> None:
    cli.on(clean_lab)
    done = cli.ok("plan", "busybox", "web", "--count", "2", "--strategy", "scatter", "--json")
    assert [decision["instance"] for decision in done.json] == ["web-1", "web-2"]
    assert {host["host"] for host in done.json[0]["hosts"]} == set(clean_lab.hosts)
    text = cli.ok("plan", "busybox", "web", "--strategy", "scatter").out.splitlines()
    assert text[0].startswith("web: ")
    assert text[0].endswith("(by scatter)")
    assert sorted(line.split()[0] for line in text[1:]) == sorted(clean_lab.hosts)
    done = cli("plan", "busybox", "--config", "limits.memory=900TiB")
    assert done.code == 1
    assert "nowhere" in done.out
    assert all(not names(clean_lab, host) for host in clean_lab.hosts), "a plan does nothing"

    done = cli.ok("launch", "busybox", "web", "--count", "4", "--no-start", "--strategy", "scatter")
    placed = dict(line.split(" on ") for line in done.out.splitlines())
    assert set(placed) == {f"web-{n}" for n in range(1, 5)}
    for name, host in placed.items():
        assert names(clean_lab, host)[name] == "Stopped"
    done = cli("launch", "busybox", "web-1")
    assert (done.code, done.err.strip().splitlines()[-1]) == (1, 'Instance "web-1" already exists')


def test_a_host_that_is_down_is_named(cli: Cli, clean_lab: Lab) -> None:
    cli.on(clean_lab)
    clean_lab.hosts["h2"].kill()
    done = cli("start", "nobody")
    assert done.code == 1
    assert "could not ask h2" in done.err
    done = cli("launch", "busybox", "web", "--target", "h2")
    assert done.code == 1
    assert "h2: not online: " in done.err
    done = cli("profile-create", "web")
    assert done.code == 1
    assert "Nothing was changed" in done.err
    assert "h2" in done.err
    done = cli("profile-create", "web", "--host", "h9")
    assert (done.code, done.err.strip().splitlines()[-1]) == (1, "there is no host 'h9'")
    cli.ok("profile-create", "web", "--host", "h1", "--config", "user.x=1")
    assert clean_lab.hosts["h1"].api("GET", "/1.0/profiles/web")["config"] == {"user.x": "1"}


def test_images_from_a_file(cli: Cli, clean_lab: Lab) -> None:
    cli.on(clean_lab)
    path = clean_lab.make_image("cli")
    done = cli.ok("image-import", str(path), "--alias", "ours")
    fingerprint = done.out.strip()
    assert len(fingerprint) == 64
    for host in clean_lab.hosts.values():
        assert host.api("GET", "/1.0/images/aliases/ours")["target"] == fingerprint
    cli.ok("image-delete", "ours", "--yes")
    assert all(fingerprint not in str(host.api("GET", "/1.0/images")) for host in clean_lab.hosts.values())


# -- asked on a terminal


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("n", 1, {"c1": "Stopped"}), ("", 1, {"c1": "Stopped"}), ("y", 0, {})]
)
def test_it_asks_on_a_terminal(cli: Cli, clean_lab: Lab, answer: str, code: int, left: dict[str, str]) -> None:
    cli.on(clean_lab, "h1")
    clean_lab.hosts["h1"].api("POST", "/1.0/instances", {"name": "c1", "source": {"type": "image", "alias": "busybox"}})
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "lxdpm_tui", *cli.options, "delete", "c1"]
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        asked = process.stderr.readline()
        assert asked == b"delete c1 (project default)? [y/N] \n"
        os.write(ours, f"{answer}\n".encode())
        assert process.wait(60) == code
        assert names(clean_lab, "h1") == left
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
        os.close(theirs)


# -- interrupted


def test_an_interrupt_undoes_what_was_begun(cli: Cli, clean_lab: Lab) -> None:
    """h2 hangs until the word has come: without it nothing is committed.

    Nor does the upload run away before: what it says of itself, byte by byte read, goes through a pipe of one page.
    """
    cli.on(clean_lab)
    path = clean_lab.make_image("interrupted", os.urandom(96 << 20))
    command = [sys.executable, "-m", "lxdpm_tui", *cli.options, "image-import", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, pipesize=4096)
    said: list[str] = []

    def heard(words: str) -> bool:
        """Read on until that was said; False when it ended without."""
        assert process.stderr is not None
        while line := process.stderr.readline():
            said.append(line.decode())
            if words in said[-1]:
                return True
        return False

    try:
        assert heard("uploading"), said
        with clean_lab.hosts["h2"].hung():
            process.send_signal(2)
            assert heard("cancelling; what was done is undone"), said
        out, err = process.communicate(timeout=120)
        assert process.returncode in (1, 130), (out, said, err)
        assert "Traceback" not in "".join(said) + err.decode()
    finally:
        process.kill()
        process.communicate()
    for host in clean_lab.hosts.values():
        assert len(host.api("GET", "/1.0/images")) == 1


# -- through a manager that serves


def test_through_the_manager_that_serves(cli: Cli, clean_lab: Lab) -> None:
    cli.on(clean_lab, "h1", "i1")
    with cli.serving() as process:
        assert cli.ok("planner", "gather").out == "gather\n"
        began = time.monotonic()
        done = cli.ok("launch", "busybox", "web", "--target", "i1")
        assert done.out == "web on i1\n"
        assert names(clean_lab, "i1") == {"web": "Running"}
        assert time.monotonic() - began < 40
        assert cli.ok("plan", "busybox", "--json").json[0]["strategy"] == "gather"
        done = cli("plan", "nothing")
        assert (done.code, done.out) == (1, "")
        assert "Image 'nothing' not found" in done.err
        done = cli("start", "web", "--json")
        assert done.code == 1
        assert done.json["status"] == "Failure"
        assert "already running" in done.json["err"]
        done = cli("start", "nobody")
        assert done.code == 1
        assert "not found" in done.err
        done = cli("launch", "busybox", "--target", "h9")
        assert (done.code, done.err.strip()) == (1, "there is no host 'h9'")
        cli.ok("delete", "web", "--force", "--yes")
        assert names(clean_lab, "i1") == {}
        assert process.poll() is None
        second = cli.process("--serve")
        assert (second.code, second.out) == (1, "")
        assert f"process {process.pid}" in second.err
        assert cli("--demo", "2", "planner").code == 1, "the demo wants that state directory for itself"
    assert cli.ok("planner").out == "gather\n", "what it was told outlives it"
    assert not (cli.state / "unix.socket").exists()


def test_a_manager_that_serves_elsewhere_is_found(cli: Cli, tmp_path: Path) -> None:
    cli.hosts.write_text(GONE)
    elsewhere = tmp_path / "elsewhere.socket"
    with cli.serving("--socket", str(elsewhere), read=False):
        assert elsewhere.is_socket()
        assert cli.ok("planner", "gather").out == "gather\n"
    assert not elsewhere.exists()


def test_a_manager_that_does_not_serve_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lxdpm_tui.cli.attach.STARTING", 0.2)
    cli.hosts.write_text(GONE)
    cli.state.mkdir(mode=0o700)
    lock = take_lock(Paths(cli.hosts, cli.state))
    try:
        done = cli("planner")
        assert done.code == 1
        assert f"process {os.getpid()}" in done.err
    finally:
        os.close(lock)


def test_serving_the_demo(cli: Cli) -> None:
    """It needs neither hosts nor a state directory."""
    command = [
        sys.executable,
        "-m",
        "lxdpm_tui",
        "--demo",
        "2",
        "--serve",
        "--socket",
        str(cli.state.parent / "demo.socket"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0]
        assert process.stdout.readline().startswith("ready unix:")
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def test_json_is_json_and_nothing_else(cli: Cli, clean_lab: Lab) -> None:
    cli.on(clean_lab, "h1")
    done = cli.process("launch", "busybox", "--name", "x", "--json")
    assert done.code == 2, "the name is given by its place"
    done = cli.process("launch", "busybox", "x", "--no-start", "--json")
    operation = json.loads(done.out)
    assert operation["metadata"]["placement"][0]["chosen"] == "h1"
    assert operation["resources"]["instances"] == ["/1.0/instances/x"]
