"""Forms for profiles: create, edit on all hosts that have it, assign to an instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lxdpm_tui.console import completion, text
from lxdpm_tui.console.resources.base import Line, heading
from lxdpm_tui.console.screens.checked import CheckedForm
from lxdpm_tui.console.screens.form import FormError, FormScreen, devices, mapping, words
from lxdpm_tui.console.session import Session, reference
from lxdpm_tui.console.widgets.field import FieldSpec
from lxdpm_tui.fleet.groups import Copies
from lxdpm_tui.fleet.inventory import HostRecord, Instance


def device_lines(given: Mapping[str, Mapping[str, str]]) -> str:
    """Devices as the form has them: NAME: type=..., key=value."""
    lines = []
    for name, settings in sorted(given.items()):
        rest = [f"{key}={value}" for key, value in sorted(settings.items()) if key != "type"]
        lines.append(f"{name}: " + ", ".join([f"type={settings.get('type', '')}", *rest]))
    return "\n".join(lines)


def config_lines(given: Mapping[str, str]) -> str:
    """One-line settings as KEY=VALUE lines; those of several lines are left to the editor of a later day."""
    return "\n".join(f"{key}={value}" for key, value in sorted(given.items()) if "\n" not in value)


def _hosts_field(session: Session) -> FieldSpec:
    return FieldSpec(
        "hosts",
        "hosts",
        hint="all, or none if one fails",
        complete=completion.last_word(lambda: completion.hosts(session.inventory)),
    )


class ProfileForm(CheckedForm):
    """A form with config, devices and hosts, which all of them have to take."""

    def concerned(self) -> Sequence[HostRecord]:
        hosts = self.session.inventory.hosts
        chosen = words(self.field("hosts").value) if self.is_mounted else []
        return [hosts[name] for name in chosen if name in hosts] or list(hosts.values())

    def check(self, config: Mapping[str, str | None], given: Mapping[str, Mapping[str, Any]]) -> None:
        """All hosts have to take it. Raises FormError."""
        wrong = self.problems(config, given)
        if wrong:
            raise FormError("devices" if wrong[0].startswith("device ") else "config", wrong[0])


class ProfileCreateScreen(ProfileForm):
    """A new profile on all hosts, or on none."""

    form = "profile-create"
    action = "profile-create"
    button = "Create"
    title_text = "New profile"

    def specs(self) -> Sequence[FieldSpec]:
        return (
            FieldSpec("name", "name"),
            FieldSpec("description", "about", hint="one line"),
            FieldSpec("config", "config", "area", hint="limits.memory=2GiB (KEY=VALUE lines)", lines=3),
            FieldSpec("devices", "devices", "area", hint="eth0: type=nic, network=lxdbr0", lines=3),
            _hosts_field(self.session),
            FieldSpec("project", "project", value="default"),
        )

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        if not values["name"].strip():
            raise FormError("name", "a profile needs a name")
        config, given = mapping("config", values["config"]), devices("devices", values["devices"])
        self.check(config, given)
        return {
            "name": values["name"].strip(),
            "description": values["description"].strip(),
            "config": config,
            "devices": given,
            "hosts": words(values["hosts"]),
            "project": values["project"].strip() or "default",
        }

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        number = len(words(values["hosts"])) or len(self.session.inventory.hosts)
        made = f"It is made on {text.count(number, 'host')}. If one of them fails, the others are put back."
        return [*self.warnings(values["config"], values["devices"]), Line("", made, "dim")]


class ProfileEditScreen(ProfileForm):
    """Changes to a profile, made to each host's own copy."""

    form = "profile-edit"
    action = "profile-edit"
    button = "Save"

    def __init__(self, session: Session, row: Copies) -> None:
        self.row = row
        self.form = f"profile-edit {row.project}/{row.name}"
        super().__init__(
            session,
            {
                "description": row.description,
                "config": config_lines(row.config),
                "devices": device_lines(row.devices),
            },
        )

    @property
    def title_text(self) -> str:
        return f"Profile {self.row.name} in project {self.row.project}, as it is on {self.row.host}"

    def specs(self) -> Sequence[FieldSpec]:
        return (
            FieldSpec("description", "about", hint="one line"),
            FieldSpec("config", "config", "area", hint="KEY=VALUE lines; take a line out to remove the key", lines=5),
            FieldSpec("devices", "devices", "area", hint="eth0: type=nic, network=lxdbr0", lines=4),
            _hosts_field(self.session),
        )

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        config, removed = self._changes(mapping("config", values["config"]), self._editable())
        given = devices("devices", values["devices"])
        changed: dict[str, Any] = {name: v for name, v in given.items() if dict(self.row.devices.get(name, {})) != v}
        changed |= dict.fromkeys(self.row.devices.keys() - given.keys(), "")
        self.check(config, {name: v for name, v in changed.items() if v})
        description = values["description"].strip()
        arguments: dict[str, Any] = {
            "name": self.row.name,
            "project": self.row.project,
            "hosts": words(values["hosts"]),
        }
        if description != self.row.description:
            arguments["description"] = description
        if config or removed:
            arguments["config"] = config | dict.fromkeys(removed, "")
        if changed:
            arguments["devices"] = changed
        if len(arguments) == 3:
            raise FormError("", "nothing was changed")
        return arguments

    def _editable(self) -> dict[str, str]:
        return {key: value for key, value in self.row.config.items() if "\n" not in value}

    @staticmethod
    def _changes(new: dict[str, str], old: dict[str, str]) -> tuple[dict[str, str], set[str]]:
        return {key: value for key, value in new.items() if old.get(key) != value}, set(old) - set(new)

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        others = self.row.hosts
        lines = [
            Line("", f"What you change here is changed on {text.names(others, 4)}; what you do not touch stays.", "dim")
        ]
        try:
            arguments = self.arguments(values)
        except FormError as error:
            return (*lines, Line("", error.text, "warn"))
        lines.append(heading("changes"))
        if "description" in arguments:
            lines.append(Line("about", arguments["description"] or "(empty)"))
        for part in ("config", "devices"):
            for key, value in arguments.get(part, {}).items():
                shown = value if isinstance(value, str) else device_lines({key: value}).partition(": ")[2]
                lines.append(Line(key, shown or "(removed)", "" if shown else "warn"))
        return lines


