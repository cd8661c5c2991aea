"""The gateway as a process of its own in front of the whole lab, and plain daemons beside it, all over HTTPS."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.actions.images import paths_of
from tests.clients import commands, tally
from tests.clients.commands import Server
from tests.gateway.client import remove_images
from tests.lab import rest
from tests.lab.lab import Lab
from tests.lab.run import PATH, until


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in tally.lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="module")
def fleet(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """h1 by its unix socket, h2 and i1 by HTTPS, h3 by SSH, behind one gateway that the lab's certificate may use.

    The process must end without a traceback.
    """
    folder = tmp_path_factory.mktemp("fleet")
    paths, socket, errors = paths_of(lab, folder), folder / "fleet.socket", folder / "errors"
    words = ("--hosts", paths.hosts_file, "--state", paths.state_dir)
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "lxdpm_tui", *words, "--serve", "--socket", socket,
                "--listen", f"{lab.layout.gateway}:0",
            ],
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        ready = process.stdout.readline().split()
        assert ready[:1] == ["ready"], errors.read_text()
        address = ready[2]
        identity = lab.base / "client" / "lxc"  # which the hosts trust too
        enrol(socket, folder / "enrol", identity / "client.crt")
        until(lambda: candidates(socket) == set(lab.hosts), 60, "all hosts read")  # "ready" waits some seconds for them
        yield Server(address, commands.certificate_of(address), identity, fleet=True, others=raw(lab, "h2"))
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
        remove_images(lab)
        lab.clean()
    said = errors.read_text()
    assert "Traceback" not in said, said


def candidates(socket: Path) -> set[str]:
    """The hosts that an instance may go to: those that are online and were read."""
    try:
        [plan] = rest.call(socket, "POST", "/1.0/fleet/plan", {"image": "busybox"})
    except rest.RestError:  # none has the image, as far as is known
        return set()
    return {host["host"] for host in plan["hosts"] if not host["reason"]}


def enrol(socket: Path, folder: Path, certificate: Path) -> None:
    """A client certificate, added through the gateway's unix socket."""
    folder.mkdir()
    (folder / "config.yml").write_text(
        f"default-remote: socket\naliases: {{}}\nremotes:\n  socket:\n    addr: unix:{socket}\n    public: false\n"
    )
    subprocess.run(
        ["lxc", "config", "trust", "add", str(certificate), "--name", "tests"],
        env={"PATH": PATH, "HOME": str(folder), "LXD_CONF": str(folder)},
        capture_output=True,
        check=True,
        timeout=60,
    )


def plain(lab: Lab, name: str, other: str) -> Server:
    """One daemon of the lab, with another as remote `other`."""
    address = f"https://{lab.hosts[name].address}:8443"
    identity = lab.base / "client" / "lxc"
    return Server(address, commands.certificate_of(address), identity, others=raw(lab, other))


def raw(lab: Lab, name: str) -> dict[str, tuple[str, str]]:
    address = f"https://{lab.hosts[name].address}:8443"
    return {"other": (address, commands.certificate_of(address))}
