"""One console and one API for a fleet of independent LXD and Incus hosts."""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself would cost the splash 10 ms
if TYPE_CHECKING:
    from lxdpm_tui.hosts.handle import connect

__all__ = ["__version__", "connect"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`connect` is loaded on first use: importing the package must stay cheap (pylxd takes 130 ms)."""
    if name == "connect":
        from lxdpm_tui.hosts.handle import connect

        return connect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
