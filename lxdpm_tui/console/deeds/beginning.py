"""The first steps of a fleet without hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lxdpm_tui.config import local_sockets
from lxdpm_tui.console.screens.host_forms import HostAddScreen
from lxdpm_tui.console.screens.welcome import WelcomeScreen

if TYPE_CHECKING:
    from lxdpm_tui.console.acts import Acts


async def welcome(acts: Acts, open_demo: Callable[[], None]) -> None:
    """Offer the ways to begin until there is a host, or the person wants none."""
    session = acts.session
    while not session.inventory.hosts:
        chosen = await acts.screen.app.push_screen_wait(WelcomeScreen(session))
        if chosen == "add":
            if await acts.form(HostAddScreen(session)) is not None:
                return
        elif chosen == "local":
            for host in local_sockets():
                await session.attempt("host-add", name=host.name, address=str(host.address))
            return
        elif chosen == "import":
            await session.attempt("host-import")
            return
        else:
            if chosen == "demo":
                open_demo()
            return
