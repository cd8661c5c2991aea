"""What each key does to the fleet, and the console's own words on the `:` line, as data. One kind of thing a file.

A deed is named by the id of its key (keymap.py); one that is not named here is a state change of instances of that
name. A word takes what follows it on the line, and gives what is wrong with that, "" when it was taken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from lxdpm_tui.console.deeds import deleting, instances, others

if TYPE_CHECKING:
    from lxdpm_tui.console.acts import Acts

Deed = Callable[["Acts"], Awaitable[object]]
Word = Callable[["Acts", Sequence[str]], str]

DEEDS: dict[str, Deed] = {
    "launch": instances.launch,
    "freeze": instances.freeze,
    "snapshot": instances.snapshot,
    "snapshots": instances.snapshots,
    "assign": instances.assign,
    "rename": instances.rename,
    "why": instances.why,
    "delete": deleting.delete,
    "retry": others.retry,
    "maintenance": others.maintenance,
    "import": others.import_image,
    "create": others.create_profile,
    "edit": others.edit,
    "cancel": others.cancel,
    "quit": others.leave,
}


def _key(id: str) -> Word:
    """The word that does what a key does."""

    def word(acts: Acts, rest: Sequence[str]) -> str:
        acts.screen.do(id)
        return ""

    return word


def _filter(acts: Acts, rest: Sequence[str]) -> str:
    return acts.screen.set_filter(" ".join(rest))


def _theme(acts: Acts, rest: Sequence[str]) -> str:
    return acts.screen.set_theme(" ".join(rest))


WORDS: dict[str, Word] = {
    "filter": _filter,
    "theme": _theme,
    "help": _key("help"),
    "messages": _key("messages"),
    "quit": _key("quit"),
}
