"""Shell and console of an instance from within the console."""

from __future__ import annotations

from typing import Any

from textual.app import App

from lxdpm_tui.console.inside.handover import hand_over
from lxdpm_tui.console.inside.relay import Ending, banner, environment, relay
from lxdpm_tui.console.inside.tty import RawTerminal
from lxdpm_tui.fleet.inventory import Instance
from lxdpm_tui.hosts import exec
from lxdpm_tui.hosts.host import Host


async def use(app: App[Any], host: Host, row: Instance, what: str) -> Ending:
    """Hand the terminal to a shell ("Shell") or the console ("Console") of an instance.

    It is opened first, so that a host that does not answer leaves the screen as it is. Raises ApiError, ActionError and
    the HostError family when it cannot be opened; what breaks later is in the Ending.
    """
    size = app.size.width, app.size.height
    if what == "Console":
        opening = exec.attach_console(host, row.name, project=row.project, size=size)
    else:
        opening = exec.execute(host, row.name, exec.SHELL, project=row.project, size=size, environment=environment())
    async with opening as session:

        async def work() -> Ending:
            with RawTerminal() as terminal:
                await terminal.write(banner(what, row.name, row.host, row.project))
                return await relay(session, terminal)

        return await hand_over(app, work)
