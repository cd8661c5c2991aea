"""Going about: from table to table, into rows and out again, back and forward, from project to project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lxdpm_tui.console import keymap
from lxdpm_tui.console.keymap import Place
from lxdpm_tui.console.trail import Stop, Trail

if TYPE_CHECKING:
    from lxdpm_tui.console.screens.main import MainScreen


class Going:
    """Bound to the main screen."""

    def __init__(self, screen: MainScreen) -> None:
        self._screen = screen
        self.trail = Trail()

    def turn(self, step: int) -> None:
        """To the next table, or the one before."""
        places = keymap.PLACES
        self._screen.go(places[(places.index(self._screen.place) + step) % len(places)])

    def host_here(self) -> str | None:
        """The host of the row under the cursor."""
        row = self._screen.table.cursor_row
        if row is None or self._screen.place == "tasks":
            return None
        host = row.name if self._screen.place == "hosts" else getattr(row, "host", None)
        return str(host) if host else None

    def into(self, place: Place, query: str) -> None:
        """To what belongs to the row under the cursor; escape leads out again."""
        self._screen.go(place, query, inner=True)

    def drill(self) -> None:
        """From a host to its instances."""
        host = self.host_here()
        if host is not None:
            self.into("instances", f"host:={host}")

    def users(self) -> None:
        """To the instances that use the row under the cursor."""
        screen = self._screen
        query = screen.resources[screen.place].users(screen.table.cursor_row)
        if query:
            self.into("instances", query)

    def events(self) -> None:
        """To what happened lately to the host or instance under the cursor."""
        row: Any = self._screen.table.cursor_row
        about = f"host:={row.name}" if self._screen.place == "hosts" else f"name:={row.name} host:={row.host}"
        self.into("events", about)

    def warnings(self) -> None:
        """To the warnings about the row under the cursor."""
        from lxdpm_tui.console.resources.warnings import about

        query = about(self._screen.place, self._screen.table.cursor_row)
        if query:
            self.into("warnings", query)

    def step(self, by: int) -> bool:
        """Back (-1) or forward (1); whether there was a way."""
        stop = self.trail.step(by)
        if stop is None:
            return False
        self._show(stop)
        return True

    def out(self) -> bool:
        """Out of a row's things; whether the person was in them."""
        return self.trail.here.inner and self.step(-1)

    def _show(self, stop: Stop) -> None:
        self._screen.show_place(stop.place)
        self._screen.set_filter(stop.query)

    def regain(self) -> None:
        """The table has the keys again: it loses them while the detail takes its place."""
        screen = self._screen
        if screen.focused is None and not (screen.has_class("-detail", "-instead") or screen.prompt.opened):
            screen.set_focus(screen.table)

    # -- projects

    def use_project(self, name: str) -> str:
        """Look at one project only ("" or "all": at all); gives what is wrong with the name, "" when nothing is."""
        screen = self._screen
        known = sorted({project for host in screen.session.inventory.hosts.values() for project in host.projects})
        if name in ("", "all", "*"):
            name = ""
        elif name not in known:
            return f"there is no project {name}; there are {', '.join(known)}"
        screen.session.project = name
        for place in screen.tables:
            screen.apply_filter(place)
        screen.refresh_words()
        return ""
