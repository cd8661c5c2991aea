"""The console: wiring only. It shows itself at once and opens the manager behind its first paint."""

from __future__ import annotations

import asyncio
import gc
import importlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from textual import events, on
from textual.app import App
from textual.binding import Binding

from lxdpm_tui.console import terminal_io
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.screens.reading import ReadingScreen
from lxdpm_tui.console.session import Backend, Session
from lxdpm_tui.console.theme import DARK, LIGHT
from lxdpm_tui.console.type_ahead import TypeAhead

OpenManager = Callable[[], AbstractAsyncContextManager[Backend]]
SETTLE = 3.0  # seconds after which what is loaded is taken out of the garbage collector's rounds


class Console(App[int]):
    """The full-screen console over a fleet.

    open_manager: gives an async context manager that opens the manager; entered once the first frame is on screen, left
    before the app ends. What it raises is shown and becomes exit code 1.  label: shown in the header ("DEMO").
    before_open: modules to import in a thread before, so that heavy imports do not hold up the first keys.
    """

    TITLE = "lxdpm-tui"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-roomy")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]
    BINDINGS = [Binding("ctrl+q", "leave", show=False, priority=True)]

    def __init__(self, *, open_manager: OpenManager, label: str = "", before_open: tuple[str, ...] = ()) -> None:
        super().__init__()
        terminal_io.install_crop()
        self.session = Session()
        self.main = MainScreen(self.session, label)
        self._open_manager = open_manager
        self._before_open = before_open
        self._leaving = asyncio.Event()
        self._managing: asyncio.Task[None] | None = None
        self._keys = TypeAhead(self, super().on_event)
        self._ending: asyncio.Task[None] | None = None
        self._undo_signals: Callable[[], None] = lambda: None
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.animation_level = "none"

    def on_mount(self) -> None:
        self.push_screen(self.main)
        self._undo_signals = terminal_io.leave_on_signals(self, self.leave)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self._managing = asyncio.create_task(self._manage(), name="manager of the console")

    async def _manage(self) -> None:
        """Hold the manager open until the console leaves."""
        try:
            for module in self._before_open:
                await asyncio.to_thread(importlib.import_module, module)
            async with self._open_manager() as backend:
                self._attach_backend(backend)
                try:
                    await self._leaving.wait()
                finally:
                    backend.fleet.want_figures(False)
                    self.session.detach()
        except Exception as error:
            self.log.error(error)
            self._failed(error)

    def _attach_backend(self, backend: Backend) -> None:
        from lxdpm_tui.manager import caller

        self.session.before_run = lambda: caller.set("console") and None
        self.session.attach(backend)
        backend.fleet.want_figures(True)
        self.main.attached()
        self.set_timer(SETTLE, _freeze)

    def _failed(self, error: Exception) -> None:
        """The manager could not be opened, or broke: say it, and leave when it was read."""
        self.session.messages.say(0.0, "bad", str(error))
        lines = [Line("", line, "bad") for line in (str(error) or repr(error)).splitlines()]
        words = f"lxdpm-tui: {error or repr(error)}"
        if not self._leaving.is_set():
            self.push_screen(
                ReadingScreen("The fleet could not be opened", lines), lambda _: self.exit(1, 1, message=words)
            )

    async def on_event(self, event: events.Event) -> None:
        """Keys go one by one through the type-ahead; all else as ever."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self._keys.take(event)
        else:
            await super().on_event(event)

    @on(MainScreen.Leave)
    def _leave_asked(self) -> None:
        self.leave()

    def action_leave(self) -> None:
        self.main.do("quit")

    def leave(self) -> None:
        """Close the manager, then the console. Its words stay on screen meanwhile."""
        if self._ending is None:
            self.session.say("info", "Closing…")
            self._ending = asyncio.create_task(self._end(), name="end of the console")

    async def _end(self) -> None:
        await self._close_manager()
        self.exit(0)

    async def _close_manager(self) -> None:
        self._leaving.set()
        if self._managing is not None:
            if self.session.backend is None:
                self._managing.cancel()
            await asyncio.gather(self._managing, return_exceptions=True)

    async def on_unmount(self) -> None:
        """However the app ends, the manager is closed before the terminal is given back."""
        self._keys.close()
        await self._close_manager()
        self._undo_signals()


def _freeze() -> None:
    gc.collect()
    gc.freeze()
