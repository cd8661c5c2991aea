"""Command lines in this process, and `lxdpm-tui` in one of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lxdpm_tui.cli import main
from tests.lab import rest
from tests.lab.lab import Lab
from tests.lab.run import until
from tests.managing import paths_of


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cli:
    """`lxdpm-tui` with a hosts file and a state directory of the test's own."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.hosts = folder / "hosts.toml"
        self.state = folder / "state"
        self._capture = capture

    @property
    def options(self) -> list[str]:
        return ["--hosts", str(self.hosts), "--state", str(self.state)]

    def __call__(self, *words: str) -> Done:
        """In this process."""
        return self.plain(*self.options, *words)

    def plain(self, *words: str) -> Done:
        """In this process, exactly these words: neither the hosts file nor the state directory is named."""
        self._capture.readouterr()
        try:
            code = main([*words])
        except SystemExit as end:  # argparse
            code = end.code if isinstance(end.code, int) else 1
        shown = self._capture.readouterr()
        return Done(code, shown.out, shown.err)

    def ok(self, *words: str) -> Done:
        done = self(*words)
        assert done.code == 0, done
        return done

    def process(self, *words: str, stdin: str = "") -> Done:
        """In a process of its own."""
        command = [sys.executable, "-m", "lxdpm_tui", *self.options, *words]
        ran = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, check=False)
        return Done(ran.returncode, ran.stdout, ran.stderr)

    def on(self, lab: Lab, *names: str) -> Cli:
        """The hosts file and the certificate of the lab; by default with all its hosts."""
        paths_of(lab, self.state.parent)
        text = lab.hosts_file.read_text()
        entries = ["[[hosts]]" + entry for entry in text.split("[[hosts]]")[1:]]
        chosen = [entry for entry in entries if not names or any(f'name = "{name}"' in entry for name in names)]
        self.hosts.write_text("\n".join(chosen))
        return self

    @contextlib.contextmanager
    def serving(self, *more: str, read: bool = True) -> Iterator[subprocess.Popen[str]]:
        """`--serve` in a process of its own, ready; stopped by SIGTERM at the end, which must be clean.

        read: all hosts are up, and were read; else it is as it said that it is ready.
        """
        command = [sys.executable, "-m", "lxdpm_tui", *self.options, "--serve", *more]
        log = (self.state.parent / "serve.log").open("w+")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ))
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("ready unix:"), (line, (self.state.parent / "serve.log").read_text())
            if read:
                socket = Path(line.split()[1].removeprefix("unix:"))
                until(lambda: all_read(socket), 60, f"{socket}: all hosts read")
            yield process
            process.terminate()
            assert process.wait(60) == 0, (self.state.parent / "serve.log").read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(60)
            process.stdout.close()
            log.close()


def all_read(socket: Path) -> bool:
    """Whether the manager that serves there could place an instance on each of its hosts: a start waits for them, but
    only for some seconds."""
    try:
        [decision] = rest.call(socket, "POST", "/1.0/fleet/plan", {"image": "busybox"})
    except rest.RestError:
        return False  # it knows of no such image yet
    return all(host["score"] is not None for host in decision["hosts"])
