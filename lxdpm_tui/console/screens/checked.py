"""What forms with config and devices share: they are checked against what the hosts' own daemons know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lxdpm_tui.actions.known_keys import Known, KnownKeys, whose
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.screens.form import FormError, FormScreen, devices, mapping
from lxdpm_tui.fleet.inventory import HostRecord

KNOWN = KnownKeys()
"""Of all daemons that this console asked: what they know does not change while they run."""


class CheckedForm(FormScreen):
    """Subclasses give `concerned`: the hosts whose daemons are to take the settings."""

    def concerned(self) -> Sequence[HostRecord]:
        raise NotImplementedError

    def on_mount(self) -> None:
        super().on_mount()
        self.run_worker(self._learn(), group="known keys")

    def _kinds(self) -> list[HostRecord]:
        """One host of each kind and version that can be asked."""
        return list({whose(record): record for record in self.concerned() if record.usable}.values())

    async def _learn(self) -> None:
        backend = self.session.backend
        for record in self._kinds():
            if backend is not None and KNOWN.of(record) is None:
                await KNOWN.ask(record, backend.fleet.hosts[record.name])
        if self.is_mounted:
            self.edited()

    def known(self) -> list[Known]:
        """What the daemons said so far."""
        found = (KNOWN.of(record) for record in self._kinds())
        return [known for known in found if known is not None]

    def problems(self, config: Mapping[str, str | None], devices: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """What some of them would not take, each once."""
        return list(dict.fromkeys(line for known in self.known() for line in known.problems(config, devices)))

    def refused_by_all(self, config: Mapping[str, str | None], devices: Mapping[str, Mapping[str, Any]]) -> str:
        """What is wrong when none of the daemons would take it; "" when one would, or none was heard yet."""
        said = [known.problems(config, devices) for known in self.known()]
        return said[0][0] if said and all(said) else ""

    def warnings(self, config: str, given: str) -> list[Line]:
        """What some of the daemons would not take of the two fields' texts."""
        try:
            found = self.problems(mapping("config", config), devices("devices", given))
        except FormError:
            return []  # said elsewhere
        return [Line("", words, "bad") for words in found]

    def about_keys(self, config: Iterable[str]) -> list[Line]:
        """What the daemons say of these keys."""
        lines = []
        for name in config:
            told = next((info for known in self.known() if (info := known.key(name)) and info.help), None)
            if told is not None:
                only = f" ({told.condition} only)" if told.condition else ""
                lines.append(Line(name, f"{told.help}{only}", "dim"))
        return lines
