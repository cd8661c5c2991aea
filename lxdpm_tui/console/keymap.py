"""The keys, as data. Bindings, footer, help and later a key file all come from this list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from textual.binding import Binding

Place = Literal[
    "hosts", "instances", "images", "profiles", "tasks", "networks", "storage", "projects", "warnings", "events"
]
PLACES: tuple[Place, ...] = get_args(Place)
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
        return sign(CUSTOM.get(self.id, self.keys))


def sign(keys: str) -> str:
    """The first of some keys as printed."""
    first = keys.split(",")[0]
    return _SIGNS.get(first, first)


_SIGNS = {
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "exclamation_mark": "!",
    "escape": "esc",
    "minus": "-",
    "plus": "+",
    "equals_sign": "=",
    "comma": ",",
    "full_stop": ".",
    "at": "@",
}
CUSTOM: dict[str, str] = {}
"""Keys by id that keys.toml gives instead; one console a process."""


_INSTANCES: tuple[Place, ...] = ("instances",)
_EDITED: tuple[Place, ...] = ("instances", "images", "profiles")
_HOSTED: tuple[Place, ...] = ("instances", "storage", "warnings")
_WARNED: tuple[Place, ...] = ("hosts", "instances", "profiles", "networks", "storage", "projects")
_USED: tuple[Place, ...] = ("hosts", "images", "profiles", "networks", "storage", "projects")

KEYS: tuple[Key, ...] = (
    # -- what is done to rows
    Key("launch", "n", "new", "launch instances", ("hosts", "instances", "images", "profiles"), show=20),
    Key("start", "t", "start", "start", _INSTANCES, "rows", 11),
    Key("stop", "x", "stop", "stop", _INSTANCES, "rows", 12),
    Key("restart", "R", "restart", "restart", _INSTANCES, "rows", 13),
    Key("freeze", "z", "freeze", "freeze, or unfreeze what is frozen", _INSTANCES, "rows", 31),
    Key("snapshot", "p", "snapshot", "take a snapshot", _INSTANCES, "rows", 14),
    Key("snapshots", "b", "back", "snapshots: go back to one, or delete one", _INSTANCES, "rows"),
    Key("assign", "P", "profiles", "choose the profiles of an instance", _INSTANCES, "row"),
    Key("rename", "N", "rename", "rename (stopped instances)", _INSTANCES, "rows"),
    Key("copy-instance", "K", "copy", "copy on the same host", _INSTANCES, "rows"),
    Key("publish", "B", "build", "build an image of it, for all hosts or some", _INSTANCES, "rows"),
    Key("configure", "c", "settings", "config and devices", _INSTANCES, "rows"),
    Key("board", "b", "board", "the board of a bulk act: waves, what failed, retry", ("tasks",), "row", 13),
    Key(
        "delete",
        "D",
        "delete",
        "delete; a host is taken out of the fleet, and goes on",
        ("instances", "images", "profiles", "hosts", "warnings"),
        "rows",
        15,
    ),
    Key("why", "w", "why here?", "why it was placed on its host", ("instances", "tasks"), "row", 32),
    Key("retry", "r", "retry", "connect to the host again now", ("hosts", "instances"), "row", 12),
    Key("maintenance", "m", "maintenance", "maintenance on or off", ("hosts",), "rows", 13),
    Key("drill", "i", "instances", "show the instances of this host", ("hosts",), "row", 14),
    Key("import", "i", "import", "import an image to hosts", ("images",), show=14),
    Key("distribute", "m", "to hosts", "bring the image to more hosts", ("images",), "row", 16),
    Key("image-aliases", "A", "aliases", "the aliases of the image", ("images",), "row"),
    Key("create", "a", "add", "create a profile", ("profiles",), show=13),
    Key("level", "d", "differences", "how the hosts' copies differ, and level them", ("profiles",), "row", 16),
    Key("add-host", "a", "add", "pair with a host and add it to the fleet", ("hosts",), show=15),
    Key("labels", "e", "labels", "the labels of a host", ("hosts",), "row"),
    Key("edit", "e", "edit", "edit a profile", ("profiles",), "row", 14),
    Key("acknowledge", "a", "acknowledge", "acknowledge a warning, or take that back", ("warnings",), "rows", 12),
    Key("cancel", "c", "cancel", "cancel a running task", ("tasks",), "rows", 12),
    # -- into an instance
    Key("shell", "l", "shell", "a shell in the instance; ~. on a new line leaves it", _INSTANCES, "row", 16),
    Key("console", "L", "console", "the text console of the instance", _INSTANCES, "row"),
    Key("logs", "o", "logs", "follow the logs of the marked instances together", _INSTANCES, "rows", 17),
    Key("files", "f", "files", "the files of the instance: pull, push, edit, delete", _INSTANCES, "row", 19),
    Key("run", "X", "run", "run a command in the marked instances, with the output of each", _INSTANCES, "rows", 18),
    Key("editor", "ctrl+e", "editor", "its properties as YAML in $EDITOR", _EDITED, "row", 21),
    Key("inside", "I", "inside", "all its host tells: config, devices, state, YAML, what changed", _EDITED, "row", 22),
    Key("output", "X", "output", "the output of a command, by instance", ("tasks",), "row", 13),
    # -- finding and showing
    Key("open", "enter", "details", "details on and off", (), "row", 10),
    Key("mark", "space", "mark", "mark the row; acts then work on all marked rows", (), "row", 33),
    Key("mark-all", "ctrl+a", "mark all", "mark all rows shown, or none"),
    Key("filter", "slash", "filter", "filter as you type", show=34),
    Key("sort", "s", "sort", "sort by the next column", show=36),
    Key("reverse", "S", "reverse", "turn the order round"),
    Key("group", "H", "by host", "rows by host first, or no longer", _HOSTED),
    Key("columns", "C", "columns", "choose the columns of this table"),
    Key("users", "u", "used by", "the instances that use it", _USED, "row", 30),
    Key("its-events", "V", "its events", "what happened to it lately", ("hosts", "instances"), "row"),
    Key("its-warnings", "W", "its warnings", "the warnings about it", _WARNED, "row"),
    Key("project", "O", "project", "look at one project only, or at all"),
    Key("copy", "y", "copy", "copy the name to the terminal's clipboard", (), "rows"),
    Key("copy-command", "ctrl+y", "copy lxc", "copy the lxc line that shows it", (), "rows"),
    Key("equivalent", "E", "equivalent", "what is shown as a lxdpm-tui, an lxc and an API call"),
    Key("palette", "ctrl+p", "palette", "search all commands, keys and tables"),
    Key("command", "colon", "command", "any action by name", show=35),
    Key("back", "escape", "back", "close, unmark, unfilter, go back"),
    Key("backward", "minus,alt+left", "go back", "to the table and filter before; [ too while no detail is open"),
    Key("forward", "equals_sign,alt+right", "go forward", "and forward again; ] too"),
    Key("messages", "exclamation_mark", "messages", "what was said in the status line", show=40),
    # -- where to go
    Key("hosts", "1", "hosts", "hosts"),
    Key("instances", "2", "instances", "instances"),
    Key("images", "3", "images", "images"),
    Key("profiles", "4", "profiles", "profiles"),
    Key("tasks", "5", "tasks", "running and finished tasks"),
    Key("networks", "6", "networks", "networks"),
    Key("storage", "7", "storage", "storage pools and volumes"),
    Key("projects", "8", "projects", "projects"),
    Key("warnings", "9", "warnings", "warnings of the hosts and of the fleet"),
    Key("events", "v", "events", "what happens on the hosts, live"),
    Key("overview", "0", "overview", "the whole fleet at a glance"),
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
    ("[ ]", "scroll the details; without them: back and forward"),
)


def bindings() -> list[Binding]:
    """All keys as Textual bindings; several places may share a key, the screen decides by place."""
    made = []
    for key in KEYS:
        keys = CUSTOM.get(key.id, key.keys)
        made.append(Binding(keys, f"do('{key.id}')", key.label, show=bool(key.show), id=key.id))
    return made


BY_ID = {key.id: key for key in KEYS}


def here(place: Place) -> Iterable[Key]:
    """The keys that belong to a table."""
    return (key for key in KEYS if not key.places or place in key.places)
