"""Forms about hosts: add one and pair with it, edit its labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lxdpm_tui.config import HttpsAddress, parse_address
from lxdpm_tui.config.hosts_file import valid_name
from lxdpm_tui.console.resources.base import Line
from lxdpm_tui.console.screens.form import FormError, FormScreen
from lxdpm_tui.console.session import REFUSALS, Session
from lxdpm_tui.console.widgets.field import FieldSpec
from lxdpm_tui.fleet.inventory import HostRecord

_LOCAL = "A socket of this machine: nothing to pair with."
_SSH = "By ssh: the login is trust enough; nothing is installed there. Its host key must be known."


class HostAddScreen(FormScreen):
    """A host of the fleet, from now on. An https host is paired with: its certificate is confirmed by token or eye."""

    form = "host-add"
    action = "host-add"
    button = "Add"
    title_text = "Add a host to the fleet"

    def specs(self) -> Sequence[FieldSpec]:
        return (
            FieldSpec("name", "name", hint="as the fleet is to call it"),
            FieldSpec("address", "address", hint="https://10.0.0.5  ssh://root@web1  unix:///var/lib/lxd/unix.socket"),
            FieldSpec("token", "token", hint="https: what `lxc config trust add --name lxdpm-tui` prints there",
                      kept=False),
            FieldSpec("password", "password", hint="https without a token: its trust password", secret=True),
            FieldSpec("fingerprint", "certificate", hint="https without a token: asked of the host, compare it"),
            FieldSpec("labels", "labels", hint="site=lyon rack=7 ssd"),
            FieldSpec("identity_file", "ssh key", hint="ssh: as ~/.ssh/config says"),
        )  # fmt: skip

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        given = {key: value.strip() for key, value in values.items()}
        if not valid_name(given["name"]):
            raise FormError("name", "a name of letters, digits, dots and dashes")
        if given["name"] in self.session.inventory.hosts:
            raise FormError("name", f"there is a host {given['name']} already")
        try:
            address = parse_address(given["address"])
        except ValueError as error:
            raise FormError("address", str(error)) from error
        if not isinstance(address, HttpsAddress) and (given["token"] or given["password"]):
            raise FormError("token", "tokens and passwords are for https addresses")
        return {**given, "labels": labels("labels", given["labels"])}

    async def prepare(self, values: dict[str, str]) -> None:
        """Without a token the certificate is asked for and shown: to submit again says that it is the right one."""
        given = self.arguments(values)
        address = parse_address(given["address"])
        if not isinstance(address, HttpsAddress) or given["token"] or given["fingerprint"]:
            return
        from lxdpm_tui.hosts.pairing import probe_fingerprint

        try:
            shown = await probe_fingerprint(address)
        except REFUSALS as refusal:
            raise FormError("address", str(refusal)) from refusal
        self.field("fingerprint").value = shown.fingerprint
        raise FormError("fingerprint", f"It shows this certificate ({shown.subject}). Compare it, then ctrl+s again.")

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        address = values["address"].strip()
        if address.startswith("unix:"):
            return (Line("", _LOCAL, "dim"),)
        if address.startswith("ssh:"):
            return (Line("", _SSH, "dim"),)
        return (
            Line("", "A token is the safest: it also says which certificate is the right one.", "dim"),
            Line("LXD", "lxc config trust add --name lxdpm-tui", "dim"),
            Line("Incus", "incus config trust add lxdpm-tui", "dim"),
        )


class HostLabelsScreen(FormScreen):
    """The labels of a host."""

    action = "host-label"
    button = "Save"

    def __init__(self, session: Session, row: HostRecord) -> None:
        self.row = row
        self.form = f"host-label {row.name}"
        words = " ".join(f"{key}={value}" if value else key for key, value in row.labels.items())
        super().__init__(session, {"labels": words})

    @property
    def title_text(self) -> str:
        return f"Labels of {self.row.name}"

    def specs(self) -> Sequence[FieldSpec]:
        return (FieldSpec("labels", "labels", hint="site=lyon rack=7 ssd"),)

    def arguments(self, values: dict[str, str]) -> dict[str, Any]:
        wanted = labels("labels", values["labels"])
        words = [f"{key}={value}" if value else key for key, value in wanted.items()]
        words += [f"{key}=" for key in self.row.labels if key not in wanted]
        if wanted == dict(self.row.labels):
            raise FormError("labels", "nothing was changed")
        return {"host": self.row.name, "labels": words}

    def aside(self, values: dict[str, str]) -> Sequence[Line]:
        return (Line("", "Filters find them: label:site=lyon", "dim"),)


def labels(field: str, text: str) -> dict[str, str]:
    """`site=lyon ssd` as a mapping. Raises FormError."""
    found = {}
    for word in text.replace(",", " ").split():
        key, _, value = word.partition("=")
        if not key:
            raise FormError(field, f"expected KEY=VALUE or KEY, not {word!r}")
        found[key] = value
    return found
