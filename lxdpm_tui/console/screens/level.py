"""How the hosts' copies of a profile differ, and making them alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lxdpm_tui.actions.profile_level import differences
from lxdpm_tui.console import completion, text
from lxdpm_tui.console.resources.base import Line, heading
from lxdpm_tui.console.screens.form import FormError, FormScreen, words
from lxdpm_tui.console.session import Session
from lxdpm_tui.console.widgets.field import FieldSpec
from lxdpm_tui.fleet.groups import Copies

FEW = 5  # hosts that have room side by side


class ProfileLevelScreen(FormScreen):
    """The differences, key by key; one host's copy becomes that of all, or of none."""

    action = "profile-level"
    button = "Level"
    wide = tells = True

    def __init__(self, session: Session, row: Copies) -> None:
        self.row = row
        self.form = f"profile-level {row.project}/{row.name}"
        copies = {host: {"config": copy.config, "devices": copy.devices} for host, copy in row.copies.items()}
        self.found = differences(copies)
        # The pool and the bridge of a host are its own as a rule.
        own = [key.partition(" ")[2] for key in self.found if key.startswith("devices ")]
        super().__init__(session, {"like": row.host, "keep": " ".join(own)})

    @property
    def title_text(self) -> str:
        return (
            f"Level profile {self.row.name} (project {self.row.project}) on {text.count(len(self.row.hosts), 'host')}"
        )

    def specs(self) -> Sequence[FieldSpec]:
        hosts = self.row.hosts
        notes = {host: f"used by {self.row.copies[host].used_by}" for host in hosts}
        few = len(hosts) <= FEW
        return (
            FieldSpec(
                "like",
                "like",
                "choice" if few else "text",
                hint="the host whose copy the others become",
                options=tuple((host, host) for host in hosts) if few else (),
            ),
            FieldSpec("keep", "but keep", hint="keys and devices that stay as they are"),
            FieldSpec(
                "hosts",
                "hosts",
                hint="all that have it, or none if one fails",
                complete=completion.last_word(lambda: [completion.Candidate(host, notes[host]) for host in hosts]),
            ),
        )

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        like, hosts = values["like"].strip(), words(values["hosts"])
        for host in (like, *hosts):
            if host not in self.row.copies:
                field = "like" if host == like else "hosts"
                raise FormError(field, f"{host or 'no host'} does not have it")
        return {
            "name": self.row.name,
            "project": self.row.project,
            "like": like,
            "keep": words(values["keep"]),
            "hosts": hosts,
        }

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        if not self.found:
            return (Line("", "All copies are alike.", "good"),)
        keep, like = words(values["keep"]), values["like"].strip()
        lines = []
        for key, by_host in self.found.items():
            name = key.partition(" ")[2]
            kept = name in keep
            lines.append(heading(f"{name}: stays as it is" if kept else name))
            for shown, hosts in _by_value(by_host):
                mark = "→" if like in hosts and not kept else " "
                lines.append(Line("", f"{mark} {shown}  ({text.names(hosts, 4)})", "" if kept else "warn"))
        return lines


def _by_value(by_host: Mapping[str, Any]) -> Iterable[tuple[str, list[str]]]:
    """Each value with the hosts that have it, the commonest first."""
    found: dict[str, list[str]] = {}
    for host, value in by_host.items():
        shown = "(not set)" if value is None else value
        if isinstance(shown, Mapping):
            shown = ", ".join(f"{key}={each}" for key, each in sorted(shown.items()))
        found.setdefault(str(shown), []).append(host)
    return sorted(found.items(), key=lambda pair: -len(pair[1]))
