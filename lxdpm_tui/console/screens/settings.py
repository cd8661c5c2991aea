"""The config and devices of an instance, or the same change to several. The plan is shown before it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lxdpm_tui.console.resources.base import Line, heading
from lxdpm_tui.console.screens.checked import CheckedForm
from lxdpm_tui.console.screens.form import FormError, Planned, devices, mapping
from lxdpm_tui.console.screens.instance_forms import OverInstances
from lxdpm_tui.console.screens.profile import config_lines, device_lines
from lxdpm_tui.console.session import Session
from lxdpm_tui.console.widgets.field import FieldSpec
from lxdpm_tui.fleet.inventory import HostRecord, Instance

_HIDDEN = ("volatile.", "image.")  # the host's own


class SettingsScreen(OverInstances, CheckedForm):
    """One instance: its own settings, edited. Several: what is to be set on all; KEY= takes a key away."""

    action = "configure"
    button = "Save"
    verb = "Settings of"
    wide = True

    def __init__(self, session: Session, rows: Sequence[Instance]) -> None:
        self.config: dict[str, str] = {}
        self.devices: dict[str, dict[str, str]] = {}
        self.form = "configure"
        if len(rows) == 1:
            row = rows[0]
            self.form = f"configure {row.host}/{row.project}/{row.name}"
            own = msgspec.json.decode(row.raw) if row.raw else {}
            config = own.get("config") or {}
            self.config = {k: v for k, v in config.items() if not k.startswith(_HIDDEN) and "\n" not in v}
            self.devices = own.get("devices") or {}
        super().__init__(session, rows, {"config": config_lines(self.config), "devices": device_lines(self.devices)})

    def specs(self) -> Sequence[FieldSpec]:
        removes = "take a line out to remove it" if len(self.rows) == 1 else "KEY= removes it"
        return (
            FieldSpec("config", "config", "area", hint=f"limits.memory=2GiB (KEY=VALUE lines; {removes})", lines=6),
            FieldSpec("devices", "devices", "area", hint="data: type=disk, path=/data, source=/srv", lines=4),
        )

    def concerned(self) -> Sequence[HostRecord]:
        hosts = self.session.inventory.hosts
        return [hosts[name] for name in dict.fromkeys(row.host for row in self.rows) if name in hosts]

    def patch(self, values: dict[str, str]) -> dict[str, Any]:
        """The change, as a merge patch of config and devices. Raises FormError."""
        config: dict[str, str | None] = {}
        for key, value in mapping("config", values["config"]).items():
            if self.config.get(key) != value:
                config[key] = value or None
        given = devices("devices", values["devices"])
        wanted: dict[str, dict[str, str | None] | None] = {}
        for name, settings in given.items():
            change = difference(self.devices.get(name, {}), settings)
            if change:
                wanted[name] = change
        config |= dict.fromkeys(self.config.keys() - mapping("config", values["config"]).keys())
        wanted |= dict.fromkeys(self.devices.keys() - given.keys())
        return {part: change for part, change in (("config", config), ("devices", wanted)) if change}

    def options(self, values: dict[str, str]) -> dict[str, Any]:
        patch = self.patch(values)
        if not patch:
            raise FormError("", "nothing was changed")
        wrong = self._wrong(patch, values)
        if wrong:
            raise FormError("", wrong[0])
        return patch

    def _wrong(self, patch: Mapping[str, Any], values: dict[str, str]) -> list[str]:
        whole = devices("devices", values["devices"])
        changed = {name: whole[name] for name, change in patch.get("devices", {}).items() if change is not None}
        set_now = {key: value for key, value in patch.get("config", {}).items() if value is not None}
        return self.problems(set_now, changed)

    def planned(self, values: dict[str, str]) -> Planned:
        return ("configure", self.rows, self.options(values))

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        try:
            patch = self.patch(values)
            lines = [Line("", wrong, "bad") for wrong in self._wrong(patch, values)]
        except FormError as error:
            return (Line("", error.text, "warn"),)
        if not patch:
            return (*lines, Line("", "Nothing is changed yet.", "dim"))
        lines.append(heading("changes"))
        for changes in patch.values():
            for key, value in changes.items():
                lines.append(Line(key, _shown(value), "warn" if value is None else ""))
        return (*lines, *self.about_keys(patch.get("config", {})))


def difference(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str | None]:
    """The merge patch from one to the other."""
    gone: dict[str, str | None] = dict.fromkeys(old.keys() - new.keys())
    return {**{key: value for key, value in new.items() if old.get(key) != value}, **gone}


def _shown(value: Any) -> str:
    if value is None:
        return "(removed)"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={'(removed)' if each is None else each}" for key, each in value.items())
    return str(value)
