"""What makes the console handy: copying, exporting, columns, saved views, and what is shown said elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lxdpm_tui.console import equivalents, text
from lxdpm_tui.console.export import table_text
from lxdpm_tui.console.keymap import Place
from lxdpm_tui.console.resources.base import Line, heading
from lxdpm_tui.console.screens.columns import ColumnsScreen
from lxdpm_tui.console.screens.overview import OverviewScreen
from lxdpm_tui.console.screens.reading import ReadingScreen
from lxdpm_tui.console.terminal_io import screen_text

if TYPE_CHECKING:
    from lxdpm_tui.console.acts import Acts

LAID_OUT = 0.02  # seconds between two looks at whether the screen is without the prompt
CLIPBOARD = 70_000  # characters: more does not go through OSC 52 everywhere


def name_of(place: Place, row: Any) -> str:
    """A row as the API knows it."""
    if place == "images":
        return str(row.fingerprint)
    if place == "tasks":
        return str(row.id)
    return str(getattr(row, "name", ""))


async def copy(acts: Acts) -> None:
    """The names of the rows go to the clipboard of the person's own terminal."""
    place = acts.screen.place
    names = [name_of(place, row) for _, row in acts.rows]
    _to_clipboard(acts, "\n".join(names), names[0] if len(names) == 1 else f"{len(names)} names")


async def copy_command(acts: Acts) -> None:
    """The lxc line that shows each row goes to the clipboard."""
    place = acts.screen.place
    found = [equivalents.of_row(place, name_of(place, row), getattr(row, "project", "")) for _, row in acts.rows]
    lines = [line for each in found for line in each.lxc]
    if lines:
        _to_clipboard(acts, "\n".join(lines), lines[0] if len(lines) == 1 else text.count(len(lines), "line"))
    else:
        acts.session.say("warn", "There is no lxc line for this")


def _to_clipboard(acts: Acts, words: str, told: str) -> None:
    if len(words) > CLIPBOARD:
        acts.session.say("warn", f"{len(words)} characters are more than a terminal's clipboard takes: :export FILE")
        return
    acts.screen.app.copy_to_clipboard(words)
    acts.session.say("info", f"Copied: {told}")


async def equivalent(acts: Acts) -> None:
    """What is shown, and the row under the cursor, as lxdpm-tui, lxc and API have them."""
    screen = acts.screen
    place, project = screen.place, acts.session.project
    shown = equivalents.of_view(place, screen.filters.get(place, ""), project)
    lines = [heading(f"this table: {place}"), *(Line(form, line) for form, line in equivalents.lines(shown))]
    if acts.row is not None and place != "events":
        one = equivalents.of_row(place, name_of(place, acts.row), getattr(acts.row, "project", ""))
        lines += [Line(), heading("this row"), *(Line(form, line) for form, line in equivalents.lines(one))]
    lines += [Line(), Line("", "lxc speaks to the gateway here: lxdpm-tui --listen, then lxc remote add fleet.", "dim")]
    lines += [Line("", "An action as a line: type it after : and end it with  --show", "dim")]
    await screen.app.push_screen_wait(ReadingScreen("The same elsewhere", lines, label=10))


async def columns(acts: Acts) -> None:
    screen = acts.screen
    place = screen.place
    chosen = await screen.app.push_screen_wait(
        ColumnsScreen(f"Columns of {place}", list(screen.table.columns), screen.resources[place].columns)
    )
    if chosen is None:
        return
    if chosen.columns is None:
        screen.ordering.reset(place)
    else:
        screen.ordering.use_columns(place, chosen.columns)
    screen.ordering.note()


async def overview(acts: Acts) -> None:
    place = await acts.screen.app.push_screen_wait(OverviewScreen(acts.session, acts.screen.label))
    if place is not None:
        acts.screen.go(place)


async def palette(acts: Acts) -> None:
    acts.screen.app.action_command_palette()


# -- words


