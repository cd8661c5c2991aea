"""Forms about images: import, bring one to more hosts, aliases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxdpm_tui.console import completion, text
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.screens.form import FormError, FormScreen, words
from lxdpm_tui.console.session import Session
from lxdpm_tui.console.widgets.field import FieldSpec
from lxdpm_tui.fleet.groups import Copies


class ImageAliasScreen(FormScreen):
    """The aliases of an image, on every host that has it."""

    button = "Save"
    tells = True

    def __init__(self, session: Session, row: Copies) -> None:
        self.row = row
        self.form = f"image-alias {row.project}/{row.fingerprint}"
        super().__init__(session, {"aliases": " ".join(row.aliases)})

    @property
    def title_text(self) -> str:
        return f"Aliases of image {self.row.fingerprint[:12]} in project {self.row.project}"

    def specs(self) -> Sequence[FieldSpec]:
        return (FieldSpec("aliases", "aliases", hint="names, separated by spaces"),)

    def steps(self, values: dict[str, str]) -> Sequence[tuple[str, dict[str, Any]]]:
        wanted, own = words(values["aliases"]), self.row.aliases
        taken = {
            alias: image
            for image in self.session.inventory.all_images()
            for alias in image.aliases
            if alias in wanted and image.fingerprint != self.row.fingerprint and image.project == self.row.project
        }
        for alias, image in taken.items():
            raise FormError("aliases", f"{alias} is image {image.fingerprint[:12]} on {image.host}")
        given = {"project": self.row.project}
        steps: list[tuple[str, dict[str, Any]]] = [
            ("image-alias-create", {"fingerprint": self.row.fingerprint, "name": alias, **given})
            for alias in dict.fromkeys(wanted)
            if alias not in own
        ]
        steps += [("image-alias-delete", {"name": alias, **given}) for alias in own if alias not in wanted]
        if not steps:
            raise FormError("aliases", "nothing was changed")
        return steps

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        try:
            steps = self.steps(values)
        except FormError as error:
            return (Line("", error.text, "dim" if "nothing" in error.text else "warn"),)
        on = text.count(len(self.row.hosts), "host")
        words_of = {"image-alias-create": f"new on {on}", "image-alias-delete": f"removed on {on}"}
        steps = sorted(steps, key=lambda step: step[0], reverse=True)  # what goes first: there is little room
        return [Line(given["name"], words_of[action]) for action, given in steps]


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
