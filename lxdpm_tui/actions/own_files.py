"""Files of the machine that the manager runs on: for those who are on it."""

from __future__ import annotations

from pathlib import Path

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.hosts.requestor import requestor


def own_path(text: str) -> Path:
    """A file or directory that an argument names. Raises ActionError 403 for callers from elsewhere: whoever may
    change the fleet has no say over this machine, and means a file of another."""
    who = requestor.get()
    if who is not None and who["protocol"] != "unix":
        raise ActionError(f"{text}: files of the machine that the gateway runs on are for those who are on it", 403)
    return Path(text).expanduser()
