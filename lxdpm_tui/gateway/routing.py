"""The route table: patterns over the raw path, so that percent-encoded slashes stay what they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from aiohttp import web

from lxdpm_tui.gateway.call import Call

Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Access(Enum):
    PUBLIC = "public"
    PROJECT = "project"
    TRUSTED = "trusted"
    SERVER = "server"


_LISTS_BELOW = frozenset(
    {
        "/1.0/storage-pools/{pool}/volumes",
        "/1.0/storage-pools/{pool}/volumes/{type}",
        "/1.0/storage-pools/{pool}/buckets",
        "/1.0/storage-volumes/{type}",
    }
)


@dataclass(frozen=True, slots=True)
class Route:
    """pattern: "/1.0/images/{fingerprint}/export"; a last "{name...}" takes the rest, slashes included.

    access: who may call it. PUBLIC: anybody, the handler looks at call.trusted; PROJECT: trusted clients, restricted
    ones for their own projects; TRUSTED: all trusted clients, the handler looks at call.allows; SERVER: trusted clients
    that are not restricted.
    """

    method: str
    pattern: str
    handler: Handler
    access: Access = Access.PROJECT

    @property
    def lists(self) -> bool:
        """Whether ?all-projects= means something here: a list, out of which the handler leaves what call.allows not."""
        return self.method == "GET" and ("{" not in self.pattern or self.pattern in _LISTS_BELOW)


@dataclass(frozen=True, slots=True)
class Match:
    route: Route
    vars: dict[str, str]


class MethodUnknown(Exception):
    """The path is there, the method is not: LXD answers 501."""


class Router:
    """Exact segments win over variables. Instances answer under /1.0/containers and /1.0/virtual-machines too."""

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        split = [(tuple(route.pattern.strip("/").split("/")), route) for route in routes]
        split.sort(key=lambda entry: [part.startswith("{") for part in entry[0]])
        # By the second segment, which hardly any pattern leaves open: a few patterns are tried instead of all.
        self._any = [entry for entry in split if _second(entry[0]).startswith("{")]
        self._below = {
            second: [entry for entry in split if _second(entry[0]) == second or entry in self._any]
            for second in {_second(pattern) for pattern, _ in split}
        }

    def match(self, method: str, path: str) -> Match | None:
        """The route of a collapsed, still encoded path; None for an unknown path. Raises MethodUnknown.

        A path with a "." or ".." in it, however encoded, is unknown: on the way to a host it would become another one.
        """
        parts = path.strip("/").split("/")
        if _climbs(path):
            return None
        known = False
        for pattern, route in self._below.get(_second(parts), self._any):
            found = _fit(pattern, parts)
            if found is None:
                continue
            known = True
            if route.method == method:
                return Match(route, found)
        if known:
            raise MethodUnknown
        return None


def _second(parts: Sequence[str]) -> str:
    return parts[1] if len(parts) > 1 else ""


def collapse(path: str) -> str:
    """One slash for several, none at the end: "//1.0/instances/" is "/1.0/instances"."""
    return "/" + "/".join(part for part in path.split("/") if part)


def _climbs(path: str) -> bool:
    decoded = unquote(path) if "%" in path else path
    return "\0" in decoded or any(part in (".", "..") for part in decoded.split("/"))


def _fit(pattern: tuple[str, ...], parts: list[str]) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for index, piece in enumerate(pattern):
        if piece.endswith("...}"):
            rest = parts[index:]
            if not rest:
                return None
            found[piece[1:-4]] = unquote("/".join(rest))
            return found
        if index >= len(parts):
            return None
        if piece.startswith("{"):
            found[piece[1:-1]] = unquote(parts[index])
        elif piece != parts[index]:
            return None
    return found if len(parts) == len(pattern) else None
