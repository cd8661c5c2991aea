"""Run as a program by processes.py: some daemons of a simulated fleet, until standard input ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from lxdpm_tui.demo import cast
from lxdpm_tui.demo.fleet import DemoFleet

NICE = 5
THRESHOLD = 50_000  # objects made until the garbage collector looks: the fleet's own are many, and stay


async def serve(work: dict[str, Any]) -> None:
    directory = Path(work["directory"])
    low, high = work["instances"]
    plans = cast.plan(work["count"], (low, high), work["seed"])[work["share"] :: work["shares"]]
    seed = work["seed"] + work["share"]
    async with DemoFleet(plans=plans, seed=seed, interval=work["interval"], directory=directory):
        print("ready", flush=True)  # noqa: T201
        await asyncio.Event().wait()


def leave_with_parent(directory: Path) -> None:
    """In a thread, for the loop may be busy: end at once when the parent has closed our input, or is dead."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


def main() -> None:
    work = json.loads(sys.argv[1])
    gc.set_threshold(THRESHOLD, 20, 50)
    if hasattr(os, "SCHED_BATCH"):  # who looks at the fleet goes first
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(NICE)
    threading.Thread(target=leave_with_parent, args=(Path(work["directory"]),), daemon=True).start()
    asyncio.run(serve(work))


if __name__ == "__main__":
    main()
