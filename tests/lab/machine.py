"""One machine of the lab: its namespaces under one init process, its network and its cgroups.

All processes of a host live in its own net, mount, pid, uts, ipc and cgroup namespaces. Killing the init is pulling
the plug: daemon, containers, dnsmasq, sshd, mounts and loop devices go with it.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.lab import cgroups
from tests.lab.layout import LabError, Layout, parse_name
from tests.lab.run import PATH, batch_ip, run, until

HERE = Path(__file__).parent


class Machine:
    """A host without its daemon. `name` is h1, h2, ... (LXD) or i1, i2, ... (Incus)."""

    def __init__(self, layout: Layout, name: str) -> None:
        self.layout = layout
        self.name = name
        self.kind, count = parse_name(name)
        self.octet = self.kind.first_octet + count
        self.address = layout.address(self.octet)
        self.root = layout.base / name
        self.state_dir = self.root / self.kind.name  # the daemon's state as seen from outside
        self.netns = layout.prefix + name
        self.veth = layout.prefix + name

    # -- processes

    @property
    def init_pid(self) -> int | None:
        """Process id of the host's init as the machine sees it; None when the host is off."""
        return self._recorded_init(alive=True)

    def _recorded_init(self, *, alive: bool) -> int | None:
        try:
            recorded = _stat((self.root / "init.stat").read_text())
            now = _stat(Path(f"/proc/{recorded.pid}/stat").read_text())
        except (OSError, ValueError):
            return None
        same = now.start == recorded.start  # else the number was given to another process
        return recorded.pid if same and not (alive and now.state in "ZX") else None

    def child(self, *argv_start: str) -> int | None:
        """The living child of the host's init whose arguments start so; daemons all become children of init."""
        init = self.init_pid
        if init is None:
            return None
        for pid in _children(init):
            with suppress(OSError):  # it has ended
                arguments = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                if arguments.startswith(" ".join(argv_start)):
                    return pid
        return None

    def kill_and_wait(self, pid: int) -> None:
        """SIGKILL, and return when the process has ended."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                os.kill(pid, signal.SIGKILL)
                poll = select.poll()
                poll.register(handle, select.POLLIN)
                if not poll.poll(60_000):
                    raise LabError(f"{self.name}: process {pid} did not end within 60 s of SIGKILL")
            finally:
                os.close(handle)

    def inside(self, *command: str | Path) -> list[str]:
        """The command line that runs `command` inside the host. Paths must be absolute: it starts in /."""
        init = self.init_pid
        if init is None:
            raise LabError(f"{self.name} is off")
        entrances = cgroups.entrances(self.layout.cgroup, self.name)
        return [*_joined(entrances), "nsenter", "-t", str(init), "-a", "--", *map(str, command)]

    def environment(self) -> dict[str, str]:
        return {
            "PATH": PATH,
            "HOME": "/root",
            "USER": "root",
            "LANG": "C.UTF-8",
            "TERM": os.environ.get("TERM", "dumb"),
        }

    def run(self, *command: str | Path, check: bool = True) -> str:
        """Run a program inside the host to its end; its output (both streams). LabError when it fails."""
        return run(*self.inside(*command), check=check, env=self.environment())

    # -- power

    def boot(self) -> bool:
        """Bring the host up; False when it was up already."""
        if self.init_pid is not None:
            return False
        for directory in (self.state_dir, self.root / "home", self.root / "ssh"):
            directory.mkdir(parents=True, exist_ok=True)
        self.state_dir.chmod(0o711)
        for stale in ("unix.socket", "guestapi.sock"):
            (self.state_dir / stale).unlink(missing_ok=True)
        self._plug_in()
        cgroups.make(self.layout.cgroup, self.name)
        read_end, write_end = os.pipe()
        log = self.root / "init.log"
        try:
            self._start_init(write_end, log)
        finally:
            os.close(write_end)
        with os.fdopen(read_end) as ready:
            if ready.read(3) != "up\n":
                raise LabError(f"{self.name} does not start: {log.read_text().strip()}")
        cgroups.hand_down(self.layout.cgroup, self.name)
        return True

    def _start_init(self, ready: int, log: Path) -> None:
        # The cgroups that we are in when --cgroup is done are the roots of what the host sees.
        roots = cgroups.directories(self.layout.cgroup, self.name)
        # setsid --fork: init must not be our child, it outlives us
        command = [
            "setsid", "--fork", *_joined(roots),
            "nsenter", f"--net=/run/netns/{self.netns}",
            "unshare", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child",
            "bash", str(HERE / "init.sh"),
            self.name, str(self.layout.base), self.kind.name, self.kind.state_dir, str(ready),
        ]  # fmt: skip
        with log.open("w") as output, Path("/dev/null").open() as nothing:
            os.set_inheritable(ready, True)
            pid = os.posix_spawnp(
                command[0],
                command,
                self.environment(),
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
                ],
            )
            os.waitpid(pid, 0)

    def poweroff(self) -> None:
        """Pull the plug. The disk stays; the address answers no ARP any more."""
        init = self.init_pid
        if init is not None:
            cgroups.freeze(self.layout.cgroup, self.name, False)  # a frozen process does not die
            self.kill_and_wait(init)
        self._unplug()
        cgroups.remove(self.layout.cgroup, self.name)
        (self.root / "init.stat").unlink(missing_ok=True)

    # -- network

    def _plug_in(self) -> None:
        self._unplug()
        run("ip", "netns", "add", self.netns)
        mac = self.layout.mac(self.octet)
        batch_ip(
            [
                f"link add {self.veth} type veth peer name eth0 address {mac} netns {self.netns}",
                f"link set {self.veth} master {self.layout.bridge} up",
            ]
        )
        run("ip", "-n", self.netns, "-batch", "-", stdin=(
            f"link set lo up\naddr add {self.address}/24 dev eth0\nlink set eth0 up\n"
        ))  # fmt: skip

    def _unplug(self) -> None:
        if Path(f"/sys/class/net/{self.veth}").exists():
            run("ip", "link", "del", self.veth)
        if Path(f"/run/netns/{self.netns}").exists():
            run("ip", "netns", "del", self.netns)

    @property
    def link(self) -> str:
        """State of the host's cable: "up", "down" or "none"."""
        try:
            return Path(f"/sys/class/net/{self.veth}/operstate").read_text().strip()
        except OSError:
            return "none"

    def set_link(self, up: bool) -> None:
        """Plug or pull the cable."""
        if self.link != "none":
            run("ip", "link", "set", self.veth, "up" if up else "down")
            if up and self.init_pid is not None:
                until(lambda: self.link == "up", 30, f"cable of {self.name}")


def _joined(directories: list[Path]) -> list[str]:
    """The beginning of a command line whose rest runs in these cgroups."""
    return ["sh", str(HERE / "join.sh"), *map(str, directories), "--"]


def _children(parent: int) -> Iterator[int]:
    """Its living children: first those of the kernel's list, which is quick but may leave some out when another ends
    meanwhile, then all that a look at every process finds."""
    with suppress(OSError):
        yield from map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):  # it has ended
            process = _stat(path.read_text())
            if process.parent == parent:
                yield process.pid


class _Stat:
    """The fields of /proc/PID/stat that we read; the name in it may hold anything, parentheses too."""

    def __init__(self, pid: int, state: str, parent: int, start: str) -> None:
        self.pid = pid
        self.state = state
        self.parent = parent
        self.start = start


def _stat(text: str) -> _Stat:
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    if len(fields) < 20:
        raise ValueError("not a /proc/PID/stat line")
    return _Stat(int(head.split()[0]), fields[0], int(fields[1]), fields[19])
