"""Where files live."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """hosts_file: the list of hosts. state_dir: everything that the manager keeps; one manager a directory."""

    hosts_file: Path
    state_dir: Path

    @classmethod
    def default(cls, hosts_file: Path | None = None, state_dir: Path | None = None) -> Paths:
        """The places named, else the user's own (XDG on Linux). Makes nothing."""
        import platformdirs

        return cls(
            hosts_file or platformdirs.user_config_path("lxdpm-tui") / "hosts.toml",
            state_dir or platformdirs.user_state_path("lxdpm-tui"),
        )

    @property
    def database(self) -> Path:
        return self.state_dir / "lxdpm.db"

    @property
    def client_cert(self) -> Path:
        return self.state_dir / "client.crt"

    @property
    def client_key(self) -> Path:
        return self.state_dir / "client.key"

    @property
    def lock_file(self) -> Path:
        return self.state_dir / "lock"

    @property
    def socket(self) -> Path:
        """Where the gateway listens and `connect()` looks."""
        return self.state_dir / "unix.socket"
