"""One request as the routes see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from multidict import MultiMapping

from lxdpm_tui.actions.registry import ActionError
from lxdpm_tui.gateway import groups
from lxdpm_tui.hosts.requestor import requestor

if TYPE_CHECKING:
    from lxdpm_tui.gateway.server import Gateway
    from lxdpm_tui.manager import Manager

BODY_LIMIT = 8 << 20  # bytes of a JSON body; files and images are streamed and have none


@dataclass(frozen=True, slots=True)
class Client:
    """Who calls. name: "unix" or the certificate's fingerprint, "" for nobody we know.

    method: "unix" or "tls".  certificate: DER of what it showed, b"" for none.  projects: those it is restricted to,
    None = it is not restricted.  read_only: it may change nothing.
    """

    name: str
    method: str
    trusted: bool
    certificate: bytes = b""
    projects: frozenset[str] | None = None
    read_only: bool = False


BINARY = frozenset({"application/octet-stream", "multipart/form-data"})

UNIX = Client("unix", "unix", trusted=True)


@dataclass(slots=True)
class Call:
    """A routed request.

    path: the collapsed path, percent-encoded.  vars: the pattern's names, decoded.  collection: "instances",
    "containers" or "virtual-machines", as the client called it.
    """

    gateway: Gateway
    request: web.BaseRequest
    path: str
    vars: Mapping[str, str]
    query: MultiMapping[str]
    client: Client
    collection: str = "instances"

    def tell(self, action: str, source: str, context: dict[str, Any] | None = None) -> None:
        """What the caller has changed of the gateway itself, as a lifecycle event. source: its URL."""
        self.gateway.hub.tell(action, source, requestor.get() or {}, context)

    @property
    def caller(self) -> str:
        return self.client.name

    def allows(self, project: str) -> bool:
        """Whether the caller may see what is in that project."""
        return self.client.projects is None or project in self.client.projects

    def must_allow(self, project: str) -> None:
        """Raises ActionError 403 for a project, named in a body, that the caller may not use."""
        if not self.allows(project):
            raise ActionError("not authorized", 403)

    @property
    def manager(self) -> Manager:
        return self.gateway.manager

    @property
    def project(self) -> str:
        return self.query.get("project") or "default"

    @property
    def all_projects(self) -> bool:
        return self.query.get("all-projects", "").lower() in ("true", "1")

    @property
    def recursion(self) -> int:
        """0, 1 or 2; what is no number counts as 0 and more than 2 as 2, as LXD does."""
        text = self.query.get("recursion", "0").partition(";")[0].lstrip("0")
        if not text.isdecimal() or not text.isascii():
            return 0
        return int(text) if text in ("1", "2") else 2

    @property
    def target(self) -> str | None:
        """The member that ?target= names. Raises ActionError 404 for an unknown one."""
        name = self.query.get("target") or None
        if name is not None and name not in self.manager.inventory.hosts:
            raise ActionError("Cluster member not found", 404)
        return name

    @property
    def targets(self) -> frozenset[str]:
        """The members that ?target= allows: one, those of an "@group", or none for all.

        Raises ActionError 404 for an unknown member, 400 for an unknown group or one without members.
        """
        name = self.query.get("target") or ""
        if not name.startswith("@"):
            return frozenset({self.target} if self.target else ())
        found = groups.members(self.manager).get(name[1:])
        if found is None:
            raise ActionError(f'Cluster group "{name[1:]}" doesn\'t exist')
        if not found:
            raise ActionError(f'Cluster group "{name[1:]}" has no members')
        return frozenset(found)

    @property
    def by_group(self) -> bool:
        """Whether the targets are those of a group."""
        return self.query.get("target", "").startswith("@")

    async def json(self, begun: bytes = b"") -> dict[str, Any]:
        """The body as an object. begun: what was read of it already.

        Raises ActionError 400 in LXD's manner, 413 when it is too large.
        """
        body = bytearray(begun)
        async for chunk in self.request.content.iter_any():
            body += chunk
            if len(body) > BODY_LIMIT:
                raise ActionError("Request body too large", 413)
        if not body:
            raise ActionError("EOF")
        try:
            found = msgspec.json.decode(bytes(body))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ActionError(f"Invalid JSON: {error}") from error
        except RecursionError as error:
            raise ActionError("Invalid JSON: it is nested too deeply") from error
        if not isinstance(found, dict):
            raise ActionError("The body must be a JSON object")
        return found

    @property
    def content_type(self) -> str:
        """As sent, without parameters; "" when the client says none, as Ansible does with JSON."""
        return self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def sends_json(self) -> bool:
        return self.content_type not in BINARY