def _export(acts: Acts, rest: Sequence[str]) -> str:
    path = Path(" ".join(rest)).expanduser()
    if not rest or path.suffix not in (".csv", ".json"):
        return "export FILE.csv or FILE.json"
    table, look = acts.screen.table, acts.session.look

    async def work() -> None:
        rows = [row for key in table.view.keys if (row := table.view.source.get(key)) is not None]
        words = await table_text(rows, table.columns, look, path.suffix[1:])
        _write(acts, path, words, f"{text.count(len(rows), 'row')} in {path}")

    acts.screen.run_worker(work(), group="deeds")
    return ""


def _dump(acts: Acts, rest: Sequence[str]) -> str:
    path = Path(" ".join(rest)).expanduser()
    if not rest or path.suffix not in (".svg", ".txt"):
        return "dump FILE.svg or FILE.txt"

    def write() -> None:
        app, prompt = acts.screen.app, acts.screen.prompt
        if prompt.region.height and not prompt.opened:  # closed, but the screen is not laid out without it yet
            acts.screen.set_timer(LAID_OUT, write)
            return
        words = app.export_screenshot() if path.suffix == ".svg" else "\n".join(screen_text(app)) + "\n"
        _write(acts, path, words, f"The screen is in {path}")

    acts.screen.call_after_refresh(write)
    return ""


def _write(acts: Acts, path: Path, words: str, told: str) -> None:
    """A new file; one that is there is not overwritten."""
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(words)
    except FileExistsError:
        acts.session.say("bad", f"{path} is there already")
    except OSError as error:
        acts.session.say("bad", f"{path}: {error.strerror or error}")
    else:
        acts.session.say("info", told)


def _project(acts: Acts, rest: Sequence[str]) -> str:
    return acts.screen.going.use_project(" ".join(rest))


def _view(acts: Acts, rest: Sequence[str]) -> str:
    return acts.screen.personal.open_view(" ".join(rest))


def _save_view(acts: Acts, rest: Sequence[str]) -> str:
    if len(rest) != 1:
        return "save-view NAME"
    return acts.screen.personal.save_view(rest[0])


def _sort(acts: Acts, rest: Sequence[str]) -> str:
    """`sort memory`, `sort -memory` for downwards."""
    screen = acts.screen
    if len(rest) == 1:
        id = rest[0].lstrip("-")
        if screen.ordering.order(screen.place, id, True if rest[0].startswith("-") else None):
            return ""
    return f"sort by one of {', '.join(_sortable(acts))}; -COLUMN for downwards"


def _columns(acts: Acts, rest: Sequence[str]) -> str:
    """`columns` to choose, `columns name host config.user.owner` to say them."""
    screen = acts.screen
    if not rest:
        screen.do("columns")
        return ""
    return screen.personal.show_columns([word for part in rest for word in part.split(",") if word])


def _sortable(acts: Acts) -> list[str]:
    return [column.id for column in acts.screen.table.columns if column.sort is not None]


def _projects(acts: Acts) -> list[str]:
    return ["all", *sorted({name for host in acts.session.inventory.hosts.values() for name in host.projects})]


def _views(acts: Acts) -> list[str]:
    return list(acts.screen.personal.files.views)


DEEDS: dict[str, Callable[[Acts], Awaitable[object]]] = {
    "copy": copy,
    "copy-command": copy_command,
    "equivalent": equivalent,
    "columns": columns,
    "overview": overview,
    "palette": palette,
}
WORDS: dict[str, Callable[[Acts, Sequence[str]], str]] = {
    "export": _export,
    "dump": _dump,
    "project": _project,
    "view": _view,
    "save-view": _save_view,
    "sort": _sort,
    "columns": _columns,
}
OFFERS: dict[str, Callable[[Acts], Sequence[str]]] = {
    "project": _projects,
    "view": _views,
    "sort": _sortable,
    "columns": lambda acts: [column.id for column in acts.screen.resources[acts.screen.place].columns],
    "theme": lambda acts: sorted(acts.screen.app.available_themes),
}
"""What a word may be followed by."""
