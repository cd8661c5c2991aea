"""Forms about one instance or several: snapshot, rename, copy, publish, go back. Of several the plan is shown first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxdpm_tui.actions.plan_make import expiry, named
from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.console import completion, text
from lxdpm_tui.console.resources.base import Line, heading
from lxdpm_tui.console.screens.form import FormError, FormScreen, Planned, mapping, words
from lxdpm_tui.console.session import Session, reference
from lxdpm_tui.console.widgets.field import FieldSpec
from lxdpm_tui.fleet.inventory import Instance

NO_YES = (("no", "no"), ("yes", "yes"))


class OverInstances(FormScreen):
    """A form over an act of actions/plan_make.py. One instance: the action; several: the plan of the act.

    Subclasses give `options`; `single` translates them for the action where it differs.
    """

    verb = ""
    tells = True

    def __init__(self, session: Session, rows: Sequence[Instance], values: dict[str, str] | None = None) -> None:
        super().__init__(session, values)
        self.rows = list(rows)

    @property
    def about(self) -> object:
        return [tuple(row.key) for row in self.rows]

    @property
    def title_text(self) -> str:
        row = self.rows[0]
        if len(self.rows) == 1:
            return f"{self.verb} {row.name} on {row.host}, project {row.project}"
        projects = ", ".join(dict.fromkeys(row.project for row in self.rows))
        names = text.names([row.name for row in self.rows], 3)
        return f"{self.verb} {text.count(len(self.rows), 'instance')} (project {projects}): {names}"

    def options(self, values: dict[str, str]) -> dict[str, Any]:
        """The act's options. Raises FormError."""
        raise NotImplementedError

    def single(self, options: dict[str, Any]) -> dict[str, Any]:
        """The action's arguments beside the instance."""
        return options

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        row = self.rows[0]
        given = self.single(self.options(values))
        return {"instance": reference(row.key), "project": row.project, **given}

    def planned(self, values: dict[str, str]) -> Planned | None:
        return (self.form, self.rows, self.options(values)) if len(self.rows) > 1 else None

    def names(self, field: str, pattern: str) -> list[str]:
        """What the pattern gives for each row. Raises FormError."""
        try:
            found = [named(pattern, row, number) for number, row in enumerate(self.rows, 1)]
        except ActionError as refusal:
            raise FormError(field, refusal.text) from refusal
        if len(set(found)) < len(found):
            raise FormError(field, "they would all have one name: use {name}, {host} or {n}")
        return found

    def shown_names(self, field: str, pattern: str) -> list[Line]:
        """Old and new names, side by side."""
        try:
            found = self.names(field, pattern)
        except FormError as error:
            return [Line("", error.text, "warn")]
        width = max(len(row.name) for row in self.rows)
        lines = [Line("", f"{row.name:<{width}} → {new}") for row, new in zip(self.rows, found, strict=True)]
        return [heading("names"), *lines]


class SnapshotScreen(OverInstances):
    """A snapshot of one instance, or of the same name of several."""

    form = action = "snapshot"
    button = "Snapshot"
    verb = "Snapshot of"

    def specs(self) -> Sequence[FieldSpec]:
        return (
            FieldSpec("name", "name", hint="snap0, snap1, … when empty; may have {name}, {n}, {date}"),
            FieldSpec(
                "stateful",
                "keeps",
                "choice",
                value="no",
                options=(("no", "the disks"), ("yes", "disks and running processes")),
            ),
            FieldSpec("expires", "expires", hint="never, or 12h, 30d, 6w, 2030-01-31"),
        )

    def options(self, values: dict[str, str]) -> dict[str, Any]:
        name, expires = values["name"].strip(), values["expires"].strip()
        if "/" in name or " " in name:
            raise FormError("name", "a snapshot's name has no slashes and no spaces")
        try:
            expiry(expires)
        except ActionError as refusal:
            raise FormError("expires", refusal.text) from refusal
        return {"name": name, "stateful": values["stateful"] == "yes", "expires": expires}


