"""The launch form: image, name, profiles, config, and where it would land and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from textual.timer import Timer

from lxdpm_tui.console import completion, text
from lxdpm_tui.console.resources.base import Line, heading
from lxdpm_tui.console.resources.tasks import decision
from lxdpm_tui.console.screens.checked import CheckedForm
from lxdpm_tui.console.screens.form import FormError, devices, mapping, whole_number, words
from lxdpm_tui.console.session import REFUSALS, Session
from lxdpm_tui.console.widgets.field import YES_NO, FieldSpec
from lxdpm_tui.fleet.inventory import HostRecord

PREVIEW_EVERY = 3.0  # seconds between two looks, while no host would take it, whether one does by now
PREVIEW_AFTER = 0.25  # seconds without a key before the plan is worked out again


class LaunchScreen(CheckedForm):
    """New instances, with a dry run of the placement beside the fields, and what the hosts would not take."""

    form = "launch"
    action = "launch"
    button = "Launch"
    title_text = "Launch instances"
    wide = True

    def __init__(self, session: Session, values: dict[str, str] | None = None) -> None:
        super().__init__(session, values)
        self._pending: Timer | None = None
        self._plan: Sequence[Line] = ()
        self._nowhere = False  # whether no host would take one of them

    def specs(self) -> Sequence[FieldSpec]:
        inventory = self.session.inventory
        strategy = str(self.session.backend.scheduler.strategy) if self.session.backend else "random"
        strategies = (
            ("", f"{strategy} (default)"),
            *((s, s) for s in ("random", "scatter", "gather") if s != strategy),
        )
        return (
            FieldSpec(
                "image",
                "image",
                hint="alias or fingerprint",
                complete=completion.whole(lambda: completion.images(inventory, self._project())),
            ),
            FieldSpec("name", "name", hint="made up when empty; with a count NAME-1, NAME-2, …"),
            FieldSpec("count", "how many", value="1"),
            FieldSpec(
                "type",
                "type",
                "choice",
                options=(("", "as the image"), ("container", "container"), ("virtual-machine", "virtual machine")),
            ),
            FieldSpec("strategy", "strategy", "choice", options=strategies),
            FieldSpec(
                "target",
                "host",
                hint="the strategy chooses when empty",
                complete=completion.whole(lambda: completion.hosts(inventory)),
            ),
            FieldSpec(
                "profiles",
                "profiles",
                value="default",
                hint="none",
                complete=completion.last_word(lambda: completion.profiles(inventory, self._project())),
            ),
            FieldSpec(
                "project",
                "project",
                value="default",
                complete=completion.whole(lambda: completion.projects(inventory)),
            ),
            FieldSpec("config", "config", "area", hint="limits.memory=2GiB (KEY=VALUE lines)"),
            FieldSpec("devices", "devices", "area", hint="data: type=disk, path=/data, source=/srv", lines=1),
            FieldSpec("start", "start it", "choice", value="yes", options=YES_NO),
            FieldSpec(
                "ephemeral", "ephemeral", "choice", value="no", options=(("no", "no"), ("yes", "gone when it stops"))
            ),
        )

    def _project(self) -> str:
        return self.field("project").value.strip() or "default" if self.is_mounted else "default"

    def concerned(self) -> Sequence[HostRecord]:
        hosts = self.session.inventory.hosts
        target = self.field("target").value.strip() if self.is_mounted else ""
        return [hosts[target]] if target in hosts else list(hosts.values())

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        image, target = values["image"].strip(), values["target"].strip()
        if not image:
            raise FormError("image", "an image is needed: type a part of its alias, ↓ goes through those there are")
        if target and target not in self.session.inventory.hosts:
            raise FormError("target", f"there is no host {target!r}")
        arguments: dict[str, Any] = {
            "image": image,
            "name": values["name"].strip(),
            "count": whole_number("count", values["count"]),
            "profiles": words(values["profiles"]),
            "project": values["project"].strip() or "default",
            "config": mapping("config", values["config"]),
            "devices": devices("devices", values["devices"]),
            "ephemeral": values["ephemeral"] == "yes",
            "no_start": values["start"] != "yes",
        }
        for key in ("type", "strategy"):
            if values[key]:
                arguments[key] = values[key]
        if target:
            arguments["target"] = target
        wrong = self.refused_by_all(arguments["config"], arguments["devices"])
        if wrong:
            raise FormError("config" if arguments["config"] else "devices", wrong)
        return arguments

    # -- the preview

    def edited(self) -> None:
        super().edited()
        if self._pending is not None:
            self._pending.stop()
        self._pending = self.set_timer(PREVIEW_AFTER, self._preview)

    def on_mount(self) -> None:
        super().on_mount()
        self._preview()
        self.set_interval(PREVIEW_EVERY, partial(self._preview, again=True))

    def _preview(self, again: bool = False) -> None:
        """again: when no host would take it a moment ago; one may by now."""
        if again and (self._pending is not None or not self._nowhere):
            return
        self._pending = None
        self.run_worker(self._ask_where(again), group="preview", exclusive=True)

    async def _ask_where(self, again: bool) -> None:
        """By whoever will place it: this manager, or the gateway that the console is attached to."""
        backend = self.session.backend
        values = self.values
        if backend is None or not values["image"].strip():
            self._plan = (Line("", "Choose an image to see where it would land.", "dim"),)
        else:
            try:
                arguments = self.arguments(values)
                if backend.attached_to and not again:  # what is in sight is about other values
                    self._plan = (Line("", f"Asking {backend.attached_to} where it would land…", "dim"),)
                    self.refresh_aside()
                decisions = await backend.preview(**arguments)
                self._plan = tuple(preview(decisions))
                self._nowhere = not all(entry.get("chosen") for entry in decisions)
            except FormError as error:
                self._plan = (Line("", error.text, "warn"),)
                self._nowhere = False
            except REFUSALS as refusal:
                self._plan = (Line("", str(refusal), "warn"),)
                self._nowhere = True
        self.refresh_aside()

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        return [*self.warnings(values["config"], values["devices"]), *self._plan]


def preview(decisions: Sequence[Mapping[str, Any]]) -> Sequence[Line]:
    """Where the instances would land: a line when there are several, then the first decision in full."""
    lines: list[Line] = []
    if len(decisions) > 1:
        landing: dict[str, int] = {}
        for entry in decisions:
            landing[str(entry.get("chosen") or "nowhere")] = landing.get(str(entry.get("chosen") or "nowhere"), 0) + 1
        spread = ", ".join(f"{number} on {host}" for host, number in sorted(landing.items()))
        lines.append(heading(f"{text.count(len(decisions), 'instance')} would land: {spread}"))
    for entry in decisions[:1]:
        lines += decision(entry)
    return lines
