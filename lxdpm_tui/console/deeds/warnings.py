"""What is done to warnings: acknowledge, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxdpm_tui.console import text
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.resources.warnings import Row, where
from lxdpm_tui.fleet.lookup import Thing
from lxdpm_tui.tasks.task import Task

if TYPE_CHECKING:
    from lxdpm_tui.console.acts import Acts

PATIENCE = 10.0  # seconds until the table is read again, ended or not


async def acknowledge(acts: Acts) -> None:
    """The marked ones, or the one under the cursor; all acknowledged already: they are new again."""
    rows = [row for _, row in acts.rows]
    again = all(row.text("status") == "acknowledged" for row in rows)
    task = await acts.session.attempt("warning-ack", warnings=[_ref(row) for row in rows], again=again)
    await _ended(acts, task, rows)


async def delete(acts: Acts) -> None:
    rows = [row for _, row in acts.rows]
    which = f"the warning of {where(rows[0])}" if len(rows) == 1 else text.count(len(rows), "warning")
    lines = [Line("", f"{where(row)}: {row.text('type')}: {row.text('last_message')}") for row in rows]
    lines.append(Line("", "What caused it stays; when it happens again it is told again.", "warn"))
    if await acts.ask(f"Delete {which}?", lines, yes="Delete") is not None:
        task = await acts.session.attempt("warning-delete", warnings=[_ref(row) for row in rows])
        await _ended(acts, task, rows)


def _ref(row: Row) -> str:
    return f"{row.host}:{row.name}" if isinstance(row, Thing) else f"fleet:{row.name}"


async def _ended(acts: Acts, task: Task | None, rows: list[Row]) -> None:
    """Show what came of it at once, without waiting for events or the next look. The marks of what was refused stay."""
    if task is None:
        return
    acts.unmark()
    await task.wait(PATIENCE)
    watching = acts.session.watching
    await watching.judge()
    await watching.lookups["warnings"].refresh({row.host for row in rows if isinstance(row, Thing)})
