"""`lxc` and `incus` as users type them, against one HTTPS remote; every command is counted."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import select
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.run import PATH

PATIENCE = 60.0  # seconds in which a host that is alive answers for its part of a list
CANNOT_RUN = 126  # the least exit code that is not of the command's choice: it was not found, or a signal ended it


@dataclass(frozen=True)
class Server:
    """One HTTPS endpoint: a plain daemon, or the gateway in front of the whole lab.

    identity: folder of a client.crt and client.key that it trusts. others: more remotes, name -> address, certificate;
    the one named "other" is used in its project "outside", so that it does not meet the fleet it may be part of.
    """

    address: str
    certificate: str
    identity: Path
    fleet: bool = False
    others: Mapping[str, tuple[str, str]] = field(default_factory=dict)


@dataclass
class Done:
    code: int
    out: str
    err: str
    raw: bytes = b""


class Commands:
    """One program with `server` as its default remote; `place` is the host its instances go to ("": as it comes).

    `passed` holds one entry a command, in order: whether it did what its case wanted.
    """

    def __init__(self, program: str, server: Server, folder: Path, place: str = "") -> None:
        self.program = program
        self.server = server
        self.folder = folder
        self.place = place
        self.here: tuple[str, ...] = ("--target", place) if place else ()
        self.passed: list[bool] = []
        self.said: list[str] = []
        self.environment = {
            "PATH": PATH,
            "HOME": str(folder),
            "LXD_CONF": str(folder),
            "INCUS_CONF": str(folder),
            "TERM": "xterm",
            "LANG": "C.UTF-8",
        }
        (folder / "servercerts").mkdir(parents=True)
        for name in ("client.crt", "client.key"):
            shutil.copy(server.identity / name, folder / name)
        remotes = {"here": (server.address, server.certificate), **server.others}
        protocol = "lxd" if program == "lxc" else "incus"
        text = "default-remote: here\naliases: {}\nremotes:\n"
        for remote, (address, certificate) in remotes.items():
            text += f"  {remote}:\n    addr: {address}\n    auth_type: tls\n"
            text += f"    protocol: {protocol}\n    public: false\n"
            text += "    project: outside\n" if remote == "other" else ""
            (folder / "servercerts" / f"{remote}.crt").write_text(certificate)
        (folder / "config.yml").write_text(text)

    @property
    def fleet(self) -> bool:
        return self.server.fleet

    def n(self, name: str) -> str:
        """The name with the place in it, so that the same case can run for several hosts at once."""
        return f"{name}-{self.place}" if self.place else name

    def stranger(self) -> Commands:
        """The same program of another user: no certificate yet, no remote; its commands count here."""
        other = Commands(self.program, self.server, self.folder / f"stranger-{len(self.passed)}")
        for path in ("client.crt", "client.key", "config.yml"):
            (other.folder / path).unlink()
        other.passed, other.said = self.passed, self.said
        return other

    def at(self, host: str) -> tuple[str, ...]:
        """Where a plain daemon has no choice and the fleet is told."""
        return ("--target", host) if self.fleet else ()

    # -- running

    def __call__(
        self, *words: str, stdin: str | bytes = b"", code: int = 0, has: str = "", deadline: float = 120
    ) -> str:
        """Standard output of a command that must end with this exit code, and with `has` in what it says."""
        return self.run(*words, stdin=stdin, code=code, has=has, deadline=deadline).out

    def run(self, *words: str, stdin: str | bytes = b"", code: int = 0, has: str = "", deadline: float = 120) -> Done:
        """Such a command to its end. One in an instance stays a moment, unless its end is not its own."""
        self._begin(words)
        data = stdin.encode() if isinstance(stdin, str) else stdin
        stays = words[0] == "exec" and "--" in words and code < CANNOT_RUN
        at = words.index("--") + 1 if stays else len(words)
        try:
            made = subprocess.run(
                [self.program, *words[:at], *(staying(words[at:]) if stays else ())],
                input=data,
                capture_output=True,
                env=self.environment,
                cwd=self.folder,
                timeout=deadline,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            raise AssertionError(f"{self._words(words)} hangs: {expired.output!r} {expired.stderr!r}") from None
        done = Done(
            made.returncode, made.stdout.decode(errors="replace"), made.stderr.decode(errors="replace"), made.stdout
        )
        assert done.code == code, (self._words(words), done)
        assert has in done.out + done.err, (self._words(words), has, done)
        self.passed[-1] = True
        return done

    def json(self, *words: str) -> Any:
        """What a list command shows."""
        return json.loads(self(*words, "--format", "json"))

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Instances, with state and snapshots. The fleet lists those of a host that is silent for a moment without:
        then it is asked again, which counts as one command."""
        given_up = time.monotonic() + PATIENCE
        while True:
            found: list[dict[str, Any]] = self.json("list", *words)
            if all(row["state"] is not None for row in found):
                return found
            self.check(time.monotonic() < given_up, found)
            del self.passed[-1], self.said[-1]

    def query(self, path: str, *words: str) -> Any:
        return json.loads(self("query", *words, path))

    def check(self, holds: object, told: object = "") -> None:
        """Something about what the last command did; if it does not hold, that command did not pass."""
        if not holds:
            self.passed[-1] = False
            raise AssertionError((self.said[-1], told))

    @contextmanager
    def reading(self, *words: str) -> Iterator[Iterator[str]]:
        """A command that goes on, as `monitor` does, until the block ends; the lines it says, for 90 s at most."""
        self._begin(words)
        with subprocess.Popen(
            [self.program, *words], stdout=subprocess.PIPE, env=self.environment, cwd=self.folder, text=True
        ) as process:
            assert process.stdout is not None
            limit = threading.Timer(90, process.kill)
            limit.start()
            try:
                yield iter(process.stdout)
                self.passed[-1] = True
            finally:
                limit.cancel()
                process.kill()

    @contextmanager
    def again(self, *words: str) -> Iterator[None]:
        """A command over and over while the block runs; not counted."""
        over = threading.Event()

        def repeat() -> None:
            while not over.is_set():
                subprocess.run(
                    [self.program, *words],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=self.environment,
                    timeout=120,
                    check=False,
                )

        repeating = threading.Thread(target=repeat)
        repeating.start()
        try:
            yield
        finally:
            over.set()
            repeating.join()

    def typed(self, *words: str, keys: tuple[tuple[str, str], ...], code: int = 0, last: str = "") -> str:
        """A command on a terminal of its own. keys: what to wait for on the screen, and what to type then.

        last: typed twice a second until the command ends.
        """
        self._begin(words)
        ours, theirs = pty.openpty()
        shown = b""
        with subprocess.Popen(
            [self.program, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=self.environment, cwd=self.folder
        ) as process:
            os.close(theirs)
            limit = threading.Timer(90, process.kill)
            limit.start()
            try:
                with suppress(OSError):  # EIO: the command has ended
                    for prompt, answer in keys:
                        while prompt.encode() not in shown:
                            shown += os.read(ours, 4096)
                        os.write(ours, answer.encode())
                    while True:
                        if last and not select.select([ours], [], [], 0.5)[0]:
                            os.write(ours, last.encode())
                        else:
                            shown += os.read(ours, 4096)
                found = process.wait()
            finally:
                limit.cancel()
                os.close(ours)
        assert found == code, (self._words(words), found, shown)
        self.passed[-1] = True
        return shown.decode(errors="replace")

    def _begin(self, words: tuple[str, ...]) -> None:
        self.passed.append(False)
        self.said.append(self._words(words))

    def _words(self, words: tuple[str, ...]) -> str:
        return " ".join((self.program, *words))

    # -- verbs that the two programs spell in their own way

    def launch(self, name: str, *words: str) -> None:
        self("launch", "busybox", name, *self.here, *words)

    def snapshot(self, instance: str, name: str) -> None:
        self("snapshot", *self._make, instance, name)

    def restore(self, instance: str, name: str) -> None:
        self(*(("restore",) if self.program == "lxc" else ("snapshot", "restore")), instance, name)

    def rename_snapshot(self, instance: str, old: str, new: str) -> None:
        if self.program == "lxc":
            self("rename", f"{instance}/{old}", f"{instance}/{new}")
        else:
            self("snapshot", "rename", instance, old, new)

    def delete_snapshot(self, instance: str, name: str) -> None:
        if self.program == "lxc":
            self("delete", f"{instance}/{name}")
        else:
            self("snapshot", "delete", instance, name)

    def snapshot_volume(self, pool: str, volume: str, name: str) -> None:
        self("storage", "volume", "snapshot", *self._make, pool, volume, name)

    def restore_volume(self, pool: str, volume: str, name: str) -> None:
        words = ("restore",) if self.program == "lxc" else ("snapshot", "restore")
        self("storage", "volume", *words, pool, volume, name)

    def delete_volume_snapshot(self, pool: str, volume: str, name: str) -> None:
        if self.program == "lxc":
            self("storage", "volume", "delete", pool, f"{volume}/{name}")
        else:
            self("storage", "volume", "snapshot", "delete", pool, volume, name)

    def token(self, name: str) -> str:
        """A new token for a client, as `config trust add` prints it on its last line."""
        words = ("--name", name) if self.program == "lxc" else (name,)
        return self("config", "trust", "add", *words).split()[-1]

    @property
    def _make(self) -> tuple[str, ...]:
        return () if self.program == "lxc" else ("create",)


def staying(command: Sequence[str]) -> list[str]:
    """The command, with the end of it put off: what is said right before the end, LXD 5.0 may lose."""
    return ["sh", "-c", '"$@"; code=$?; sleep 0.3; exit $code', "sh", *command]


def fingerprint(certificate: str) -> str:
    """SHA-256 of a PEM certificate, in hex."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()


def certificate_of(address: str) -> str:
    """The PEM certificate that a server shows; address: "https://host:port"."""
    host, _, port = address.removeprefix("https://").rpartition(":")
    return ssl.get_server_certificate((host, int(port)), timeout=60)
