"""How long the command takes to start: --help, --version, and --serve until it is ready, against an empty Python.

    python -m benchmarks.startup [rounds, default 10]

As root: starts a lab of three LXD hosts and one Incus host (tests/lab) if none is up. --serve waits for no host: it is
ready when its socket is; it is told too how long it takes until all four hosts are online. CPU time does not depend on
what else the machine does, wall time does. Fails if --help takes more than 25 times the CPU of `python -c pass`, or
--serve more than 2 s of CPU until it is ready.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.lab import rest
from tests.lab.lab import Lab

HELP_BOUND = 25.0  # times an empty Python
SERVE_BOUND = 2.0  # seconds

Cost = tuple[float, float]  # wall and CPU, seconds


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    lab = Lab()
    was_up = lab.is_up
    if not was_up:
        lab.up()
    try:
        return report(lab, rounds)
    finally:
        if not was_up:
            lab.down()


def run(*arguments: str) -> Cost:
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0
    return time.perf_counter() - began, used.ru_utime + used.ru_stime


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def serve(lab: Lab) -> tuple[Cost, Cost]:
    """Seconds until the ready line, and until all hosts are online."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        state.mkdir(mode=0o700)
        for file in (lab.client_cert, lab.client_key):
            shutil.copy(file, state / file.name)
        options = ["--hosts", str(lab.hosts_file), "--state", str(state), "--serve"]
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "lxdpm_tui", *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"ready ")
            ready = time.perf_counter() - began, cpu(process.pid)
            while any(host["status"] == "connecting" for host in hosts(state)):
                time.sleep(0.01)
            return ready, (time.perf_counter() - began, cpu(process.pid))
        finally:
            process.terminate()
            process.communicate(timeout=20)


def hosts(state: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = rest.call(state / "unix.socket", "GET", "/1.0/fleet")["hosts"]
    return found


def report(lab: Lab, rounds: int) -> int:
    ways: dict[str, Callable[[], Cost]] = {
        "python -c pass": lambda: run("-c", "pass"),
        "--version": lambda: run("-m", "lxdpm_tui", "--version"),
        "--help": lambda: run("-m", "lxdpm_tui", "--help"),
    }
    took: dict[str, list[Cost]] = {way: [] for way in ways}
    took["--serve, ready"], took["--serve, all hosts online"] = [], []
    for _ in range(rounds):  # in turn, so that a busy moment meets all of them
        for way, measure in ways.items():
            took[way].append(measure())
        ready, online = serve(lab)
        took["--serve, ready"].append(ready)
        took["--serve, all hosts online"].append(online)
    middle = {way: tuple(map(statistics.median, zip(*each, strict=True))) for way, each in took.items()}
    wall, used = middle["python -c pass"]
    for way, (seconds, spent) in middle.items():
        print(
            f"{way:<27} wall {seconds * 1000:7.1f} ms {seconds / wall:5.1f} x"
            f"    CPU {spent * 1000:7.1f} ms {spent / used:5.1f} x"
        )
    return 0 if middle["--help"][1] <= HELP_BOUND * used and middle["--serve, ready"][1] <= SERVE_BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
