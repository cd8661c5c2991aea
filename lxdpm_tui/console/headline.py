"""The words of the lines around the table: header, tabs, status and keys. No widgets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.text import Text

from lxdpm_tui.console import keymap, text
from lxdpm_tui.console.keymap import Place
from lxdpm_tui.console.resources import tasks as task_words
from lxdpm_tui.console.session import Session

Theme = Mapping[str, str]

MAIN_TABS = ("hosts", "instances", "images", "profiles", "tasks")
READ_FROM_HOSTS = ("instances", "images", "profiles")
ALL_TABS = 160  # columns from which the other tables have their tabs too


def headline(session: Session, label: str, connecting: bool, theme: Theme, width: int) -> tuple[Text, Text]:
    """Name, label and counts at the left; what is wrong now at the right."""
    left = Text()
    left.append("lxdpm-tui", f"bold {theme['primary']}")
    if label:
        left.append("  ")
        left.append(f" {label} ", f"bold {theme['background']} on {theme['warning']}")
    for words in (f"project {session.project}" if session.project else "", "read only" if session.read_only else ""):
        if words:
            left.append(f"  {words}", f"bold {theme['warning']}")
    hosts = session.inventory.hosts.values()
    if connecting:
        left.append("   connecting…", theme["text-muted"])
        return left, Text()
    usable = sum(host.usable for host in hosts)
    total = sum(host.instances for host in hosts)
    running = sum(host.running for host in hosts)
    reached = f"{usable} of {text.count(len(hosts), 'host')}" if usable < len(hosts) else text.count(len(hosts), "host")
    for number, words in enumerate((reached, f"{running} running of {text.count(total, 'instance')}")):
        left.append("   " if number == 0 else "  ·  ", theme["text-muted"])
        left.append(words, theme["foreground"])
    wrong = session.wrong()
    if not wrong:
        return left, Text("all well" if hosts else "", theme["success"])
    most = 3 if width >= 120 else 1
    right = Text(text.names(wrong, most), f"bold {theme['error']}")
    return left, right


def tabs(
    place: Place, tables: Mapping[Place, Any], running: int, theme: Theme, width: int, missing: Sequence[str] = ()
) -> tuple[Text, Text]:
    """The tables with their numbers at the left; filter, marks and rows of this one at the right.

    missing: hosts whose rows are not there.
    """
    left = Text()
    for name, table in tables.items():
        here = name == place
        if width < ALL_TABS and name not in MAIN_TABS and not here:
            continue
        left.append(f"{keymap.BY_ID[name].shown} ", f"bold {theme['primary']}" if here else theme["text-muted"])
        style = f"bold underline {theme['primary']}" if here else theme["foreground"]
        left.append(name.capitalize() if width >= 70 else name[:5].capitalize(), style)
        count = running if name == "tasks" else table.view.total if name in MAIN_TABS or here else 0
        if width >= 100 and (count or name in MAIN_TABS[:4]):
            left.append(f" {count}" + (" running" if name == "tasks" else ""), theme["text-muted"])
        elif name == "tasks" and running:
            left.append(f" {running}", f"bold {theme['accent']}")
        left.append("   " if width >= 100 else "  ")
    left.rstrip()
    table = tables[place]
    right = Text()
    if missing:
        right.append(f"without {text.names(missing, 2 if width >= 120 else 1)}  ", theme["warning"])
    if table.marks:
        right.append(f"{len(table.marks)} marked  ", f"bold {theme['warning']}")
    source = table.view.query.source.strip()
    if source:
        right.append(f"/{source} ", f"bold {theme['accent']}")
        right.append(f"{len(table.view)} of {table.view.total}", theme["text-muted"])
    return left, right


def empty_words(session: Session, place: Place, known: str, connecting: bool, asked: bool) -> str:
    """What a table without rows says; `known` only when it is known that there are none."""
    if connecting:
        return ""
    read = asked and (place not in READ_FROM_HOSTS or session.all_read())
    return known if read else "Asking the hosts…"


def status(session: Session, connecting: bool, theme: Theme, crumbs: str = "") -> tuple[Text, Text]:
    """The newest failure until it was seen, else what was just said, else what runs, else the way here."""
    message = session.messages.current(time.time())
    running = session.running()
    right = Text()
    if message is not None and message.severity == "bad":
        right.append("esc seen", theme["text-muted"])
        return Text(f"✗ {message.text}", f"bold {theme['error']}"), right
    if message is not None and message.severity == "warn":
        return Text(message.text, theme["warning"]), right
    if running:
        task = running[0]
        share = task_words.progress(task)
        more = f"  (and {text.count(len(running) - 1, 'more task')})" if len(running) > 1 else ""
        progress = f"  {text.meter(share, 10)} {text.percent(share)}" if share >= 0 else " …"
        return Text(f"{task_words.what(task)}{progress}{more}", theme["accent"]), right
    if message is not None:
        return Text(message.text, theme["success"]), right
    if connecting:
        return Text("Opening the fleet…", theme["text-muted"]), right
    return Text(crumbs, theme["text-muted"]), right


def key_pairs(place: Place, can: Callable[[keymap.Key], bool]) -> Sequence[tuple[str, str]]:
    """The keys of the footer: those that can be used now, the most useful first, help at the end."""
    usable = sorted((key for key in keymap.KEYS if key.show > 1 and can(key)), key=lambda key: key.show)
    return [*((key.shown, key.label) for key in usable), ("?", "help")]
