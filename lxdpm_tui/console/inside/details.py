"""One object as its host tells it now: its own and its whole configuration, devices, state, raw YAML, what changed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen

from lxdpm_tui.actions.edit import path_of
from lxdpm_tui.console import text
from lxdpm_tui.console.resources.base import Line, devices, pairs
from lxdpm_tui.console.session import REFUSALS, Session
from lxdpm_tui.console.widgets.lines import Lines
from lxdpm_tui.console.widgets.one_line import OneLine

_KINDS = {"instances": "instance", "images": "image", "profiles": "profile"}


class DetailsScreen(Screen[None]):
    """Pages by number; `r` asks the host again, and `6` shows what has changed since the first look."""

    CSS_PATH = "inside.tcss"
    BINDINGS = [
        Binding("escape,q,I", "close", "close"),
        *(Binding(str(number), f"page({number})", show=False) for number in range(1, 7)),
        Binding("tab,right", "turn(1)", show=False),
        Binding("shift+tab,left", "turn(-1)", show=False),
        Binding("r", "reload", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("pageup", "scroll(-15)", show=False),
        Binding("pagedown,space", "scroll(15)", show=False),
        Binding("home,g", "scroll(-1000000)", show=False),
        Binding("end,G", "scroll(1000000)", show=False),
    ]

    def __init__(self, session: Session, row: Any, place: str) -> None:
        super().__init__()
        self.session = session
        self.row = row
        self.kind = _KINDS[place]
        self.subject = row.fingerprint if self.kind == "image" else row.name
        self.own: dict[str, Any] = {}
        self.state: dict[str, Any] = {}
        self.first = self._last_seen()
        self.page = 0
        self.pages: list[tuple[str, Callable[[], list[Line]]]] = [("YAML", self._yaml), ("changed", self._changed)]
        if self.kind == "instance":
            self.pages = [("own", self._config), ("whole", self._expanded), ("state", self._state),
                          ("snapshots", self._snapshots), *self.pages]  # fmt: skip

    def compose(self) -> ComposeResult:
        yield OneLine(id="inside-title")
        yield OneLine(id="inside-tabs")
        yield Lines(label=24, id="inside-lines")
        yield OneLine(id="inside-help")

    def on_mount(self) -> None:
        self.query_one("#inside-help", OneLine).say(
            Text(f" 1-{len(self.pages)} tab page  ↑↓ scroll  r ask again  esc close")
        )
        self._show()
        self.action_reload()

    def _last_seen(self) -> dict[str, Any]:
        """What events and scans told last, as far as its raw text was kept."""
        raw = getattr(self.row, "raw", b"") or b""
        try:
            found = json.loads(raw)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def action_reload(self) -> None:
        self.run_worker(self._load(), group="details", exclusive=True)

    async def _load(self) -> None:
        backend = self.session.backend
        if backend is None:
            return
        self._say("asking the host…")
        path, project = path_of(self.kind, self.subject), self.row.project
        try:
            host = backend.fleet.hosts[self.row.host]
            self.own = await host.get(path, project=project)
            if self.kind == "instance":
                self.state = await host.get(f"{path}/state", project=project) or {}
                self.own["snapshots"] = await self.session.snapshots(self.row)
        except (*REFUSALS, LookupError) as refusal:
            self._say(str(refusal))
            return
        self.first = {key: value for key, value in self.first.items() if key in self.own} or dict(self.own)
        self._say("")
        self._show()

    def _say(self, words: str) -> None:
        where = f" {self.kind} {self.subject} on {self.row.host} (project {self.row.project})"
        self.query_one("#inside-title", OneLine).say(Text(where), Text(f"{text.clean(words)} "))

    def _show(self, top: bool = False) -> None:
        tabs = Text(" ")
        for number, (name, _) in enumerate(self.pages):
            tabs.append(f"{number + 1} {name}", "bold reverse" if number == self.page else "dim")
            tabs.append("  ")
        self.query_one("#inside-tabs", OneLine).say(tabs)
        self.query_one(Lines).show_lines(self.pages[self.page][1]() if self.own else [], top=top)

    # -- the pages

    def _config(self) -> list[Line]:
        own = self.own
        named = {
            key: own.get(key) for key in ("description", "type", "architecture", "status", "location", "created_at")
        }
        lines = [Line(key, str(value)) for key, value in named.items() if value]
        lines.append(Line("profiles", ", ".join(own.get("profiles") or [])))
        return [*lines, *pairs("Config", own.get("config") or {}), *devices("Devices", own.get("devices") or {})]

    def _expanded(self) -> list[Line]:
        config, whole = self.own.get("config") or {}, self.own.get("expanded_config") or {}
        given = {key: value for key, value in whole.items() if key not in config}
        lines = [*pairs("From profiles", given), *pairs("Its own", {k: v for k, v in whole.items() if k in config})]
        return [*lines, *devices("Devices, with those of profiles", self.own.get("expanded_devices") or {})]

    def _state(self) -> list[Line]:
        state, size = self.state, text.long_size
        memory = state.get("memory") or {}
        lines = [
            Line("status", str(state.get("status", ""))),
            Line("processes", str(state.get("processes", ""))),
            Line("cpu time", f"{(state.get('cpu') or {}).get('usage', 0) / 1e9:.1f} s"),
            Line("memory", f"{size(memory.get('usage') or 0)}, at most {size(memory.get('usage_peak') or 0)}"),
        ]
        for name, disk in (state.get("disk") or {}).items():
            lines.append(Line(f"disk {name}", size(disk.get("usage") or 0)))
        for name, device in (state.get("network") or {}).items():
            counters = device.get("counters") or {}
            received, sent = counters.get("bytes_received") or 0, counters.get("bytes_sent") or 0
            words = f"{device.get('state', '')}, {device.get('hwaddr', '')}, in {size(received)}, out {size(sent)}"
            lines += [Line(), Line(name, words)]
            for address in device.get("addresses") or []:
                lines.append(Line(" ", f"{address.get('address')}/{address.get('netmask')} ({address.get('scope')})"))
        return lines

    def _snapshots(self) -> list[Line]:
        lines = []
        for one in self.own.get("snapshots") or []:
            processes = "  with processes" if one.get("stateful") else ""
            lines.append(Line(str(one.get("name")), f"{one.get('created_at', '')}{processes}"))
        return lines or [Line("", "There are none.", "dim")]

    def _yaml(self) -> list[Line]:
        return [Line("", line) for line in dump(self.own).splitlines()]

    def _changed(self) -> list[Line]:
        """As a unified diff: from what was seen last to what the host tells now."""
        now = {key: self.own[key] for key in self.first if key in self.own}
        diff = difflib.unified_diff(
            dump(self.first).splitlines(), dump(now).splitlines(), "last seen", "now", lineterm="", n=2
        )
        lines = [Line("", line, "good" if line[:1] == "+" else "bad" if line[:1] == "-" else "") for line in diff]
        return lines or [Line("", "Nothing has changed since it was seen last.", "dim")]

    # -- keys

    def action_page(self, number: int) -> None:
        if number <= len(self.pages):
            self.page = number - 1
            self._show(top=True)

    def action_turn(self, step: int) -> None:
        self.action_page((self.page + step) % len(self.pages) + 1)

    def action_scroll(self, step: int) -> None:
        self.query_one(Lines).action_by(step)

    def action_close(self) -> None:
        self.dismiss(None)


def dump(found: Mapping[str, Any]) -> str:
    """YAML with sorted keys."""
    return yaml.safe_dump(dict(found), sort_keys=True, allow_unicode=True, default_flow_style=False, width=1000)
