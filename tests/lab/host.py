"""A host of the lab: a machine with an LXD or Incus daemon and an sshd, and the faults it can suffer."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.lab import cgroups, rest
from tests.lab.layout import LabError
from tests.lab.machine import Machine
from tests.lab.run import run, until

UNREACHABLE = (OSError, ValueError, http.client.HTTPException)

_SSHD_CONFIG = """\
Port 22
ListenAddress {address}
HostKey {root}/ssh/host_key
PidFile /run/sshd.pid
AuthorizedKeysFile {base}/ssh/id_ed25519.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowStreamLocalForwarding yes
AllowTcpForwarding yes
ClientAliveInterval 5
ClientAliveCountMax 4
MaxStartups 200:30:400
MaxSessions 200
UseDNS no
PrintMotd no
Subsystem sftp internal-sftp
"""


class LabHost(Machine):
    """What tests use.

    socket: the daemon's unix socket, reachable from outside. address: its IPv4 address, with HTTPS on port 8443 and
    ssh (root, key only) on port 22. Every fault has its undoing, and a context manager that always undoes it.
    """

    @property
    def socket(self) -> Path:
        return self.state_dir / "unix.socket"

    @property
    def certificate(self) -> str:
        """The daemon's own certificate, PEM."""
        return (self.state_dir / "server.crt").read_text()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the daemon's certificate, 64 lower-case hex digits."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.certificate)).hexdigest()

    @property
    def daemon_pid(self) -> int | None:
        return self.child(self.kind.daemon, "--group")  # its helpers (forkproxy ...) have no --group

    # -- asking it

    def api(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None, timeout: float = 60
    ) -> Any:
        """A request over the unix socket, behind the manager's back. Returns metadata; follows operations to their end.

        RestError for the daemon's error.
        """
        return rest.call(self.socket, method, path, body, headers, timeout)

    def cli(self, *arguments: str, stdin: str = "", timeout: float = 60) -> str:
        """Run `lxc` or `incus` against this host's unix socket; its stdout. LabError with its stderr when it fails.

        A command in an instance stays a moment after its end: what it said just before, LXD 5.0 may lose under load.
        """
        if arguments[0] == "exec" and "--" in arguments:
            at = arguments.index("--") + 1
            arguments = (*arguments[:at], "sh", "-c", '"$@"; code=$?; sleep 0.2; exit $code', "sh", *arguments[at:])
        done = subprocess.run(
            [self.kind.client, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={
                **self.environment(),
                self.kind.socket_variable: str(self.socket),
                self.kind.conf_variable: str(self.layout.base / "client" / self.kind.client),
            },
            check=False,
        )
        if done.returncode:
            raise LabError(f"{self.kind.client} {' '.join(arguments)} on {self.name}: {done.stderr.strip()}")
        return done.stdout

    def token(self, client_name: str = "") -> str:
        """A one-use join token, as `lxc config trust add` prints it."""
        body = {"type": "client", "name": client_name or f"t{time.time_ns()}", "token": True}
        made = rest.envelope(self.socket, "POST", "/1.0/certificates", body)["metadata"]["metadata"]
        token = {
            "client_name": made["request"]["name"],
            "fingerprint": made["fingerprint"],
            "addresses": made["addresses"],
            "secret": made["secret"],
            "expires_at": made.get("expiresAt", "0001-01-01T00:00:00Z"),
        }
        return base64.b64encode(json.dumps(token).encode()).decode()

    # -- running it

    def start(self) -> bool:
        """Bring up whatever of the host is down, and wait until the daemon answers; False when nothing was."""
        booted = self.boot()
        self._start_sshd()
        if self.daemon_pid is not None:
            return booted
        # setsid --fork: as a child of nsenter, a stopped daemon would stop nsenter too, and then never be reaped
        log = self.root / "daemon.out"
        with log.open("ab") as output:
            subprocess.run(
                self.inside(
                    "setsid", "--fork", self.kind.daemon, "--group", "root", "--logfile", f"{self.root}/daemon.log"
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                cwd="/",
                check=True,
            )
        until(self._ready, 120, f"{self.name}: its daemon ({self.root}/daemon.log, {log})")
        return True

    def _ready(self) -> bool:
        try:
            self.api("GET", "/internal/ready")
        except (rest.RestError, *UNREACHABLE):
            return False
        return True

    def environment(self) -> dict[str, str]:
        return {**super().environment(), self.kind.dir_variable: self.kind.state_dir}

    def _start_sshd(self) -> None:
        if self.child("sshd: /usr/sbin/sshd") is not None:
            return
        key, config = self.root / "ssh" / "host_key", self.root / "ssh" / "sshd_config"
        if not key.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", key)
        config.write_text(_SSHD_CONFIG.format(address=self.address, root=self.root, base=self.layout.base))
        self.run("/usr/sbin/sshd", "-f", config, "-E", self.root / "sshd.log")

    def stop(self) -> None:
        """Shut the daemon down cleanly; this stops its containers."""
        if self.daemon_pid is not None:
            self.run(*self.kind.shutdown)
            until(lambda: self.daemon_pid is None, 120, f"{self.name}: shutting down")

    # -- faults and their undoing

    def _signal(self, number: signal.Signals) -> None:
        pid = self.daemon_pid
        if pid is None:
            raise LabError(f"{self.name}: no daemon runs")
        os.kill(pid, number)

    def hang(self) -> None:
        """The daemon stops answering: connections are accepted by the kernel, and then silence.

        Returns when every thread of it has stopped: until then one may still answer.
        """
        self._signal(signal.SIGSTOP)
        until(lambda: self._states() <= {"T", "t"}, 60, f"{self.name}: stopping")

    def _states(self) -> set[str]:
        """What the daemon's threads do, as letters of proc(5)."""
        states = set()
        for thread in Path(f"/proc/{self.daemon_pid}/task").glob("*/stat"):
            with suppress(OSError):  # it ended meanwhile
                states.add(thread.read_text().rpartition(")")[2].split()[0])
        return states

    def unhang(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """The daemon dies (SIGKILL); its containers live on. Undone by `start`."""
        pid = self.daemon_pid
        if pid is None:
            raise LabError(f"{self.name}: no daemon runs")
        self.kill_and_wait(pid)

    def freeze(self) -> None:
        """Every process of the host stops; its kernel still accepts connections."""
        cgroups.freeze(self.layout.cgroup, self.name, True)

    def thaw(self) -> None:
        cgroups.freeze(self.layout.cgroup, self.name, False)

    def cut(self) -> None:
        """Pull the network cable. The unix socket, seen from outside, still works."""
        self.set_link(False)

    def heal(self) -> None:
        self.set_link(True)

    def split(self, other: LabHost) -> None:
        """Drop all packets between this host and another; both still reach, and are reached by, everything else."""
        table = f"split_{other.name}"
        rules = [f"add table inet {table}"]
        for hook, end in (("input", "saddr"), ("output", "daddr")):
            rules.append(f"add chain inet {table} {hook} {{ type filter hook {hook} priority -10; }}")
            rules.append(f"add rule inet {table} {hook} ip {end} {other.address} drop")
        self.join(other)
        self._nft("\n".join(rules) + "\n")

    def join(self, other: LabHost) -> None:
        """Undo `split`, whichever of the two it was asked of."""
        for host, table in ((self, f"split_{other.name}"), (other, f"split_{self.name}")):
            host._nft(f"add table inet {table}\ndelete table inet {table}\n")

    def _nft(self, commands: str) -> str:
        return run("nsenter", f"--net=/run/netns/{self.netns}", "nft", "-f", "-", stdin=commands)

    def _splits(self) -> list[str]:
        listed = run("nsenter", f"--net=/run/netns/{self.netns}", "nft", "list", "tables").splitlines()
        return [line.removeprefix("table inet ") for line in listed if line.startswith("table inet split_")]

    def undo_faults(self) -> None:
        """Whatever was done to the host, afterwards it runs and answers."""
        self.thaw()
        if self.daemon_pid is not None:
            self.unhang()
        self.heal()
        if self.init_pid is not None:
            for table in self._splits():
                self._nft(f"delete table inet {table}\n")
        self.start()

    def hung(self) -> AbstractContextManager[None]:
        """Within: `hang`."""
        return _during(self.hang, self.unhang)

    def frozen(self) -> AbstractContextManager[None]:
        """Within: `freeze`."""
        return _during(self.freeze, self.thaw)

    def cut_off(self) -> AbstractContextManager[None]:
        """Within: `cut`."""
        return _during(self.cut, self.heal)

    def killed(self) -> AbstractContextManager[None]:
        """Within: `kill`; then the daemon is started and answers."""
        return _during(self.kill, self.start)

    def powered_off(self) -> AbstractContextManager[None]:
        """Within: `poweroff`; then the host is booted and its daemon answers."""
        return _during(self.poweroff, self.start)

    def split_from(self, other: LabHost) -> AbstractContextManager[None]:
        """Within: `split`."""
        return _during(lambda: self.split(other), lambda: self.join(other))

    # -- looking at it

    def status(self, timeout: float = 30) -> dict[str, Any]:
        """name, kind, address, power (on, off), daemon (ok, hung, down), link (up, down, none), pid, rss_mb, version,
        instances, pools; the last ones None when the daemon does not answer. Silent for `timeout` seconds = hung."""
        pid = self.daemon_pid
        seen: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind.name,
            "address": self.address,
            "socket": str(self.socket),
            "power": "off" if self.init_pid is None else "on",
            "daemon": "down",
            "link": self.link,
            "pid": pid,
            "rss_mb": None,
            "version": None,
            "instances": None,
            "pools": None,
        }
        if pid is None:
            return seen
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            seen["rss_mb"] = pages * os.sysconf("SC_PAGE_SIZE") // 2**20
            seen["version"] = self.api("GET", "/1.0", timeout=timeout)["environment"]["server_version"]
            seen["instances"] = len(self.api("GET", "/1.0/instances?all-projects=true", timeout=timeout) or [])
            pools = self.api("GET", "/1.0/storage-pools", timeout=timeout) or []
            seen["pools"] = [path.rsplit("/", 1)[1] for path in pools]
            seen["daemon"] = "ok"
        except TimeoutError:
            seen["daemon"] = "hung"
        except (rest.RestError, *UNREACHABLE):
            seen["daemon"] = "down"
        return seen


@contextmanager
def _during(do: Callable[[], object], undo: Callable[[], object]) -> Iterator[None]:
    try:
        do()
        yield
    finally:
        undo()
