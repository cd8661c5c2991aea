"""What the console tells about itself: help, and what was said."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lxdpm_tui.console import keymap
from lxdpm_tui.console.resources.base import Line, when
from lxdpm_tui.console.screens.helping import help_lines
from lxdpm_tui.console.screens.reading import ReadingScreen

if TYPE_CHECKING:
    from lxdpm_tui.console.acts import Acts


async def messages(acts: Acts) -> None:
    """Everything that was said, the newest last."""
    now = time.time()
    lines = [Line(when(m.when, now)[11:19], m.text, "" if m.severity == "info" else m.severity)
             for m in acts.session.messages.log]  # fmt: skip
    acts.session.messages.seen()
    acts.screen.refresh_words()
    lines = lines or [Line("", "Nothing was said yet.")]
    await acts.screen.app.push_screen_wait(ReadingScreen("Messages", lines, label=9, end=True))


async def help(acts: Acts) -> None:
    """The keys that work here, the filter language, the commands."""
    screen = acts.screen
    files = screen.personal.files
    lines = list(help_lines(screen.place, screen.resources[screen.place].schema, acts.session.registry, files))
    await screen.app.push_screen_wait(ReadingScreen(f"Help: {screen.place}", lines, label=17))


async def keys(acts: Acts) -> None:
    """Every key with its id, as keys.toml wants it."""
    lines = [Line(key.id, f"{key.shown:<12} {key.help}") for key in keymap.KEYS]
    await acts.screen.app.push_screen_wait(ReadingScreen('Keys, by the id that keys.toml has: id = "key"', lines))
