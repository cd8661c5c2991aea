"""The console: wiring only. It shows itself at once and opens the manager behind its first paint."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import App
from textual.binding import Binding

from lxdpm_tui import splash
from lxdpm_tui.console import later, terminal_io, turns
from lxdpm_tui.console.collector import OFTEN, Collector
from lxdpm_tui.console.driver import driver_class, link_of
from lxdpm_tui.console.memory import Memory
from lxdpm_tui.console.personal import FirstView
from lxdpm_tui.console.screens.main import MainScreen
from lxdpm_tui.console.session import Backend, Session
from lxdpm_tui.console.theme import ANSI, DARK, LIGHT, PLAIN
from lxdpm_tui.console.type_ahead import TypeAhead
from lxdpm_tui.fleet.pace import pace

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.driver import Driver
    from textual.timer import Timer

OpenManager = Callable[[], AbstractAsyncContextManager[Backend]]
COVERED = 15.0  # seconds that the splash stays at most; a key, the first rows, or that there are none end it
SOON = 0.05  # seconds between two looks at whether it may go


def _palette() -> type[Provider]:
    from lxdpm_tui.console.palette import Everything  # only when it is opened

    return Everything


class Console(App[int]):
    """The full-screen console over a fleet.

    open_manager: gives an async context manager that opens the manager; entered once the first frame is on screen, left
    before the app ends. What it raises is shown and becomes exit code 1.  label: shown in the header ("DEMO").
    before_open: modules to import in a thread before, so that heavy imports do not hold up the first keys.
    state_dir: where it remembers orders, columns and `:` lines; None = nowhere.  config_dir: where the person's own
    files are (keys.toml, ...).  first: what to show at first.  read_only: refuse every action.
    open_demo: opens a simulated fleet instead, for who begins without hosts.
    """

    TITLE = "lxdpm-tui"
    CSS_PATH = "app.tcss"
    COMMAND_PALETTE_BINDING = "ctrl+p"
    COMMANDS: ClassVar[set[Any]] = {_palette}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-roomy")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (30, "-high")]
    BINDINGS = [Binding("ctrl+q", "leave", show=False, priority=True)]

    def __init__(
        self,
        *,
        open_manager: OpenManager,
        label: str = "",
        before_open: tuple[str, ...] = (),
        state_dir: Path | None = None,
        config_dir: Path | None = None,
        first: FirstView | None = None,
        open_demo: OpenManager | None = None,
        read_only: bool = False,
    ) -> None:
        super().__init__()
        terminal_io.install_crop()
        self.session = Session()
        self.session.read_only = read_only
        self.memory = Memory(state_dir)
        self.main = MainScreen(self.session, label, self.memory, config_dir)
        self._state_dir = state_dir
        self._first = first or FirstView()
        self._covered = splash.showing_rows()
        self._under: Timer | None = None
        self._open_manager = open_manager
        self._before_open = before_open
        self._open_demo = open_demo
        self._leaving = asyncio.Event()
        self._enough = asyncio.Event()
        self._managing: asyncio.Task[None] | None = None
        self._keys = TypeAhead(self, super().on_event)
        self._ending: asyncio.Task[None] | None = None
        self._undo_signals: Callable[[], None] = lambda: None
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.register_theme(ANSI)
        self.register_theme(PLAIN)
        self.theme = self._first_theme()
        self.animation_level = "none"

    def _first_theme(self) -> str:
        """No colours where the person wants none (https://no-color.org), else those chosen last."""
        if self.no_color:
            terminal_io.without_greys(self)
            return PLAIN.name
        return self.memory.theme if self.memory.theme in self.available_themes else DARK.name

    def get_driver_class(self) -> type[Driver]:
        return driver_class(super().get_driver_class())

    def on_mount(self) -> None:
        if self._covered:
            terminal_io.hold_frames(self)
            self._under = self.set_interval(SOON, self._look_under)
            self.set_timer(COVERED, self._uncover)
        self.push_screen(self.main)
        self._undo_signals = terminal_io.leave_on_signals(self, self.leave)
        if link_of(self) is not None:
            self.set_interval(1.0, self._look_for_terminal)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        later.first_paint_done()
        self.main.personal.look()
        self.main.show_first(self._first)
        self._managing = asyncio.create_task(self._manage(), name="manager of the console")

    def _look_for_terminal(self) -> None:
        if self._ending is None and terminal_io.hung_up():
            terminal_io.let_go(self)
            self.leave()

    def _uncover(self) -> None:
        """The live screen takes the place of the splash."""
        if self._covered:
            self._covered = False
            if self._under is not None:
                self._under.stop()
            terminal_io.release_frames(self)

    def _look_under(self) -> None:
        """Whether there is something to show in place of the splash, or no hope for it."""
        if self.main.table.view.keys:
            self.set_timer(0.1, self._uncover)  # more of them follow at once
        elif self.session.backend is not None and self.session.all_read():
            self._uncover()

    async def _manage(self) -> None:
        """Hold the manager open until the console leaves."""
        turns.BACKGROUND.set(True)
        try:
            await later.load(self._before_open)
            while not self._leaving.is_set():
                self._enough.clear()
                async with self._open_manager() as backend:
                    contextvars.copy_context().run(self._attach_backend, backend)
                    try:
                        await later.load(later.MODULES)
                        await self._enough.wait()
                    finally:
                        backend.fleet.want_figures(False)
                        self.session.detach()
        except Exception as error:
            self.log.error(error)
            self._failed(error)

    def _attach_backend(self, backend: Backend) -> None:
        turns.BACKGROUND.set(False)  # what begins here is the console's
        from lxdpm_tui.manager import caller

        self.session.before_run = lambda: caller.set("console") and None
        self.session.attach(backend)
        backend.fleet.want_figures(True)
        self.main.attached()
        if self._open_demo is not None and not backend.inventory.hosts and not self.session.read_only:
            from lxdpm_tui.console.deeds import beginning

            self.main.run_worker(beginning.welcome(self.main.acts, self.open_demo), group="deeds")
        collector = Collector(
            lambda: sum(host.instances for host in self.session.inventory.hosts.values()), self.main.typing_now
        )
        self.set_interval(OFTEN, collector.look)

    def open_demo(self) -> None:
        """Close this fleet and open the simulated one in its place."""
        if self._open_demo is not None:
            self._open_manager = self._open_demo
            self.main.label = "DEMO"
            self.main.connecting = True
            self.main.refresh_words()
            self._enough.set()

    def _failed(self, error: Exception) -> None:
        """The manager could not be opened, or broke: say it, and leave when it was read."""
        from lxdpm_tui.console.resources.base import Line
        from lxdpm_tui.console.screens.reading import ReadingScreen

        self._uncover()
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
            pace().key()
            self._uncover()
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
            self._keep_screen()
            self.session.say("info", "Closing…")
            self._ending = asyncio.create_task(self._end(), name="end of the console")

    def _keep_screen(self) -> None:
        """For the next start, if there is something to see."""
        if self._state_dir is None or self.screen is not self.main or not self.main.table.view.keys:
            return
        with contextlib.suppress(OSError):  # nothing is lost but a picture
            splash.keep(self._state_dir, terminal_io.screen_text(self), (self.size.width, self.size.height))

    async def _end(self) -> None:
        await self._close_manager()
        self.exit(0)

    async def _close_manager(self) -> None:
        self._leaving.set()
        self._enough.set()
        if self._managing is not None:
            if self.session.backend is None:
                self._managing.cancel()
            await asyncio.gather(self._managing, return_exceptions=True)

    async def on_unmount(self) -> None:
        """However the app ends, the manager is closed before the terminal is given back."""
        self._keys.close()
        await self._close_manager()
        with contextlib.suppress(OSError):  # nobody is left to be told
            self.memory.save()
        self._undo_signals()