class RenameScreen(OverInstances):
    """Other names for stopped instances."""

    form = action = "rename"
    button = verb = "Rename"

    def __init__(self, session: Session, rows: Sequence[Instance]) -> None:
        super().__init__(session, rows, {"new_name": rows[0].name if len(rows) == 1 else "{name}-old"})

    def specs(self) -> Sequence[FieldSpec]:
        return (FieldSpec("new_name", "new name", hint="may have {name}, {host}, {n}, {date}"),)

    def options(self, values: dict[str, str]) -> dict[str, Any]:
        name = values["new_name"].strip()
        if not name or self.names("new_name", name) == [row.name for row in self.rows]:
            raise FormError("new_name", "type another name")
        return {"new_name": name}

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        running = [row.name for row in self.rows if row.status not in ("Stopped", "Error")]
        lines = self.shown_names("new_name", values["new_name"].strip()) if len(self.rows) > 1 else []
        if running:
            state = f"It is {self.rows[0].status}" if len(self.rows) == 1 else f"{text.names(running)} not stopped"
            lines.insert(0, Line("", f"{state}: stop it first." if len(running) == 1 else f"{state}.", "warn"))
        return lines


class CopyScreen(OverInstances):
    """Copies on the hosts where the instances are."""

    form = action = "copy"
    button = verb = "Copy"

    def specs(self) -> Sequence[FieldSpec]:
        return (
            FieldSpec("new_name", "new name", value="{name}-copy", hint="may have {name}, {host}, {n}, {date}"),
            FieldSpec(
                "instance_only", "snapshots", "choice", value="no", options=(("no", "with them"), ("yes", "without"))
            ),
            FieldSpec("start", "start it", "choice", value="no", options=NO_YES),
        )

    def options(self, values: dict[str, str]) -> dict[str, Any]:
        pattern = values["new_name"].strip()
        if not pattern:
            raise FormError("new_name", "a copy needs a name")
        for row, name in zip(self.rows, self.names("new_name", pattern), strict=True):
            if self.session.inventory.find_instances(row.project, name):
                raise FormError("new_name", f"there is an instance {name} already")
        return {
            "new_name": pattern,
            "instance_only": values["instance_only"] == "yes",
            "start": values["start"] == "yes",
        }

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        return [
            *self.shown_names("new_name", values["new_name"].strip()),
            Line("", "A copy is made on the host of its instance.", "dim"),
        ]


class PublishScreen(OverInstances):
    """Images of stopped instances."""

    form = action = "publish"
    button = "Build"
    verb = "Image of"

    def specs(self) -> Sequence[FieldSpec]:
        inventory = self.session.inventory
        return (
            FieldSpec("aliases", "aliases", value="{name}", hint="names it gets; may have {name}, {host}, {n}, {date}"),
            FieldSpec(
                "hosts",
                "to hosts",
                hint="all, or none if one fails",
                complete=completion.last_word(lambda: completion.hosts(inventory)),
            ),
            FieldSpec("properties", "properties", "area", hint="os=Debian (KEY=VALUE lines)", lines=1),
            FieldSpec("reuse", "alias taken", "choice", value="no", options=(("no", "refuse"), ("yes", "move it"))),
            FieldSpec(
                "public", "public", "choice", value="no", options=(("no", "no"), ("yes", "anyone may download it"))
            ),
        )

    def options(self, values: dict[str, str]) -> dict[str, Any]:
        aliases = words(values["aliases"])
        for alias in aliases:
            self.names("aliases", alias)
        unknown = [name for name in words(values["hosts"]) if name not in self.session.inventory.hosts]
        if unknown:
            raise FormError("hosts", f"there is no host {', '.join(unknown)}")
        return {
            "aliases": aliases,
            "hosts": words(values["hosts"]),
            "properties": mapping("properties", values["properties"]),
            "reuse": values["reuse"] == "yes",
            "public": values["public"] == "yes",
        }

    def single(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"property" if key == "properties" else key: value for key, value in options.items()}

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        running = [row.name for row in self.rows if row.status not in ("Stopped", "Error")]
        number = len(words(values["hosts"])) or len(self.session.inventory.hosts)
        lines = [Line("", f"It goes to {text.count(number, 'host')}, or to its own only if one fails.", "dim")]
        if running:
            lines.insert(0, Line("", f"Not stopped: {text.names(running)}. Its host refuses that.", "warn"))
        return lines


class RestoreScreen(OverInstances):
    """Several instances back to their snapshots of one name."""

    form = action = "restore"
    button = "Go back"
    verb = "Go back to a snapshot of"

    def specs(self) -> Sequence[FieldSpec]:
        return (FieldSpec("snapshot", "snapshot", hint="its name; may have {name}, {host}, {n}, {date}"),)

    def options(self, values: dict[str, str]) -> dict[str, Any]:
        if not values["snapshot"].strip():
            raise FormError("snapshot", "which snapshot?")
        return {"snapshot": values["snapshot"].strip()}

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        return (Line("", "What changed since then is lost. Those that have no such snapshot fail.", "warn"),)
