"""Running programs and waiting for conditions."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.lab.layout import LabError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(*command: str | Path, check: bool = True, env: Mapping[str, str] | None = None, stdin: str = "") -> str:
    """Run a program to its end and return its output (stdout and stderr mixed); LabError when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
        env=env or {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"},
        check=False,
    )
    if check and done.returncode:
        raise LabError(f"{' '.join(map(str, command))}: exit code {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def batch_ip(lines: Sequence[str]) -> None:
    """Several `ip` commands in one process."""
    run("ip", "-batch", "-", stdin="\n".join(lines) + "\n")


def until(condition: Callable[[], bool], timeout: float, what: str) -> None:
    """Wait for something that offers nothing to wait on (a socket that appears, a cgroup that empties)."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {timeout:g} s")
        time.sleep(0.02)
