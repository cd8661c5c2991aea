"""The keys, as data. Bindings, footer, help and later a key file all come from this list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from textual.binding import Binding

Place = Literal["hosts", "instances", "images", "profiles", "tasks"]
PLACES: tuple[Place, ...] = ("hosts", "instances", "images", "profiles", "tasks")
Needs = Literal["nothing", "row", "rows"]


@dataclass(frozen=True, slots=True)
class Key:
    """One bound key.

    id: what it does, for key files too; never changed.  keys: as Textual names them, with commas.  label: a word
    or two for the footer.  help: one line.  places: tables where it works, empty = all.  needs: whether it acts on the
    row under the cursor, or on marked rows too.  show: in the footer, the lower the earlier; 0 = only in help.
    """

    id: str
    keys: str
    label: str
    help: str
    places: tuple[Place, ...] = ()
    needs: Needs = "nothing"
    show: int = 0

    @property
    def shown(self) -> str:
        """The key as printed: `enter`, `ctrl+r`, `?`."""
        names = {
            "question_mark": "?",
            "slash": "/",
            "colon": ":",
            "exclamation_mark": "!",
            "space": "space",
            "escape": "esc",
        }
        first = self.keys.split(",")[0]
        return names.get(first, first)


_INSTANCES: tuple[Place, ...] = ("instances",)

KEYS: tuple[Key, ...] = (
    # -- what is done to rows
    Key("launch", "n", "new", "launch instances", ("hosts", "instances", "images", "profiles"), show=20),
    Key("start", "t", "start", "start", _INSTANCES, "rows", 11),
    Key("stop", "x", "stop", "stop", _INSTANCES, "rows", 12),
    Key("restart", "R", "restart", "restart", _INSTANCES, "rows", 13),
    Key("freeze", "z", "freeze", "freeze, or unfreeze what is frozen", _INSTANCES, "rows", 31),
    Key("snapshot", "p", "snapshot", "take a snapshot", _INSTANCES, "rows", 14),
    Key("snapshots", "b", "back", "snapshots: go back to one, or delete one", _INSTANCES, "row"),
    Key("assign", "P", "profiles", "choose the profiles of an instance", _INSTANCES, "row"),
    Key("rename", "N", "rename", "rename (a stopped instance)", _INSTANCES, "row"),
    Key("delete", "D", "delete", "delete", ("instances", "images", "profiles"), "rows", 15),
    Key("why", "w", "why here?", "why it was placed on its host", ("instances", "tasks"), "row", 32),
    Key("retry", "r", "retry", "connect to the host again now", ("hosts", "instances"), "row", 12),
    Key("maintenance", "m", "maintenance", "maintenance on or off", ("hosts",), "rows", 13),
    Key("drill", "i", "instances", "show the instances of this host", ("hosts",), "row", 14),
    Key("import", "i", "import", "import an image to hosts", ("images",), show=14),
    Key("create", "a", "add", "create a profile", ("profiles",), show=13),
    Key("edit", "e", "edit", "edit a profile", ("profiles",), "row", 14),
    Key("cancel", "c", "cancel", "cancel a running task", ("tasks",), "rows", 12),
    # -- finding and showing
    Key("open", "enter", "details", "details on and off", (), "row", 10),
    Key("mark", "space", "mark", "mark the row; acts then work on all marked rows", (), "row", 33),
    Key("mark-all", "ctrl+a", "mark all", "mark all rows shown, or none"),
    Key("filter", "slash", "filter", "filter as you type", show=34),
    Key("sort", "s", "sort", "sort by the next column", show=36),
    Key("reverse", "S", "reverse", "turn the order round"),
    Key("command", "colon", "command", "any action by name", show=35),
    Key("back", "escape", "back", "close, unmark, unfilter, go back"),
    Key("messages", "exclamation_mark", "messages", "what was said in the status line", show=40),
    # -- where to go
    Key("hosts", "1", "hosts", "hosts"),
    Key("instances", "2", "instances", "instances"),
    Key("images", "3", "images", "images"),
    Key("profiles", "4", "profiles", "profiles"),
    Key("tasks", "5", "tasks", "running and finished tasks"),
    Key("next", "tab", "next", "the next table"),
    Key("previous", "shift+tab", "previous", "the table before"),
    # -- the program
    Key("help", "question_mark,f1", "help", "the keys that work here", show=1),
    Key("quit", "q,ctrl+q,ctrl+c", "quit", "leave", show=50),
)

MOVES = (
    ("↑ ↓ j k", "one row"),
    ("pgup pgdn", "one page"),
    ("home end g G", "first and last row"),
    ("ctrl+d ctrl+u", "half a page"),
    ("shift+↑ shift+↓", "mark while moving"),
    ("[ ]", "scroll the details"),
)


def bindings() -> list[Binding]:
    """All keys as Textual bindings; several places may share a key, the screen decides by place."""
    made = []
    for key in KEYS:
        made.append(Binding(key.keys, f"do('{key.id}')", key.label, show=bool(key.show), id=key.id))
    return made


BY_ID = {key.id: key for key in KEYS}


def here(place: Place) -> Iterable[Key]:
    """The keys that belong to a table."""
    return (key for key in KEYS if not key.places or place in key.places)