class ProfileAssignScreen(FormScreen):
    """The profiles of one instance, in order."""

    form = "profile-assign"
    action = "profile-assign"
    button = "Assign"

    def __init__(self, session: Session, row: Instance) -> None:
        self.row = row
        self.form = f"profile-assign {row.host}/{row.project}/{row.name}"
        super().__init__(session, {"profiles": " ".join(row.profiles)})

    @property
    def title_text(self) -> str:
        return f"Profiles of {self.row.name} on {self.row.host}, project {self.row.project}"

    def _known(self) -> list[completion.Candidate]:
        found = {}
        for project in ("default", self.row.project):
            for key, profile in self.session.inventory.profiles.get(self.row.host, {}).items():
                if key.project == project:
                    found[key.name] = profile.description or f"used by {profile.used_by}"
        return [completion.Candidate(name, note) for name, note in sorted(found.items())]

    def specs(self) -> Sequence[FieldSpec]:
        return (
            FieldSpec(
                "profiles", "profiles", hint="in order, later ones win", complete=completion.last_word(self._known)
            ),
        )

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        chosen = words(values["profiles"])
        missing = [name for name in chosen if name not in {candidate.value for candidate in self._known()}]
        if missing:
            raise FormError("profiles", f"{self.row.host} has no profile {', '.join(missing)}")
        if not chosen:
            raise FormError("profiles", "name at least one profile")
        row = self.row
        return {"instance": reference(row.key), "profiles": chosen, "project": row.project}
