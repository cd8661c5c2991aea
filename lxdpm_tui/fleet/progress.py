"""How far an operation that was asked for has come, as the host's events tell it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lxdpm_tui.fleet import decode


class Progress:
    """Tells what events say of one operation, of those too that come before its id is known.

    tell: gets the operation's metadata.
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._id = ""
        self._early: dict[str, dict[str, Any]] = {}

    def follow(self, id: str) -> None:
        """It is this one."""
        self._id = id
        if id in self._early:
            self._tell(self._early[id])
        self._early.clear()

    def listen(self, _: str, __: bytes, event: decode.EventWire) -> None:
        """For Fleet.subscribe_events."""
        if event.type != "operation":
            return
        operation = msgspec.json.decode(event.metadata)
        if not operation.get("metadata"):
            return
        if operation.get("id") == self._id:
            self._tell(operation["metadata"])
        elif not self._id:
            self._early[operation["id"]] = operation["metadata"]
