"""Run as a program by console.py: what is measured, in its terminal. Writes what it saw to a file when it ends.

    python -m benchmarks.console_on.child FILE table|fleet|datatable HOSTS INSTANCES still|tick

`table`: the console over rows by hand, of which each changes every second (tick) or none (still).  `fleet`: the whole
program over simulated hosts.  `datatable`: Textual's own table over the rows of `table`.

After the frame that shows a new cursor it writes MOVED, after the one that shows a filter's result FOUND: both are
operating system commands that terminals pass over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from textual.app import App
from textual.widgets import DataTable

from benchmarks.console_on import rows
from lxdpm_tui import cli
from lxdpm_tui.cli import run
from lxdpm_tui.console import turns
from lxdpm_tui.console.app import Console
from lxdpm_tui.console.columns import Look
from lxdpm_tui.console.resources import instances
from lxdpm_tui.console.widgets.live_table import LiveTable
from lxdpm_tui.fleet.inventory import Inventory
from tests.console.world import World, opener

MOVED, FOUND = "\x1b]777;moved\x07", "\x1b]777;found\x07"
SYNC = 16  # characters: what is shorter only begins or ends a frame
SAMPLE = 0.002  # seconds between two looks at the clock


class Lag:
    """How late the event loop is: milliseconds by which a short sleep took longer."""

    def __init__(self) -> None:
        self.samples: list[float] = []

    async def run(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(SAMPLE)
            self.samples.append(1000 * (time.perf_counter() - began - SAMPLE))


class Marks:
    """Adds a mark to the first frame written after something was drawn."""

    def __init__(self) -> None:
        self.due = ""

    def install(self, app: App[Any]) -> None:
        driver = app._driver
        assert driver is not None
        write = driver.write

        def marked(data: str) -> None:
            if self.due and len(data) > SYNC:
                data, self.due = data + self.due, ""
            write(data)

        driver.write = marked  # type: ignore[method-assign]


def watch_live_table(marks: Marks) -> None:
    """A cursor line that was drawn where the cursor is, and rows drawn after a change of the filter."""
    put, drawn, rows = LiveTable._put_cursor, LiveTable.render_line, LiveTable.rows_changed
    expected = {"cursor": False, "rows": False}

    def put_cursor(self: LiveTable[Any], index: int) -> None:
        expected["cursor"] = True
        put(self, index)

    def render_line(self: LiveTable[Any], y: int) -> Any:
        strip = drawn(self, y)
        line = self._shown.get(y)
        if expected["cursor"] and line is not None and line.base == "cursor":
            expected["cursor"], marks.due = False, MOVED
        if expected["rows"] and y == self.size.height - 1:
            expected["rows"], marks.due = False, FOUND
        return strip

    def rows_changed(self: LiveTable[Any]) -> None:
        expected["rows"] = expected["rows"] or self.display
        rows(self)

    LiveTable._put_cursor = put_cursor  # type: ignore[method-assign]
    LiveTable.render_line = render_line  # type: ignore[method-assign]
    LiveTable.rows_changed = rows_changed  # type: ignore[method-assign]


class Table(App[int]):
    """The baseline: DataTable, with fixed widths, its cells updated as they change."""

    COLUMNS = ("name", "host", "state", "cpu", "memory", "ip", "image", "age")

    def __init__(self, inventory: Inventory, ticking: bool, marks: Marks) -> None:
        super().__init__()
        self.animation_level = "none"
        self._inventory = inventory
        self._ticking = ticking
        self._marks = marks
        self._look = Look(inventory)

    def compose(self) -> Any:
        yield DataTable(cursor_type="row")

    def on_mount(self) -> None:
        self._marks.install(self)
        table = self.query_one(DataTable)
        shown = [column for column in instances.COLUMNS if column.id in self.COLUMNS]
        for column in shown:
            table.add_column(column.title, width=column.width, key=column.id)
        for row in self._inventory.all_instances():
            table.add_row(*(column.value(row, self._look) for column in shown), key=f"{row.host}/{row.name}")
        table.focus()
        self.call_after_refresh(self._filled)

    def _filled(self) -> None:
        self._marks.due = FOUND
        self.query_one(DataTable).refresh()
        if self._ticking:
            self._task = asyncio.create_task(rows.tick(self._inventory, self._changed))

    def _changed(self, host: str, figures: rows.Figures) -> None:
        table = self.query_one(DataTable)
        self._inventory.update_figures(host, figures)
        for key in figures:
            row = self._inventory.instances[host][key]
            for column in (c for c in instances.COLUMNS if c.id in ("cpu", "memory")):
                table.update_cell(f"{key.host}/{key.name}", column.id, column.value(row, self._look))

    def on_data_table_row_highlighted(self) -> None:
        self._marks.due = MOVED

    async def on_key(self, event: Any) -> None:
        if event.key == "q":
            self.exit(0)


async def main(file: Path, what: str, hosts: int, each: int, ticking: bool) -> None:
    lag, marks = Lag(), Marks()
    app: App[int]
    world = World()
    if what == "fleet":
        arguments = cli.build_parser().parse_args(["--demo", str(hosts), "--demo-instances", str(each)])
        app = Console(
            open_manager=lambda: run.open_manager(arguments), label="DEMO", before_open=("lxdpm_tui.manager",)
        )
    else:
        rows.fill(world.inventory, hosts, each)
        if what == "datatable":
            app = Table(world.inventory, ticking, marks)
        else:
            app = Console(open_manager=opener(world))
            app.session.registry = world.registry
    if isinstance(app, Console):
        watch_live_table(marks)
    tasks: list[asyncio.Task[None]] = []

    async def beside() -> None:
        while app._driver is None or not app.is_running:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if isinstance(app, Console):
            marks.install(app)
        if ticking:
            tasks.append(asyncio.create_task(lag.run()))
        if what == "table" and ticking:
            tasks.append(asyncio.create_task(rows.tick(world.inventory, world.inventory.update_figures)))

    started = asyncio.create_task(beside())
    await app.run_async()
    for task in (started, *tasks):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    file.write_text(json.dumps({"lag": lag.samples, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


if __name__ == "__main__":
    name, kind, count, instances_each, mode = sys.argv[1:]
    turns.run(main(Path(name), kind, int(count), int(instances_each), mode == "tick"))
