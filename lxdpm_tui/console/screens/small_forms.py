"""The small forms: snapshot, rename, image import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxdpm_tui.console import completion, text
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.screens.form import FormError, FormScreen, words
from lxdpm_tui.console.session import Session, reference
from lxdpm_tui.console.widgets.field import FieldSpec
from lxdpm_tui.fleet.inventory import Instance


class SnapshotScreen(FormScreen):
    """A snapshot of one instance, or of the same name of several."""

    form = "snapshot"
    action = "snapshot"
    button = "Snapshot"

    def __init__(self, session: Session, rows: Sequence[Instance]) -> None:
        super().__init__(session)
        self.rows = rows

    @property
    def title_text(self) -> str:
        if len(self.rows) == 1:
            return f"Snapshot of {self.rows[0].name} on {self.rows[0].host}, project {self.rows[0].project}"
        return f"Snapshot of {text.count(len(self.rows), 'instance')}: {text.names([row.name for row in self.rows], 4)}"

    def specs(self) -> Sequence[FieldSpec]:
        return (
            FieldSpec("name", "name", hint="snap0, snap1, … when empty"),
            FieldSpec(
                "stateful",
                "keeps",
                "choice",
                value="no",
                options=(("no", "the disks"), ("yes", "disks and running processes")),
            ),
        )

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        name = values["name"].strip()
        if "/" in name or " " in name:
            raise FormError("name", "a snapshot's name has no slashes and no spaces")
        row = self.rows[0]
        return {
            "instance": reference(row.key),
            "project": row.project,
            "name": name,
            "stateful": values["stateful"] == "yes",
        }

    def runs(self, values: dict[str, str]) -> Sequence[dict[str, Any]]:
        first = self.arguments(values)
        return [{**first, "instance": reference(row.key), "project": row.project} for row in self.rows]


class RenameScreen(FormScreen):
    """Another name for a stopped instance."""

    form = "rename"
    action = "rename"
    button = "Rename"

    def __init__(self, session: Session, row: Instance) -> None:
        super().__init__(session, {"new_name": row.name})
        self.row = row

    @property
    def title_text(self) -> str:
        return f"Rename {self.row.name} on {self.row.host}, project {self.row.project}"

    def specs(self) -> Sequence[FieldSpec]:
        return (FieldSpec("new_name", "new name"),)

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        name = values["new_name"].strip()
        if not name or name == self.row.name:
            raise FormError("new_name", "type another name")
        return {"instance": reference(self.row.key), "new_name": name, "project": self.row.project}

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        running = self.row.status not in ("Stopped", "Error")
        return (Line("", f"It is {self.row.status}: stop it first.", "warn"),) if running else ()


class ImageImportScreen(FormScreen):
    """An image from a file, a URL, or another host, to all hosts or to some."""

    form = "image-import"
    action = "image-import"
    button = "Import"
    title_text = "Import an image"

    def specs(self) -> Sequence[FieldSpec]:
        inventory = self.session.inventory

        def sources() -> list[completion.Candidate]:
            found = []
            for image in inventory.all_images():
                for alias in image.aliases or (image.fingerprint[:12],):
                    found.append(completion.Candidate(f"{image.host}:{alias}", image.description))
            return sorted(found)

        return (
            FieldSpec("source", "from", hint="FILE, https://… or HOST:ALIAS", complete=completion.whole(sources)),
            FieldSpec("aliases", "aliases", hint="names it gets"),
            FieldSpec(
                "hosts",
                "to hosts",
                hint="all, or none if one fails",
                complete=completion.last_word(lambda: completion.hosts(inventory)),
            ),
            FieldSpec("project", "project", value="default"),
            FieldSpec(
                "public", "public", "choice", value="no", options=(("no", "no"), ("yes", "anyone may download it"))
            ),
            FieldSpec(
                "pending",
                "host down",
                "choice",
                value="no",
                options=(("no", "refuse"), ("yes", "do it when it is back")),
            ),
        )

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        if not values["source"].strip():
            raise FormError("source", "where from? a file, a URL, or HOST:ALIAS")
        unknown = [name for name in words(values["hosts"]) if name not in self.session.inventory.hosts]
        if unknown:
            raise FormError("hosts", f"there is no host {', '.join(unknown)}")
        return {
            "source": values["source"].strip(),
            "aliases": words(values["aliases"]),
            "hosts": words(values["hosts"]),
            "project": values["project"].strip() or "default",
            "public": values["public"] == "yes",
            "pending": values["pending"] == "yes",
        }

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        number = len(words(values["hosts"])) or len(self.session.inventory.hosts)
        return (
            Line("", f"It goes to {text.count(number, 'host')}. If one of them fails, the others are put back.", "dim"),
        )
