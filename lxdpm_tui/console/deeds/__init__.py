"""What each key does to the fleet, and the console's own words on the `:` line, as data. One kind of thing a file.

A deed is named by the id of its key (keymap.py); one that is not named here is a state change of instances of that
name. A word takes what follows it on the line, and gives what is wrong with that, "" when it was taken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from lxdpm_tui.console.deeds import bulk, comfort, deleting, inside, instances, others, telling, warnings
from lxdpm_tui.console.driver import link_of
from lxdpm_tui.console.terminal_io import backlog
from lxdpm_tui.console.widgets.live_table import PAINT_EVERY

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
    "copy-instance": instances.copy,
    "publish": instances.publish,
    "configure": instances.configure,
    "board": bulk.board,
    "distribute": others.distribute,
    "image-aliases": others.image_aliases,
    "level": others.level,
    "add-host": others.add_host,
    "labels": others.label_host,
    "why": instances.why,
    "delete": deleting.delete,
    "retry": others.retry,
    "maintenance": others.maintenance,
    "import": others.import_image,
    "create": others.create_profile,
    "edit": others.edit,
    "acknowledge": warnings.acknowledge,
    "cancel": others.cancel,
    "quit": others.leave,
    "messages": telling.messages,
    "help": telling.help,
    **comfort.DEEDS,
    **inside.DEEDS,
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
    return acts.screen.personal.use_theme(" ".join(rest))


def _link(acts: Acts, rest: Sequence[str]) -> str:
    """How fast the way to the terminal is."""
    app = acts.screen.app
    link = link_of(app)
    if link is None:
        return "this console is not on a terminal of its own"
    acts.session.say("info", link.words(backlog(app), PAINT_EVERY))
    return ""


def _keys(acts: Acts, rest: Sequence[str]) -> str:
    acts.screen.run_worker(telling.keys(acts), group="deeds")
    return ""


WORDS: dict[str, Word] = {
    "filter": _filter,
    "keys": _keys,
    "link": _link,
    "theme": _theme,
    "help": _key("help"),
    "messages": _key("messages"),
    "quit": _key("quit"),
    "overview": _key("overview"),
    "equivalent": _key("equivalent"),
    "palette": _key("palette"),
    "copy-name": _key("copy"),
    "copy-command": _key("copy-command"),
    **bulk.WORDS,
    **comfort.WORDS,
    **inside.WORDS,
}
OFFERS = comfort.OFFERS
