"""The lab: some LXD hosts and some Incus hosts on one bridge, as if on as many machines."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tests.lab import cgroups, clients, image, leftovers, setup
from tests.lab.host import LabHost
from tests.lab.layout import INCUS, LXD, Kind, LabError, Layout, number_from_environment
from tests.lab.run import batch_ip, run, until

if TYPE_CHECKING:
    from lxdpm_tui.config import HostConfig
    from lxdpm_tui.hosts.identity import ClientIdentity

T = TypeVar("T")
ROOT = Path(__file__).parents[2]  # the checkout, for the lazy import of the package itself


class Lab:
    """Lab `number` (default: LXDPM_LAB, else 0). `hosts` maps the names of the hosts that exist to them."""

    def __init__(self, number: int | None = None) -> None:
        self.layout = Layout(number_from_environment() if number is None else number)
        self.base = self.layout.base
        self.hosts: dict[str, LabHost] = {}
        self._find_hosts()

    # -- up and down

    def up(self, lxd: int = 3, incus: int = 1, *, password: str = "", jobs: int = 4) -> None:
        """Bring the hosts h1..h<lxd> and i1..i<incus> up and set them up; undoes every fault of those that run.

        `password` is set as LXD's trust password. The incus client cannot talk to a daemon that has one.
        """
        with self._locked():
            names = [f"{kind.letter}{n}" for kind, count in ((LXD, lxd), (INCUS, incus)) for n in range(1, count + 1)]
            for name in names:
                (self.base / name).mkdir(exist_ok=True)
            self._find_hosts()
            clients.write_keys(self.layout)
            clients.write_etc_hosts(self.layout, self.hosts)
            if not self.image.exists():
                self.image.parent.mkdir(exist_ok=True)
                image.build(self.image)
            self._make_bridge()

            def one(host: LabHost) -> None:
                host.undo_faults()
                setup.configure(host, self.image, self.client_cert, password)

            self.each(one, jobs)
            clients.write_configurations(self.layout, self.hosts)

    def down(self) -> None:
        """End everything and remove everything. LabError naming whatever is left."""
        with self._locked():
            self._find_hosts()
            self.each(LabHost.poweroff)
            until(lambda: not leftovers.loop_devices(self.layout), 60, "loop devices of the storage pools")
            if self._bridge_exists():
                run("ip", "link", "del", self.layout.bridge)
            cgroups.remove(self.layout.cgroup)
            shutil.rmtree(self.base)
            self.hosts.clear()
        if left := self.leftovers():
            raise LabError("left behind: " + "; ".join(left))

    @property
    def is_up(self) -> bool:
        return bool(self.hosts) and self._bridge_exists()

    def leftovers(self) -> list[str]:
        """Everything on this machine that belongs to the lab; empty when it is down."""
        return leftovers.find(self.layout)

    # -- for tests

    @property
    def image(self) -> Path:
        """File of the image that every host has under the alias `busybox`."""
        return self.base / "image" / "busybox.tar.gz"

    @property
    def image_fingerprint(self) -> str:
        return setup.fingerprint(self.image)

    def make_image(self, name: str, extra: bytes = b"") -> Path:
        """Another image file, with another fingerprint; `extra` bytes in it make it larger."""
        return image.build(self.base / "image" / f"{name}.tar.gz", description=name, extra=extra)

    @property
    def state_dir(self) -> Path:
        """A state directory for a manager, with a client certificate that every host trusts."""
        return self.base / "state"

    @property
    def client_cert(self) -> Path:
        return self.state_dir / "client.crt"

    @property
    def client_key(self) -> Path:
        return self.state_dir / "client.key"

    @property
    def client_identity(self) -> ClientIdentity:
        """The client certificate that every host trusts."""
        from lxdpm_tui.hosts.identity import ClientIdentity

        return ClientIdentity(self.client_cert, self.client_key)

    @property
    def hosts_file(self) -> Path:
        """hosts.toml of the whole lab, each host by the transport `clients.DEFAULT_TRANSPORTS` gives it."""
        return self.base / "hosts.toml"

    def hosts_config(self, transports: Mapping[str, str] | None = None) -> list[HostConfig]:
        """One HostConfig per host named in `transports` (host name to "unix", "https" or "ssh"); default: all."""
        if str(ROOT) not in sys.path:
            sys.path.insert(0, str(ROOT))
        from lxdpm_tui.config import HostConfig, parse_address

        found = []
        for entry in clients.entries(self.layout, self.hosts, transports):
            found.append(
                HostConfig(
                    name=entry.name,
                    address=parse_address(entry.address),
                    labels=entry.labels,
                    fingerprint=entry.fingerprint,
                    identity_file=entry.identity_file,
                    known_hosts=entry.known_hosts,
                )
            )
        return found

    def env(self) -> dict[str, str]:
        """Environment for stock clients: `lxc` and `incus` know every host as a remote of its name."""
        return {
            "LXD_CONF": str(self.base / "client" / "lxc"),
            "INCUS_CONF": str(self.base / "client" / "incus"),
            "LXDPM_LAB": str(self.layout.number),
            "LXDPM_LAB_SSH_CONFIG": str(self.base / "ssh" / "config"),
        }

    def undo_faults(self) -> None:
        """Every host runs, answers and is reached again."""
        self.each(LabHost.undo_faults)

    def clean(self) -> None:
        """Remove what tests made on the hosts and restore what they changed. The hosts must answer."""
        self.each(lambda host: setup.reset(host, self.image, self.client_cert))

    def versions(self) -> str:
        """Such as "lxd 5.0.2 x3, incus 6.0.4 x1"."""
        seen = Counter(
            (host.kind.name, host.api("GET", "/1.0")["environment"]["server_version"]) for host in self.hosts.values()
        )
        return ", ".join(f"{kind} {version} x{count}" for (kind, version), count in seen.items())

    def each(self, do: Callable[[LabHost], T], jobs: int = 8) -> list[T]:
        """Call `do` for every host at the same time; raises the failures of all hosts together when any failed."""
        with ThreadPoolExecutor(jobs) as pool:
            running = [pool.submit(do, host) for host in self.hosts.values()]
        if failed := [error for future in running if (error := future.exception())]:
            if len(failed) == 1:
                raise failed[0]
            raise ExceptionGroup(
                f"{len(failed)} hosts of the lab failed", [e for e in failed if isinstance(e, Exception)]
            )
        return [future.result() for future in running]

    # -- parts

    def _find_hosts(self) -> None:
        """Hosts are the directories named like one; those known already stay the same objects."""
        names = [p.name for p in self.base.glob("[hi][1-9]*") if p.is_dir()] if self.base.is_dir() else []
        kinds: dict[str, Kind] = {"h": LXD, "i": INCUS}
        names.sort(key=lambda name: (kinds[name[0]].first_octet, int(name[1:])))
        self.hosts = {name: self.hosts.get(name) or LabHost(self.layout, name) for name in names}

    def _bridge_exists(self) -> bool:
        return Path(f"/sys/class/net/{self.layout.bridge}").exists()

    def _make_bridge(self) -> None:
        if not self._bridge_exists():
            bridge = self.layout.bridge
            batch_ip(
                [
                    f"link add {bridge} address {self.layout.mac(1)} type bridge",
                    f"addr add {self.layout.gateway}/24 dev {bridge}",
                    f"link set {bridge} up",
                ]
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One `up` or `down` of a lab at a time: a lock on its base directory, which is made if need be."""
        while True:
            self.base.mkdir(mode=0o711, exist_ok=True)
            found = self.base.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise LabError(f"{self.base} is not our directory")
            lock = os.open(self.base, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.base.exists() and os.fstat(lock).st_ino == self.base.stat().st_ino:
                break
            os.close(lock)  # a `down` removed it while we waited
        try:
            yield
        finally:
            os.close(lock)
