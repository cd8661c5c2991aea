"""What the first screen does not need, loaded behind it: together it takes longer than that screen's paint."""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
from collections.abc import Iterable

MODULES = (
    "lxdpm_tui.console.command_line",
    "lxdpm_tui.console.completion",
    "lxdpm_tui.console.screens.confirm",
    "lxdpm_tui.console.deeds",
    "lxdpm_tui.console.deeds.beginning",
    "lxdpm_tui.console.screens.inputs",
)
SWITCH = 0.0005  # seconds that another thread keeps the interpreter from the event loop


def first_paint_done() -> None:
    """From now on a person may press keys: threads give way sooner, and the garbage collector works again.

    It was off where the program began with the console, and what was loaded since is no garbage.
    """
    sys.setswitchinterval(SWITCH)
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


async def load(modules: Iterable[str]) -> None:
    """Import modules one after the other in a thread. Raises ImportError."""
    for module in modules:
        await asyncio.to_thread(importlib.import_module, module)
